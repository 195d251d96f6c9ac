"""Which rung of a ladder a value stands on, or between which two: what one pass over a batch counts, in 4 ns a value.

A binary search among thousands of rungs costs several times as much, and sorting too. Instead a monotone map takes a
value to a bucket that holds one rung at most, and two comparisons with that rung do the rest. The map is linear within
each of some coarse cells, so that buckets get about equal shares of the rows whatever their distribution.

The position of a value is 2k in the gap below rung k, 2k + 1 on it: the rungs below it plus the rungs not above it.
`cells` has a row a coarse cell: its smallest image, buckets per image, its first bucket, its last.
"""

from typing import Any

import numpy as np
from numba import b1, f8, i8, njit, types, u1
from numba.extending import register_jitable
from numpy.typing import NDArray

from engine.drift.kernels.apart import Sums, distance
from engine.drift.kernels.counting import READ_FLOATS, READ_WHOLES, Values

__all__ = ["LARGEST", "Cells", "Sums", "Tally", "buckets", "count", "images", "select"]

Cells = NDArray[np.float64]
Tally = NDArray[np.float64]
"""A row a position: how many values, and the sum of their distances from the centre."""

LARGEST = 1e300
"""Buckets do not tell apart what lies beyond: differences would overflow."""

STRETCH = 2048
"""Values worked on at a time: bucket by bucket first, a loop that vectorises; then their counts."""


@register_jitable
def _image(value: Any, bits: bool) -> Any:
    """Return the value; or where `bits`, its upper 32 bits as a whole number in the same order: roughly a logarithm."""
    if not bits:
        return min(LARGEST, max(-LARGEST, value))  # in this order NaN becomes a number too
    upper = np.int32(np.float64(value).view(np.int64) >> 32)
    return np.float64(upper ^ ((upper >> np.int32(31)) & np.int32(0x7FFFFFFF)))


@register_jitable
def _place(values: Values, bits: bool, low: float, scale: float, cells: Cells, found: NDArray[np.uint32]) -> None:
    """Write the bucket of each value: unsigned, because numba checks signed indices for being negative."""
    last = np.float64(len(cells) - 1)
    for i in range(len(values)):
        image = _image(np.float64(values[i]), bits)
        found[i] = np.uint32(np.int32(min(max((image - low) * scale, 0.0), last)))
    for i in range(len(values)):
        cell = cells[found[i]]
        at = (_image(np.float64(values[i]), bits) - cell[0]) * cell[1] + cell[2]
        found[i] = np.uint32(np.int32(min(max(at, cell[2]), cell[3])))


@njit("f8[::1](f8[::1], b1)", cache=True, nogil=True)
def images(values: NDArray[np.float64], bits: bool) -> NDArray[np.float64]:
    """Return where each value lies on the scale that cells are laid on."""
    found = np.empty(len(values))
    for i in range(len(values)):
        found[i] = _image(values[i], bits)
    return found


@njit("u4[::1](f8[::1], b1, f8, f8, f8[:,::1])", cache=True, nogil=True)
def buckets(values: NDArray[np.float64], bits: bool, low: float, scale: float, cells: Cells) -> NDArray[np.uint32]:
    """Return the bucket of each value."""
    found = np.empty(len(values), np.uint32)
    _place(values, bits, low, scale, cells, found)
    return found


@njit(
    [
        types.void(READ_FLOATS, b1, f8, f8, f8[:, ::1], f8[::1], f8, f8[:, ::1]),
        types.void(READ_WHOLES, b1, f8, f8, f8[:, ::1], i8[::1], i8, f8[:, ::1]),
    ],
    cache=True,
    nogil=True,
)
def count(
    values: Values, bits: bool, low: float, scale: float, cells: Cells, pivots: Values, centre: float, tally: Tally
) -> None:
    """Add the values to the tally of positions; `pivots` has the rung of each bucket, else the next one above it."""
    found = np.empty(STRETCH, np.uint32)
    for start in range(0, len(values), STRETCH):
        some = values[start : start + STRETCH]
        _place(some, bits, low, scale, cells, found)
        for i in range(len(some)):
            value, pivot = some[i], pivots[found[i]]
            # sums of truth values: a branch would be guessed wrong every other time
            at = np.uint32(np.uint32(2) * found[i] + np.uint32(value >= pivot) + np.uint32(value > pivot))
            tally[at, 0] += 1.0
            tally[at, 1] += distance(value, centre)


@njit(
    [
        i8(READ_FLOATS, b1, f8, f8, f8[:, ::1], f8[::1], u1[::1], f8[::1]),
        i8(READ_WHOLES, b1, f8, f8, f8[:, ::1], i8[::1], u1[::1], i8[::1]),
    ],
    cache=True,
    nogil=True,
)
def select(
    values: Values,
    bits: bool,
    low: float,
    scale: float,
    cells: Cells,
    pivots: Values,
    wanted: NDArray[np.uint8],
    chosen: Values,
) -> int:
    """Write the values of wanted buckets, but those on a rung, to `chosen`, which has room for all; return how many."""
    found = np.empty(STRETCH, np.uint32)
    k = 0
    for start in range(0, len(values), STRETCH):
        some = values[start : start + STRETCH]
        _place(some, bits, low, scale, cells, found)
        for i in range(len(some)):
            if wanted[found[i]] and some[i] != pivots[found[i]]:
                chosen[k] = some[i]
                k += 1
    return k
