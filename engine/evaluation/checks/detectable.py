"""Which values a check would have found: those found 4 times in 5 in a batch of this size.

A batch of sixty rows passes nearly every check, whatever it contains. So an OK states if it could hardly have been
anything else.
"""

from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist

from engine.evaluation.bounds import AppliedRange
from engine.evaluation.record import CheckResult, MetricValue
from engine.outcome import CheckOutcome
from engine.spec.metrics.lookup import find_metric_definition
from engine.spec.metrics.names import MetricName, parse_metric_name
from engine.spec.resources.checks import RangeBound

POWER = 0.8
"""Share of batches in which a value as far off as the reported one breaks the check."""

HARDLY_FAILED = "could hardly have failed: "
"""The beginning of the reason of an OK that says little."""

_MEASURED_AS = {"data_drift_low": "data_drift", "data_drift_significant": "data_drift"}
"""Metrics whose smallest detectable value is that of another metric."""

_COUNTS = ("drifted_columns", "drifted_share")
"""Metrics that count drifted columns: at most as many as there are columns with a detectable drift."""


def find_detectable(
    applied: AppliedRange,
    metric: str,
    measured: MetricValue,
    metrics: Mapping[str, MetricValue],
    detectable_drifts: Mapping[str, float | None],
    confidence: float,
    *,
    certain: bool,
) -> dict[str, float | None]:
    """Return, by bound, the value nearest to it that would break the check in 4 of 5 batches like this one.

    For the drift of a column it is the smallest significant drift; None if there is none, as for a number of drifted
    columns above the number of columns with a detectable drift. For a metric with an interval it is the bound plus the
    effect of chance: a standard error, taken from the interval and assumed to be the same at the bound, times the
    normal quantile of the power; with `certain`, plus the distance to the interval's end.

    Parameters
    ----------
    measured
        The checked value or change.
    metrics
        All metrics of the batch.
    detectable_drifts
        The smallest detectable drift by metric name, such as `drift.amount`.
    confidence
        The confidence level of the intervals.
    """
    lower, upper = applied.lower, applied.upper
    as_drift = metric.replace("drift_low.", "drift.", 1) if metric.startswith("drift_low.") else metric
    if as_drift in detectable_drifts:
        return {upper.key: detectable_drifts[as_drift]} if upper else {}
    of_columns = [drift is not None for name, drift in detectable_drifts.items() if name.startswith("drift.")]
    if metric in _COUNTS:
        most = sum(of_columns) if metric == "drifted_columns" else sum(of_columns) / max(1, len(of_columns))
        return {upper.key: None} if of_columns and upper and most <= upper.value else {}
    normal = NormalDist()
    if metric in _MEASURED_AS:
        accuracy = metrics.get("data_drift")
        if accuracy is None or accuracy.low is None or accuracy.high is None or not upper:
            return {}
        error = (accuracy.high - accuracy.low) / 2 / normal.inv_cdf(0.5 + confidence / 2)
        start = 0.5 if metric == "data_drift_significant" else upper.value
        return {upper.key: start + (normal.inv_cdf(confidence) + normal.inv_cdf(POWER)) * error}
    name = parse_metric_name(metric)
    # Other metrics may have exact bounds of their value, which say nothing about chance.
    has_interval = isinstance(name, MetricName) and find_metric_definition(name, "store").interval
    if not has_interval or measured.value is None or measured.low is None or measured.high is None:
        return {}
    error = (measured.high - measured.low) / 2 / normal.inv_cdf(0.5 + confidence / 2)
    chance = normal.inv_cdf(POWER) * error
    found: dict[str, float | None] = {}
    if lower:
        found[lower.key] = lower.value - chance - (measured.high - measured.value if certain else 0)
    if upper:
        found[upper.key] = upper.value + chance + (measured.value - measured.low if certain else 0)
    return found


