"""Select the grid intervals of a batch that have to be read again, value by value: usually a few percent of the rows.

After one pass every statistic has bounds. An interval is refined only

- for the Kolmogorov-Smirnov distance, if the difference within it may exceed the largest known difference;
- for the Wasserstein distance, if the distribution functions may cross in it;
- for a quantile, if it contains a row of the quantile's rank;
- for the bins, if it contains a bin edge of the distances or of the verdict.
"""

import numpy as np
from numpy.typing import NDArray

from engine.drift.distributions.intervals import GridIntervals
from engine.drift.distributions.numerical import Numerical
from engine.drift.statistics.numerical_statistics import QUANTILE_PERCENTS, locate_ranks
from engine.drift.statistics.pooled_bins import intervals_with_deciles


def intervals_to_refine(reference: Numerical, batch: Numerical, most: int) -> NDArray[np.bool_]:
    """Return the mask of intervals of `batch` to refine so that every statistic is as exact as `reference` allows.

    Intervals for the distances are left out if they would raise the number of rows above `most`. The distance then
    keeps its bounds, so the memory of the second pass is bounded for any number of rows.

    Returns
    -------
    array of bool
        One element per interval: one more than `batch` has grid points.
    """
    intervals = batch.intervals
    if intervals is None or not batch.present:
        return np.zeros(len(batch.values) + 1, np.bool_)
    wanted = np.zeros(len(intervals.counts), np.bool_)
    # quantiles: a quantile lies between the order statistics of two ranks (see `summarize_column`)
    ranks, rest = np.divmod(np.array(list(QUANTILE_PERCENTS.values())) * (batch.present - 1), 100)
    positions, in_interval = locate_ranks(batch, np.concatenate([ranks, ranks + (rest > 0)]))
    wanted[positions[in_interval]] = True
    if reference.present and reference.intervals is None:
        # bins: the edges are deciles of the reference, usually grid points already, and those of the pooled sample
        deciles = reference.deciles
        wanted[np.searchsorted(batch.values, deciles[~batch.counts_known_at(deciles)])] = True
        wanted[intervals_with_deciles(reference, batch)] = True
        # distances: Kolmogorov-Smirnov first, then Wasserstein
        for candidates in _find_intervals_in_doubt(reference, batch, intervals):
            if intervals.counts[wanted | candidates].sum() <= most:
                wanted |= candidates
    return wanted & (intervals.counts > 0)


def _find_intervals_in_doubt(
    reference: Numerical, batch: Numerical, intervals: GridIntervals
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the intervals that may hold the largest distance, and those where the distribution functions may cross."""
    n, m = reference.present, batch.present
    divided, _ = reference.divide(batch)
    # rows of each side up to the start of an interval, and below its end
    r_start, r_end = np.append(0, divided.upto), np.append(divided.below, n)
    b_start = np.append(0, batch.cumulative_counts)
    b_end = b_start + intervals.counts
    # n m |F - G| as integers. It is known exactly at both ends of every interval; within an interval it is at most the
    # largest F minus the smallest G, or the largest G minus the smallest F.
    known = max(np.abs(r_start * m - b_start * n).max(), np.abs(r_end * m - b_end * n).max())
    up, down = r_end * m - b_start * n, b_end * n - r_start * m
    return np.maximum(up, down) > known, (up > 0) & (down > 0)
