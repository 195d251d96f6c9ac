"""Intervals of the difference between two models measured on the same rows.

Rows that are hard for one model are often hard for the other, so the difference varies far less than that of two
independent values. Its standard error follows from the differences of the influences of each row on the metric, summed
over the independent units: the entities, or the rows (see `intervals`). For the area under the ROC curve this is the
method of DeLong, DeLong & Clarke-Pearson 1988 for correlated curves. A difference of two shares of the same rows has
the adjusted Wald interval of Bonett & Price 2012, which also holds if the models differ in few rows or none.
"""

from math import sqrt
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from engine.models.metrics.classification_intervals import FEWEST_OF_A_CLASS
from engine.models.metrics.intervals import CONSTANT, FEWEST_UNITS, Floats, IntervalOrReason, Units, interval_around

Bools = npt.NDArray[np.bool_]

FEWEST_DIFFERING = 10
"""Minimum number of independent units in which the models must differ for intervals other than those of shares: with
fewer, one row more or less moves the difference by about as much as its standard error."""

PERFECT = "no interval: one of the models separates the classes completely, so its rows show no variance"


def paired_interval(
    value: float, influence: Floats, of: Units, *, truth: Bools | None, excess: tuple[float, float]
) -> IntervalOrReason:
    """Return the interval of a difference from the differences of the influences of each row, shape (n,).

    Parameters
    ----------
    truth
        For the area under the ROC curve: true where a row is positive, shape (n,). The variances of positive and
        negative rows then have degrees of freedom of their own, and the rarer class decides.
    excess
        Subtracted from the low end and added to the high end, for a metric that chance moves in one direction.
    """
    centred, units, fewest = influence - influence.mean(), of.count, FEWEST_UNITS
    if truth is None:
        correction: Floats | float = sqrt(units / max(units - 1, 1))
    else:
        positive, negative = of.count_with(truth), of.count_with(~truth)
        units, fewest = min(positive, negative), FEWEST_OF_A_CLASS
        if units < fewest:
            return f"no interval: each class needs at least {fewest} {of.noun}, the rarer one has {units}"
        correction = np.where(truth, sqrt(positive / (positive - 1)), sqrt(negative / (negative - 1)))
    sums = of.add_up(centred * correction)
    error = sqrt(float((sums * sums).sum())) / of.rows
    if error <= 1e-14 * float(np.abs(influence).max(initial=0.0)):
        return CONSTANT
    found = interval_around(value, error, units, of, "plain", fewest)
    return found if isinstance(found, str) else (found[0] - excess[0], found[1] + excess[1])


def paired_share_interval(first: Bools, second: Bools, trials: Bools, of: Units) -> IntervalOrReason:
    """Return the interval of the share of `second` among `trials` minus that of `first` (Bonett & Price 2012).

    One row is added to each kind of row in which the models differ. If rows belong to entities, their number is
    replaced by an effective number, as in `engine.models.metrics.intervals.share_interval`.

    Parameters
    ----------
    first, second
        Masks of the rows that count for each model, shape (n,).
    trials
        Mask of the rows of which the shares are taken, shape (n,), at least one.
    """
    gain = (second.astype(np.float64) - first) * trials
    n = int(trials.sum())
    more, less = int((gain > 0).sum()) / n, int((gain < 0).sum()) / n
    size, quantile = float(n), NormalDist().inv_cdf(0.5 + of.confidence / 2)
    if of.codes is not None:
        units = of.count_with(trials)
        if units < 2:
            return "no interval: all rows belong to one entity"
        quantile = of.quantile(units)
        sums = of.add_up(np.where(trials, gain - (more - less), 0.0))
        variance = units / (units - 1) * float((sums * sums).sum()) / n**2
        spread = more + less - (more - less) ** 2
        size = min(n, spread / variance) if variance > 0 and spread > 0 else float(units)
    more, less = (more * size + 1) / (size + 2), (less * size + 1) / (size + 2)
    reach = quantile * sqrt((more + less - (more - less) ** 2) / (size + 2))
    return max(-1.0, more - less - reach), min(1.0, more - less + reach)


def paired_jackknife_interval(value: float, first: Floats, second: Floats, of: Units) -> IntervalOrReason:
    """Return the interval of second - first from both values without the rows of one unit each, shape (units,).

    The same units are left out for both (jackknife: Tukey 1958).
    """
    off = second - first
    off = off - off.mean()
    error = sqrt(float((off * off).sum()) * (of.count - 1) / of.count)
    return interval_around(value, error, of.count, of, "plain")


def explain_few_differing(differing: Bools, of: Units) -> str | None:
    """Return why the models have no interval if they differ in too few rows, a mask of shape (n,); else None."""
    units = of.count_with(differing)
    if units >= FEWEST_DIFFERING:
        return None
    if units == 0:
        return "no interval: both models predict the same for every row"
    return f"no interval: the models differ in {units} {of.noun}, at least {FEWEST_DIFFERING} are needed"
