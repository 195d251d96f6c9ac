"""A quantile grid: up to 16,384 values of a reference, at which a batch of any size is counted in one pass.

For each grid point, the numbers of the batch's rows below, equal to and above it are exact; for each interval between
two points, the number of rows and the sum of their values are kept. These counts bound every statistic of two
distributions; the few intervals where that is not enough are read again (see `refinement`). The counts of parts of a
batch can be added.

A binary search per value would take several times as long. Instead a monotone function maps a value to a bucket, and
the value is compared with the only grid point of that bucket (see the kernel).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels import grid_positions as kernel
from engine.drift.kernels.value_tables import Counts, Values, search_sorted

MIN_REFERENCE_VALUES = 5_000
"""Fewest distinct values of a reference that suffice as a grid: the verdict's bin edges are quantiles of both sides
together, and the intervals between fewer values are too wide to locate them."""

GRID_POINTS = 1 << 14
"""Maximum number of grid points: an interval then holds about 6e-5 of the rows, and the counts of a column stay in the
processor's cache. About 8 % of the rows are read twice, at most a third of the rows of a column."""

BUCKETS_PER_CELL = 8
"""Average number of buckets per coarse cell."""

LARGEST_SLOPE = 1e30
"""Maximum number of buckets per unit of the rest: more would overflow 32-bit floats."""