def explain_weak_check(
    applied: AppliedRange,
    metric: str,
    detectable: Mapping[str, float | None],
    metrics: Mapping[str, MetricValue],
    rows: tuple[int, int] | None,
) -> str:
    """Return why an OK says little or nothing: the detectable values are far beyond the bound.

    Far means outside the metric's range, more than the bound for the drift of a column, and otherwise more than twice
    as far as the bound from the metric's value if nothing is wrong: 0 for a change, 0.5 for `data_drift`, else the
    reference's value; if that is unknown, the text is empty. `rows` are the numbers of rows of the batch and of the
    reference, if known.
    """
    changed = applied.compare is not None
    for key, value in detectable.items():
        limit = applied.find_limit(key)
        if _is_weak(metric, limit, value, metrics, changed=changed):
            found = _describe_detectable(metric, limit, value, rows, changed=changed)
            return f"{HARDLY_FAILED}{found} ({key} is {limit.value:g})"
    return ""


def _is_weak(
    metric: str, limit: RangeBound, value: float | None, metrics: Mapping[str, MetricValue], *, changed: bool
) -> bool:
    statistic = metric.partition(".")[0]
    if value is None:
        return True
    if statistic in ("drift", "drift_low", "prediction_drift"):
        return value > limit.value
    if metric == "data_drift_significant":
        # The bound does not refer to the accuracy; a drift model that finds only strong drift misses most drift.
        return value > 0.75
    name = parse_metric_name(_MEASURED_AS.get(metric, metric))
    if isinstance(name, MetricName) and not changed:
        definition = find_metric_definition(name, "store")
        if definition.low is not None and value < definition.low:
            return True
        if definition.high is not None and value > definition.high:
            return True
    usual = _find_usual_value(metric, metrics, changed=changed)
    margin = 0.0 if usual is None else usual - limit.value if limit.is_lower else limit.value - usual
    return margin > 0 and abs(value - limit.value) > margin


def _find_usual_value(metric: str, metrics: Mapping[str, MetricValue], *, changed: bool) -> float | None:
    """Return the value of a metric if nothing is wrong."""
    if changed or metric.startswith(("performance_change", "advantage.")):
        return 0.0
    if metric in ("data_drift", *_MEASURED_AS):
        return 0.5
    now, change = metrics.get(metric), metrics.get(f"performance_change.{metric}")
    if now is None or now.value is None or change is None or change.value is None:
        return None
    return now.value - change.value


def _describe_detectable(
    metric: str, limit: RangeBound, value: float | None, rows: tuple[int, int] | None, *, changed: bool
) -> str:
    """Return which values would be found 4 times in 5, as a clause."""
    what = _MEASURED_AS.get(metric, metric)
    what = "drift" if what.partition(".")[0] in ("drift", "drift_low", "prediction_drift") else what
    what = "drift of more columns" if metric in _COUNTS else f"change of {what}" if changed else what
    with_rows = "" if rows is None else f"with {rows[0]:,} rows ({rows[1]:,} in the reference) "
    if value is None:
        return f"{with_rows}no {what}, however large, is found 4 times in 5"
    return f"{with_rows}only a {what} of {value:.2g} or {'less' if limit.is_lower else 'more'} is found 4 times in 5"


def list_weak_checks(results: Iterable[CheckResult]) -> dict[str, list[CheckResult]]:
    """Return, by check, the results that could hardly have been anything but OK, of checks that found nothing wrong."""
    found = list(results)
    broken = {result.check for result in found if result.counts_as is not CheckOutcome.OK}
    weak: dict[str, list[CheckResult]] = {}
    for result in found:
        if result.check not in broken and result.outcome is CheckOutcome.OK and result.reason.startswith(HARDLY_FAILED):
            weak.setdefault(result.check, []).append(result)
    return weak


def summarize_weak_checks(results: Iterable[CheckResult]) -> list[str]:
    """Return one line for each OK check that could hardly have been anything else."""
    return [
        f"{check} is OK, but {_name_metrics(found)}{found[0].reason}"
        for check, found in list_weak_checks(results).items()
    ]


def _name_metrics(found: Sequence[CheckResult]) -> str:
    """Return the subject of a sentence on several metrics; empty for one, which the check names."""
    return "" if len(found) == 1 else f"{len(found)} metrics, such as {found[0].metric}, "
