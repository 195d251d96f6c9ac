"""The change of a metric from an earlier value or the reference's value, with its interval."""

from collections.abc import Sequence
from math import hypot, isnan
from typing import Literal, NamedTuple

from engine.evaluation.record import MetricValue


class Estimate(NamedTuple):
    """A value and the ends of its interval."""

    value: float
    low: float
    high: float


def difference_interval(first: Estimate, second: Estimate) -> tuple[float, float]:
    """Return the interval of first - second, two independent values.

    The distances from a value to the ends of its interval are used as its standard errors in these directions (MOVER:
    Zou & Donner 2008; for shares the hybrid score interval of Newcombe 1998).
    """
    difference = first.value - second.value
    below = hypot(first.value - first.low, second.high - second.value)
    return difference - below, difference + hypot(first.high - first.value, second.value - second.low)


def ratio_interval(first: Estimate, second: Estimate) -> tuple[float, float] | None:
    """Return the interval of first / second, two independent values, from the difference of their logarithms.

    None if an interval reaches below 0, or that of the second reaches 0.
    """
    if min(first.value, second.value, second.low) <= 0 or first.low < 0:
        return None
    import numpy as np

    with np.errstate(divide="ignore"):
        low, high = difference_interval(Estimate(*np.log(first)), Estimate(*np.log(second)))
    return float(np.exp(low)), float(np.exp(high))


def mean_estimate(parts: Sequence[Estimate], weights: Sequence[float]) -> Estimate:
    """Return the weighted mean of independent values with its interval, combined in the same way."""
    total = sum(weights)
    mean = sum(w * part.value for w, part in zip(weights, parts, strict=True)) / total
    below = hypot(*(w * (part.value - part.low) for w, part in zip(weights, parts, strict=True))) / total
    above = hypot(*(w * (part.high - part.value) for w, part in zip(weights, parts, strict=True))) / total
    return Estimate(mean, mean - below, mean + above)


def estimate_of(metric: MetricValue) -> Estimate | None:
    """Return the value of a metric with its interval; None if it has none."""
    if metric.value is None or metric.low is None or metric.high is None:
        return None
    return Estimate(metric.value, metric.low, metric.high)


def average_metrics(metrics: Sequence[MetricValue], weights: Sequence[float] | None = None) -> MetricValue:
    """Return the weighted mean of metrics that have a value, with an interval if all of them have one.

    The interval treats them as independent.
    """
    weights = weights or [1.0] * len(metrics)
    estimates = [estimate for metric in metrics if (estimate := estimate_of(metric))]
    if len(estimates) == len(metrics):
        united = mean_estimate(estimates, weights)
        return MetricValue(united.value, united.low, united.high)
    mean = sum(w * (metric.value or 0.0) for w, metric in zip(weights, metrics, strict=True)) / sum(weights)
    return MetricValue(mean, reason=next(metric.reason for metric in metrics if metric.low is None))


def change_between(new: MetricValue, old: MetricValue, change: Literal["absolute", "relative"]) -> MetricValue:
    """Return new - old, or for a relative change (new - old) / |old|; both must have a value.

    The interval treats the two values as independent. A relative change has an interval only if both values and the
    interval of `old` are positive.
    """
    if new.value is None or old.value is None:
        raise ValueError("both values must be known")
    difference = new.value - old.value
    if change == "relative" and old.value == 0:
        return MetricValue(None, reason="a relative change from 0 is not defined")
    value = difference if change == "absolute" else difference / abs(old.value)
    if isnan(value):
        return MetricValue(None, reason=f"a change from {old.value:g} to {new.value:g} is not defined")
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