class RunningMoments:
    """Running sums of a sample from which its moments are computed.

    Attributes
    ----------
    middle
        Number subtracted from values before they are summed: a value near the middle of the sample.
    spread
        The number of values, their mean minus `middle`, and their squared deviations from the mean.
    ends
        The smallest and the largest value.
    """

    def __init__(self, values: Values) -> None:
        """Start without values; `values` are the first that will be added."""
        present = values[np.isfinite(values)]
        self.middle = present[len(present) // 2].item() if len(present) else values.dtype.type(0).item()
        self.spread = np.zeros(3)
        whole = np.iinfo(np.int64)
        self.ends = np.array([inf, -inf] if values.dtype == np.float64 else [whole.max, whole.min], values.dtype)

    @property
    def rows(self) -> int:
        """The number of values."""
        return int(self.spread[0])


class GridCounts(NamedTuple):
    """Counts of a sample on a grid; they grow as values are added.

    Attributes
    ----------
    on_pivots
        Per bucket, the number of values that equal its pivot.
    gaps
        Per gap between the pivots of neighbouring buckets, the number of values and the sum of their differences from
        the grid's centre. Gap k has the values of bucket k below its pivot, and those of bucket k - 1 above that
        bucket's pivot: both lie in the same interval.
    """

    on_pivots: Counts
    gaps: kernel.GapTotals


class WantedBuckets(NamedTuple):
    """Buckets of a grid whose values are selected.

    Attributes
    ----------
    buckets, cells
        Per bucket, 1 if it is wanted, else 0; per coarse cell, 1 if one of its buckets is wanted.
    """

    buckets: NDArray[np.uint8]
    cells: NDArray[np.uint8]


class GridPlan(NamedTuple):
    """All parameters of a grid except the reference's values; a profile keeps them, so that no grid is fitted twice.

    Attributes
    ----------
    positions
        The positions of the grid points among the distinct values of the reference.
    by_bits, low, scale, cells
        The map from values to buckets: see `QuantileGrid`.
    """

    positions: NDArray[np.int64]
    by_bits: bool
    low: float
    scale: float
    cells: kernel.Cells

    @property
    def buckets(self) -> int:
        """The number of buckets that the map was fitted for."""
        return len(self.cells) * BUCKETS_PER_CELL

    def find_problem(self, values: int) -> str:
        """Return why this plan cannot be used for `values` values; compiled code does not check its write positions."""
        begin, slope, first, span = self.cells.T
        if not (np.diff(self.positions, prepend=-1) > 0).all() or self.positions.max(initial=-1) >= values:
            return "grid points are not values in ascending order"
        if not (len(self.positions) and np.isfinite(self.cells).all() and (self.cells >= 0).all()):
            return "a grid has no points, or a cell of it is not finite"
        if not (abs(self.low) <= kernel.LARGEST_IMAGE and 0 <= self.scale <= kernel.LARGEST_IMAGE):
            return "the scale of a grid is not finite"
        whole = (first == np.floor(first)) & (span == np.floor(span)) & (first + span < self.buckets)
        if not (whole.all() and (begin <= 1).all() and (slope <= LARGEST_SLOPE).all()):
            return "a cell of a grid has impossible buckets"
        return "" if (first[1:] >= (first + span)[:-1]).all() else "the cells of a grid are not in ascending order"


@dataclass(frozen=True, slots=True, eq=False)
class QuantileGrid:
    """Ascending grid points, and the monotone map from values to buckets that the kernel uses to find them.

    Attributes
    ----------
    points
        The grid points: at most one per bucket.
    centre
        Number subtracted from values before they are summed.
    pivots
        Per bucket, its grid point; in an empty bucket the next point above, or the last point.
    points_before
        Per bucket, the number of grid points in earlier buckets; one more element holds the total number of points.
    by_bits
        A value is first mapped to a number, its *image*: the value itself, or, if this is True, a number made of the
        bits of its floating-point form, which grows like a logarithm.
    low, scale, cells
        The map from images to buckets: linear from an image to a coarse cell, and linear within each cell (see the
        kernel).
    plan
        The parameters of the grid.
    """

    points: Values
    centre: float
    pivots: Values
    points_before: NDArray[np.int64]
    by_bits: bool
    low: float
    scale: float
    cells: kernel.Cells
    plan: GridPlan

    @classmethod
    def from_plan(cls, values: Values, plan: GridPlan) -> Self | None:
        """Return the grid of a plan for these values; None if two points share a bucket: the plan is not theirs."""
        buckets = kernel.find_buckets(values[plan.positions].astype(np.float64), *plan[1:])
        return cls._lay_out(values, plan, buckets) if (np.diff(buckets.astype(np.int64)) > 0).all() else None

    @classmethod
    def _lay_out(cls, values: Values, plan: GridPlan, buckets: NDArray[np.uint32]) -> Self:
        """Return the grid of a plan, given the buckets of its points."""
        points = values[plan.positions]
        before = np.searchsorted(buckets, np.arange(plan.buckets + 1, dtype=np.uint32))
        centre = values[len(values) // 2].item()
        pivots = points[np.minimum(before[:-1], len(points) - 1)]
        return cls(points, centre if isfinite(centre) else 0.0, pivots, before, *plan[1:], plan)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays from which `from_arrays` restores this grid without the values of the reference."""
        scale = np.array([self.by_bits, self.low, self.scale])
        return {"points": self.points, "centre": np.array(self.centre), "scale": scale, "cells": self.cells}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Return the grid saved by `to_arrays`."""
        points, (bits, low, scale) = arrays["points"], arrays["scale"].tolist()
        plan = GridPlan(np.arange(len(points)), bool(bits), low, scale, arrays["cells"])
        buckets = kernel.find_buckets(points.astype(np.float64), *plan[1:])
        return replace(cls._lay_out(points, plan, buckets), centre=arrays["centre"].item())

    @classmethod
    def from_counts(cls, values: Values, counts: Counts, size: int) -> Self:
        """Return a grid of at most `size` points for rows with these values and counts.

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
        return cls._lay_out(values, GridPlan(sample[chosen], bits, *scales[bits]), bucketed[bits][chosen])

    def empty_counts(self) -> GridCounts:
        """Return empty counts for this grid."""
        return GridCounts(np.zeros(len(self.pivots), np.int64), np.zeros((len(self.pivots) + 1, 2)))

    def add_values(self, values: Values, counts: GridCounts, moments: "RunningMoments") -> None:
        """Add values, each once, to the counts of this grid and to the moments; NaN is left out."""
        number = self.points.dtype.type
        kernel.count_positions(
            values, self.by_bits, self.low, self.scale, self.cells, self.pivots, number(self.centre), *counts,
            number(moments.middle), moments.spread, moments.ends,
        )  # fmt: skip

    def add_counts(self, values: Values, times: Counts, counts: GridCounts) -> None:
        """Add distinct ascending values, with the number of times that each occurs, to the counts of this grid."""
        bucket = kernel.find_buckets(values.astype(np.float64), self.by_bits, self.low, self.scale, self.cells)
        pivots = self.pivots[bucket]
        equal = values == pivots
        counts.on_pivots[:] += np.bincount(bucket[equal], times[equal], len(self.pivots)).astype(np.int64)
        gap = (bucket + (values > pivots))[~equal]
        counts.gaps[:, 0] += np.bincount(gap, times[~equal], len(counts.gaps))
        with np.errstate(over="ignore", invalid="ignore"):  # sums of very large numbers are infinite
            sums = times * subtract_centre(values, values[0].item(), values[-1].item(), self.centre)
            counts.gaps[:, 1] += np.bincount(gap, sums[~equal], len(counts.gaps))

    def collect(self, counts: GridCounts) -> tuple[Counts, Counts, kernel.Sums]:
        """Return the rows equal to each grid point, and the number and sum of the rows of each interval.

        Neighbouring gaps share an interval where there is no grid point between them.
        """
        # points_before[k] is the interval that gap k lies in, and the number of the point in bucket k if there is one
        has_point = np.diff(self.points_before) > 0
        rows, sums = (np.bincount(self.points_before, counts.gaps[:, i], len(self.points) + 1) for i in (0, 1))
        return counts.on_pivots[has_point], rows.astype(np.int64), sums.astype(np.float64)

    def mark_buckets(self, intervals: NDArray[np.bool_]) -> WantedBuckets:
        """Return what overlaps the intervals in a mask."""
        # a bucket overlaps the interval before its grid point and, if it has a point, the interval after it
        buckets = intervals[self.points_before[:-1]] | intervals[self.points_before[1:]]
        upto = np.append(0, np.cumsum(buckets))
        first, span = self.cells[:, 2].astype(np.int64), self.cells[:, 3].astype(np.int64)
        return WantedBuckets(buckets.view(np.uint8), (upto[first + span + 1] > upto[first]).view(np.uint8))

    def select_values(self, values: Values, wanted: WantedBuckets, chosen: Values) -> Values:
        """Return the values of the wanted buckets, without grid points, in `chosen`: one element longer than `values`.

        The buckets may include values of neighbouring intervals. The caller filters them out: here it would take a
        search.
        """
        n = kernel.select_from_buckets(
            values, self.by_bits, self.low, self.scale, self.cells, self.pivots, *wanted, chosen
        )
        return chosen[:n]


def quantile_positions(upto: Counts, parts: int) -> NDArray[np.int64]:
    """Return the positions of the values where the shares 1/parts, 2/parts, ..., 1 of the rows are reached.

    `upto` are the rows less than or equal to each of the distinct ascending values.
    """
    # the k-th is the first value with at least ceil(k total / parts) rows up to it
    total = int(upto[-1]) if len(upto) else 0
    return search_sorted(upto, -(-total * np.arange(1, parts + 1) // parts))


def _sample_positions(
    upto: Counts, included: NDArray[np.int64], size: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the positions of about `size` values, in equal steps of rows, and the weight of each.

    `included` are positions to include in any case. A value with more rows than a step counts as one step: it will be a
    grid point itself and needs no more buckets.
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
        A sample of the values, ascending, and the number of rows that each represents.
    bits
        True to map by the bits of the floating-point form.
    size
        The number of buckets.

    Returns
    -------
    low, scale, cells
        The map from images to buckets, as the kernel uses it.
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
    place = np.clip((image - low) * scale, 0, np.nextafter(float(number), 0))
    cell = place.astype(np.int64)
    starts = np.searchsorted(cell, np.arange(number + 1))
    # cumulative shares of the rows at the cells' boundaries, times the number of buckets, are the buckets' boundaries
    shares = np.concatenate([[0.0], upto])[starts] / upto[-1]
    first = np.minimum(np.floor(shares[:-1] * size), size - 1)
    last = np.maximum(np.minimum(np.floor(shares[1:] * size), size) - 1, first)
    # within a cell buckets have equal width between the smallest and the largest rest in it
    rest = (place - cell).astype(np.float32)
    begin = rest[np.minimum(starts[:-1], len(rest) - 1)]
    width = rest[np.maximum(starts[1:] - 1, 0)] - begin
    with np.errstate(divide="ignore", over="ignore"):
        slope = np.where(width > 0, np.minimum((last - first + 1) / width, LARGEST_SLOPE), 0.0)
    return low, scale, np.ascontiguousarray(np.stack([begin, slope, first, last - first], axis=1), np.float32)


def _heaviest_per_bucket(buckets: NDArray[np.uint32], importance: Counts) -> NDArray[np.intp]:
    """Return the position of the most important value of each bucket; of equals, the middle one or else the first.

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
