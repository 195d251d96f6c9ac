"""Evaluation of a batch: its drift from a reference and a model's performance on it, assembled into one record.

The result depends on the arguments alone. Ids, times and what is read from the store are passed in, so the same
arguments give the same evaluation.
"""

from __future__ import annotations  # keeps annotations with types of drift unevaluated: drift loads them lazily

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from engine import __version__, drift
from engine.evaluation.observation import Observation
from engine.evaluation.record import Evaluation, Fingerprints, MetricValue
from engine.evaluation.snapshot import Snapshot
from engine.spec.metric_names import MetricName
from engine.spec.resources.evaluation_stores import DriftSettings


@dataclass(frozen=True, slots=True)
class EvaluationIdentity:
    """The part of an evaluation that is not measured: its names, fingerprints and what it belongs to."""

    id: str
    store: str
    name: str
    labels: Mapping[str, str]
    created: datetime
    fingerprints: Fingerprints
    run: str | None = None
    model: str | None = None
    model_version: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def evaluate_batch(
    identity: EvaluationIdentity,
    batch: Observation,
    reference: Snapshot,
    settings: DriftSettings,
    *,
    model_importance: Mapping[str, float] | None = None,
    own_metrics: Mapping[str, MetricValue] | None = None,
) -> Evaluation:
    """Compare a batch with a reference and assemble the evaluation.

    Parameters
    ----------
    identity
        Names, fingerprints and time of the evaluation.
    batch, reference
        The two sides, which must have been measured with the same roles.
    model_importance
        The model's importance by feature, to be kept beside that of the drift model.
    own_metrics
        Custom metrics of the batch, already computed.
    """
    roles = reference.columns.roles
    drift_model = drift.domain_classifier(
        reference.sample,
        batch.snapshot.sample,
        roles,
        entity=reference.entity,
        confidence=settings.confidence,
        max_rows=settings.max_rows,
        seed=settings.seed,
        drawn_from=(reference.columns.rows, batch.rows),
    )
    # columns, drift model and predictions are one family of tests: without drift, at most a share of 1 - confidence of
    # all evaluations has any alarm
    pairs = [(reference.columns, batch.snapshot.columns)]
    if reference.predictions is not None and batch.snapshot.predictions is not None:
        pairs.append((reference.predictions, batch.snapshot.predictions))
    p_values = [] if drift_model.p_value is None else [drift_model.p_value]
    (compared, *predictions), adjusted = drift.compare_family(pairs, p_values, confidence=settings.confidence)
    if adjusted:
        drift_model = replace(drift_model, p_value=adjusted[0], significant=adjusted[0] < 1 - settings.confidence)
    predicted = _describe_predictions(predictions[0]) if predictions else _PredictionDrift({}, {})
    metrics: dict[str, MetricValue] = {
        "row_count": MetricValue(float(batch.rows)),
        **_data_drift_metrics(drift_model, data_present=bool(roles and batch.rows and reference.columns.rows)),
        "drifted_columns": MetricValue(float(compared.drifted_columns)),
        "drifted_share": MetricValue(compared.drifted_share),
        **_column_drift_metrics(compared),
        **predicted.metrics,
        **batch.snapshot.performance,
        **_performance_changes(reference.performance, batch.snapshot.performance),
        **(own_metrics or {}),
    }
    notes = [*compared.notes, *drift_model.notes, *predicted.notes, *batch.notes]
    return replace(
        build_empty_evaluation(identity),
        rows_read=batch.rows,
        rows_used=batch.rows,
        reference_rows=reference.columns.rows,
        metrics=metrics,
        columns={name: _column_detail(column) for name, column in compared.columns.items()},
        left_out=dict(reference.left_out),
        importance={"drift": dict(drift_model.importance), "model": dict(model_importance or {})},
        prediction=predicted.detail,
        performance=batch.performance_detail,
        notes=tuple(notes),
    )


def build_empty_evaluation(identity: EvaluationIdentity) -> Evaluation:
    """Return an evaluation without metrics, as a plan needs one for a batch that would be evaluated."""
    return Evaluation(
        **{name: getattr(identity, name) for name in EvaluationIdentity.__dataclass_fields__},
        engine_version=__version__,
        kernel_version=drift.KERNEL_VERSION,
        rows_read=0,
        rows_used=0,
        reference_rows=0,
        metrics={},
    )


def _data_drift_metrics(drift_model: drift.DomainClassifierResult, *, data_present: bool) -> dict[str, MetricValue]:
    """Return the metrics of the classifier that tells rows of the batch from rows of the reference.

    `data_present` tells that both sides have rows and columns: if there are no numbers, there are only too few rows.
    """
    reason = drift_model.reason
    significant = drift_model.significant
    metrics = {
        "data_drift": MetricValue(
            drift_model.accuracy, drift_model.low, drift_model.high, drift_model.p_value, reason=reason
        ),
        "data_drift_auc": MetricValue(drift_model.auc, reason=reason),
        "data_drift_p": MetricValue(drift_model.p_value, reason=reason),
        "data_drift_significant": MetricValue(None if significant is None else float(significant), reason=reason),
    }
    return {
        name: replace(metric, counts_as_ok=metric.value is None and data_present) for name, metric in metrics.items()
    }


