"""What is measured of a numerical column: order statistics over all rows, and reference-quantile bins.

Everything is computed from tables of values with counts, so it does not depend on row order. Of exact columns
everything is exact; of others it is an interval. Bins of equal width are never used: one outlier would gather all
other rows in a single bin.
"""

from math import inf, isfinite, nan, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.drift.columns import Numerical
from engine.drift.kernels.apart import apart, bounds
from engine.drift.kernels.counting import Counts, Values
from engine.drift.ladder import evenly

QUANTILES = {"median": 50, "q05": 5, "q25": 25, "q75": 75, "q95": 95}
"""By name, in percent: their ranks are whole numbers and a rest, which floats would blur."""


Floats = NDArray[np.float64]


class Interval(NamedTuple):
    """Where a figure lies; both ends are the same where it is exact."""

    low: float
    high: float


def moments(column: Numerical) -> dict[str, Interval]:
    """Return mean, std (n - 1 degrees of freedom), min, max and quantiles; NaN where there is no such number.

    Quantiles are Hyndman and Fan's type 7, numpy's default: linear between order statistics.
    """
    n = column.present
    if not n:
        return dict.fromkeys(["mean", "std", "min", "max", *QUANTILES], Interval(nan, nan))
    m = column.moments
    std = sqrt(m.squares / (n - 1)) if n > 1 and m.squares >= 0 else nan
    exact = {"mean": m.mean, "std": std, "min": float(m.low), "max": float(m.high)}
    return {
        **{name: Interval(value, value) for name, value in exact.items()},
        **dict(zip(QUANTILES, _quantiles(column), strict=True)),
    }


def _quantiles(column: Numerical) -> list[Interval]:
    ranks, rest = np.divmod(np.array(list(QUANTILES.values())) * (column.present - 1), 100)
    (low, high), (low_next, high_next) = (_order_statistics(column, r) for r in (ranks, ranks + (rest > 0)))
    part = rest / 100
    with np.errstate(invalid="ignore"):  # between infinities
        lows = np.where(low == low_next, low, low * (1 - part) + low_next * part)
        highs = np.where(high == high_next, high, high * (1 - part) + high_next * part)
    return [Interval(*ends) for ends in zip(lows.tolist(), highs.tolist(), strict=True)]


def _order_statistics(column: Numerical, ranks: Counts) -> tuple[Floats, Floats]:
    """Return bounds of the values of these ranks, 0 the smallest."""
    at, in_gap = places_of_ranks(column, ranks)
    m = column.moments
    if column.gaps is None:
        exact = column.values[at].astype(np.float64)
        return exact, exact
    values = column.values.astype(np.float64)
    below = np.clip(np.append(m.low, values)[at], m.low, None)
    above = np.clip(np.append(values, m.high)[at], None, m.high)
    return np.where(in_gap, below, above), above


def places_of_ranks(column: Numerical, ranks: Counts) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the positions of the values of these ranks in the table; or of the gaps below them, and True."""
    at = np.searchsorted(column.upto, ranks, side="right")
    if column.gaps is None:
        return at, np.zeros(len(at), np.bool_)
    below = np.append(0, column.upto)[at]
    return at, np.asarray(ranks < below + column.gaps.counts[at])


def apart_by(a: Numerical, b: Numerical) -> tuple[tuple[int, int], Interval]:
    """Return n * m times the Kolmogorov-Smirnov distance (ties handled), and the first Wasserstein distance.

    Both columns must be of one type and neither empty. The Wasserstein distance, the area between the distribution
    functions, is infinite where a value is.
    """
    a, b = a.beside(b), b.beside(a)
    low, high = min(a.moments.low, b.moments.low), max(a.moments.high, b.moments.high)
    if a.gaps is None and b.gaps is None:
        gap, area = apart(a.values, a.counts, b.values, b.counts)
        gaps, areas = (gap, gap), Interval(area, area)
    else:
        centre = (a if a.gaps else b).centre
        ends = [a.values.dtype.type(end) for end in (low, high)]
        found = bounds(*_table(a, centre), *_table(b, centre), a.values.dtype.type(centre), *ends)
        gaps, areas = (int(found[0]), int(found[1])), Interval(float(found[2]), float(found[3]))
    return gaps, areas if isfinite(low) and isfinite(high) else Interval(inf, inf)


def _table(column: Numerical, centre: float) -> tuple[Values, Counts, Counts, Values]:
    size = len(column.values) + 1
    if column.gaps is None:
        return column.values, column.counts, np.zeros(size, np.int64), np.zeros(size)
    sums = column.gaps.sums + float(column.gaps.centre - centre) * column.gaps.counts
    return column.values, column.counts, column.gaps.counts, sums


def edges(reference: Numerical, batch: Numerical) -> Values:
    """Return the inner edges of the reference-quantile bins, ascending; bins are (edge, next edge], the ends open.

    An edge is the k/10 quantile as a value that occurs, or where a side is not exact the next that both know. A value
    at which two or more of them coincide fills at least a bin: it gets one of its own, by an edge just below it, so
    that leaving it shows in whichever direction.
    """
    deciles = reference.deciles
    if not batch.knows(deciles).all():
        known = batch.knows(reference.values)
        places = np.minimum(evenly(reference.upto, 10)[:-1], len(known) - 1)
        nearest = np.minimum(np.searchsorted(np.flatnonzero(known), places), known.sum() - 1)
        deciles = reference.values[known][nearest] if known.any() else deciles[:0]
    at, times = np.unique(deciles, return_counts=True)
    heavy = at[times > 1]
    smallest = np.iinfo(np.int64).min if at.dtype == np.int64 else -inf
    return np.unique(np.concatenate([at, before(heavy[heavy > smallest])]))


def before(values: Values) -> Values:
    """Return the next smaller number of each; the smallest has none that means anything."""
    with np.errstate(over="ignore"):  # below the smallest number is -inf
        return values - 1 if values.dtype == np.int64 else np.nextafter(values, -inf)


def binned(inner: Values, column: Numerical) -> Counts:
    """Count rows by bin. An edge is a value that the column knows, or just below one."""
    at = np.searchsorted(column.values, inner, side="right")
    upto = np.where(at > 0, column.upto[at - 1], 0) if len(column.values) else np.zeros(len(inner), np.int64)
    if column.gaps is not None and len(column.values):
        # all of a gap is up to the edge just below the gap's end, none of it up to the edge at its beginning
        ends = column.values[np.minimum(at, len(column.values) - 1)]
        upto += np.where((at < len(column.values)) & (before(ends) == inner), column.gaps.counts[at], 0)
    return np.diff(upto, prepend=0, append=column.present)
