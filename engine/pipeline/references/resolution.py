"""Resolves the reference of an evaluation store: a table, or earlier evaluations.

Evaluations store the profiles of their batches, so no data are read for them.
"""

from __future__ import annotations  # drift's types are named here and loaded when they are used

import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.data import Table
from engine.digests import digest_json
from engine.errors import DataError, StoreError
from engine.evaluation.record import Evaluation
from engine.formatting.lists import join_some
from engine.pipeline.actions import Action
from engine.pipeline.context import BuildContext
from engine.pipeline.datasets import inspect_dataset
from engine.pipeline.evaluation_times import find_declared_time, name_next_evaluation
from engine.pipeline.models import ModelHandle
from engine.pipeline.references.evaluations import find_reference_evaluations
from engine.spec.resources.evaluation_stores import (
    DatasetReference,
    EvaluationReference,
    RollingReference,
    SamePeriodReference,
)

if TYPE_CHECKING:
    from engine.evaluation.snapshots.snapshot import Snapshot
    from engine.models import ClassValue
    from engine.pipeline.references.profiles import ReferenceProfile


class Reference(NamedTuple):
    """The reference of a batch.

    Attributes
    ----------
    facts
        The inputs of the fingerprint.
    plan_profile
        `plan_profile(batch)` returns the planned profile: the action, and a function that executes it with the loaded
        model. The batch's declared roles and entity apply to both sides.
    note
        A note that the evaluation keeps.
    reading_notes
        Notes that the evaluation keeps about how the reference's files are read.
    table
        The reference table; None for earlier evaluations, which have only profiles.
    """

    fingerprint: str
    facts: Mapping[str, Any]
    plan_profile: Callable[[Table], ReferenceProfile]
    note: str | None = None
    reading_notes: tuple[str, ...] = ()
    table: Table | None = None


def resolve_reference(name: str, batch: Table, model_handle: ModelHandle | None, context: BuildContext) -> Reference:
    """Return the declared reference of an evaluation store.

    Parameters
    ----------
    name
        The name of the evaluation store.
    batch
        The table of the evaluation.
    model_handle
        The model of the store; None if it has none.

    Raises
    ------
    DataError
        The named evaluation does not exist, the dataset cannot be read, or the model has no held-out rows.
    """
    context, batch = context.without_drill(), batch.undisturbed or batch
    spec = context.project.evaluation_stores[name]
    declared = spec.reference
    if isinstance(declared, EvaluationReference):
        if declared.name == name_next_evaluation(name, context):
            return _refer_to_batch(
                "this is the reference evaluation", declared.kind, batch, name, model_handle, context
            )
        evaluation = context.store.evaluations.find_by_name(name, declared.name, find_declared_time(name, context))
        if evaluation is None:
            names = join_some(context.store.evaluations.list_names(name)[::-1]) or "none yet"
            raise DataError(
                f"reference of evaluation store {name!r}: there is no evaluation {declared.name!r}; "
                f"there are: {names}. Build {name} once with evaluation: {{name: {declared.name}}}"
            )
        if not evaluation.rows_read and evaluation.metrics:
            raise DataError(
                f"reference of evaluation store {name!r}: evaluation {declared.name!r} has no rows, so there is "
                "nothing to compare with; name another one"
            )
        return _refer_to_evaluations("evaluation", [evaluation], model_handle, context)
    if isinstance(declared, RollingReference | SamePeriodReference):
        model = model_handle.fingerprint if model_handle else ""
        found, remark = find_reference_evaluations(name, declared, batch, model, context)
        if not found:
            return _refer_to_batch(remark, declared.kind, batch, name, model_handle, context)
        reference = _refer_to_evaluations(declared.kind, found, model_handle, context)
        return reference._replace(note="; ".join(filter(None, [remark, reference.note])) or None)
    if isinstance(declared, DatasetReference):
        table = inspect_dataset(declared.dataset, context).table
        roles = {"entity": table.entity, "columns": {column: {"role": role} for column, role in table.roles.items()}}
        facts = {"kind": "dataset", "dataset": table.name, "datasets": table.provenance(), "spec": roles}
        return _refer_to_table(table, facts, name, model_handle, context)
    trained = model_handle.trained if model_handle else None
    if model_handle is None or model_handle.test is None:
        raise DataError(
            f"reference of evaluation store {name!r}: there are no held-out rows of its model, because "
            f"{'the engine did not train it' if trained is None else 'the bundle has left them out'}; declare a "
            "`reference:`"
        )
    return _refer_to_table(model_handle.test, {"kind": "model_test"}, name, model_handle, context)


