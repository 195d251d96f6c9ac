"""Sorted values as distinct values with counts, and two such tables laid side by side."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Values = NDArray[np.float64] | NDArray[np.int64]
Counts = NDArray[np.int64]


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
    values, counts = np.empty_like(ordered), np.empty(len(ordered), np.int64)
    k = -1
    for i in range(len(ordered)):
        if k < 0 or ordered[i] != values[k]:
            k += 1
            values[k], counts[k] = ordered[i], 0
        counts[k] += 1
    return values[: k + 1].copy(), counts[: k + 1].copy()


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
    return values[:k].copy(), a[:k].copy(), b[:k].copy()  # type: ignore[return-value]  # numpy forgets the union
