"""Confidence intervals of performance metrics, in closed form, from the influence of each row on the metric.

The influence of a row is the derivative of the metric with respect to the row's weight, minus its mean. A metric's
standard error follows from the sums of the influences over independent units: the entities, or the rows if no entity is
declared (infinitesimal jackknife: Jaeckel 1972; over clusters: Binder 1983). For the area under the ROC curve this is
the method of DeLong et al. 1988, by entity that of Obuchowski 1997. No random numbers are used and all sums are taken
in the order of the rows, so the same rows give the same bits.

Intervals are symmetric on a scale where the metric is unbounded, so that they stay inside its range; shares have score
intervals (Wilson 1927), which also hold for a share of exactly 0 or 1.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

IntervalOrReason = tuple[float, float] | str
"""Low and high end of an interval, or the reason why there is none."""

FEWEST_UNITS = 20
"""Minimum number of independent units for intervals other than those of shares: with 10 units the standard error is so
uncertain that an interval at 0.95 contains the value only about 9 times in 10 (simulated)."""

CONSTANT = "no interval: it does not vary between the rows, so nothing shows how far chance could move it"
NOT_FINITE = "no interval: the values are too large or too small to compute with"

Scale = Literal["plain", "log", "logit", "fisher", "log_distance_to_one"]

_SCALES: dict[Scale, tuple[Callable[[Any], Any], Callable[[float], float], Callable[[Any], Any]]] = {
    "plain": (lambda v: v, lambda v: 1.0, lambda t: t),
    "log": (np.log, lambda v: 1 / v, np.exp),
    "logit": (lambda v: np.log(v / (1 - v)), lambda v: 1 / (v * (1 - v)), lambda t: 1 / (1 + np.exp(-t))),
    "fisher": (np.arctanh, lambda v: 1 / (1 - v * v), np.tanh),
    "log_distance_to_one": (lambda v: -np.log(1 - v), lambda v: 1 / (1 - v), lambda t: 1 - np.exp(-t)),
}
"""By scale: the transformation, its derivative, and its inverse."""


@dataclass(frozen=True, slots=True)
class Units:
    """The independent units of n rows, and the confidence level of intervals.

    `codes`, shape (n,), holds the unit of each row as a number from 0 on without gaps; None if each row is its own
    unit.
    """

    rows: int
    confidence: float = 0.95
    codes: Ints | None = None

    @property
    def count(self) -> int:
        """The number of units."""
        return self.rows if self.codes is None else int(self.codes.max()) + 1

    @property
    def noun(self) -> str:
        """The name of a unit, in the plural."""
        return "rows" if self.codes is None else "entities"

    def add_up(self, influence: Floats) -> Floats:
        """Return the sum per unit of a value per row, shape (units,)."""
        if self.codes is None:
            return influence
        return np.bincount(self.codes, influence).astype(np.float64, copy=False)

    def count_with(self, rows: npt.NDArray[np.bool_]) -> int:
        """Return the number of units that have any of the rows, a mask of shape (n,)."""
        if self.codes is None:
            return int(rows.sum())
        return int((np.bincount(self.codes[rows], minlength=1) > 0).sum())

    def quantile(self, units: int) -> float:
        """Return the two-sided quantile of Student's t distribution with units - 1 degrees of freedom."""
        from scipy.special import stdtrit  # imported late: a run in which nothing changed needs no interval

        return float(stdtrit(units - 1, 0.5 + self.confidence / 2))


def interval_of_sums(value: float, square: float, of: Units, scale: Scale) -> IntervalOrReason:
    """Return the interval of a metric (delta method on `scale`).

    Parameters
    ----------
    square
        The sum of squares over units of the sums of influences.
    """
    error = sqrt(square * of.count / max(of.count - 1, 1)) / of.rows if np.isfinite(square) else np.inf
    return interval_around(value, error, of.count, of, scale)


def jackknife_interval(value: float, without: Floats, of: Units, scale: Scale) -> IntervalOrReason:
    """Return the interval of a metric from its values without the rows of one unit each, shape (units,) (Tukey 1958).

    For metrics on which single rows have a far larger effect than the derivative suggests, such as a correlation.
    """
    transform, slope, _ = _SCALES[scale]
    moved = transform(without)
    off = moved - moved.mean()
    variance = float((off * off).sum()) * (of.count - 1) / of.count
    # interval_around multiplies the error by the slope again
    error = float(np.sqrt(variance) / slope(np.float64(value)))
    return interval_around(value, error, of.count, of, scale)


def interval_around(
    value: float, error: float, units: int, of: Units, scale: Scale, fewest: int = FEWEST_UNITS
) -> IntervalOrReason:
    """Return the interval of a metric from its standard error for `units` units, at least `fewest` are needed."""
    if units < fewest:
        return f"no interval: there are {units} {of.noun}, at least {fewest} are needed"
    if not np.isfinite(error):
        return NOT_FINITE
    if error <= 1e-12 * max(abs(value), 1e-300):
        return CONSTANT
    with np.errstate(all="ignore"):
        transform, slope, restore = _SCALES[scale]
        value = np.float64(value)  # so that division by 0 raises no exception
        reach = of.quantile(units) * error * slope(value)
        low, high = float(restore(transform(value) - reach)), float(restore(transform(value) + reach))
    if np.isnan(low) or np.isnan(high):
        return "no interval: it is at the end of its range"
    return (low, high) if np.isfinite(low) and np.isfinite(high) else NOT_FINITE


def wilson_interval(share: float, n: float, quantile: float) -> tuple[float, float]:
    """Return the score interval of a share of `n` rows, which need not be a whole number (Wilson 1927)."""
    square = quantile * quantile / n
    centre = (share + square / 2) / (1 + square)
    reach = quantile / (1 + square) * sqrt(max(0.0, share * (1 - share) / n + square / (4 * n)))
    # The ends at 0 and 1 are exact; rounding must not leave the share outside the interval.
    return (0.0 if share == 0 else max(0.0, centre - reach)), (1.0 if share == 1 else min(1.0, centre + reach))


def share_interval(hits: Floats, trials: npt.NDArray[np.bool_], of: Units) -> IntervalOrReason:
    """Return the score interval of sum(hits) / sum(trials), with an effective number of trials.

    If rows belong to entities, the effective number is share (1 - share) / variance, with the variance of a ratio over
    clusters (Rao & Scott 1992), at most the number of trials. A share of 0 or 1 has no variance: then it is the number
    of entities. The quantile is that of Student's t distribution (Korn & Graubard 1998).

    Parameters
    ----------
    hits
        1.0 for each counted row, shape (n,); zero outside `trials`.
    trials
        Mask of the rows of which the share is taken, shape (n,), at least one.
    """
    n = int(trials.sum())
    share = float(hits.sum()) / n
    if of.codes is None:
        return wilson_interval(share, n, NormalDist().inv_cdf(0.5 + of.confidence / 2))
    units = of.count_with(trials)
    if units < 2:
        return "no interval: all rows belong to one entity"
    quantile = of.quantile(units)
    if share in (0.0, 1.0):
        return wilson_interval(share, units, quantile)
    sums = of.add_up(np.where(trials, hits - share, 0.0))
    variance = units / (units - 1) * float((sums * sums).sum()) / n**2
    return wilson_interval(share, min(n, share * (1 - share) / variance) if variance > 0 else n, quantile)
