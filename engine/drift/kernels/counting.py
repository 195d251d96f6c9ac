"""Sorted values as distinct values with counts, and two such tables laid side by side."""

from typing import Any

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

Values = NDArray[Any]
"""float64 or int64."""
Counts = NDArray[np.int64]

READ_FLOATS, READ_WHOLES = (types.Array(kind, 1, "C", readonly=True) for kind in (types.f8, types.i8))
"""In signatures: what polars lends without copying, besides arrays of one's own."""


@njit(
    [
        "Tuple((f8[::1], i8[::1]))(f8[::1])",
        "Tuple((i8[::1], i8[::1]))(i8[::1])",
    ],
    cache=True,
    nogil=True,
)
def runs(ordered: Values) -> tuple[Values, Counts]:
    """Return the distinct values of a sorted array and how often each occurs."""
    distinct = min(len(ordered), 1)
    for i in range(1, len(ordered)):
        distinct += ordered[i] != ordered[i - 1]
    if distinct == len(ordered):
        return ordered, np.ones(distinct, np.int64)
    values, counts = np.empty(distinct, ordered.dtype), np.empty(distinct, np.int64)
    k = start = 0
    for i in range(1, len(ordered) + 1):
        if i == len(ordered) or ordered[i] != ordered[start]:
            values[k], counts[k] = ordered[start], i - start
            k += 1
            start = i
    return values, counts


@njit(
    [
        "Tuple((f8[::1], i8[::1], i8[::1]))(f8[::1], i8[::1], f8[::1], i8[::1])",
        "Tuple((i8[::1], i8[::1], i8[::1]))(i8[::1], i8[::1], i8[::1], i8[::1])",
    ],
    cache=True,
    nogil=True,
)
def align(a_values: Values, a_counts: Counts, b_values: Values, b_counts: Counts) -> tuple[Values, Counts, Counts]:
    """Merge two tables of sorted distinct values: the union of the values, the counts of a, the counts of b."""
    most = len(a_values) + len(b_values)
    values = np.empty(most, a_values.dtype)
    a, b = np.zeros(most, np.int64), np.zeros(most, np.int64)
    i = j = k = 0
    while i < len(a_values) or j < len(b_values):
        from_a = i < len(a_values) and (j == len(b_values) or a_values[i] <= b_values[j])
        from_b = j < len(b_values) and (i == len(a_values) or b_values[j] <= a_values[i])
        if from_a:
            values[k], a[k] = a_values[i], a_counts[i]
            i += 1
        if from_b:
            values[k], b[k] = b_values[j], b_counts[j]
            j += 1
        k += 1
    return values[:k].copy(), a[:k].copy(), b[:k].copy()


@njit(["i8[::1](f8[::1], f8[::1])", "i8[::1](i8[::1], i8[::1])"], cache=True, nogil=True)
def places(table: Values, wanted: Values) -> NDArray[np.int64]:
    """Return how many values of an ascending table are below each of the wanted ones, which ascend too.

    Searches on from the last place in doubling steps: numpy's search starts anew each time and waits for memory.
    """
    found = np.empty(len(wanted), np.int64)
    low = 0
    for i in range(len(wanted)):
        step = 1
        while low + step <= len(table) and table[low + step - 1] < wanted[i]:
            low += step
            step *= 2
        high = min(low + step - 1, len(table))
        while low < high:
            middle = (low + high) // 2
            if table[middle] < wanted[i]:
                low = middle + 1
            else:
                high = middle
        found[i] = low
    return found
