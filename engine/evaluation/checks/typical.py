"""The typical range of a metric: the fences of its earlier values.

Fences are a number of interquartile ranges below the first and above the third quartile (Tukey, Exploratory Data
Analysis, 1977). A few extreme earlier values do not move quartiles, so an old alarm does not hide the next one.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from math import erfc, isfinite, sqrt
from statistics import quantiles

from engine.evaluation.record import MetricValue
from engine.formatting.numbers import format_count, format_seconds
from engine.spec.resources.checks import FEWEST_TYPICAL_VALUES, TypicalCheck

_SIMULATED_VALUES = 2_000_000
_MOST_SIMULATIONS = 5_000


def compute_fences(values: Sequence[float], factor: float) -> tuple[float, float]:
    """Return the two values that are `factor` interquartile ranges beyond the quartiles of at least two values.

    Quartiles are interpolated linearly between order statistics (type 7 of Hyndman and Fan, 1996), as in numpy and
    pandas.
    """
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low - factor * (high - low), high + factor * (high - low)


def select_typical_values(earlier: Iterable[tuple[timedelta, MetricValue | None]], check: TypicalCheck) -> list[float]:
    """Return the typical values of a metric for a check, latest first: those that are finite numbers.

    Parameters
    ----------
    earlier
        Earlier measurements, latest first: the age of each relative to the current one, and its value.
    """
    found: list[float] = []
    for age, measured in earlier:
        if (len(found) == check.last) if check.within is None else (age > check.within):
            break
        if measured is not None and measured.value is not None and isfinite(measured.value):
            found.append(measured.value)
    return found


@cache
def estimate_false_alarm_rate(count: int, factor: float) -> float:
    """Return how often a value is beyond the fences of `count` earlier values, if all are independent and normal.

    It is the mean probability over simulated earlier values; its standard error is below a thirtieth of it for the
    usual factors (at most 3).
    """
    import numpy as np

    draws = max(200, min(_MOST_SIMULATIONS, _SIMULATED_VALUES // count))
    values = np.random.default_rng(0).standard_normal((draws, count))
    low, high = np.quantile(values, [0.25, 0.75], axis=1)
    reach = factor * (high - low)
    beyond = [0.5 * erfc(distance / sqrt(2)) for distance in np.concatenate([reach - low, high + reach])]
    return 2 * sum(beyond) / len(beyond)


def count_typical_values(created: Sequence[datetime], check: TypicalCheck) -> int:
    """Return the maximum number of typical values that the next measurement will have.

    Parameters
    ----------
    created
        The creation times of the stored measurements, oldest first.
    """
    if check.within is None or not created:
        return min(check.last, len(created))
    return sum(created[-1] - moment <= check.within for moment in created)


def explain_too_few(values: Sequence[float], check: TypicalCheck) -> str:
    """Return why there is no typical range yet; an empty text if there is one."""
    if len(values) >= FEWEST_TYPICAL_VALUES:
        return ""
    counted = format_count(len(values), "earlier value")
    within = "" if check.within is None else f" within {format_seconds(check.within.total_seconds())}"
    needed = f"{FEWEST_TYPICAL_VALUES} are needed; unchanged data count once"
    return f"too few to determine what is typical: {counted}{within}, and {needed}"
