"""Resolves the reference of an evaluation store to a profile: a snapshot of statistics and a sample of rows.

The held-out rows of a model and datasets are tables: they are profiled once, and the profile is kept under a
fingerprint. Earlier evaluations have stored the profiles of their batches, so nothing has to be read for them.
"""

from __future__ import annotations  # drift's types are named here and loaded when they are used

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from engine import drift, models
from engine.data import Table, explain_read_errors
from engine.digests import digest_json
from engine.errors import DataError, StoreError
from engine.evaluation.record import Evaluation
from engine.formatting.lists import join_some
from engine.pipeline.actions import Action
from engine.pipeline.context import BuildContext
from engine.pipeline.datasets import inspect_dataset
from engine.pipeline.decision import list_sources
from engine.pipeline.evaluation_times import find_declared_time, name_next_evaluation
from engine.pipeline.models import ModelHandle
from engine.pipeline.reference_evaluations import find_reference_evaluations
from engine.pipeline.segments import CONDITIONS_VERSION, find_segment_rules
from engine.spec.resources.evaluation_stores import (
    DatasetReference,
    EvaluationReference,
    EvaluationStoreSpec,
    RollingReference,
    SamePeriodReference,
)
from engine.views.facts import COMPARED_WITH_ITSELF

if TYPE_CHECKING:
    from engine.data.segments import SegmentRules
    from engine.evaluation.snapshot import Snapshot
    from engine.models import ClassValue, FittedModel

SAMPLE_ROWS = 100_000
"""Rows per side that a snapshot samples for the drift model, unless the store's `max_rows` is larger."""


SIMULATED = "simulated"
"""The only file of a snapshot that a plan has simulated."""


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
    reading_notes
        What the evaluation keeps about how the reference's files are read.
    table
        The table that it is; None for earlier evaluations, of which only the profiles are left.
    """

    fingerprint: str
    facts: Mapping[str, Any]
    plan_profile: Callable[[Table], ReferenceProfile]
    note: str | None = None
    reading_notes: tuple[str, ...] = ()
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class ReferenceProfile:
    """The planned profile of a reference.

    `execute` makes or loads it, given the model that scores the rows (None without a model); `simulate` replaces
    that in a plan. `observe_classes` returns the classes that the reference holds, which a model needs to be loaded.
    """

    action: Action
    execute: Callable[[FittedModel | None], Snapshot]
    simulate: Callable[[], None]
    observe_classes: Callable[[], Sequence[ClassValue]]


def resolve_reference(name: str, batch: Table, model_handle: ModelHandle | None, context: BuildContext) -> Reference:
    """Return the reference that an evaluation store declares.

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
        return replace(reference, note="; ".join(filter(None, [remark, reference.note])) or None)
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
    """Return the batch as its reference: the first evaluation of a store has no other, and later ones need it."""
    facts = {"kind": kind, "datasets": batch.provenance()}
    return _refer_to_table(batch, facts, store, model_handle, context, f"{reason}{COMPARED_WITH_ITSELF}")


def _refer_to_evaluations(
    kind: str, evaluations: list[Evaluation], model_handle: ModelHandle | None, context: BuildContext
) -> Reference:
    """Return earlier evaluations as the reference; the snapshots of their batches are united."""
    names = [evaluation.name for evaluation in evaluations]
    datasets = [evaluation.fingerprints.dataset for evaluation in evaluations]
    action = Action(
        kind="profile",
        target=f"{'evaluation' if len(names) == 1 else 'evaluations'} {', '.join(names)}",
        because="reused",
        reason="its profile is stored" if len(names) == 1 else "their profiles are stored",
    )

    def load_snapshot(evaluation: Evaluation) -> Snapshot:
        from engine.evaluation.snapshot import DamagedSnapshot, load_snapshot_of

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

    def unite_snapshots() -> Snapshot:
        from engine.evaluation.snapshot import Snapshot

        return Snapshot.union([load_snapshot(evaluation) for evaluation in evaluations])

    def simulate() -> None:
        for evaluation in evaluations:
            if evaluation.metrics:  # one that this plan has simulated has none, and no snapshot
                load_snapshot(evaluation)

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
            "settings: its predictions and performance may differ for that reason alone"
        )
    return Reference(digest_json(datasets), facts, lambda _: profile, note)