def _column_drift_metrics(compared: drift.Drift) -> dict[str, MetricValue]:
    """Return the metrics `statistic.column` of every column."""
    return {
        str(MetricName(statistic, name)): metric
        for name, column in compared.columns.items()
        for statistic, metric in _statistic_metrics(column)
    }


def _statistic_metrics(column: drift.ColumnDrift) -> Iterator[tuple[str, MetricValue]]:
    """Give each statistic of one column as a metric."""
    for name, value in (("drift", column.drift), ("drift_low", column.drift_low), ("drift_p", column.drift_p)):
        p_value = column.drift_p if name == "drift" else None
        reason = column.reasons.get(name)
        yield name, MetricValue(value, p_value=p_value, reason=reason, counts_as_ok=column.undecidable)
    for statistic, value in column.statistics.items():
        low, high = column.bounds.get(statistic, (None, None))
        yield statistic, MetricValue(value, low, high, reason=column.reasons.get(statistic))


def _column_detail(column: drift.ColumnDrift) -> dict[str, Any]:
    """Return what the evaluation keeps of one column beside its metrics, JSON-ready."""
    return {
        "role": str(column.role),
        "drift": column.drift,
        "drift_low": column.drift_low,
        "drift_p": column.drift_p,
        "significant": column.significant,
        "statistics": dict(column.statistics),
        "reasons": dict(column.reasons),
        "histogram": column.histogram,
    }


@dataclass(frozen=True, slots=True)
class _PredictionDrift:
    """The drift of predictions: metrics, detail by column, and notes."""

    metrics: dict[str, MetricValue]
    detail: dict[str, Any]
    notes: tuple[str, ...] = ()


def _describe_predictions(compared: drift.Drift) -> _PredictionDrift:
    """Return the drift of the predictions, and the share of each class with its relative change.

    For a regression, deciles of the reference's predictions take the place of classes. `fugacity` is the relative
    change of a share: (share in the batch - share in the reference) / share in the reference.
    """
    # A probability carries more information than a class: where there is one, its drift is the prediction drift.
    main = compared.columns.get("probability", compared.columns["prediction"])
    metrics = {str(MetricName("prediction_drift", statistic)): metric for statistic, metric in _statistic_metrics(main)}
    histogram = compared.columns["prediction"].histogram
    for label, before, now in _predicted_shares(histogram):
        metrics[str(MetricName("predicted_share", label))] = MetricValue(now)
        metrics[str(MetricName("reference_predicted_share", label))] = MetricValue(before)
        metrics[str(MetricName("fugacity", label))] = (
            MetricValue((now - before) / before)
            if before
            else MetricValue(None, reason=f"the reference never predicts {label}")
        )
    return _PredictionDrift(
        metrics, {name: _column_detail(column) for name, column in compared.columns.items()}, compared.notes
    )


def _predicted_shares(histogram: Mapping[str, Any]) -> Iterator[tuple[str, float, float]]:
    """Give each predicted class, or decile of the reference, with its share in the reference and in the batch."""
    before, now = histogram["reference"], histogram["batch"]
    labels = histogram.get("labels", range(1, len(before) + 1))
    rows_before, rows_now = sum(before), sum(now)
    for label, count_before, count_now in zip(labels, before, now, strict=True):
        yield str(label), count_before / rows_before if rows_before else 0.0, count_now / rows_now if rows_now else 0.0


def _performance_changes(before: Mapping[str, MetricValue], now: Mapping[str, MetricValue]) -> dict[str, MetricValue]:
    """Return the change of each performance metric from the reference's value, absolute and relative."""
    changes: dict[str, MetricValue] = {}
    for name, old in before.items():  # not over a set, whose order differs from process to process
        new = now.get(name)
        if new is None or name == "labelled_share":
            continue
        absolute, relative = (
            str(MetricName("performance_change", name)),
            str(MetricName("performance_change_relative", name)),
        )
        if old.value is None or new.value is None:
            lacking = old if old.value is None else new
            side = "the reference" if old.value is None else "the batch"
            unknown = MetricValue(
                None, reason=f"unknown for {side}: {lacking.reason}", counts_as_ok=lacking.counts_as_ok
            )
            changes[absolute] = changes[relative] = unknown
            continue
        changes[absolute] = MetricValue(new.value - old.value)
        changes[relative] = (
            MetricValue((new.value - old.value) / abs(old.value))
            if old.value
            else MetricValue(None, reason=f"the reference's {name} is 0")
        )
    return changes
