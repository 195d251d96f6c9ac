"""The position of values among thousands of ascending grid points, in one pass, at 4 ns per value.

A binary search costs several times as much, and so does sorting. Instead a monotone map takes a value to a bucket that
holds at most one grid point, and comparisons with the pivot of the bucket give the position. The pivot is that grid
point; in a bucket without one it is the next grid point above, or the last one.

The map has three steps. The value becomes its *image*: the value itself, or a number made of the bits of its
floating-point form, which grows like a logarithm. The image gives a coarse cell, all of which have the same width:
(image - low) * scale. Within a cell the map from images to buckets is linear, and a cell has as many buckets as its
share of the rows demands. So all buckets have about equal shares of the rows, whatever the distribution is.
`QuantileGrid` fits this map to a sample of the rows, and then chooses one grid point per bucket at most.

Position 2k is for values of bucket k below its pivot, 2k + 1 for values equal to the pivot, and 2k + 2, which is also
the first position of bucket k + 1, for values above it.

Most functions here have these parameters:

bits
    Whether the image is made of the bits of a value.
low, scale
    The smallest image of cell 0, and cells per unit of the image.
cells
    One row per coarse cell: its smallest image, buckets per unit of the image, its first bucket, its last bucket.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.cdf_distance import Sums, subtract_as_float
from engine.drift.kernels.lazy import helper, kernel
from engine.drift.kernels.value_tables import Values

__all__ = [
    "LARGEST_IMAGE",
    "Cells",
    "PositionSums",
    "Sums",
    "count_positions",
    "find_buckets",
    "select_from_buckets",
    "to_images",
]

Cells = NDArray[np.float64]
PositionSums = NDArray[np.float64]
"""A row per position: the number of values, and the sum of their differences from the centre."""

LARGEST_IMAGE = 1e300
"""Larger values have this image, because differences of larger images would overflow."""

VALUES_PER_BLOCK = 2048
"""Values per block. The buckets of a block are computed first, in a loop that the compiler vectorises."""


@helper()
def _to_image(value: Any, bits: bool) -> Any:
    """Return the image of a value.

    It is the value, or the upper 32 bits of its floating-point form, changed so that they ascend with the value.
    """
    if not bits:
        return min(LARGEST_IMAGE, max(-LARGEST_IMAGE, value))  # in this order NaN becomes a number too
    upper = np.int32(np.float64(value).view(np.int64) >> 32)
    # all bits of a negative number except the sign are inverted: the larger its magnitude, the smaller the result
    return np.float64(upper ^ ((upper >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@helper()
def _write_buckets(
    values: Values, bits: bool, low: float, scale: float, cells: Cells, buckets: NDArray[np.uint32]
) -> None:
    """Write the bucket of each value to `buckets`, which is at least as long as `values`.

    Buckets are unsigned, because numba tests signed indices for being negative.
    """
    # first the coarse cell of each value, then the bucket within it
    last = np.float64(len(cells) - 1)
    for i in range(len(values)):
        image = _to_image(np.float64(values[i]), bits)
        buckets[i] = np.uint32(np.int32(min(max((image - low) * scale, 0.0), last)))
    for i in range(len(values)):
        cell = cells[buckets[i]]
        bucket = (_to_image(np.float64(values[i]), bits) - cell[0]) * cell[1] + cell[2]
        buckets[i] = np.uint32(np.int32(min(max(bucket, cell[2]), cell[3])))


@kernel("f8[::1](f8[::1], b1)", work=None)
def to_images(values: NDArray[np.float64], bits: bool) -> NDArray[np.float64]:
    """Return the image of each value."""
    images = np.empty(len(values))
    for i in range(len(values)):
        images[i] = _to_image(values[i], bits)
    return images


@kernel("u4[::1](f8[::1], b1, f8, f8, f8[:,::1])", work=None)
def find_buckets(values: NDArray[np.float64], bits: bool, low: float, scale: float, cells: Cells) -> NDArray[np.uint32]:
    """Return the bucket of each value."""
    buckets = np.empty(len(values), np.uint32)
    _write_buckets(values, bits, low, scale, cells, buckets)
    return buckets


@kernel(
    "void(const f8[::1], b1, f8, f8, f8[:,::1], f8[::1], f8, f8[:,::1])",
    "void(const i8[::1], b1, f8, f8, f8[:,::1], i8[::1], i8, f8[:,::1])",
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
    tally: PositionSums,
) -> None:
    """Count the values per position and add up their differences from the centre.

    Parameters
    ----------
    values
        In any order.
    bits, low, scale, cells
        The map from values to buckets: see the module.
    pivots
        The pivot of each bucket.
    centre
        The number that is subtracted from values before they are summed.
    tally
        Input and output: the counts and sums of all positions, two per bucket and one more.
    """
    buckets = np.empty(VALUES_PER_BLOCK, np.uint32)
    for start in range(0, len(values), VALUES_PER_BLOCK):
        block = values[start : start + VALUES_PER_BLOCK]
        _write_buckets(block, bits, low, scale, cells, buckets)
        for i in range(len(block)):
            value, pivot = block[i], pivots[buckets[i]]
            # sums of truth values instead of branches, half of which the processor would mispredict
            position = np.uint32(np.uint32(2) * buckets[i] + np.uint32(value >= pivot) + np.uint32(value > pivot))
            tally[position, 0] += 1.0
            tally[position, 1] += subtract_as_float(value, centre)


@kernel(
    "i8(const f8[::1], b1, f8, f8, f8[:,::1], f8[::1], u1[::1], f8[::1])",
    "i8(const i8[::1], b1, f8, f8, f8[:,::1], i8[::1], u1[::1], i8[::1])",
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
    wanted
        Per bucket, 1 to select its values, otherwise 0.
    chosen
        Output, as long as `values`: the selected values in their order; the rest is not written.
    """
    buckets = np.empty(VALUES_PER_BLOCK, np.uint32)
    k = 0
    for start in range(0, len(values), VALUES_PER_BLOCK):
        block = values[start : start + VALUES_PER_BLOCK]
        _write_buckets(block, bits, low, scale, cells, buckets)
        for i in range(len(block)):
            if wanted[buckets[i]] and block[i] != pivots[buckets[i]]:
                chosen[k] = block[i]
                k += 1
    return k
