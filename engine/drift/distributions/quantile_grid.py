"""A quantile grid: up to 16,384 values of a reference, at which a batch of any size is counted in one pass.

For each grid point the numbers of the batch's rows below, equal to and above it are exact; for each interval between
two points, the number of rows in it and the sum of their values. These counts bound every statistic of two
distributions; the few intervals where that is not enough are read again (see `refinement`). The counts of parts of a
batch can be added.

A binary search per value would take several times as long. Instead a value is mapped to a bucket by a monotone
function, and compared with the only grid point in that bucket (see the kernel).
"""

from dataclasses import dataclass
from math import isfinite
from typing import Self

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels import grid_positions as kernel
from engine.drift.kernels.value_tables import Counts, Values, search_sorted

BUCKETS_PER_CELL = 8
"""Average number of buckets per coarse cell."""


@dataclass(frozen=True, slots=True, eq=False)
class QuantileGrid:
    """Ascending grid points, and the monotone map from values to buckets that the kernel uses to find them.

    Attributes
    ----------
    points
        The grid points: at most one per bucket.
    centre
        Number that is subtracted from values before they are summed.
    pivots
        Per bucket, the grid point in it; in an empty bucket the next point above, or the last point.
    points_before
        Per bucket, the number of grid points in earlier buckets; one element more, which is the number of points.
    by_bits
        The number that a value is mapped to first is its *image*: the value itself, or, if this is True, a number made
        of the bits of its floating-point form, which grows like a logarithm.
    low, scale, cells
        The map from images to buckets: linear from an image to a coarse cell, and linear within each cell (see the
        kernel).
    """

    points: Values
    centre: float
    pivots: Values
    points_before: NDArray[np.int64]
    by_bits: bool
    low: float
    scale: float
    cells: kernel.Cells

    @classmethod
    def from_counts(cls, values: Values, counts: Counts, size: int) -> Self:
        """Return a grid of at most `size` points for rows like these.

        There are `size` buckets with about equal shares of the rows. The point of a bucket is its most frequent value,
        or a decile if it contains one, because bin edges are deciles of the reference.

        Parameters
        ----------
        values, counts
            Distinct ascending values, at least one, and their counts.
        """
        upto = np.cumsum(counts)
        deciles = quantile_positions(upto, 10)[:-1]
        # a sample of eight values per bucket is enough to fit the map
        sample, weights = _sample_positions(upto, deciles, 8 * size)
        floats = values[sample].astype(np.float64)
        # fit both maps, linear and logarithmic, and take the one whose fullest bucket has fewer rows
        scales = [_fit_bucket_map(floats, weights, bits, size) for bits in (False, True)]
        bucketed = [kernel.find_buckets(floats, bits, *scales[bits]) for bits in (False, True)]
        fullest = [np.bincount(buckets, weights, size).max() for buckets in bucketed]
        bits = bool(fullest[True] < fullest[False])
        # grid points: one per bucket that contains a sampled value; a decile is preferred to any count
        chosen = _heaviest_per_bucket(bucketed[bits], np.where(np.isin(sample, deciles), np.inf, counts[sample]))
        before = np.searchsorted(bucketed[bits][chosen], np.arange(size + 1, dtype=np.uint32))
        centre = values[len(values) // 2].item()
        points = values[sample[chosen]]
        pivots = points[np.minimum(before[:-1], len(points) - 1)]
        return cls(points, centre if isfinite(centre) else 0.0, pivots, before, bits, *scales[bits])

    def empty_counts(self) -> kernel.PositionSums:
        """Return empty counts for this grid: a row of count and sum per position.

        Position 2k is for values of bucket k below its pivot, 2k + 1 for values equal to it, 2k + 2 for those above it.
        The last is also the first position of bucket k + 1: both groups lie in the same interval.
        """
        return np.zeros((2 * len(self.pivots) + 1, 2))

    def add_values(self, values: Values, grid_counts: kernel.PositionSums) -> None:
        """Add values, each once, to counts of this grid."""
        centre = self.points.dtype.type(self.centre)
        kernel.count_positions(values, self.by_bits, self.low, self.scale, self.cells, self.pivots, centre, grid_counts)

    def add_counts(self, values: Values, counts: Counts, grid_counts: kernel.PositionSums) -> None:
        """Add distinct values, ascending, with their counts to counts of this grid."""
        bucket = kernel.find_buckets(values.astype(np.float64), self.by_bits, self.low, self.scale, self.cells)
        pivots = self.pivots[bucket]
        positions = 2 * bucket.astype(np.int64) + (values >= pivots) + (values > pivots)
        grid_counts[:, 0] += np.bincount(positions, counts, len(grid_counts))
        with np.errstate(over="ignore", invalid="ignore"):  # sums of very large numbers are infinite
            sums = counts * subtract_centre(values, values[0].item(), values[-1].item(), self.centre)
            grid_counts[:, 1] += np.bincount(positions, sums, len(grid_counts))

    def collect(self, grid_counts: kernel.PositionSums) -> tuple[Counts, Counts, kernel.Sums]:
        """Return the rows equal to each grid point, and the rows and the sum of each interval.

        Neighbouring buckets share an interval where there is no grid point between them.
        """
        # in the result intervals are even and points odd; points_before[k] is the interval that bucket k starts in, and
        # the index of the point in the bucket if there is one
        has_point = np.diff(self.points_before) > 0
        targets = np.empty(len(grid_counts), np.int64)
        targets[::2] = 2 * self.points_before
        targets[1::2] = 2 * self.points_before[:-1] + has_point
        rows, sums = (np.bincount(targets, grid_counts[:, i], 2 * len(self.points) + 1) for i in (0, 1))
        return rows[1::2].astype(np.int64), rows[::2].astype(np.int64), sums[::2].astype(np.float64)

    def select_values(self, values: Values, wanted_intervals: NDArray[np.bool_]) -> Values:
        """Return the values of some intervals, and perhaps other values of the same buckets; grid points are left out.

        `wanted_intervals` is a mask. The caller filters the result: to do it here would take a search.
        """
        # a bucket overlaps the interval before its grid point and, if it has a point, the interval after it
        wanted_buckets = (wanted_intervals[self.points_before[:-1]] | wanted_intervals[self.points_before[1:]]).astype(
            np.uint8
        )
        chosen = np.empty_like(values)
        n = kernel.select_from_buckets(
            values, self.by_bits, self.low, self.scale, self.cells, self.pivots, wanted_buckets, chosen
        )
        return chosen[:n].copy()


def quantile_positions(upto: Counts, parts: int) -> NDArray[np.int64]:
    """Return the positions of the values at which the shares 1/parts, 2/parts, ..., 1 of the rows are reached.

    `upto` are the rows less than or equal to each of the distinct ascending values.
    """
    # the k-th is the first value with at least ceil(k total / parts) rows up to it
    total = int(upto[-1]) if len(upto) else 0
    return search_sorted(upto, -(-total * np.arange(1, parts + 1) // parts))


def _sample_positions(
    upto: Counts, included: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the positions of about `size` values, in equal steps of rows, and the weight of each.

    `included` are positions to include in any case. A value that has more rows than a step counts as one step, since it
    will be a grid point itself and needs no more buckets.
    """
    if len(upto) <= size:
        step = max(1, int(upto[-1]) // size)
        return np.arange(len(upto)), np.minimum(np.diff(upto, prepend=0), step).astype(np.float64)
    positions = np.sort(np.concatenate([quantile_positions(upto, size), included]))
    positions = positions[np.diff(positions, prepend=-1) > 0]
    return positions, np.ones(len(positions))


def _fit_bucket_map(
    values: NDArray[np.float64], weights: NDArray[np.float64], bits: bool, size: int
) -> tuple[float, float, kernel.Cells]:
    """Fit the map from values to buckets: cells of equal width, each with buckets in proportion to its rows.

    Parameters
    ----------
    values, weights
        A sample of the values, ascending, and how many rows each stands for.
    bits
        True to map by the bits of the floating-point form.
    size
        The number of buckets.

    Returns
    -------
    low, scale, cells
        Cell number = (image - low) * scale. `cells` has a row per cell: the smallest image in it, buckets per unit of
        image, its first bucket, and its last bucket.
    """
    image = kernel.to_images(values, bits)
    upto = np.cumsum(weights)
    # the range of the cells leaves out half a bucket of rows at each end, so that outliers do not widen all cells
    outer = upto[-1] / (2 * size)
    low, high = (float(image[np.searchsorted(upto, at)]) for at in (outer, upto[-1] - outer))
    if not low < high:
        low, high = float(image[0]), float(image[-1])
    number = size // BUCKETS_PER_CELL
    scale = min(number / (high - low), kernel.LARGEST_IMAGE) if low < high else 0.0
    cell = np.clip((image - low) * scale, 0, number - 1).astype(np.int64)
    starts = np.searchsorted(cell, np.arange(number + 1))
    # cumulative shares of the rows at the cells' boundaries, times the number of buckets, are the buckets' boundaries
    shares = np.concatenate([[0.0], upto])[starts] / upto[-1]
    first = np.minimum(np.floor(shares[:-1] * size), size - 1)
    last = np.maximum(np.minimum(np.floor(shares[1:] * size), size) - 1, first)
    # within a cell buckets have equal width between the smallest and the largest image in it
    begin = image[np.minimum(starts[:-1], len(image) - 1)]
    width = image[np.maximum(starts[1:] - 1, 0)] - begin
    with np.errstate(divide="ignore", over="ignore"):
        slope = np.where(width > 0, np.minimum((last - first + 1) / width, kernel.LARGEST_IMAGE), 0.0)
    return low, scale, np.ascontiguousarray(np.stack([begin, slope, first, last], axis=1))


def _heaviest_per_bucket(buckets: NDArray[np.uint32], importance: Counts) -> NDArray[np.intp]:
    """Return the position of the most important value of each bucket; the middle one if it is among them.

    `buckets` has the bucket of each value, ascending. A point in the middle of its bucket divides the rows of the
    bucket equally between the intervals on both sides.
    """
    starts = np.flatnonzero(np.diff(buckets, prepend=buckets[:1] + 1))
    ends = np.append(starts[1:], len(buckets))
    most = np.maximum.reduceat(importance, starts)
    middle = (starts + ends - 1) // 2
    candidates = np.flatnonzero(importance == np.repeat(most, ends - starts))
    return np.where(importance[middle] == most, middle, candidates[np.searchsorted(candidates, starts)])


def subtract_centre(values: Values, low: float, high: float, centre: float) -> NDArray[np.float64]:
    """Return values - centre as floats, computed in int64 where that cannot overflow.

    `low` and `high` are bounds of the values.
    """
    if values.dtype == np.int64 and isinstance(centre, int) and max(high - centre, centre - low) < 2**63:
        return (values - centre).astype(np.float64)
    return values.astype(np.float64) - centre
