"""The bins of a numerical column's verdict: their edges are deciles of the pooled sample (both sides together).

The p-value counts permutations of the labels "reference" and "batch", so the bins must not depend on which row has
which label. Quantiles of the reference do: the reference's own counts are then known beforehand and do not vary as the
test assumes. For 20 columns without drift, a reference of 50 rows and a batch of 10,000, 34 % of the comparisons
alarmed with such bins.
"""

import numpy as np

from engine.drift.distributions.numerical import Numerical
from engine.drift.kernels.value_tables import Counts, Values, find_pooled_ranks
from engine.drift.statistics.numerical_statistics import separate_heavy_values

MAX_EDGE_SHIFT = 1e-3
"""Maximum share of the pooled rows by which an edge may miss its decile. The intervals of a quantile grid are much
finer; those between the values of a small reference are not."""


def choose_pooled_edges(a: Numerical, b: Numerical) -> tuple[Values, bool]:
    """Return the inner edges of the verdict's bins, and whether all of them are close enough to the deciles.

    Bins are (edge, next edge], and the outer bins are unbounded. An edge is the smallest value up to which at least
    1/10, ..., 9/10 of the pooled rows lie. If the counts of a side are not exact there, it is the next value for which
    both sides' counts are exact. Values with many rows are treated as in `separate_heavy_values`. Exchanging the two
    columns does not change the edges.
    """
    total = a.present + b.present
    ranks = _decile_ranks(total)
    if a.intervals is not None and b.intervals is not None:
        values, missed = _find_in_common_values(a, b, ranks)
    else:
        exact, other = (a, b) if a.intervals is None else (b, a)
        positions, values, missed = _find_in_grid(exact, other, ranks)
        if len(exact.values):
            # if the exact column has a decile between two values of the other, and the other has no rows there, take
            # that decile
            between = missed > 0
            if other.intervals is not None:
                between &= other.intervals.counts[positions] == 0
            own = find_pooled_ranks(exact.values, exact.cumulative_counts, *_table(other), ranks)
            in_exact = np.minimum(own, len(exact.values) - 1)
            values = np.where(between, exact.values[in_exact], values) if len(values) else exact.values[in_exact]
            missed = np.where(between, 0, missed)
    return separate_heavy_values(values), bool((missed <= MAX_EDGE_SHIFT * total).all())


def intervals_with_deciles(exact: Numerical, other: Numerical) -> Counts:
    """Return the positions of those intervals of `other`, counted on a grid, that hold deciles of the pooled sample."""
    divided, _ = exact.divide(other)
    upto = other.cumulative_counts + divided.upto
    total = exact.present + other.present
    below = np.append(upto - other.counts - (divided.upto - divided.below), total)
    ranks = _decile_ranks(total)
    positions = np.searchsorted(upto, ranks)
    return positions[ranks <= below[positions]]


def _decile_ranks(rows: int) -> Counts:
    """Return the ranks of the nine deciles of `rows` rows, where the smallest value has rank 1."""
    return -(-rows * np.arange(1, 10) // 10)


def _table(column: Numerical) -> tuple[Values, Counts]:
    return column.values, column.cumulative_counts


def _find_in_grid(exact: Numerical, other: Numerical, ranks: Counts) -> tuple[Counts, Values, Counts]:
    """Return, per rank, the position of the first value of `other` at or above it, the value, and the distance to it.

    Beyond the last value, the position is one more and the value is the last. The distance is in rows: 0 if the rows
    equal to the value include the rank.
    """
    values, upto = _table(other)
    positions = find_pooled_ranks(values, upto, *_table(exact), ranks)
    if not len(values):
        return positions, values, ranks
    at = np.minimum(positions, len(values) - 1)
    found = values[at]
    # rows of the exact column below these values, and up to them
    below, through = (
        exact.rows_before(np.searchsorted(exact.values, found)),
        exact.rows_before(np.searchsorted(exact.values, found, side="right")),
    )
    last = upto[at] + through
    first = last - other.counts[at] - (through - below) + 1
    return positions, found, np.maximum(0, np.maximum(first - ranks, ranks - last))


def _find_in_common_values(a: Numerical, b: Numerical, ranks: Counts) -> tuple[Values, Counts]:
    """Return, per rank, the first value at or above it with exact counts in both columns, and the distance to it."""
    known = [a.values[b.counts_known_at(a.values)], b.values[a.counts_known_at(b.values)]]
    values = np.unique(np.concatenate(known))
    if not len(values):
        return values, ranks
    (counts_a, gaps_a), (counts_b, gaps_b) = (side.regrid(values, side.centre) for side in (a, b))
    counts = counts_a + counts_b
    last = np.cumsum(counts + gaps_a.counts[:-1] + gaps_b.counts[:-1])
    at = np.minimum(np.searchsorted(last, ranks), len(values) - 1)
    first = (last - counts + 1)[at]
    return values[at], np.maximum(0, np.maximum(first - ranks, ranks - last[at]))
