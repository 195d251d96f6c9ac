"""Compares an evaluation with a reference other than that of its store, using the stored snapshot of its batch.

The batch itself may have been deleted or changed since. The snapshot describes the evaluated rows, so comparing two
evaluations reads no data.
"""

from dataclasses import dataclass, replace

import polars as pl

from engine import models
from engine.data import Table, require_unchanged_rows
from engine.data.rereadable_tables import make_rereadable
from engine.errors import DataError, StoreError, UsageError
from engine.evaluation.advantages import is_of_challenger
from engine.evaluation.batch_evaluation import evaluate_batch
from engine.evaluation.evaluation_identity import EvaluationIdentity
from engine.evaluation.observation import Observation, snapshot_side
from engine.evaluation.record import Evaluation
from engine.evaluation.segments.comparison import select_segment_columns
from engine.evaluation.snapshots.snapshot import DamagedSnapshot, Snapshot, load_snapshot_of
from engine.formatting.hints import suggest_name
from engine.pipeline.context import BuildContext
from engine.pipeline.evaluations.estimates import find_estimate_settings
from engine.pipeline.references.profiles import SAMPLE_ROWS
from engine.pipeline.rows_in_spark import require_measurable_rows
from engine.pipeline.segments import find_search_settings, find_segment_rules
from engine.store import ModelVersion


@dataclass(frozen=True, slots=True)
class _ComparisonReference:
    fingerprint: str
    snapshot: Snapshot
    note: str | None = None


def compare_with_evaluation(evaluation: Evaluation, other: Evaluation, context: BuildContext) -> Evaluation:
    """Return the evaluation, with another one as its reference."""
    note = None
    if evaluation.fingerprints.model != other.fingerprints.model:
        note = "the two evaluations used different models; their predictions may differ only for that reason"
    return _evaluate_against(
        evaluation, _ComparisonReference(other.fingerprints.dataset, _load_snapshot(other, context), note), context
    )


def compare_with_rows(evaluation: Evaluation, reference: str, context: BuildContext) -> Evaluation:
    """Return the evaluation, with `dataset:<name>` or the held-out rows of its model (`model_test`) as its reference.

    Raises
    ------
    UsageError
        The dataset does not exist, or the engine did not train the model.
    DataError, ModelError
        The rows cannot be read, or lack columns of the evaluation.
    """
    return context.read_unchanged(lambda attempt: _compare_with_rows(evaluation, reference, attempt))


def _compare_with_rows(evaluation: Evaluation, reference: str, context: BuildContext) -> Evaluation:
    batch = _load_snapshot(evaluation, context)
    version = _load_model_version(evaluation, context)
    if reference == "model_test":
        if version is None:
            if evaluation.origin is not None and evaluation.model_version is not None:
                raise UsageError(
                    f"the version of the model {evaluation.model!r} that was evaluated in the deployment "
                    f"{evaluation.origin!r} is not here, so there are no held-out rows; name another reference: an "
                    "evaluation, or dataset:NAME"
                )
            raise UsageError(
                f"evaluation store {evaluation.store!r} has no model that the engine trained, so there are no "
                "held-out rows; choose another reference: an evaluation, or dataset:NAME"
            )
        path = version.folder / models.TEST_ROWS
        table = Table("model_test", pl.scan_parquet(path, glob=False), version.held_out, rereadable=True)
    else:
        name = reference.removeprefix("dataset:")
        if name not in context.project.datasets:
            raise UsageError(f"there is no dataset {name!r}{suggest_name(name, list(context.project.datasets))}")
        table = context.datasets.open(name)
        require_measurable_rows(evaluation.store, table, context, reference=True)
    snapshot, note = _profile_rows(replace(table, entity=batch.entity), batch, evaluation, version, context)
    context.datasets.files.verify()
    require_unchanged_rows(table)
    return _evaluate_against(evaluation, _ComparisonReference(table.fingerprint, snapshot, note), context)


def _load_model_version(evaluation: Evaluation, context: BuildContext) -> ModelVersion | None:
    if evaluation.model is None or evaluation.model_version is None:
        return None
    if evaluation.origin is not None:  # versions have other numbers there, but the same ids
        return context.store.models.find_same(evaluation.model, str(evaluation.facts.get("identity")))
    return context.store.models.find(evaluation.model, int(evaluation.model_version))


def _load_snapshot(evaluation: Evaluation, context: BuildContext) -> Snapshot:
    try:
        return load_snapshot_of(evaluation, context.store.evaluations.folder_of(evaluation.id))
    except DamagedSnapshot as damaged:
        raise StoreError(
            f"evaluation {evaluation.name!r} of {evaluation.store!r}: {damaged}. {damaged.remedy} "
            "evaluate its data again by a build step with mode: force and compare that evaluation"
        ) from damaged


