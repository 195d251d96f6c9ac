"""View of a model's performance: on the reference, on the batch, and the change."""

from dataclasses import dataclass
from typing import Literal

from engine.evaluation.record import Evaluation, MetricValue
from engine.spec.metrics.catalogue import PERFORMANCE_METRICS
from engine.spec.metrics.lookup import find_metric_definition
from engine.spec.metrics.names import MetricName

LEADING_METRICS = ("roc_auc", "r2", "accuracy", "f1", "rmse", "mae")
"""The first of these metrics with a value represents the performance, unless the store displays another one."""


Sense = Literal["", "better", "worse", "undecided"]
"""Direction of a change: undecided if its interval contains 0, so that chance may explain it; empty without a
change."""


@dataclass(frozen=True, slots=True)
class PerformanceRow:
    """One performance metric: its values with intervals, the change from the reference, and whether that is worse.

    `reason` says why the batch has no value, or why a value has no interval.
    """

    metric: str
    reference: MetricValue
    batch: MetricValue
    change: MetricValue
    sense: Sense

    @property
    def reason(self) -> str | None:
        """The reason why the batch has no value or no interval, or why the change has none."""
        return self.batch.reason or self.change.reason


def describe_performance(evaluation: Evaluation) -> tuple[PerformanceRow, ...]:
    """Return the performance metrics of an evaluation, in the order of the catalogue."""
    return tuple(_describe_metric(metric, evaluation) for metric in PERFORMANCE_METRICS if metric in evaluation.metrics)


def _describe_metric(metric: str, evaluation: Evaluation) -> PerformanceRow:
    batch = evaluation.metrics[metric]
    change = evaluation.metrics.get(f"performance_change.{metric}") or MetricValue(None)
    kept = evaluation.reference_performance.get(metric) or MetricValue(None)
    # change = batch - reference
    before = None if batch.value is None or change.value is None else batch.value - change.value
    worse = find_metric_definition(MetricName(metric), "store").worse
    sense: Sense = ""
    if change.low is not None and change.high is not None and change.low <= 0 <= change.high:
        sense = "undecided"
    elif change.value and worse is not None:
        sense = "worse" if (change.value > 0) == (worse == "higher") else "better"
    return PerformanceRow(metric, MetricValue(before, kept.low, kept.high), batch, change, sense)
