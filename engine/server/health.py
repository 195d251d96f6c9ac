"""Liveness, readiness and a health summary of the server.

Drift and failed runs are not part of these, so that an orchestrator does not restart the server because a model drifts.
They are in the metrics.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from starlette.responses import Response

from engine import __version__
from engine.errors import StoreError
from engine.server.answers import build_answer
from engine.service.control import LONGEST_TICK_SECONDS, NextTimes, RefusedRequestError, ServedProject, ServerControl
from engine.service.served_node import ServedNode
from engine.spec import ProjectSpec
from engine.store import Store, TriggerState

BUSY_TICK_SECONDS = 5.0
"""If the loop has not begun a tick for this long, it is not called, so that the rest is answered without delay."""

SKIPPED_HOURS = 24
SKIPPED_SHOWN = 100
NEXT_SHOWN = 20


def answer_liveness(control: ServerControl) -> Response:
    """Answer whether the loop of the server still runs: 200 or 503."""
    seconds = control.measure_tick_age()
    alive = seconds < LONGEST_TICK_SECONDS
    return build_answer({"alive": alive, "seconds_since_tick": round(seconds, 1)}, 200 if alive else 503)


def answer_readiness(control: ServerControl, *, needs_project: bool = True) -> Response:
    """Answer whether the server runs all its projects: 200, or 503 with the reasons.

    This needs no token, so the reasons contain no paths and no texts of users. A node is ready without a project
    (`needs_project` is False), so that a load balancer lets the first deployment through.
    """
    reasons = list_obstacles(control, needs_project=needs_project)
    return build_answer({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)


def list_obstacles(control: ServerControl, *, needs_project: bool) -> list[str]:
    """Return sentences about why the server is not ready; empty if it is."""
    reasons = [] if control.measure_tick_age() < LONGEST_TICK_SECONDS else ["the main loop does not advance"]
    reasons += ["the server is shutting down"] if control.is_draining() else []
    projects = control.list_projects()
    reasons += [] if projects or not needs_project else ["no project is served yet"]
    return reasons + [f"{project.name}: {reason}" for project in projects for reason in explain_unready(project)]


def explain_unready(project: ServedProject) -> list[str]:
    """Return why this server does not run a project by its present spec; empty if it does."""
    if project.spec is None:
        return ["its spec has errors, and none has been valid since the server started"]
    reasons = ["its spec has errors; the last valid one is in use"] if project.spec_problems else []
    if project.standby:
        return ["this server is a standby: another one runs the project", *reasons]
    if project.store_problem:
        return ["its state cannot be used", *reasons]
    return reasons if project.leader else ["this server has not started to run it yet", *reasons]


def describe_health(control: ServerControl, now: datetime, node: ServedNode | None) -> dict[str, Any]:
    """Return a summary of the server and its projects, as JSON values and dates."""
    obstacles = list_obstacles(control, needs_project=node is None)
    return {
        "version": __version__,
        "alive": control.measure_tick_age() < LONGEST_TICK_SECONDS,
        "seconds_since_tick": round(control.measure_tick_age(), 1),
        "ready": not obstacles,
        "reasons": obstacles,
        "draining": control.is_draining(),
        "time": now,
        **({} if node is None else {"node": describe_node(node)}),
        "projects": [_describe_project(project, control, now) for project in control.list_projects()],
    }


def describe_node(node: ServedNode) -> dict[str, Any]:
    """Return the name of a node, and the problems of its file."""
    return {
        "name": node.spec.name,
        "file": str(node.spec.path),
        "valid": not node.problems,
        "problems": node.problems,
    }


def _describe_project(project: ServedProject, control: ServerControl, now: datetime) -> dict[str, Any]:
    found: dict[str, Any] = {
        "project": project.name,
        "spec": str(project.path),
        "leader": project.leader,
        "spec_valid": not project.spec_problems and project.spec is not None,
        "spec_problems": project.spec_problems,
        "state_problem": project.store_problem or None,
        "stale": project.stale,
        "waits": project.waits,
        "next": _list_next(find_next_times(project, control)),
    }
    if project.store is None:
        return found
    try:
        return found | _describe_state(project.store, project.spec, now)
    except StoreError as problem:
        return found | {"state_problem": str(problem)}


def find_next_times(project: ServedProject, control: ServerControl, count: int = 1) -> Sequence[NextTimes]:
    """Return the next times of each trigger of a project; empty if the loop is busy."""
    if control.measure_tick_age() > BUSY_TICK_SECONDS:
        return ()
    try:
        return control.list_next_times(project.name, count)
    except (RefusedRequestError, TimeoutError):
        return ()


def list_failing_triggers(store: Store, spec: ProjectSpec | None) -> list[TriggerState]:
    """Return the states of the triggers of a spec that cannot be evaluated now; raise StoreError if that fails."""
    declared = {
        (name, trigger.name)
        for name, scenario in (spec.scenarios if spec else {}).items()
        for trigger in scenario.triggers
    }
    return [one for one in store.fires.list_states() if one.error and (one.scenario, one.trigger) in declared]


def _describe_state(store: Store, spec: ProjectSpec | None, now: datetime) -> dict[str, Any]:
    skipped = store.operation.list_skipped(now - timedelta(hours=SKIPPED_HOURS), SKIPPED_SHOWN)
    return {
        "running": [
            run._asdict() | {"seconds": round((now - run.started).total_seconds())}
            for run in store.operation.list_running()
        ],
        "waiting": len(store.fires.list_open()),
        "skipped": [fire._asdict() for fire in skipped],
        "trigger_errors": [
            {"scenario": state.scenario, "trigger": state.trigger, "error": state.error, "since": state.error_since}
            for state in list_failing_triggers(store, spec)
        ],
        "undelivered": [
            {name: value for name, value in one._asdict().items() if name != "due"}
            for one in store.outbox.summarize_undelivered()
        ],
        "paused": [
            {"scenario": one.scenario, "until": one.until, "by": one.by, "reason": one.reason}
            for one in store.pauses.list_active()
        ],
    }


def _list_next(found: Sequence[NextTimes]) -> list[dict[str, Any]]:
    """Return the next triggers with their times, soonest first."""
    timed = [(one.times[0], one.scenario, one.trigger) for one in found if one.times]
    return [{"time": time, "scenario": scenario, "trigger": trigger} for time, scenario, trigger in sorted(timed)][
        :NEXT_SHOWN
    ]
