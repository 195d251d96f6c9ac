"""Resolves the reference of an evaluation store to a profile: a snapshot of statistics and a sample of rows.

The held-out rows of a model and datasets are tables: they are profiled once, and the profile is kept under a
fingerprint. Earlier evaluations have stored the profiles of their batches, so nothing has to be read for them.
"""

from __future__ import annotations  # drift's types are named here and loaded when they are used

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from engine import drift
from engine.data import Table, explain_read_errors, materialise
from engine.data.csv_faults import suggest_separator
from engine.digests import digest_json
from engine.errors import DataError
from engine.evaluation.observation import snapshot_side
from engine.evaluation.record import CheckResult, Evaluation
from engine.evaluation.snapshot import Snapshot
from engine.formatting.hints import suggest_name
from engine.models import FittedModel
from engine.scenarios.actions import Action
from engine.scenarios.builders.datasets import inspect_dataset
from engine.scenarios.builders.decision import list_sources
from engine.scenarios.builders.models import ModelHandle
from engine.scenarios.context import Context
from engine.spec.resources.evaluation_stores import (
    DatasetReference,
    EvaluationReference,
    EvaluationStoreSpec,
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
    plan_profile: Callable[[Table], ReferenceProfile]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class ReferenceProfile:
    """The planned profile of a reference.

    `execute` makes or loads it, given the model that scores the rows (None without a model); `simulate` replaces
    that in a plan.
    """

    action: Action
    execute: Callable[[FittedModel | None], Snapshot]
    simulate: Callable[[], None]


def resolve_reference(
    name: str, batch: Table, model_handle: ModelHandle | None, context: Context, check_results: list[CheckResult]
) -> Reference:
    """Return the reference that an evaluation store declares.

    Parameters
    ----------
    name
        The name of the evaluation store.
    batch
        The table of the evaluation.
    model_handle
        The model of the store; None if it has none.
    check_results
        Output: the check results of datasets that are read here are appended.

    Raises
    ------
    DataError
        The named evaluation does not exist, the dataset cannot be read, or the model has no held-out rows.
    """
    spec = context.project.evaluation_stores[name]
    declared = spec.reference
    if isinstance(declared, EvaluationReference):
        if declared.name == spec.evaluation.name:
            return _refer_to_batch(
                "this is the reference evaluation", declared.kind, batch, spec, model_handle, context
            )
        evaluation = context.store.find_evaluation_by_name(name, declared.name)
        if evaluation is None:
            names = ", ".join(dict.fromkeys(e.name for e in context.store.list_evaluations(name))) or "none yet"
            raise DataError(
                f"reference of evaluation store {name!r}: there is no evaluation {declared.name!r}; "
                f"there are: {names}. Build {name} once with evaluation: {{name: {declared.name}}}"
            )
        return _refer_to_evaluations("evaluation", [evaluation], context)
    if isinstance(declared, RollingReference):
        # A batch that is evaluated again must not be compared with itself.
        others = [e for e in context.store.list_evaluations(name) if e.fingerprints.dataset != batch.fingerprint]
        if others:
            return _refer_to_evaluations("rolling", others[-declared.last :], context)
        return _refer_to_batch("there is no earlier evaluation", declared.kind, batch, spec, model_handle, context)
    if isinstance(declared, DatasetReference):
        table = inspect_dataset(declared.dataset, context, check_results).table
        roles = {"entity": table.entity, "columns": {column: {"role": role} for column, role in table.roles.items()}}
        facts = {"kind": "dataset", "dataset": table.name, "datasets": table.provenance(), "spec": roles}
        return _refer_to_table(table, facts, spec, model_handle, context)
    if model_handle is None or model_handle.test is None:
        raise DataError(
            f"reference of evaluation store {name!r}: the engine did not train its model, so there are no held-out "
            "rows; declare a `reference:`"
        )
    return _refer_to_table(model_handle.test, {"kind": "model_test"}, spec, model_handle, context)


def _refer_to_batch(
    reason: str, kind: str, batch: Table, spec: EvaluationStoreSpec, model_handle: ModelHandle | None, context: Context
) -> Reference:
    """Return the batch as its reference: the first evaluation of a store has no other, and later ones need it."""
    facts = {"kind": kind, "datasets": batch.provenance()}
    return _refer_to_table(batch, facts, spec, model_handle, context, f"{reason}, so its batch is compared with itself")


def _refer_to_evaluations(kind: str, evaluations: list[Evaluation], context: Context) -> Reference:
    """Return earlier evaluations as the reference; the snapshots of their batches are united."""
    snapshots = [context.store.evaluation_folder(evaluation.id) for evaluation in evaluations]
    names = [evaluation.name for evaluation in evaluations]
    datasets = [evaluation.fingerprints.dataset for evaluation in evaluations]
    action = Action(
        kind="profile",
        target=f"{'evaluation' if len(names) == 1 else 'evaluations'} {', '.join(names)}",
        because="reused",
        reason="its profile is stored" if len(names) == 1 else "their profiles are stored",
    )
    profile = ReferenceProfile(
        action, lambda _: Snapshot.union([Snapshot.load(folder) for folder in snapshots]), lambda: None
    )
    facts = {"kind": kind, "evaluations": dict(zip(names, datasets, strict=True))}
    return Reference(digest_json(datasets), facts, lambda _: profile)


def _refer_to_table(
    table: Table,
    facts: Mapping[str, Any],
    spec: EvaluationStoreSpec,
    model_handle: ModelHandle | None,
    context: Context,
    note: str | None = None,
) -> Reference:
    """Return a table as the reference; its profile is kept under a fingerprint of everything that it depends on."""

    def plan_profile(batch: Table) -> ReferenceProfile:
        # Declared roles, the later winning: of the training data, of the reference, of the batch.
        training_roles = model_handle.training.roles if model_handle and model_handle.training else {}
        declared = {**training_roles, **table.roles, **batch.roles}
        grouped = apply_entity(table, batch.entity)
        settings = {
            "table": table.fingerprint,
            "entity": grouped.entity,
            "model": model_handle.fingerprint if model_handle else "",
            "roles": declared,
            "excluded": sorted(spec.drift.columns.exclude),
            "rows": max(SAMPLE_ROWS, spec.drift.max_rows),
            "seed": spec.drift.seed,
            "confidence": spec.drift.confidence,
            "kernel": drift.KERNEL_VERSION,
        }
        fingerprint = digest_json(settings)
        stored = context.store.find_snapshot(fingerprint)
        if stored is not None:
            action = Action(kind="profile", target=table.name, because="reused", reason="its profile is stored")
            return ReferenceProfile(action, lambda _: Snapshot.load(stored), lambda: None)

        def execute(model: FittedModel | None) -> Snapshot:
            context.log.info(f"computing the statistics of the reference: {table.name}")
            snapshot = _profile_reference(grouped, batch, declared, spec, model, model_handle, context)
            with context.store.stage_folder() as folder:
                snapshot.save(folder)
                context.store.add_snapshot(fingerprint, folder)
            return snapshot

        def simulate() -> None:
            with context.store.stage_folder() as folder:
                context.store.add_snapshot(fingerprint, folder)

        reason = "its statistics for this model and these settings are not stored yet"
        action = Action(
            kind="profile", target=table.name, because="new", reason=reason, reads=list_sources(table, context)
        )
        return ReferenceProfile(action, execute, simulate)

    return Reference(digest_json([table.fingerprint, table.entity, table.roles]), facts, plan_profile, note)


def apply_entity(table: Table, entity: str | None) -> Table:
    """Return the table with the other side's entity, if it declares none itself and has that column."""
    if table.entity or entity is None or entity not in table.frame.collect_schema():
        return table
    return replace(table, entity=entity)


def _require_features(table: Table, batch: Table, model: FittedModel | None) -> None:
    """Raise a DataError if the reference lacks a feature of the model; all other columns may be features if undeclared.

    A model that the engine did not train takes its features from the columns of the batch, so the fault may be there.
    """
    available = table.frame.collect_schema().names()
    for name in model.features if model else ():
        if name not in available:
            of_batch = batch.frame.collect_schema().names()
            if hint := suggest_separator(of_batch):
                raise DataError(f"dataset {batch.name!r} has a single column{hint}")
            what = f"dataset {table.name!r} has no column {name!r}, which model {model.name!r} needs" if model else ""
            raise DataError(f"{what}{suggest_name(name, available)}")


def _profile_reference(
    table: Table,
    batch: Table,
    declared: Mapping[str, str],
    spec: EvaluationStoreSpec,
    model: FittedModel | None,
    model_handle: ModelHandle | None,
    context: Context,
) -> Snapshot:
    """Profile the reference: infer the columns' roles, score its rows with the model, take the snapshot."""
    with context.store.stage_folder() as folder, materialise(table, folder) as materialised:
        with explain_read_errors(materialised):
            _require_features(materialised, batch, model)
            roles, left_out = drift.roles(
                materialised.frame,
                {column: role for column, role in declared.items() if column in materialised.frame.collect_schema()},
                only=model.features if model else None,
                entity=materialised.entity,
                exclude=spec.drift.columns.exclude,
            )
        cost_matrix = context.project.models[model_handle.name].cost_matrix if model_handle else None
        return snapshot_side(
            materialised,
            roles,
            {**(model.left_out if model else {}), **left_out},
            model=model,
            cost_matrix=cost_matrix,
            sample_rows=max(SAMPLE_ROWS, spec.drift.max_rows),
            seed=spec.drift.seed,
            confidence=spec.drift.confidence,
        ).snapshot
