"""Looks up metric names in the catalogue."""

from engine.spec.metrics.catalogue import METRICS_BY_NAME
from engine.spec.metrics.definition import MetricDefinition, MetricScope
from engine.spec.metrics.names import MetricName


def find_metric_definition(name: MetricName, scope: MetricScope) -> MetricDefinition:
    """Return the entry of the catalogue for a metric.

    `prediction_drift.psi` has the range of psi, and `performance_change.roc_auc` the direction of roc_auc. A custom
    metric has neither range nor direction.
    """
    metric = METRICS_BY_NAME.get((scope, name.statistic))
    if metric is None:
        return MetricDefinition(name.statistic, scope, "A custom metric.")
    if name.member is None or metric.member not in ("statistic", "performance"):
        return metric
    inner = METRICS_BY_NAME["store", name.member]
    # The difference of two values in [low, high] lies in [low - high, high - low].
    if metric.member == "statistic":
        return inner._replace(name=metric.name, member="statistic", tasks=metric.tasks, roles=())
    if metric.name == "challenger":
        return inner._replace(name=metric.name, member="performance")
    bounded = inner.low is not None and inner.high is not None and metric.name != "performance_change_relative"
    width = inner.high - inner.low if bounded and inner.high is not None and inner.low is not None else None
    worse = metric.worse or inner.worse  # a higher advantage is better by every metric
    return metric._replace(worse=worse, tasks=inner.tasks, low=None if width is None else -width, high=width)


def is_estimate(statistic: str) -> bool:
    """Return whether a store has a metric of the catalogue only with `estimates`."""
    return statistic.startswith(("estimated_", "estimate_"))