def _refer_to_batch(
    reason: str,
    kind: str,
    batch: Table,
    store: str,
    model_handle: ModelHandle | None,
    context: BuildContext,
) -> Reference:
    """Return the batch as its own reference, for the first evaluation of a store, which later ones need."""
    from engine.views.facts import COMPARED_WITH_ITSELF

    facts = {"kind": kind, "datasets": batch.provenance()}
    return _refer_to_table(batch, facts, store, model_handle, context, f"{reason}{COMPARED_WITH_ITSELF}")


def _refer_to_evaluations(
    kind: str, evaluations: list[Evaluation], model_handle: ModelHandle | None, context: BuildContext
) -> Reference:
    """Return earlier evaluations as the reference; the snapshots of their batches are merged."""
    from engine.pipeline.references.profiles import ReferenceProfile

    names = [evaluation.name for evaluation in evaluations]
    datasets = [evaluation.fingerprints.dataset for evaluation in evaluations]
    action = Action(
        kind="profile",
        target=f"{'evaluation' if len(names) == 1 else 'evaluations'} {', '.join(names)}",
        because="reused",
        reason="its profile is stored" if len(names) == 1 else "their profiles are stored",
    )

    def unite_snapshots() -> Snapshot:
        from engine.evaluation.snapshots.snapshot import Snapshot

        return Snapshot.union([_load_reference_snapshot(evaluation, kind, context) for evaluation in evaluations])

    def simulate() -> None:
        for evaluation in evaluations:
            if evaluation.metrics:  # a simulated evaluation of this plan has none, and no snapshot
                _load_reference_snapshot(evaluation, kind, context)

    def find_classes() -> Sequence[ClassValue]:
        united = unite_snapshots()
        return united.list_predicted_classes() if united.classes is None else united.classes

    profile = ReferenceProfile(action, lambda _: unite_snapshots(), simulate, find_classes)
    facts = {"kind": kind, "evaluations": dict(zip(names, datasets, strict=True))}
    model = model_handle.fingerprint if model_handle else ""
    others = [evaluation.name for evaluation in evaluations if evaluation.fingerprints.model != model]
    note = None
    if others:
        note = (
            f"the reference ({join_some(others, 3)}) was scored by another version of the model or with other "
            "settings: its predictions and performance may differ only for that reason"
        )
    return Reference(digest_json(datasets), facts, lambda _: profile, note)


def _load_reference_snapshot(evaluation: Evaluation, kind: str, context: BuildContext) -> Snapshot:
    """Load the snapshot of a reference evaluation; raise StoreError if it is damaged."""
    from engine.evaluation.snapshots.snapshot import DamagedSnapshot, load_snapshot_of

    try:
        return load_snapshot_of(evaluation, context.store.evaluations.folder_of(evaluation.id))
    except DamagedSnapshot as damaged:
        if kind in ("rolling", "same_period"):
            remedy = (
                f"take it out of the reference by `engine remove {context.project.path} "
                f"{shlex.join([evaluation.store, evaluation.name])}`"
            )
        else:
            remedy = (
                f"evaluate its data again with evaluation: {{name: {evaluation.name}}} by a build step with "
                "mode: force, or name another evaluation"
            )
        raise StoreError(
            f"reference of evaluation store {evaluation.store!r}: evaluation {evaluation.name!r}: {damaged}. "
            f"{damaged.remedy} {remedy}"
        ) from damaged


def _refer_to_table(
    table: Table,
    facts: Mapping[str, Any],
    store: str,
    model_handle: ModelHandle | None,
    context: BuildContext,
    note: str | None = None,
) -> Reference:
    """Return a table as the reference, which is profiled for each batch."""

    def plan_profile(batch: Table) -> ReferenceProfile:
        from engine.pipeline.references.profiles import plan_table_profile

        return plan_table_profile(table, batch, store, model_handle, context)

    fingerprint = digest_json([table.fingerprint, table.entity, table.roles])
    return Reference(fingerprint, facts, plan_profile, note, tuple(table.reading_notes()), table)