def _profile_rows(
    table: Table, batch: Snapshot, evaluation: Evaluation, version: ModelVersion | None, context: BuildContext
) -> tuple[Snapshot, str | None]:
    """Profile a table like the batch: with the same columns, roles, entity and model."""
    settings = context.project.evaluation_stores[evaluation.store].drift
    with context.store.folders.stage() as folder, make_rereadable(table, folder) as rereadable:
        schema = rereadable.frame.collect_schema()
        if batch.entity is not None and batch.entity not in schema:
            raise DataError(
                f"dataset {table.name!r} has no column {batch.entity!r}, which is the entity of evaluation store "
                f"{evaluation.store!r}"
            )
        model, note = _load_model(rereadable, batch, evaluation, version, context)
        seen = snapshot_side(
            rereadable,
            batch.describe_known_columns(),
            batch.left_out,
            model=model,
            cost_matrix=context.project.models[evaluation.model].cost_matrix if model and evaluation.model else None,
            sample_rows=max(SAMPLE_ROWS, settings.max_rows),
            seed=settings.seed,
            known_side="the evaluation",
            confidence=settings.confidence,
            scored_by=batch.scored_rows.scored_by if model and batch.scored_rows else None,
            segments=find_segment_rules(evaluation.store, context) if batch.segments else None,
            segment_values=batch.segment_values,
        )
    return seen.as_reference(), note


def _load_model(
    table: Table, batch: Snapshot, evaluation: Evaluation, version: ModelVersion | None, context: BuildContext
) -> tuple[models.FittedModel | None, str | None]:
    """Return the model that scored the evaluation; None and a note if the model has changed since."""
    name, project = evaluation.model, context.project
    if name is None:
        return None, None
    if name in project.models:
        trained = version.identity if version else None
        if (
            models.fingerprint_model(models.collect_model_facts(project, name, context.datasets.files, trained))
            == evaluation.fingerprints.model
        ):
            folder, digests = (version.folder, version.files) if version else (None, None)
            known = batch.classes or ()
            try:
                return models.load_model(project, name, table, folder, digests, reference_classes=known), None
            except models.UnloadableModelError as error:
                return None, f"predictions and performance are not compared: {error}"
    return None, f"model {name} has changed since this evaluation: predictions and performance are not compared"


def _evaluate_against(evaluation: Evaluation, reference: _ComparisonReference, context: BuildContext) -> Evaluation:
    """Evaluate the stored snapshot of the batch against a reference, with the columns that both have."""
    declared = context.project.evaluation_stores[evaluation.store]
    # Results that depend only on the batch's rows are unchanged; the rows of the batch are not kept.
    kept = {*declared.metrics, "labelled_drift", *(name for name in evaluation.metrics if is_of_challenger(name))}
    batch, against, notes = _intersect_columns(_load_snapshot(evaluation, context), reference.snapshot)
    made = evaluate_batch(
        EvaluationIdentity(
            id=evaluation.id,
            store=evaluation.store,
            name=evaluation.name,
            labels=evaluation.labels,
            created=context.clock(),
            fingerprints=replace(evaluation.fingerprints, reference=reference.fingerprint),
            model=evaluation.model,
            model_version=evaluation.model_version,
            release=evaluation.release,
            revision=evaluation.revision,
            facts={part: evaluation.facts[part] for part in ("challenger", "spec") if "challenger" in evaluation.facts},
        ),
        Observation(batch.columns.rows, batch, performance_detail=evaluation.performance),
        against,
        declared.drift,
        model_importance=evaluation.importance.model,
        own_metrics={name: value for name, value in evaluation.metrics.items() if name in kept},
        estimates=find_estimate_settings(
            evaluation.store, context, own_reference=reference.fingerprint == evaluation.fingerprints.dataset
        ),
        search=find_search_settings(evaluation.store, context),
    )
    all_notes = (*notes, *([reference.note] if reference.note else []), *made.notes)
    return replace(made, notes=all_notes, origin=evaluation.origin, infrastructure=evaluation.infrastructure)


def _intersect_columns(batch: Snapshot, reference: Snapshot) -> tuple[Snapshot, Snapshot, list[str]]:
    """Return both sides with the columns that have the same role in both, and a note for each omitted column."""
    batch_columns, reference_columns = batch.columns.columns, reference.columns.columns
    both = [
        name
        for name, column in batch_columns.items()
        if name in reference_columns and reference_columns[name].role is column.role
    ]
    if not both:
        raise DataError("the evaluation and the reference have no column in common")
    notes = [
        f"column {name!r} is not compared: it is not on both sides with the same role"
        for name in dict.fromkeys([*batch_columns, *reference_columns])
        if name not in both
    ]
    return select_segment_columns(batch, both), select_segment_columns(reference, both), notes
