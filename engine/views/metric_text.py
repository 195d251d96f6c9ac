"""Metrics as text on a page: their usual names, and their values in their units."""

from dataclasses import replace
from functools import partial

from engine.evaluation.record import MetricValue
from engine.formatting.numbers import format_ends, format_figure, format_p_value, format_share
from engine.spec.metrics.lookup import find_metric_definition
from engine.spec.metrics.names import MetricName, parse_metric_name

_USUAL_WORDS = {
    "r2": "R²",
    "f1": "F1",
    "chi2": "χ²",
    "brier": "Brier",
    "hamming": "Hamming",
    "hellinger": "Hellinger",
    "wasserstein": "Wasserstein",
    "cramers": "Cramér's",
    "v": "V",
    **{f"q{part:02}": f"{part} % quantile" for part in (5, 25, 75, 95)},
    "std": "standard deviation",
    "l": "L",
    "infinity": "∞",
    **{word: word.upper() for word in ("roc", "auc", "rmse", "mae", "mse", "mcc", "rmsle", "mape", "psi", "js", "ks")},
}


def format_metric(metric: str, value: float | None) -> str:
    """Return the value of a metric in its unit."""
    statistic = _find_statistic(metric)
    if statistic.startswith("fugacity") and value is not None:
        return f"{'+' if value > 0 else ''}{format_share(value)}"
    if statistic.endswith("_share") or statistic in ("predicted_share", "mape"):
        return format_share(value)
    return format_p_value(value) if statistic.endswith("_p") else format_figure(value)


def format_metric_change(metric: str, change: float) -> str:
    """Return the increase of a metric in its unit, with its sign; a difference of p-values as a number."""
    shown = format_figure(change) if _find_statistic(metric).endswith("_p") else format_metric(metric, change)
    return shown if change <= 0 or shown.startswith("+") else f"+{shown}"


def _find_statistic(metric: str) -> str:
    name = parse_metric_name(metric)
    return name.statistic if isinstance(name, MetricName) else metric


def format_metric_interval(metric: str, measured: MetricValue) -> str:
    """Return the ends of a metric's interval, in its unit; empty if it has none."""
    return format_ends(measured.low, measured.high, partial(format_metric, metric))


def format_metric_name(metric: str) -> str:
    """Return the usual name of a metric: `ROC AUC`, `PSI of age`, `performance change of ROC AUC`."""
    name = parse_metric_name(metric)
    if not isinstance(name, MetricName) or name.wildcard:
        return metric
    said = " ".join(_USUAL_WORDS.get(word, word) for word in name.statistic.split("_"))
    if name.member is not None:
        takes = find_metric_definition(replace(name, member=None), "store").member
        member = name.member if takes in ("column", "class") else format_metric_name(name.member)
        if name.statistic != "prediction_drift":
            said = f"{said} of {member}"
        elif name.member != "drift":  # the drift of predictions is named without a statistic
            said = f"{said}: {member}"
    return said if name.segment is None else f"{said} in {name.segment}"


def explain_metric(metric: str) -> str:
    """Return a sentence that explains a metric."""
    name = parse_metric_name(metric)
    return find_metric_definition(name, "store").description if isinstance(name, MetricName) else ""
