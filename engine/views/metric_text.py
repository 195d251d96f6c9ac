"""Metrics as text on a page: their usual names, and their values in their units."""

from functools import partial

from engine.evaluation.record import MetricValue
from engine.formatting.numbers import format_ends, format_figure, format_p_value, format_share
from engine.spec.metric_names import MetricName, parse_metric_name

_METRIC_NAMES = {
    "roc_auc": "ROC AUC",
    "r2": "R²",
    "rmse": "RMSE",
    "mae": "MAE",
    "mse": "MSE",
    "mcc": "MCC",
    "rmsle": "RMSLE",
    "mape": "MAPE",
}


def format_metric(metric: str, value: float | None) -> str:
    """Return the value of a metric in its unit."""
    name = parse_metric_name(metric)
    statistic = name.statistic if isinstance(name, MetricName) else metric
    if statistic.startswith("fugacity") and value is not None:
        return f"{'+' if value > 0 else ''}{format_share(value)}"
    if statistic.endswith("_share") or statistic in ("predicted_share", "mape"):
        return format_share(value)
    return format_p_value(value) if statistic.endswith("_p") else format_figure(value)


def format_metric_interval(metric: str, measured: MetricValue) -> str:
    """Return the ends of a metric's interval, in its unit; nothing if it has none."""
    return format_ends(measured.low, measured.high, partial(format_metric, metric))


def format_metric_name(metric: str) -> str:
    """Return the usual name of a metric."""
    return _METRIC_NAMES.get(metric, metric.replace("_", " ") if "." not in metric else metric)
