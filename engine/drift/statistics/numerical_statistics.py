"""Statistics of numerical columns: moments, quantiles, distances between distributions, and bins.

Everything is computed from distinct values and their counts, so the order of rows does not matter. Statistics of exact
columns are exact; those of other columns have bounds. The bin edges of distances and histograms are quantiles of the
reference, so they are the same for all batches. (The verdict has its own bins: see `pooled_bins`.) Bins of equal width
are never used, because a single outlier would put all other rows into one bin.
"""

from math import inf, isfinite, nan, sqrt
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.drift.distributions.moments import Moments
from engine.drift.distributions.numerical import Numerical
from engine.drift.distributions.quantile_grid import quantile_positions
from engine.drift.kernels.cdf_bounds import ks_wasserstein_bounds, ks_wasserstein_in_gaps
from engine.drift.kernels.cdf_distance import ks_wasserstein, ks_wasserstein_by_segments
from engine.drift.kernels.value_tables import Counts, Values, merge_tables
from engine.drift.significance.ks_test import ks_p_value

MANY_VALUES = 50_000
"""Number of values of a table from which its distances are measured by segments."""

QUANTILE_PERCENTS = {"median": 50, "q05": 5, "q25": 25, "q75": 75, "q95": 95}
"""The reported quantiles, as integers in percent so that ranks can be computed without rounding."""

SMALLEST_WIDTH = 1e-140
"""The difference of maximum and minimum below which squares of deviations lose digits, or become 0."""

FloatArray = NDArray[np.float64]


class Bounds(NamedTuple):
    """The bounds of a statistic; both are equal if it is exact."""

    low: float
    high: float


def summarize_column(column: Numerical) -> dict[str, Bounds]:
    """Return mean, std (n - 1 degrees of freedom), min, max and quantiles; NaN if undefined.

    Quantiles are of type 7 of Hyndman and Fan (1996), numpy's default: linear between two order statistics.
    """
    n = column.present
    if not n:
        return dict.fromkeys(["mean", "std", "min", "max", *QUANTILE_PERCENTS], Bounds(nan, nan))
    m = column.moments
    exact = {"mean": m.mean, "std": _measure_std(column), "min": float(m.low), "max": float(m.high)}
    return {
        **{name: Bounds(value, value) for name, value in exact.items()},
        **dict(zip(QUANTILE_PERCENTS, _bound_quantiles(column), strict=True)),
    }


def _measure_std(column: Numerical) -> float:
    """Return the standard deviation, NaN if undefined.

    If the squares of the deviations are too large or too small for a float, the values are multiplied by a power of 2,
    which changes none of their digits, and the result is divided by it. Of a column that is counted on a grid, the
    values are not kept: then the standard deviation is NaN.
    """
    n, m = column.present, column.moments
    if n < 2 or not (isfinite(m.low) and isfinite(m.high)):
        return nan
    are_close = 0 < float(m.high) - float(m.low) < SMALLEST_WIDTH
    if isfinite(m.squares) and not are_close:
        return sqrt(m.squares / (n - 1))
    if column.intervals is not None:
        return nan
    scale = 2.0**600 if are_close else 2.0**-600
    squares = Moments.from_values(column.values * scale, column.counts).squares
    return sqrt(squares / (n - 1)) / scale


def _bound_quantiles(column: Numerical) -> list[Bounds]:
    """Return the bounds of each quantile in `QUANTILE_PERCENTS`."""
    # the q % quantile has rank q (n - 1) / 100, counted from 0: as integers, a rank and a remainder out of 100
    ranks, rest = np.divmod(np.array(list(QUANTILE_PERCENTS.values())) * (column.present - 1), 100)
    (low, high), (low_next, high_next) = (_bound_order_statistics(column, r) for r in (ranks, ranks + (rest > 0)))
    part = rest / 100
    with np.errstate(invalid="ignore"):  # NaN between -inf and inf
        lows = np.where(low == low_next, low, low * (1 - part) + low_next * part)
        highs = np.where(high == high_next, high, high * (1 - part) + high_next * part)
    return [Bounds(*ends) for ends in zip(lows.tolist(), highs.tolist(), strict=True)]


