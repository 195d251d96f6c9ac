"""The position of values among thousands of ascending grid points, in one pass, at 4 ns per value.

A binary search costs several times as much, and so does sorting. Instead a monotone map takes a value to a bucket that
holds at most one grid point, and two comparisons with that point give the position. The map is linear within each of
some coarse cells, so buckets get about equal shares of the rows whatever the distribution.

The position of a value is 2k between the grid points k - 1 and k, and 2k + 1 on point k. `cells` has a row per coarse
cell: its smallest image, buckets per unit of the image, its first bucket, its last.
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
"""A row per position: how many values, and the sum of their differences from the centre."""

LARGEST_IMAGE = 1e300
"""Larger values get the bucket of this one: their differences would overflow."""

VALUES_AT_A_TIME = 2048
"""Values at a time: first their buckets, in a loop that the compiler vectorises, then their counts."""


@helper()
def _to_image(value: Any, bits: bool) -> Any:
    """Return the value, or with `bits` its upper 32 bits as a whole number in the same order: roughly a logarithm."""
    if not bits:
        return min(LARGEST_IMAGE, max(-LARGEST_IMAGE, value))  # in this order NaN becomes a number too
    upper = np.int32(np.float64(value).view(np.int64) >> 32)
    # of a negative number all bits but the sign are inverted: the larger its magnitude, the smaller the result
    return np.float64(upper ^ ((upper >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@helper()
def _write_buckets(
    values: Values, bits: bool, low: float, scale: float, cells: Cells, found: NDArray[np.uint32]
) -> None:
    """Write the bucket of each value; unsigned, because numba tests signed indices for being negative."""
    # the coarse cell of each value, then the bucket within it
    last = np.float64(len(cells) - 1)
    for i in range(len(values)):
        image = _to_image(np.float64(values[i]), bits)
        found[i] = np.uint32(np.int32(min(max((image - low) * scale, 0.0), last)))
    for i in range(len(values)):
        cell = cells[found[i]]
        at = (_to_image(np.float64(values[i]), bits) - cell[0]) * cell[1] + cell[2]
        found[i] = np.uint32(np.int32(min(max(at, cell[2]), cell[3])))


@kernel("f8[::1](f8[::1], b1)", work=None)
def to_images(values: NDArray[np.float64], bits: bool) -> NDArray[np.float64]:
    """Return the image of each value, which cells are intervals of."""
    found = np.empty(len(values))
    for i in range(len(values)):
        found[i] = _to_image(values[i], bits)
    return found


@kernel("u4[::1](f8[::1], b1, f8, f8, f8[:,::1])", work=None)
def find_buckets(values: NDArray[np.float64], bits: bool, low: float, scale: float, cells: Cells) -> NDArray[np.uint32]:
    """Return the bucket of each value."""
    found = np.empty(len(values), np.uint32)
    _write_buckets(values, bits, low, scale, cells, found)
    return found


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
    """Add the values to the tally of positions; `pivots` has the grid point of each bucket, else the next above it."""
    found = np.empty(VALUES_AT_A_TIME, np.uint32)
    for start in range(0, len(values), VALUES_AT_A_TIME):
        some = values[start : start + VALUES_AT_A_TIME]
        _write_buckets(some, bits, low, scale, cells, found)
        for i in range(len(some)):
            value, pivot = some[i], pivots[found[i]]
            # sums of truth values: the processor would mispredict half of the branches
            at = np.uint32(np.uint32(2) * found[i] + np.uint32(value >= pivot) + np.uint32(value > pivot))
            tally[at, 0] += 1.0
            tally[at, 1] += subtract_as_float(value, centre)


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
    """Write the values of wanted buckets that are not grid points to `chosen`, as long as `values`; return how many."""
    found = np.empty(VALUES_AT_A_TIME, np.uint32)
    k = 0
    for start in range(0, len(values), VALUES_AT_A_TIME):
        some = values[start : start + VALUES_AT_A_TIME]
        _write_buckets(some, bits, low, scale, cells, found)
        for i in range(len(some)):
            if wanted[found[i]] and some[i] != pivots[found[i]]:
                chosen[k] = some[i]
                k += 1
    return k
