"""The drift of the predictions of a batch, and the share of each predicted class."""

from __future__ import annotations  # types of drift in annotations must not be evaluated: drift loads them lazily

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from engine import drift
from engine.evaluation.column_details import describe_columns, keep_statistics
from engine.evaluation.detail import Histogram, PredictionDetail
from engine.evaluation.drift_metrics import list_statistic_metrics
from engine.evaluation.record import MetricValue
from engine.evaluation.snapshots.snapshot import Snapshot
from engine.spec.metrics.catalogue import METRICS
from engine.spec.metrics.names import MetricName


@dataclass(frozen=True, slots=True)
class PredictionDrift:
    """The drift of predictions: metrics, detail, and notes."""

    metrics: dict[str, MetricValue]
    detail: PredictionDetail | None = None
    notes: tuple[str, ...] = ()


def describe_predictions(
    reference: Snapshot, batch: Snapshot, compared: Sequence[drift.Drift], confidence: float, tests: int
) -> PredictionDrift:
    """Return the drift of the predictions, and the share of each class with its relative change.

    `compared` holds the comparison of the predictions if both sides have predictions.

    For a regression, deciles of the reference's predictions replace the classes. `fugacity` is the relative change of a
    share: (share in the batch - share in the reference) / share in the reference.
    """
    if unscored := batch.unscored or (reference.unscored and f"unknown for the reference: {reference.unscored}"):
        nothing = MetricValue(None, reason=unscored, failed=True)
        names = [m.name for m in METRICS if m.scope == "store" and m.member == "column" and m.name != "type_changed"]
        return PredictionDrift({str(MetricName("prediction_drift", name)): nothing for name in names})
    if not compared or reference.predictions is None or batch.predictions is None:
        return PredictionDrift({})
    [of_predictions] = compared
    # A probability carries more information than a class, so its drift is the prediction drift if there is one.
    main = of_predictions.columns.get("probability", of_predictions.columns["prediction"])
    metrics = {
        str(MetricName("prediction_drift", statistic)): metric for statistic, metric in list_statistic_metrics(main)
    }
    details = describe_columns(of_predictions, reference.predictions, batch.predictions, confidence, tests)
    detail = PredictionDetail(details["prediction"], details.get("probability"))
    if detail.probability is not None:
        detail = replace(detail, prediction=keep_statistics(detail.prediction, of_predictions.columns["prediction"]))
    for label, before, now in _list_predicted_shares(detail.prediction.histogram):
        lacking = "the batch has no predictions" if now is None else "the reference has no predictions"
        metrics[str(MetricName("predicted_share", label))] = MetricValue(
            now, reason=None if now is not None else lacking
        )
        metrics[str(MetricName("reference_predicted_share", label))] = MetricValue(
            before, reason=None if before is not None else lacking
        )
        metrics[str(MetricName("fugacity", label))] = (
            MetricValue((now - before) / before)
            if before and now is not None
            else MetricValue(None, reason=f"the reference never predicts {label}" if before == 0 else lacking)
        )
    return PredictionDrift(metrics, detail, of_predictions.notes)


def _list_predicted_shares(histogram: Histogram) -> Iterator[tuple[str, float | None, float | None]]:
    """Yield each predicted class, or decile of the reference, with its share in the reference and in the batch.

    A side without any prediction has no shares.
    """
    before, now = histogram.reference, histogram.batch
    labels = range(1, len(before) + 1) if histogram.labels is None else histogram.labels
    rows_before, rows_now = sum(before), sum(now)
    for label, count_before, count_now in zip(labels, before, now, strict=True):
        yield (
            str(label),
            count_before / rows_before if rows_before else None,
            count_now / rows_now if rows_now else None,
        )
