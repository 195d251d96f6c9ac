"""Print deployments, operations on them, and the changes of an update."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from engine.cli.json_output import print_json
from engine.formatting.moments import format_second
from engine.formatting.numbers import format_count
from engine.outcome import ExitCode
from engine.service.deployments.deployed_state import DeploymentState
from engine.service.deployments.deploying import DeploymentChange
from engine.service.deployments.pulling import Pulled
from engine.store.node import OperationRow, OperationState

Shown = Literal["text", "json"]


def print_operation(operation: OperationRow, format_: Shown) -> int:
    """Print how an operation ended, and return its exit code."""
    well = operation.state is OperationState.HEALTHY
    if format_ == "json":
        print_json(_write_json(asdict(operation)))
    else:
        what = {"deploy": "update", "rollback": "rollback", "disable": "switching off"}[operation.kind]
        reason = f": {operation.reason}" if operation.reason else ""
        for step in operation.steps:
            if not well or step.name in ("PRELOADED", "health check"):
                _print_operation_step(step.name, "FAILED" if step.problem else "done", step.log)
        print(f"{operation.deployment}: {what} to revision {operation.to_revision} {operation.state}{reason}")
        if operation.state is OperationState.FAILED:
            active = operation.from_revision
            print(
                f"nothing has changed: {'nothing is' if active is None else f'revision {active} is'} active, as before"
            )
    return ExitCode.OK if well else ExitCode.COULD_NOT_RUN


def _print_operation_step(name: str, ended: str, log: str) -> None:
    print(f"  {name}: {ended}")
    for line in log.splitlines():
        print(f"    {line}")


def print_operations(operations: Sequence[OperationRow], format_: Shown) -> None:
    """Print operations, oldest first."""
    if format_ == "json":
        print_json(_write_json([asdict(one) for one in operations]))
        return
    for one in operations:
        start = "nothing" if one.from_revision is None else f"revision {one.from_revision}"
        ended = f"{(one.ended - one.started).total_seconds():.1f} s" if one.ended else "has not ended"
        print(
            f"{format_second(one.started)} {one.kind} by {one.by}: {start} → revision {one.to_revision}, "
            f"{one.state} ({ended}){f': {one.reason}' if one.reason else ''}"
        )
        for step in one.steps:
            _print_operation_step(step.name, f"FAILED: {step.problem}" if step.problem else "done", step.log)
    if not operations:
        print("nothing was deployed yet")


def _write_json(value: Any) -> str:
    return json.dumps(value, indent=1, default=lambda one: one.isoformat() if isinstance(one, datetime) else str(one))


def print_deployments(found: Sequence[DeploymentState], format_: Shown) -> None:
    """Print the deployments of a spec, one per line."""
    if format_ == "json":
        print_json(_write_json([asdict(one) for one in found]))
        return
    for one in found:
        which = f"revision {one.revision}, {one.bundle_name} ({(one.bundle or '')[:12]})"
        since = f", since {format_second(one.since)}, by {one.by}" if one.since else ""
        active = "nothing active" if one.revision is None else f"{which}{since}"
        print(f"{one.name} on {one.infrastructure}: {one.state}, {active}")
        for reason in one.reasons:
            print(f"  {reason}")
    if not found:
        print("the spec declares no deployments")


def print_pulled(found: Sequence[Pulled], format_: Shown) -> None:
    """Print the results of pulls, one deployment per line."""
    if format_ == "json":
        print_json(json.dumps([one.model_dump(mode="json") for one in found], indent=1))
        return
    for one in found:
        parts = [format_count(one.evaluations, "new evaluation")]
        parts += [f"checks applied again to {one.checked:,}"] if one.checked else []
        parts += [f"{one.superseded:,} superseded or restored"] if one.superseded else []
        parts += [f"{one.known:,} already copied"] if one.known else []
        parts += [f"{one.removed:,} removed here and not copied again"] if one.removed else []
        parts += [f"{one.gone:,} no longer in the deployment, but kept here"] if one.gone else []
        print(f"{one.deployment} on {one.infrastructure}: {', '.join(parts)}")
        for store, number in one.unknown_stores.items():
            print(f"  {store}: {number:,} not copied, because this spec has no evaluation store of that name")


def print_change(change: DeploymentChange, format_: Shown) -> None:
    """Print the changes of an update."""
    if format_ == "json":
        print_json(json.dumps(asdict(change), indent=1))
        return
    before = "nothing" if change.before is None else f"{change.before_name} ({change.before[:12]})"
    same = " (the same)" if change.before == change.bundle else ""
    print(f"{change.deployment}: {before} → {change.bundle_name} ({change.bundle[:12]}){same}")
    for line in change.release_notes.splitlines():
        print(f"  {line}")
    for name, (old, new) in change.settings.items():
        print(f"  {name}: {f'{old} → ' if old else ''}{new or 'as the bundle says'}")
    print(f"  state: {'kept' if change.keeps_state else 'a new one'}")
    for line in change.work:
        print(f"  {line}")
    if change.quarantined:
        print(f"  refused without --again: {change.quarantined}")