def _bound_order_statistics(column: Numerical, ranks: Counts) -> tuple[FloatArray, FloatArray]:
    """Return lower and upper bounds of the order statistics of these ranks, where the smallest value has rank 0."""
    positions, in_interval = locate_ranks(column, ranks)
    m = column.moments
    if column.intervals is None:
        exact = column.values[positions].astype(np.float64)
        return exact, exact
    # a rank within an interval: the value lies between the neighbouring grid points, and between minimum and maximum
    below, above = np.full(len(positions), float(m.low)), np.full(len(positions), float(m.high))
    follows, precedes = positions > 0, positions < len(column.values)
    below[follows], above[precedes] = column.values[positions[follows] - 1], column.values[positions[precedes]]
    below, above = np.maximum(below, m.low), np.minimum(above, m.high)
    return np.where(in_interval, below, above), above


def locate_ranks(column: Numerical, ranks: Counts) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the positions of the values with these ranks, and whether each rank is in the interval below its value.

    The position `len(values)` means the interval above the last value.
    """
    positions = np.searchsorted(column.cumulative_counts, ranks, side="right")
    if column.intervals is None:
        return positions, np.zeros(len(positions), np.bool_)
    # the ranks after the previous value belong first to the interval, then to the value itself
    return positions, np.asarray(ranks < column.rows_before(positions) + column.intervals.counts[positions])


def measure_cdf_distances(a: Numerical, b: Numerical) -> tuple[tuple[int, int], Bounds]:
    """Return bounds of the Kolmogorov-Smirnov and the first Wasserstein distance between two columns.

    The Kolmogorov-Smirnov distance is the largest difference between the two distribution functions at any value, so
    ties need no special treatment. The first Wasserstein distance is the area between them; it is infinite where a
    value is infinite.

    Parameters
    ----------
    a, b
        Columns of the same type with n and m rows that have a value, at least one each.

    Returns
    -------
    differences, areas
        Bounds of n * m times the Kolmogorov-Smirnov distance, as integers; and bounds of the Wasserstein distance.
    """
    low, high = min(a.moments.low, b.moments.low), max(a.moments.high, b.moments.high)
    if a.intervals is None and b.intervals is None:
        larger, smaller = (a, b) if len(a.values) >= len(b.values) else (b, a)
        if len(larger.values) >= MANY_VALUES:
            tables = (array for c in (larger, smaller) for array in (c.values, c.counts, c.cumulative_counts))
            difference, area = ks_wasserstein_by_segments(*tables)
        else:
            difference, area = ks_wasserstein(larger.values, larger.counts, smaller.values, smaller.counts)
        differences, areas = (difference, difference), Bounds(area, area)
    elif a.intervals is None or b.intervals is None:
        exact, other = (a, b) if a.intervals is None else (b, a)
        differences, areas = _measure_in_gaps(exact, other, low, high)
    else:
        centre = (a if a.intervals else b).centre
        ends = [a.values.dtype.type(end) for end in (low, high)]
        bounded = ks_wasserstein_bounds(
            *_cdf_table(a, centre), *_cdf_table(b, centre), a.values.dtype.type(centre), *ends
        )
        differences, areas = (int(bounded[0]), int(bounded[1])), Bounds(float(bounded[2]), float(bounded[3]))
    return differences, areas if isfinite(low) and isfinite(high) else Bounds(inf, inf)


def _measure_in_gaps(exact: Numerical, other: Numerical, low: float, high: float) -> tuple[tuple[int, int], Bounds]:
    """Return the same for an exact column and an inexact one; all values are between `low` and `high`."""
    number = exact.values.dtype.type
    divided, places = exact.divide(other)
    *differences, least, most = ks_wasserstein_in_gaps(
        exact.values, exact.counts, *divided, *_cdf_table(other, other.centre), number(other.centre),
        other.cumulative_counts, places, exact.present, other.present, number(low), number(high),
    )  # fmt: skip
    return (differences[0], differences[1]), Bounds(least, most)


def smallest_ks_p(a: Numerical, b: Numerical) -> float:
    """Return the smallest possible p-value of the Kolmogorov-Smirnov distance for any labels of the pooled rows.

    It is 0 if a column is not exact: such columns have a million values.
    """
    if a.intervals is not None or b.intervals is not None:
        return 0.0
    n, m = a.present, b.present
    _, in_a, in_b = merge_tables(a.values, a.counts, b.values, b.counts)
    upto = np.cumsum(in_a + in_b)
    # of `upto` rows at least upto - m and at most n are of side a: n * m * (F_a - F_b) at these two ends
    ends = (np.maximum(0, upto - m), np.minimum(upto, n))
    gaps = [np.abs(k * m - (upto - k) * n).max() for k in ends]
    return ks_p_value(int(max(gaps)), n, m)


def _cdf_table(column: Numerical, centre: float) -> tuple[Values, Counts, Counts, Values]:
    """Return values, their counts, and the counts and sums of the intervals, where the sums are about `centre`."""
    intervals = column.intervals
    if intervals is None:
        size = len(column.values) + 1
        return column.values, column.counts, np.zeros(size, np.int64), np.zeros(size)
    moved = float(intervals.centre - centre)
    sums = intervals.sums + moved * intervals.counts if moved else intervals.sums
    return column.values, column.counts, intervals.counts, sums


def choose_bin_edges(reference: Numerical, batch: Numerical) -> Values:
    """Return the inner edges of the reference-quantile bins, ascending.

    Bins are (edge, next edge], and the outer bins are unbounded. An edge is a decile of the reference that occurs as a
    value; if a side is not exact, it is the next value for which the counts of both sides are exact. Values with many
    rows are treated as in `separate_heavy_values`.
    """
    deciles = reference.deciles
    if not batch.counts_known_at(deciles).all():
        exact = batch.counts_known_at(reference.values)
        positions = np.minimum(quantile_positions(reference.cumulative_counts, 10)[:-1], len(exact) - 1)
        nearest = np.minimum(np.searchsorted(np.flatnonzero(exact), positions), exact.sum() - 1)
        # per decile, the first value at or above it whose counts are exact on both sides; else the last such value
        deciles = reference.values[exact][nearest] if exact.any() else deciles[:0]
    return separate_heavy_values(deciles)


def separate_heavy_values(deciles: Values) -> Values:
    """Return ascending deciles as edges without repetition, and another edge just below each repeated decile.

    A value that equals two or more deciles has at least a tenth of the rows. The edge below it puts it in a separate
    bin, so that a shift of its rows in either direction changes the counts.
    """
    if (deciles[1:] > deciles[:-1]).all():
        return deciles
    edges, times = np.unique(deciles, return_counts=True)
    heavy = edges[times > 1]
    smallest = np.iinfo(np.int64).min if edges.dtype == np.int64 else -inf
    return np.unique(np.concatenate([edges, next_below(heavy[heavy > smallest])]))


def next_below(values: Values) -> Values:
    """Return the next smaller number of each: integer or float. The result for the smallest int64 is meaningless."""
    with np.errstate(over="ignore"):  # below the smallest float is -inf
        return values - 1 if values.dtype == np.int64 else np.nextafter(values, -inf)


def count_bins(inner: Values, column: Numerical) -> Counts:
    """Return the number of rows per bin.

    `inner` are the inner edges, ascending: each is a value whose counts in the column are exact, or just below one.
    """
    # values[:following] of the column are less than or equal to the edge
    following = np.searchsorted(column.values, inner, side="right")
    ends = np.zeros(len(inner) + 2, np.int64)  # the rows up to each edge, between none and all
    ends[-1], upto = column.present, ends[1:-1]
    if len(column.values):
        upto[:] = np.where(following > 0, column.cumulative_counts[following - 1], 0)
    if column.intervals is not None and len(column.values):
        # an edge just below a value comes after all rows of the interval below that value; an edge equal to the
        # previous grid point comes before all of them
        next_values = column.values[np.minimum(following, len(column.values) - 1)]
        just_below = (following < len(column.values)) & (next_below(next_values) == inner)
        upto += np.where(just_below, column.intervals.counts[following], 0)
    return ends[1:] - ends[:-1]