def _refer_to_table(
    table: Table,
    facts: Mapping[str, Any],
    store: str,
    model_handle: ModelHandle | None,
    context: BuildContext,
    note: str | None = None,
) -> Reference:
    """Return a table as the reference; its profile is kept under a fingerprint of everything that it depends on."""
    spec = context.project.evaluation_stores[store]

    def plan_profile(batch: Table) -> ReferenceProfile:
        # Declared roles, the later winning: of the training data, of the reference, of the batch.
        training_roles = model_handle.training.roles if model_handle and model_handle.training else {}
        declared = {**training_roles, **table.roles, **batch.roles}
        grouped = apply_entity(table, batch.entity)
        rules = find_segment_rules(store, context)
        if rules:
            rules.require_columns(table)
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
            # what earlier versions have kept stays valid
            **({"estimates": True} if spec.keeps_scored_rows else {}),
            **({"segments": [sorted(rules.columns), dict(rules.conditions)]} if rules else {}),
            **({"conditions": CONDITIONS_VERSION} if rules and rules.conditions else {}),
        }
        fingerprint = digest_json(settings)
        planned, fault = _load_kept_snapshot(fingerprint, context)

        def observe_classes() -> Sequence[ClassValue]:
            classes = planned.classes if planned else None
            return _observe_classes(table, model_handle, context) if classes is None else classes

        def execute(model: FittedModel | None) -> Snapshot:
            from engine.data import require_unchanged_rows

            # A reference that shows fewer than two classes is scored with those of the batch too, and so with others
            # when the labels of a later batch arrive.
            key, labels = fingerprint, tuple(models.label_of(one) for one in model.classes) if model else ()
            for known in (fingerprint, digest_json([fingerprint, labels])):
                kept, fault = _load_kept_snapshot(known, context)
                if kept is None:
                    key = known
                    break
                if kept.scored_as in ((), labels):
                    return kept
            if fault:
                context.log.warning(f"the kept statistics of the reference {table.name} are {fault}")
                context.store.snapshots.remove(key)
            context.log.info(f"computing the statistics of the reference: {table.name}")
            snapshot = _profile_reference(grouped, batch, declared, spec, model, model_handle, rules, context)
            snapshot = replace(snapshot, classes=tuple(_observe_classes(table, model_handle, context)))
            with context.store.folders.stage() as folder:
                snapshot.save(folder)
                context.datasets.files.verify()
                require_unchanged_rows(table)
                context.store.snapshots.add(key, folder)
            return snapshot

        if planned is not None or (not fault and context.store.snapshots.find(fingerprint)):
            action = Action(kind="profile", target=table.name, because="reused", reason="its profile is stored")
            return ReferenceProfile(action, execute, lambda: None, observe_classes)

        def simulate() -> None:
            with context.store.folders.stage() as folder:
                (folder / SIMULATED).touch()
                context.store.snapshots.add(fingerprint, folder)

        reason = "its statistics for this model and these settings are not stored yet"
        if fault:
            reason = f"its stored statistics are {fault}"
        action = Action(
            kind="profile", target=table.name, because="new", reason=reason, reads=list_sources(table, context)
        )
        return ReferenceProfile(action, execute, simulate, observe_classes)

    fingerprint = digest_json([table.fingerprint, table.entity, table.roles])
    return Reference(fingerprint, facts, plan_profile, note, tuple(table.reading_notes()), table)


