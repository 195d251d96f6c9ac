"""Profiles a reference table: the held-out rows of a model, a dataset, or the first batch.

A profile is a snapshot of statistics and a sample of rows. It is computed once and kept under a fingerprint.
"""

from __future__ import annotations  # drift's types are named here and loaded when they are used

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine import drift, models
from engine.data import Table, explain_read_errors
from engine.digests import digest_json
from engine.errors import DataError
from engine.pipeline.actions import Action
from engine.pipeline.context import BuildContext
from engine.pipeline.decision import list_sources
from engine.pipeline.models import ModelHandle
from engine.pipeline.segments import CONDITIONS_VERSION, find_segment_rules
from engine.spec.resources.evaluation_stores import EvaluationStoreSpec

if TYPE_CHECKING:
    from engine.data.segments import SegmentRules
    from engine.evaluation.snapshots.snapshot import Snapshot
    from engine.models import ClassValue, FittedModel


SAMPLE_ROWS = 100_000
"""Most rows per side in a snapshot's sample for the drift model, unless the store's `max_rows` is larger."""

SIMULATED = "simulated"
"""The only file of a simulated snapshot in a plan."""


@dataclass(frozen=True, slots=True)
class ReferenceProfile:
    """The planned profile of a reference.

    `execute` creates or loads it, given the model that scores the rows (None without a model); `simulate` replaces that
    in a plan. `observe_classes` returns the classes in the reference, which are needed to load a model.
    """

    action: Action
    execute: Callable[[FittedModel | None], Snapshot]
    simulate: Callable[[], None]
    observe_classes: Callable[[], Sequence[ClassValue]]


def plan_table_profile(
    table: Table, batch: Table, store: str, model_handle: ModelHandle | None, context: BuildContext
) -> ReferenceProfile:
    """Plan the profile of a reference table.

    It is kept under a fingerprint of all its inputs. The batch's declared roles and entity apply to both sides.
    """
    spec = context.project.evaluation_stores[store]
    # Declared roles, where later ones win: of the training data, of the reference, of the batch.
    training_roles = model_handle.training.roles if model_handle and model_handle.training else {}
    declared = {**training_roles, **table.roles, **batch.roles}
    grouped = apply_entity(table, batch.entity)
    rules = find_segment_rules(store, context)
    if rules:
        rules.require_columns(table)
    fingerprint = _fingerprint_profile(grouped, model_handle, declared, spec, rules)
    planned, fault = _load_kept_snapshot(fingerprint, context)

    def observe_classes() -> Sequence[ClassValue]:
        classes = planned.classes if planned else None
        return _observe_classes(table, model_handle, context) if classes is None else classes

    def execute(model: FittedModel | None) -> Snapshot:
        from engine.data import require_unchanged_rows

        kept, key, fault = _find_kept_snapshot(fingerprint, model, context)
        if kept is not None:
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
    action = Action(kind="profile", target=table.name, because="new", reason=reason, reads=list_sources(table, context))
    return ReferenceProfile(action, execute, simulate, observe_classes)


def _fingerprint_profile(
    table: Table,
    model_handle: ModelHandle | None,
    roles: Mapping[str, str],
    spec: EvaluationStoreSpec,
    rules: SegmentRules | None,
) -> str:
    """Return the digest of all inputs of a table's profile."""
    return digest_json(
        {
            "table": table.fingerprint,
            "entity": table.entity,
            "model": model_handle.fingerprint if model_handle else "",
            "roles": roles,
            "excluded": sorted(spec.drift.columns.exclude),
            "rows": max(SAMPLE_ROWS, spec.drift.max_rows),
            "seed": spec.drift.seed,
            "confidence": spec.drift.confidence,
            "kernel": drift.KERNEL_VERSION,
            # keeps profiles of earlier versions valid
            **({"estimates": True} if spec.keeps_scored_rows else {}),
            **({"segments": [sorted(rules.columns), dict(rules.conditions)]} if rules else {}),
            **({"conditions": CONDITIONS_VERSION} if rules and rules.conditions else {}),
        }
    )


def _find_kept_snapshot(
    fingerprint: str, model: FittedModel | None, context: BuildContext
) -> tuple[Snapshot | None, str, str]:
    """Return the kept snapshot of rows scored by a model, or None; its key; and its problem if it is unusable.

    A reference with fewer than two classes is also scored with those of the batch, so they may change when later
    batches have labels. Snapshots of different classes have different keys.
    """
    labels = tuple(models.label_of(one) for one in model.classes) if model else ()
    for key in (fingerprint, digest_json([fingerprint, labels])):
        kept, fault = _load_kept_snapshot(key, context)
        if kept is None or kept.scored_as in ((), labels):
            return kept, key, fault
    return None, fingerprint, ""


def _load_kept_snapshot(fingerprint: str, context: BuildContext) -> tuple[Snapshot | None, str]:
    """Return the snapshot kept under a fingerprint, or None; and the problem if it cannot be used.

    A simulated one of an earlier step of this plan is None without a problem.
    """
    from engine.evaluation.snapshots.snapshot import DamagedSnapshot, Snapshot

    folder = context.store.snapshots.find(fingerprint)
    if folder is None or (folder / SIMULATED).exists():
        return None, ""
    try:
        return Snapshot.load(folder), ""
    except DamagedSnapshot as damaged:
        return None, f"damaged ({damaged.fault}), so they are computed again"


def _observe_classes(table: Table, model_handle: ModelHandle | None, context: BuildContext) -> Sequence[ClassValue]:
    """Return the classes in a table, for a model without known classes."""
    if model_handle is None:
        return ()
    spec = context.project.models[model_handle.name]
    return models.observe_classes(spec, table, f"model {model_handle.name}")


def apply_entity(table: Table, entity: str | None) -> Table:
    """Return the table with the other side's entity, if it declares none and has that column."""
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
    from engine.data.rereadable_tables import make_rereadable
    from engine.evaluation.observation import snapshot_side

    with context.store.folders.stage() as folder, make_rereadable(table, folder) as rereadable:
        with explain_read_errors(rereadable):
            if table.name != batch.name and not rereadable.count_rows():
                raise DataError(
                    f"dataset {table.name!r}, the reference, has no rows, so there is nothing to compare with"
                )
            known, left_out = _find_known_columns(rereadable, declared, spec, model)
        cost_matrix = context.project.models[model_handle.name].cost_matrix if model_handle else None
        return snapshot_side(
            rereadable,
            known,
            {**(model.left_out if model else {}), **left_out},
            model=model,
            cost_matrix=cost_matrix,
            sample_rows=max(SAMPLE_ROWS, spec.drift.max_rows),
            seed=spec.drift.seed,
            confidence=spec.drift.confidence,
            known_side=f"the training data of model {model.name!r}" if model else "the reference",
            scored_by=model_handle.fingerprint if model_handle and spec.keeps_scored_rows else None,
            segments=rules,
        ).as_reference()


def _find_known_columns(
    table: Table, declared: Mapping[str, str], spec: EvaluationStoreSpec, model: FittedModel | None
) -> tuple[dict[str, drift.KnownColumn], dict[str, str]]:
    """Return the types and roles of the compared columns, and the reasons why others are not compared.

    A trained model has the types of its features. All other types are those of the reference.
    """
    excluded = spec.drift.columns.exclude
    trained = model.known if model else {}
    # for drift a boolean is a category, although a model uses it as the number 0 or 1
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
