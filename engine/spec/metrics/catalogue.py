"""The catalogue of metrics of datasets and of stores, with their ranges and requirements.

`validate` looks up metric names in it, checks take ranges and directions from it, and the reference page prints it. If
each package declared its own metrics instead, `validate` would have to import polars and scikit-learn.
"""

from engine.spec.metrics.dataset_metrics import define_dataset_metrics
from engine.spec.metrics.definition import ALL_TASKS, MetricDefinition, MetricScope
from engine.spec.metrics.drift_metrics import (
    define_batch_metrics,
    define_column_metrics,
    define_drift_metrics,
    define_prediction_metrics,
    define_segment_metrics,
)
from engine.spec.metrics.performance_metrics import (
    NOT_ESTIMATED,
    define_challenger_metrics,
    define_change_metrics,
    define_estimated_metrics,
    define_performance_metrics,
)

CHALLENGER_METRICS = ("advantage", "advantage_low", "challenger")
"""The metrics that a store has only with a challenger."""

METRICS: tuple[MetricDefinition, ...] = (
    *define_dataset_metrics(),
    *define_batch_metrics(),
    *define_drift_metrics(),
    *define_column_metrics(),
    *define_prediction_metrics(),
    *define_performance_metrics(),
    *define_change_metrics(),
    *define_estimated_metrics(),
    *define_challenger_metrics(),
    *define_segment_metrics(),
)
"""All metrics, in the order in which they are shown."""

METRICS_BY_NAME = {(metric.scope, metric.name): metric for metric in METRICS}

_MEASURED = [metric for metric in METRICS if metric.labels and metric.member is None]

PERFORMANCE_METRICS = tuple(metric.name for metric in _MEASURED)
METRICS_BY_TASK = {task: tuple(metric.name for metric in _MEASURED if task in metric.tasks) for task in ALL_TASKS}
"""The performance metrics that a model of each task has."""
ESTIMATED_BY_TASK = {
    task: tuple(one for one in names if one not in NOT_ESTIMATED) for task, names in METRICS_BY_TASK.items()
}
"""The ones that can be estimated before labels arrive: `roc_auc` as the metric `estimated_roc_auc`."""

SEGMENT_DRIFTS = ("drift", "drift_low", "drift_p")
"""The statistics of columns, and of predictions, that a segment has."""
SEGMENT_METRICS = (
    "row_count", "segment_drift", "drifted_columns", "drifted_share", *SEGMENT_DRIFTS, "prediction_drift",
    "labelled_share", *PERFORMANCE_METRICS, "performance_change", "performance_change_relative",
    *(metric.name for metric in METRICS if metric.name.startswith("estimated_")),
)  # fmt: skip
"""The metrics that a segment has."""


def list_statistics(scope: MetricScope) -> list[str]:
    """Return the names of all statistics of a scope, in the order of the catalogue."""
    return [metric.name for metric in METRICS if metric.scope == scope]


def list_members(metric: MetricDefinition) -> list[str] | None:
    """Return the possible members of a metric after its dot, or None if they depend on the data."""
    if metric.member == "statistic":
        return [m.name for m in METRICS if m.scope == "store" and m.member == "column"]
    if metric.member == "performance":
        return list(PERFORMANCE_METRICS)
    return None