def _load_kept_snapshot(fingerprint: str, context: BuildContext) -> tuple[Snapshot | None, str]:
    """Return the snapshot that is kept under a fingerprint, or None; and what is wrong with it, if it cannot be used.

    One that an earlier step of this plan has simulated is None too, with nothing wrong.
    """
    from engine.evaluation.snapshot import DamagedSnapshot, Snapshot

    folder = context.store.snapshots.find(fingerprint)
    if folder is None or (folder / SIMULATED).exists():
        return None, ""
    try:
        return Snapshot.load(folder), ""
    except DamagedSnapshot as damaged:
        return None, f"damaged ({damaged.fault}), so they are computed again"


def _observe_classes(table: Table, model_handle: ModelHandle | None, context: BuildContext) -> Sequence[ClassValue]:
    """Return the classes that a table shows, for a model that does not know its classes itself."""
    if model_handle is None:
        return ()
    spec = context.project.models[model_handle.name]
    return models.observe_classes(spec, table, f"model {model_handle.name}")


def apply_entity(table: Table, entity: str | None) -> Table:
    """Return the table with the other side's entity, if it declares none itself and has that column."""
    if table.entity or entity is None or entity not in table.frame.collect_schema():
        return table
    return replace(table, entity=entity)


def _profile_reference(
    table: Table,
    batch: Table,
    declared: Mapping[str, str],
    spec: EvaluationStoreSpec,
    model: FittedModel | None,
    model_handle: ModelHandle | None,
    rules: SegmentRules | None,
    context: BuildContext,
) -> Snapshot:
    """Profile the reference: infer the columns' roles, score its rows with the model, take the snapshot."""
    from engine.data.materialise import materialise
    from engine.evaluation.observation import snapshot_side

    with context.store.folders.stage() as folder, materialise(table, folder) as materialised:
        with explain_read_errors(materialised):
            if table.name != batch.name and not materialised.count_rows():
                raise DataError(
                    f"dataset {table.name!r}, the reference, has no rows, so there is nothing to compare with"
                )
            known, left_out = _find_known_columns(materialised, declared, spec, model)
        cost_matrix = context.project.models[model_handle.name].cost_matrix if model_handle else None
        return snapshot_side(
            materialised,
            known,
            {**(model.left_out if model else {}), **left_out},
            model=model,
            cost_matrix=cost_matrix,
            sample_rows=max(SAMPLE_ROWS, spec.drift.max_rows),
            seed=spec.drift.seed,
            confidence=spec.drift.confidence,
            knower=f"the training data of model {model.name!r}" if model else "the reference",
            scored_by=model_handle.fingerprint if model_handle and spec.keeps_scored_rows else None,
            segments=rules,
        ).as_reference()


def _find_known_columns(
    table: Table, declared: Mapping[str, str], spec: EvaluationStoreSpec, model: FittedModel | None
) -> tuple[dict[str, drift.KnownColumn], dict[str, str]]:
    """Return what is known of the columns that are compared, and the reasons why others are not.

    A trained model knows the types of its features. All other types are those of the reference itself.
    """
    excluded = spec.drift.columns.exclude
    trained = model.known if model else {}
    # for drift a boolean is a category, although it is the number 0 or 1 for a model
    expected = {
        name: replace(one, role=drift.Role.CATEGORICAL) if one.family == "boolean" else one
        for name, one in trained.items()
        if name not in excluded
    }
    alignment = drift.align_columns(table.frame, expected)
    schema = alignment.frame.collect_schema()
    features = None if model is None else [name for name in model.features if name in schema]
    readable = features if features is None else [name for name in features if name not in alignment.unmeasured]
    roles, left_out = drift.roles(
        table.give_rows(alignment),
        {column: role for column, role in declared.items() if column in schema},
        only=readable,
        entity=table.entity,
        exclude=excluded,
    )
    known = {
        name: drift.KnownColumn(role, trained[name].family if name in trained else "", exact=True)
        for name, role in roles.items()
    }
    for name in model.features if model else ():
        if name not in known and name not in left_out and name not in excluded:
            known[name] = expected.get(name, drift.KnownColumn(drift.Role.NUMERICAL))
    return known, left_out
