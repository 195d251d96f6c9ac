"""The reference of an evaluation store, as a snapshot: looked at once, then kept under its fingerprint.

The held-out rows of a model and a dataset are tables that have to be looked at; an earlier evaluation, or the last
few, have kept what was seen of them.
"""

from __future__ import annotations  # drift's types are named here and loaded when they are used

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine import drift
from engine.data import Table, materialise, reading
from engine.errors import DataError
from engine.evaluation.observe import observe
from engine.evaluation.record import CheckResult, Evaluation
from engine.evaluation.snapshot import Snapshot, digest
from engine.models import FittedModel
from engine.scenarios.actions import Action
from engine.scenarios.builders.datasets import inspect
from engine.scenarios.builders.decision import reads_of
from engine.scenarios.builders.models import Version
from engine.scenarios.context import Context
from engine.spec.resources.evaluation_stores import (
    DatasetReference,
    EvaluationReference,
    EvaluationStore,
    RollingReference,
)

SAMPLE_ROWS = 100_000


@dataclass(frozen=True, slots=True)
class Reference:
    """What a batch is compared with: its fingerprint, what that is made of, and how to get its snapshot.

    `decide` is given the batch, whose declared roles and entity count for both sides. The decision is what there is to
    do, the function takes the model, loaded, and does it.
    """

    fingerprint: str
    facts: Mapping[str, Any]
    decide: Callable[[Table], Look]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """Whether a reference is to be looked at; how that is done, with the model that scores it, and pretended."""

    action: Action
    do: Callable[[FittedModel | None], Snapshot]
    pretend: Callable[[], None]


def reference_of(
    name: str, batch: Table, version: Version | None, context: Context, found: list[CheckResult]
) -> Reference:
    """Find the reference that an evaluation store declares.

    Raises
    ------
    DataError
        There is no such evaluation, or the dataset cannot be read.
    """
    spec = context.project.evaluation_stores[name]
    declared = spec.reference
    if isinstance(declared, EvaluationReference):
        if declared.name == spec.evaluation.name:
            return _of_itself("it is the reference of others", declared.kind, batch, spec, version, context)
        evaluation = context.store.by_name(name, declared.name)
        if evaluation is None:
            known = ", ".join(dict.fromkeys(e.name for e in context.store.evaluations(name))) or "none yet"
            raise DataError(
                f"reference of {name}: there is no evaluation {declared.name!r}; there are: {known}. "
                f"Build {name} once with evaluation: {{name: {declared.name}}}"
            )
        return _of_evaluations("evaluation", [evaluation], context)
    if isinstance(declared, RollingReference):
        others = [e for e in context.store.evaluations(name) if e.fingerprints.dataset != batch.fingerprint]
        if others:
            return _of_evaluations("rolling", others[-declared.last :], context)
        return _of_itself("there is no earlier evaluation", declared.kind, batch, spec, version, context)
    if isinstance(declared, DatasetReference):
        table = inspect(declared.dataset, context, found).table
        roles = {"entity": table.entity, "columns": {column: {"role": role} for column, role in table.roles.items()}}
        facts = {"kind": "dataset", "dataset": table.name, "datasets": table.provenance(), "spec": roles}
        return _of_table(table, facts, spec, version, context)
    if version is None or version.test is None:
        raise DataError(f"reference of {name}: its model was not trained here and has no held-out rows; declare one")
    return _of_table(version.test, {"kind": "model_test"}, spec, version, context)


def _of_itself(
    because: str, kind: str, batch: Table, spec: EvaluationStore, version: Version | None, context: Context
) -> Reference:
    """Compare the batch with itself: the first of a store, that later ones are compared with, needs a snapshot too."""
    facts = {"kind": kind, "datasets": batch.provenance()}
    return _of_table(batch, facts, spec, version, context, f"{because}: compared with itself")


def _of_evaluations(kind: str, evaluations: list[Evaluation], context: Context) -> Reference:
    snapshots = [context.store.folder_of_evaluation(evaluation.id) for evaluation in evaluations]
    names = [evaluation.name for evaluation in evaluations]
    datasets = [evaluation.fingerprints.dataset for evaluation in evaluations]
    kept = Action(
        kind="look",
        target=f"{'evaluation' if len(names) == 1 else 'evaluations'} {', '.join(names)}",
        because="reused",
        reason="what was seen of them is kept",
    )
    look = Look(kept, lambda _: Snapshot.union([Snapshot.load(folder) for folder in snapshots]), lambda: None)
    facts = {"kind": kind, "evaluations": dict(zip(names, datasets, strict=True))}
    return Reference(digest(datasets), facts, lambda _: look)


def _of_table(
    table: Table,
    facts: Mapping[str, Any],
    spec: EvaluationStore,
    version: Version | None,
    context: Context,
    note: str | None = None,
) -> Reference:
    def decide(batch: Table) -> Look:
        declared = {**(version.training.roles if version and version.training else {}), **table.roles, **batch.roles}
        ours = by_entity(table, batch.entity)
        asked = {
            "table": table.fingerprint,
            "entity": ours.entity,
            "model": version.fingerprint if version else "",
            "roles": declared,
            "excluded": sorted(spec.drift.columns.exclude),
            "rows": max(SAMPLE_ROWS, spec.drift.max_rows),
            "seed": spec.drift.seed,
            "kernel": drift.KERNEL_VERSION,
        }
        fingerprint = digest(asked)
        kept = context.store.snapshot(fingerprint)
        if kept is not None:
            known = Action(kind="look", target=table.name, because="reused", reason="what was seen of it is kept")
            return Look(known, lambda _: Snapshot.load(kept), lambda: None)

        def look(model: FittedModel | None) -> Snapshot:
            context.log.info(f"looking at the reference, {table.name}")
            snapshot = _look(ours, declared, spec, model, version, context)
            with context.store.staging() as folder:
                snapshot.save(folder)
                context.store.add_snapshot(fingerprint, folder)
            return snapshot

        def pretend() -> None:
            with context.store.staging() as folder:
                context.store.add_snapshot(fingerprint, folder)

        reason = "it was never looked at with this model and these settings"
        action = Action(kind="look", target=table.name, because="new", reason=reason, reads=reads_of(table, context))
        return Look(action, look, pretend)

    return Reference(digest([table.fingerprint, table.entity, table.roles]), facts, decide, note)


def by_entity(table: Table, entity: str | None) -> Table:
    """Return the table by the entity that the other side declares, if it declares none itself and has the column."""
    if table.entity or entity is None or entity not in table.frame.collect_schema():
        return table
    return replace(table, entity=entity)


def _look(
    table: Table,
    declared: Mapping[str, str],
    spec: EvaluationStore,
    model: FittedModel | None,
    version: Version | None,
    context: Context,
) -> Snapshot:
    with context.store.staging() as folder, materialise(table, folder) as steady:
        with reading(steady):
            roles, left_out = drift.roles(
                steady.frame,
                {column: role for column, role in declared.items() if column in steady.frame.collect_schema()},
                only=model.features if model else None,
                entity=steady.entity,
                exclude=spec.drift.columns.exclude,
            )
        cost_matrix = context.project.models[version.name].cost_matrix if version else None
        return observe(
            steady,
            roles,
            {**(model.left_out if model else {}), **left_out},
            model=model,
            cost_matrix=cost_matrix,
            sample_rows=max(SAMPLE_ROWS, spec.drift.max_rows),
            seed=spec.drift.seed,
        ).snapshot
