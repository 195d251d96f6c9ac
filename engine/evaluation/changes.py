"""The change of a metric from an earlier value, or from the reference's, with its interval."""

from typing import Literal

from engine.evaluation.record import MetricValue
from engine.models.intervals import Estimate, difference_interval, ratio_interval


def estimate_of(metric: MetricValue) -> Estimate | None:
    """Return the value of a metric with its interval; None if it has none."""
    if metric.value is None or metric.low is None or metric.high is None:
        return None
    return Estimate(metric.value, metric.low, metric.high)


def change_between(new: MetricValue, old: MetricValue, change: Literal["absolute", "relative"]) -> MetricValue:
    """Return new - old, or for a relative change (new - old) / |old|; both must have a value.

    The interval treats the two values as independent. A relative change has one only where both values and the interval
    of `old` are positive.
    """
    if new.value is None or old.value is None:
        raise ValueError("both values must be known")
    difference = new.value - old.value
    if change == "relative" and old.value == 0:
        return MetricValue(None, reason="a relative change from 0 is not defined")
    value = difference if change == "absolute" else difference / abs(old.value)
    now, before = estimate_of(new), estimate_of(old)
    if now is None or before is None:
        lacking = (new if now is None else old).reason or ""
        return MetricValue(value, reason=lacking if lacking.startswith("no interval: ") else None)
    if change == "absolute":
        return MetricValue(value, *difference_interval(now, before))
    ratio = ratio_interval(now, before)
    if ratio is None:
        return MetricValue(value, reason="no interval: a value of this ratio may be 0 or negative")
    return MetricValue(value, ratio[0] - 1, ratio[1] - 1)
