"""Evaluate a batch: its drift from a reference and a model's performance on it, combined into one record.

The result depends only on the arguments. Ids, times and stored data are passed in, so the same arguments give the same
evaluation.
"""

from __future__ import annotations  # types of drift in annotations must not be evaluated: drift loads them lazily

from collections.abc import Mapping
from dataclasses import replace

from engine.evaluation.column_details import describe_columns
from engine.evaluation.detail import ColumnImportance
from engine.evaluation.drift_metrics import (
    list_absent_column_metrics,
    list_column_drift_metrics,
    list_data_drift_metrics,
    list_drifted_metrics,
)
from engine.evaluation.evaluation_identity import EvaluationIdentity, build_empty_evaluation, measure_repetition
from engine.evaluation.joint_comparison import ComparableSides, compare_jointly
from engine.evaluation.observation import Observation
from engine.evaluation.performance.changes import compare_performance
from engine.evaluation.performance.estimation import EstimateSettings, Estimation, estimate_batch
from engine.evaluation.performance.labelled_rows import compare_labelled_rows
from engine.evaluation.prediction_drift import describe_predictions
from engine.evaluation.record import Evaluation, MetricValue
from engine.evaluation.segments.comparison import describe_segments
from engine.evaluation.segments.found import SearchSettings, describe_found
from engine.evaluation.snapshots.snapshot import Snapshot
from engine.spec.resources.evaluation_stores import DriftSettings


def evaluate_batch(
    identity: EvaluationIdentity,
    batch: Observation,
    reference: Snapshot,
    settings: DriftSettings,
    *,
    model_importance: Mapping[str, float] | None = None,
    own_metrics: Mapping[str, MetricValue] | None = None,
    estimates: EstimateSettings | None = None,
    search: SearchSettings | None = None,
) -> Evaluation:
    """Compare a batch with a reference and return the evaluation.

    Parameters
    ----------
    identity
        Names, fingerprints and time of the evaluation.
    batch, reference
        The two sides, which must have been measured with the same roles.
    model_importance
        The model's importance by feature, stored next to that of the drift model.
    own_metrics
        Custom metrics of the batch, already computed.
    estimates
        Settings for estimating the performance; None for no estimates.
    search
        Settings for the search for segments; None for no search.
    """
    sides = ComparableSides.of_snapshots(reference, batch.snapshot)
    compared = compare_jointly(reference, batch.snapshot, sides, settings, search)
    of_segments = describe_segments(
        reference,
        batch.snapshot,
        compared.segments,
        {one.name: compare_performance(one.reference, one.batch) for one, _ in compared.segments},
        estimates,
    )
    of_found: dict[str, MetricValue] = {}
    notes_of_search: list[str] = []
    if compared.proposals:
        of_found, notes_of_search = describe_found(
            compared.proposals, compared.found, compare_performance, estimates, 1 - settings.confidence
        )
    predicted = describe_predictions(
        reference, batch.snapshot, compared.predictions, settings.confidence, compared.tests
    )
    labelled, labelled_notes = compare_labelled_rows(
        batch.labelled, batch.snapshot.performance.get("labelled_share"), settings.confidence
    )
    estimation = Estimation()
    if estimates is not None:
        estimation = estimate_batch(
            batch.snapshot.scored_rows,
            reference.scored_rows,
            estimates,
            roles=sides.roles,
            entity=sides.entity,
            moved=compared.drift_model.significant,
            unscored=batch.snapshot.unscored,
        )
    nothing = _explain_nothing_compared(reference.columns.rows, batch.rows, len(compared.columns.columns))
    metrics: dict[str, MetricValue] = {
        "row_count": MetricValue(float(batch.rows)),
        **measure_repetition(identity),
        **list_data_drift_metrics(compared.drift_model, data_present=bool(sides.roles) and not nothing),
        **list_drifted_metrics(compared.columns, nothing),
        **list_column_drift_metrics(compared.columns),
        **list_absent_column_metrics(reference),
        **predicted.metrics,
        **labelled,
        **batch.snapshot.performance,
        **compare_performance(reference, batch.snapshot),
        **estimation.metrics,
        **batch.advantage,
        **of_segments,
        **of_found,
        **(own_metrics or {}),
    }
    notes = [
        *([f"{nothing}: nothing was compared or measured"] if nothing else []),
        *reference.notes,
        *(f"column {name!r} is not compared: {one.reason}" for name, one in reference.absent.items()),
        *sides.notes,
        *compared.columns.notes,
        *compared.drift_model.notes,
        *predicted.notes,
        *batch.notes,
        *labelled_notes,
        *estimation.notes,
        *notes_of_search,
    ]
    return replace(
        build_empty_evaluation(identity),
        rows_read=batch.rows,
        rows_used=batch.rows,
        reference_rows=reference.columns.rows,
        metrics=metrics,
        columns=describe_columns(compared.columns, sides.reference, sides.batch, settings.confidence, compared.tests),
        left_out={**reference.left_out, **batch.left_out},
        importance=ColumnImportance(dict(compared.drift_model.importance), dict(model_importance or {})),
        prediction=predicted.detail,
        performance=replace(batch.performance_detail, estimate=estimation.detail),
        reference_performance=_keep_values(reference.performance),
        notes=tuple(notes),
    )


def _keep_values(metrics: Mapping[str, MetricValue]) -> dict[str, MetricValue]:
    """Return the metrics that have a value, each as value and interval alone."""
    return {
        name: MetricValue(metric.value, metric.low, metric.high)
        for name, metric in metrics.items()
        if metric.value is not None
    }


def _explain_nothing_compared(reference_rows: int, batch_rows: int, columns: int) -> str | None:
    """Return which side has no rows, or that there are no columns; None if something is compared."""
    if reference_rows and batch_rows:
        return None if columns else "there is no column to compare"
    return "the batch has no rows" if not batch_rows else "the reference has no rows"
