"""Views of the compared columns of an evaluation: sorted by drift, with both sides as text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal

from engine.drift import NOTABLE_DRIFT
from engine.evaluation.detail import ColumnDetail, Histogram
from engine.evaluation.record import Evaluation, MetricValue

DRIFT_METRICS = ("drift", "drift_low", "drift_p")
"""The metrics of a column's verdict; all others are its statistics."""

SHOWN_CATEGORIES = 3
"""Number of categories in the text of one side."""


@dataclass(frozen=True, slots=True)
class ColumnView:
    """One compared column.

    Attributes
    ----------
    drift, drift_p
        Its drift and p-value; None without a verdict, and then `reason` says why.
    reference, batch
        The values of each side as text: mean ± standard deviation of a numerical column; for a categorical column the
        shares of some categories, namely those that changed most if the drift is significant, else the most frequent
        ones. None if a side has no values.
    drift_importance, model_importance
        Its importance in the drift model and in the monitored model; None if unknown.
    statistics
        Every statistic by name.
    """

    name: str
    role: Literal["numerical", "categorical"]
    drift: float | None
    drift_p: float | None
    significant: bool
    reason: str | None
    reference: str | None
    batch: str | None
    drift_importance: float | None
    model_importance: float | None
    statistics: Mapping[str, MetricValue]
    histogram: Histogram

    @property
    def is_drifted(self) -> bool:
        """Whether the drift is notable."""
        return (self.drift or 0) >= NOTABLE_DRIFT

    def find_statistic(self, name: str) -> float | None:
        """Return the value of a statistic, or None."""
        measured = self.statistics.get(name)
        return None if measured is None else measured.value


def describe_columns(evaluation: Evaluation) -> tuple[ColumnView, ...]:
    """Return the compared columns: the largest drift first, then the most important in the drift model, then by name.

    Columns without a verdict come last.
    """
    metrics = evaluation.group_column_metrics()
    columns = [
        _describe_column(
            name,
            detail,
            metrics[name],
            evaluation.importance.drift.get(name),
            evaluation.importance.model.get(name),
        )
        for name, detail in evaluation.columns.items()
    ]
    return tuple(sorted(columns, key=_by_drift))


def describe_prediction_columns(evaluation: Evaluation) -> tuple[ColumnView, ...]:
    """Return the predictions as columns: `prediction`, and `probability` if the model gives one."""
    if evaluation.prediction is None:
        return ()
    metrics = evaluation.group_prediction_metrics()
    return tuple(
        _describe_column(name, detail, metrics[name]) for name, detail in evaluation.prediction.columns.items()
    )


def _by_drift(column: ColumnView) -> tuple[float, float, str]:
    # Unknown values come last.
    known = (inf if value is None else -value for value in (column.drift, column.drift_importance))
    return (*known, column.name)  # type: ignore[return-value]  # two numbers


def _describe_column(
    name: str,
    detail: ColumnDetail,
    metrics: Mapping[str, MetricValue],
    drift_importance: float | None = None,
    model_importance: float | None = None,
) -> ColumnView:
    statistics = {key: measured for key, measured in metrics.items() if key not in DRIFT_METRICS}
    drift = metrics.get("drift", MetricValue(None))
    reference, batch = _summarize_sides(detail, statistics)
    return ColumnView(
        name=name,
        role=detail.role,
        drift=drift.value,
        drift_p=metrics.get("drift_p", MetricValue(None)).value,
        significant=detail.significant,
        reason=drift.reason,
        reference=reference,
        batch=batch,
        drift_importance=drift_importance,
        model_importance=model_importance,
        statistics=statistics,
        histogram=detail.histogram,
    )


def _summarize_sides(detail: ColumnDetail, statistics: Mapping[str, MetricValue]) -> tuple[str | None, str | None]:
    """Return a column's values as text: those of the reference and those of the batch."""
    histogram = detail.histogram
    if detail.role == "numerical" or histogram.labels is None:
        return _format_spread(statistics, "reference_"), _format_spread(statistics, "")
    # Categories that are not listed are counted together as `other`.
    others = histogram.other or (0, 0)
    rows = (sum(histogram.reference) + others[0], sum(histogram.batch) + others[1])
    if not all(rows):
        return None, None
    shares = [
        (in_reference / rows[0], in_batch / rows[1], label)
        for in_reference, in_batch, label in zip(histogram.reference, histogram.batch, histogram.labels, strict=True)
    ]
    weight: Callable[[tuple[float, float, str]], float] = (
        (lambda share: -abs(share[1] - share[0])) if detail.significant else (lambda share: -share[0] - share[1])
    )
    shown = sorted(shares, key=weight)[:SHOWN_CATEGORIES]
    return (
        ", ".join(f"{label} {share:.1%}" for share, _, label in shown),
        ", ".join(f"{label} {share:.1%}" for _, share, label in shown),
    )


def _format_spread(statistics: Mapping[str, MetricValue], side: str) -> str | None:
    mean, std = (statistics.get(f"{side}{name}", MetricValue(None)).value for name in ("mean", "std"))
    if mean is None:
        return None
    return f"{mean:.4g}" if std is None else f"{mean:.4g} ± {std:.3g}"
