"""Resolves the reference of an evaluation store to a profile: a snapshot of statistics and a sample of rows.

The held-out rows of a model and datasets are tables: they are profiled once, and the profile is kept under a
fingerprint. Earlier evaluations have stored the profiles of their batches, so nothing has to be read for them.
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
"""Rows per side that a snapshot samples for the drift model, unless the store's `max_rows` is larger."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What a batch is compared with.

    Attributes
    ----------
    facts
        What the fingerprint is computed from.
    plan_profile
        `plan_profile(batch)` returns the planned profile: the action, and a function that executes it with the loaded
        model. The batch's declared roles and entity apply to both sides.
    note
        A remark that the evaluation keeps.
    """

    fingerprint: str
    facts: Mapping[str, Any]
    decide: Callable[[Table], Look]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """The planned profile of a reference.

    `execute` makes or loads it, given the model that scores the rows (None without a model); `simulate` stands in for
    that in a plan.
    """

    action: Action
    do: Callable[[FittedModel | None], Snapshot]
    pretend: Callable[[], None]


def reference_of(
    name: str, batch: Table, version: Version | None, context: Context, found: list[CheckResult]
) -> Reference:
    """Return the reference that an evaluation store declares.

    Raises
    ------
    DataError
        The named evaluation does not exist, the dataset cannot be read, or the model has no held-out rows.
    """
    spec = context.project.evaluation_stores[name]
    declared = spec.reference
    if isinstance(declared, EvaluationReference):
        if declared.name == spec.evaluation.name:
            return _of_itself("this is the reference evaluation", declared.kind, batch, spec, version, context)
        evaluation = context.store.by_name(name, declared.name)
        if evaluation is None:
            names = ", ".join(dict.fromkeys(e.name for e in context.store.evaluations(name))) or "none yet"
            raise DataError(
                f"reference of evaluation store {name!r}: there is no evaluation {declared.name!r}; "
                f"there are: {names}. Build {name} once with evaluation: {{name: {declared.name}}}"
            )
        return _of_evaluations("evaluation", [evaluation], context)
    if isinstance(declared, RollingReference):
        # The same batch evaluated again must not be its own reference.
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
        raise DataError(
            f"reference of evaluation store {name!r}: the engine did not train its model, so there are no held-out "
            "rows; declare a `reference:`"
        )
    return _of_table(version.test, {"kind": "model_test"}, spec, version, context)


def _of_itself(
    reason: str, kind: str, batch: Table, spec: EvaluationStore, version: Version | None, context: Context
) -> Reference:
    """Return the batch as its own reference: the first evaluation of a store has no other, and later ones need it."""
    facts = {"kind": kind, "datasets": batch.provenance()}
    return _of_table(batch, facts, spec, version, context, f"{reason}, so its batch is compared with itself")


def _of_evaluations(kind: str, evaluations: list[Evaluation], context: Context) -> Reference:
    """Return earlier evaluations as the reference; the snapshots of their batches are united."""
    snapshots = [context.store.folder_of_evaluation(evaluation.id) for evaluation in evaluations]
    names = [evaluation.name for evaluation in evaluations]
    datasets = [evaluation.fingerprints.dataset for evaluation in evaluations]
    action = Action(
        kind="profile",
        target=f"{'evaluation' if len(names) == 1 else 'evaluations'} {', '.join(names)}",
        because="reused",
        reason="its profile is stored" if len(names) == 1 else "their profiles are stored",
    )
    profile = Look(action, lambda _: Snapshot.union([Snapshot.load(folder) for folder in snapshots]), lambda: None)
    facts = {"kind": kind, "evaluations": dict(zip(names, datasets, strict=True))}
    return Reference(digest(datasets), facts, lambda _: profile)


def _of_table(
    table: Table,
    facts: Mapping[str, Any],
    spec: EvaluationStore,
    version: Version | None,
    context: Context,
    note: str | None = None,
) -> Reference:
    """Return a table as the reference; its profile is kept under a fingerprint of everything that it depends on."""

    def plan_profile(batch: Table) -> Look:
        # Declared roles, the later winning: of the training data, of the reference, of the batch.
        declared = {**(version.training.roles if version and version.training else {}), **table.roles, **batch.roles}
        grouped = by_entity(table, batch.entity)
        settings = {
            "table": table.fingerprint,
            "entity": grouped.entity,
            "model": version.fingerprint if version else "",
            "roles": declared,
            "excluded": sorted(spec.drift.columns.exclude),
            "rows": max(SAMPLE_ROWS, spec.drift.max_rows),
            "seed": spec.drift.seed,
            "kernel": drift.KERNEL_VERSION,
        }
        fingerprint = digest(settings)
        stored = context.store.snapshot(fingerprint)
        if stored is not None:
            action = Action(kind="profile", target=table.name, because="reused", reason="its profile is stored")
            return Look(action, lambda _: Snapshot.load(stored), lambda: None)

        def execute(model: FittedModel | None) -> Snapshot:
            context.log.info(f"profiling the reference: {table.name}")
            snapshot = _look(grouped, declared, spec, model, version, context)
            with context.store.staging() as folder:
                snapshot.save(folder)
                context.store.add_snapshot(fingerprint, folder)
            return snapshot

        def simulate() -> None:
            with context.store.staging() as folder:
                context.store.add_snapshot(fingerprint, folder)

        reason = "it was never profiled with this model and these settings"
        action = Action(kind="profile", target=table.name, because="new", reason=reason, reads=reads_of(table, context))
        return Look(action, execute, simulate)

    return Reference(digest([table.fingerprint, table.entity, table.roles]), facts, plan_profile, note)


def by_entity(table: Table, entity: str | None) -> Table:
    """Return the table with the other side's entity, if it declares none itself and has that column."""
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
    """Profile the reference: infer the columns' roles, score its rows with the model, take the snapshot."""
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
