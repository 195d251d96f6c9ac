"""The position of values among thousands of ascending grid points, in one pass, at 4 ns per value.

A binary search costs several times as much, and so does sorting. Instead a monotone map takes a value to a bucket with
at most one grid point, and comparisons with the *pivot* of the bucket give the position. The pivot is that grid point;
in a bucket without one, the next grid point above, or the last one.

The map has three steps. The value becomes its *image*: the value itself, or a number made of the bits of its
floating-point form, which grows like a logarithm. The integer part of (image - low) * scale is the number of a coarse
cell, all of equal width; the fraction is the *rest*. Within a cell the map from rests to buckets is linear, and a cell
has buckets in proportion to its share of the rows. So all buckets have about equal shares of the rows for any
distribution. `QuantileGrid` fits this map to a sample of the rows, and then chooses at most one grid point per bucket.

Values are read in stretches that fit the processor's fastest cache, mostly in loops that the compiler can vectorise.
NaN is missing and is skipped, and -0.0 is 0.0.

Most functions here have these parameters:

bits
    Whether the image is made of the bits of a value.
low, scale
    The smallest image of cell 0, and cells per unit of the image.
cells
    One row per coarse cell: its smallest rest, buckets per unit of the rest, its first bucket, and its last bucket
    minus the first.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.differences import subtract_as_float
from engine.drift.kernels.lazy import helper, kernel
from engine.drift.kernels.moments import VALUES_PER_STRETCH, add_stretch, sum_lanes
from engine.drift.kernels.value_tables import Counts, Sums, Values

__all__ = [
    "LARGEST_IMAGE",
    "Cells",
    "GapTotals",
    "Sums",
    "count_positions",
    "find_buckets",
    "select_from_buckets",
    "to_images",
]

Cells = NDArray[np.float32]
GapTotals = NDArray[np.float64]
"""A row per gap between the pivots of neighbouring buckets: the number of values, and the sum of their differences from
the centre."""

LARGEST_IMAGE = 1e300
"""Larger values have this image, because differences of larger images would overflow."""


@helper()
def _to_image(value: Any, bits: bool) -> Any:
    """Return the image of a value.

    It is the value, or the upper 32 bits of its floating-point form, changed so that they ascend with the value. The
    image of -0.0 is that of 0.0.
    """
    if not bits:
        return min(LARGEST_IMAGE, max(-LARGEST_IMAGE, value))  # in this order NaN becomes a number too
    upper = np.int32(np.float64(value + 0.0).view(np.int64) >> 32)  # -0.0 + 0.0 is 0.0
    # all bits of a negative number except the sign are inverted: the larger its magnitude, the smaller the result
    return np.float64(upper ^ ((upper >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@helper()
def _read_stretch(values: Values, start: int, stretch: Values) -> int:
    """Copy values from `start` on to `stretch`, which they fill unless they end, and return how many are not NaN."""
    size = min(len(stretch), len(values) - start)
    missing = 0
    part = values[start : start + size]  # a slice, because numba checks each index into `values` for being negative
    for i in range(size):
        stretch[i] = part[i] + 0  # -0.0 + 0 is 0.0
        missing += stretch[i] != stretch[i]
    if not missing:
        return size
    k = 0
    for i in range(size):
        if stretch[i] == stretch[i]:
            stretch[k] = stretch[i]
            k += 1
    return k


@helper()
def _write_cells(
    values: Values,
    size: int,
    bits: bool,
    low: float,
    scale: float,
    number_of_cells: int,
    rests: NDArray[np.float32],
    cell_of: NDArray[np.uint32],
) -> None:
    """Write the coarse cell and the rest of each of the first `size` values: in a loop that the compiler vectorises."""
    top = np.float64(number_of_cells) * (1.0 - 2.0**-53)
    for i in range(size):
        place = min(max((_to_image(np.float64(values[i]), bits) - low) * scale, 0.0), top)
        number = np.int32(place)
        cell_of[i] = np.uint32(number)
        rests[i] = np.float32(place - np.float64(number))


@helper()
def _find_bucket(cell: Cells, rest: np.float32) -> Any:
    """Return the bucket of a value, given the row of its cell, and its rest."""
    bucket = min(max((rest - cell[0]) * cell[1], np.float32(0.0)), cell[3]) + cell[2]
    return np.uint32(np.int32(bucket))


@helper()
def _write_buckets(
    values: Values,
    size: int,
    bits: bool,
    low: float,
    scale: float,
    cells: Cells,
    rests: NDArray[np.float32],
    buckets: NDArray[np.uint32],
) -> None:
    """Write the bucket of each of the first `size` values to `buckets`; each step of the map is monotone.

    All buckets are written before any is used: in a loop that also counts, the processor would wait for each. They are
    unsigned, because numba checks signed indices for being negative. `rests` is working memory.
    """
    _write_cells(values, size, bits, low, scale, len(cells), rests, buckets)
    for i in range(size):
        buckets[i] = _find_bucket(cells[buckets[i]], rests[i])


@kernel("f8[::1](f8[::1], b1)", work=None)
def to_images(values: NDArray[np.float64], bits: bool) -> NDArray[np.float64]:
    """Return the image of each value."""
    images = np.empty(len(values))
    for i in range(len(values)):
        images[i] = _to_image(values[i], bits)
    return images


@kernel("u4[::1](f8[::1], b1, f8, f8, f4[:,::1])", work=None)
def find_buckets(values: NDArray[np.float64], bits: bool, low: float, scale: float, cells: Cells) -> NDArray[np.uint32]:
    """Return the bucket of each value."""
    buckets = np.empty(len(values), np.uint32)
    _write_buckets(values, len(values), bits, low, scale, cells, np.empty(len(values), np.float32), buckets)
    return buckets


@kernel(
    "void(const f8[::1], b1, f8, f8, f4[:,::1], f8[::1], f8, i8[::1], f8[:,::1], f8, f8[::1], f8[::1])",
    "void(const i8[::1], b1, f8, f8, f4[:,::1], i8[::1], i8, i8[::1], f8[:,::1], i8, f8[::1], i8[::1])",
    work=None,
)
def count_positions(
    values: Values,
    bits: bool,
    low: float,
    scale: float,
    cells: Cells,
    pivots: Values,
    centre: float,
    on_pivots: Counts,
    gaps: GapTotals,
    middle: float,
    spread: NDArray[np.float64],
    ends: Values,
) -> None:
    """Count the values per position, and update the running sums of their moments.

    Parameters
    ----------
    values
        In any order.
    bits, low, scale, cells
        The map from values to buckets: see the module.
    pivots
        The pivot of each bucket.
    centre
        The number that is subtracted from values before they are summed in gaps.
    on_pivots
        Input and output: the number of values of each bucket that equal its pivot.
    gaps
        Input and output: the totals of the values between pivots. Gap k is for values of bucket k below its pivot and
        for values of the bucket before above that one's.
    middle
        Number subtracted from values before the sums of their moments: a value near the middle of the sample.
    spread
        Input and output: the number of values, their mean minus `middle`, and their squared deviations from the mean.
    ends
        Input and output: the smallest and the largest value.
    """
    stretch = np.empty(VALUES_PER_STRETCH, pivots.dtype)
    smallest, largest = np.full(VALUES_PER_STRETCH, ends[0]), np.full(VALUES_PER_STRETCH, ends[1])
    centred = np.empty(VALUES_PER_STRETCH)
    rests, buckets = np.empty(VALUES_PER_STRETCH, np.float32), np.empty(VALUES_PER_STRETCH, np.uint32)
    gap_of = np.empty(VALUES_PER_STRETCH, np.uint32)
    tied = False
    for start in range(0, len(values), VALUES_PER_STRETCH):
        n = _read_stretch(values, start, stretch)
        if n == 0:
            continue
        for i in range(n):
            # one minimum and maximum per position in a stretch: these comparisons do not wait for each other
            smallest[i] = stretch[i] if stretch[i] < smallest[i] else smallest[i]
            largest[i] = stretch[i] if stretch[i] > largest[i] else largest[i]
            centred[i] = subtract_as_float(stretch[i], middle)
        mean = sum_lanes(centred, n) / n
        for i in range(n):
            centred[i] = (centred[i] - mean) * (centred[i] - mean)
        add_stretch(spread, n, mean, sum_lanes(centred, n))
        _write_buckets(stretch, n, bits, low, scale, cells, rests, buckets)
        for i in range(n):
            centred[i] = subtract_as_float(stretch[i], centre)
        # Usually no value equals a pivot, or many do, as in the stretch before. Where some do, those beside a pivot are
        # moved together first: half of the branches on equality would be mispredicted.
        beside = n
        if not tied:
            for i in range(n):
                bucket = buckets[i]
                value, pivot = stretch[i], pivots[bucket]
                gap_of[i] = bucket + np.uint32(value > pivot)
                beside -= int(value == pivot)
            tied = beside < n
        if tied:
            beside = on_pivot = 0
            for i in range(n):
                bucket = buckets[i]
                value, pivot = stretch[i], pivots[bucket]
                gap_of[beside], centred[beside] = bucket + np.uint32(value > pivot), centred[i]
                buckets[on_pivot] = bucket
                beside += int(value != pivot)
                on_pivot += int(value == pivot)
            for i in range(on_pivot):
                on_pivots[buckets[i]] += 1
            tied = on_pivot > 0
        for i in range(beside):
            gap = gap_of[i]
            gaps[gap, 0] += 1.0
            gaps[gap, 1] += centred[i]
    for i in range(VALUES_PER_STRETCH):
        ends[0], ends[1] = min(ends[0], smallest[i]), max(ends[1], largest[i])


@kernel(
    "i8(const f8[::1], b1, f8, f8, f4[:,::1], f8[::1], u1[::1], u1[::1], f8[::1])",
    "i8(const i8[::1], b1, f8, f8, f4[:,::1], i8[::1], u1[::1], u1[::1], i8[::1])",
    work=None,
)
def select_from_buckets(
    values: Values,
    bits: bool,
    low: float,
    scale: float,
    cells: Cells,
    pivots: Values,
    wanted: NDArray[np.uint8],
    wanted_cells: NDArray[np.uint8],
    chosen: Values,
) -> int:
    """Select the values of the wanted buckets, except those equal to the bucket's pivot, and return their number.

    Parameters
    ----------
    values
        In any order.
    bits, low, scale, cells
        The map from values to buckets: see the module.
    pivots
        The pivot of each bucket.
    wanted, wanted_cells
        Per bucket, 1 to select its values, otherwise 0; and per cell, 1 if one of its buckets is wanted.
    chosen
        Output, one element longer than `values`: the selected values in their order; the rest may be written too.
    """
    rests, cell_of = np.empty(VALUES_PER_STRETCH, np.float32), np.empty(VALUES_PER_STRETCH, np.uint32)
    candidates, buckets = np.empty(VALUES_PER_STRETCH, np.uint32), np.empty(VALUES_PER_STRETCH, np.uint32)
    k = 0
    for start in range(0, len(values), VALUES_PER_STRETCH):
        part = values[start : start + VALUES_PER_STRETCH]
        _write_cells(part, len(part), bits, low, scale, len(cells), rests, cell_of)
        # in each of three loops a candidate is always written; the next one overwrites it unless it stays
        in_cells = in_buckets = 0
        for i in range(len(part)):
            candidates[in_cells] = np.uint32(i)
            in_cells += int(wanted_cells[cell_of[i]])
        for j in range(in_cells):
            i = candidates[j]
            bucket = _find_bucket(cells[cell_of[i]], rests[i])
            candidates[in_buckets], buckets[in_buckets] = i, bucket
            in_buckets += int(wanted[bucket])
        for j in range(in_buckets):
            chosen[k] = part[candidates[j]] + 0  # -0.0 + 0 is 0.0
            # only NaN does not equal itself
            k += int(chosen[k] != pivots[buckets[j]]) & int(chosen[k] == chosen[k])
    return k
