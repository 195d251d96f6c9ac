"""Tables of ascending distinct values with counts: create them from sorted values, merge and search them."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import helper, kernel

Values = NDArray[Any]
"""float64 or int64."""
Counts = NDArray[np.int64]
Sums = NDArray[np.float64]


_FEWEST_SHARED, _MOST_SHARED = 1 << 16, 1 << 20
"""Lengths of arrays of ones that columns share: shorter arrays take little memory, and exact columns have no more
values."""


@cache
def _shared_ones() -> Counts:
    return np.ones(_MOST_SHARED, np.int64)


@cache
def _shared_numbers() -> Counts:
    return np.arange(1, _MOST_SHARED + 1)


def share_ones(counts: Counts) -> Counts:
    """Return counts of 1 as a slice of one shared array, which must not be written to; other counts unchanged.

    Most large columns have such counts: 8 MB each, and as much again for their cumulative sums.
    """
    if _FEWEST_SHARED <= len(counts) <= _MOST_SHARED and (counts == 1).all():
        return _shared_ones()[: len(counts)]
    return counts


def are_shared_ones(counts: Counts) -> bool:
    """Return whether counts are a slice of the array of ones that `share_ones` returns."""
    return len(counts) >= _FEWEST_SHARED and counts.base is _shared_ones()


def accumulate_counts(counts: Counts) -> Counts:
    """Return the cumulative sums of counts."""
    if are_shared_ones(counts):
        return _shared_numbers()[: len(counts)]
    return np.cumsum(counts)


@helper("i8(i8[::1])")
def count_rows(counts: Counts) -> int:
    """Return the sum of counts; a kernel that calls numba's own sum imports scipy, which takes .1 s."""
    rows = 0
    for count in counts:
        rows += count
    return rows


def _write_distinct_in_numpy(ordered: Values, values: Values, counts: Counts) -> None:
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    values[:], counts[:] = ordered[starts], np.diff(starts, append=len(ordered))


@kernel(
    "void(f8[::1], f8[::1], i8[::1])",
    "void(i8[::1], i8[::1], i8[::1])",
    small=_write_distinct_in_numpy,
    work=lambda ordered, *_: len(ordered) / 20,
)
def _write_distinct(ordered: Values, values: Values, counts: Counts) -> None:
    """Write the distinct values of a sorted array that is not empty, and the count of each."""
    # no branch, which the processor would mispredict where some values repeat; unsigned, as numba checks signed indices
    k, last = np.uint64(0), len(ordered) - 1
    for i in range(last):
        values[k], counts[k] = ordered[i], i + 1
        k += np.uint64(ordered[i + 1] != ordered[i])
    values[k], counts[k] = ordered[last], last + 1
    for j in range(len(counts) - 1, 0, -1):
        counts[j] -= counts[j - 1]


def count_distinct_sorted(ordered: Values) -> tuple[Values, Counts]:
    """Return the distinct values of a sorted array and the count of each; the array itself if no value repeats."""
    distinct = int(np.count_nonzero(ordered[1:] != ordered[:-1])) + min(len(ordered), 1)
    if distinct == len(ordered) and _FEWEST_SHARED <= distinct <= _MOST_SHARED:
        return ordered, _shared_ones()[:distinct]
    # allocated by numpy, which uses large pages; allocation in compiled code takes longer than the counting
    values, counts = np.empty(distinct, ordered.dtype), np.empty(distinct, np.int64)
    if distinct:
        _write_distinct(ordered, values, counts)
    return values, counts


@kernel(
    "Tuple((f8[::1], i8[::1], i8[::1]))(f8[::1], i8[::1], f8[::1], i8[::1])",
    "Tuple((i8[::1], i8[::1], i8[::1]))(i8[::1], i8[::1], i8[::1], i8[::1])",
)
def merge_tables(
    a_values: Values, a_counts: Counts, b_values: Values, b_counts: Counts
) -> tuple[Values, Counts, Counts]:
    """Merge two tables; return the union of their values, the counts of a and the counts of b, 0 where absent."""
    size = len(a_values) + len(b_values)
    values = np.empty(size, a_values.dtype)
    a, b = np.zeros(size, np.int64), np.zeros(size, np.int64)
    i = j = k = 0
    while i < len(a_values) or j < len(b_values):
        # the smaller of the two next values; both sides where they are equal
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


@kernel(
    "i8(f8[::1], i8[::1], i8[::1], f8[::1], b1[::1], f8[::1], f8[::1], i8[::1], i8[::1], f8[::1])",
    "i8(i8[::1], i8[::1], i8[::1], f8[::1], b1[::1], i8[::1], i8[::1], i8[::1], i8[::1], f8[::1])",
)
def _write_refined(
    points: Values,
    counts: Counts,
    gaps: Counts,
    sums: Sums,
    wanted: NDArray[np.bool_],
    rows: Values,
    new_points: Values,
    new_counts: Counts,
    new_gaps: Counts,
    new_sums: Sums,
) -> int:
    """Write what `refine_intervals` returns, and return its number of points."""
    j = k = 0
    for i in range(len(points) + 1):
        new_gaps[k] = 0 if wanted[i] else gaps[i]
        new_sums[k] = 0.0 if wanted[i] else sums[i]
        equal = 0
        while j < len(rows) and (i == len(points) or rows[j] < points[i]):
            if wanted[i]:
                # no branch, which the processor would mispredict where some values repeat
                equal += 1
                new_points[k], new_counts[k] = rows[j], equal
                is_last = j + 1 == len(rows) or rows[j + 1] != rows[j]
                k += int(is_last)
                equal *= int(not is_last)
                new_gaps[k], new_sums[k] = 0, 0.0
            j += 1
        if i < len(points):
            while j < len(rows) and rows[j] == points[i]:
                j += 1
            new_points[k], new_counts[k] = points[i], counts[i]
            k += 1
    return k


def refine_intervals(
    points: Values, counts: Counts, gaps: Counts, sums: Sums, wanted: NDArray[np.bool_], rows: Values
) -> tuple[Values, Counts, Counts, Sums]:
    """Return a table with the values of some intervals between its points in place of their totals.

    Parameters
    ----------
    points, counts
        Ascending values, and the rows that equal each.
    gaps, sums
        For each interval below the first point, between neighbours, and above the last: its rows, and a sum.
    wanted
        Which of the intervals are replaced.
    rows
        The values of the rows in these intervals, sorted; others may be included.

    Returns
    -------
    points, counts, gaps, sums
        As above; the intervals next to an inserted value have no rows.
    """
    size = len(points) + len(rows)
    refined = np.empty(size, points.dtype), np.empty(size, np.int64), np.empty(size + 1, np.int64), np.empty(size + 1)
    k = _write_refined(points, counts, gaps, sums, wanted, rows, *refined)
    return refined[0][:k], refined[1][:k], refined[2][: k + 1], refined[3][: k + 1]


@kernel("i8[::1](f8[::1], f8[::1])", "i8[::1](i8[::1], i8[::1])")
def search_sorted(table: Values, wanted: Values) -> NDArray[np.int64]:
    """Return how many values of an ascending table are below each of the wanted values, which must ascend too.

    The result is that of `np.searchsorted(table, wanted)`. numpy starts each search in the middle of the table and
    waits for memory there. This one starts from the result of the search before.
    """
    positions = np.empty(len(wanted), np.int64)
    low = 0
    for i in range(len(wanted)):
        # the result is within [low, low + step): steps double until that holds, then the interval is halved
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
        positions[i] = low
    return positions


@kernel(
    "i8[::1](f8[::1], i8[::1], f8[::1], i8[::1], i8[::1])",
    "i8[::1](i8[::1], i8[::1], i8[::1], i8[::1], i8[::1])",
    work=lambda *_: 1_000,
)
def find_pooled_ranks(
    values: Values, upto: Counts, other_values: Values, other_upto: Counts, ranks: Counts
) -> NDArray[np.int64]:
    """Return, per rank, the position of the first of `values` up to which both tables together have that many rows.

    The position is `len(values)` where there is none. The time does not grow with the tables, but with the product of
    the logarithms of their lengths.

    Parameters
    ----------
    values, other_values
        Distinct ascending values of both tables.
    upto, other_upto
        For each of these, the number of rows of its own table up to it.
    ranks
        Numbers of rows, at least 1.
    """
    positions = np.empty(len(ranks), np.int64)
    for i in range(len(ranks)):
        low, high = 0, len(values)
        while low < high:
            middle = (low + high) // 2
            rows = upto[middle]
            # other_values[:start] are less than or equal to the value in the middle
            start, end = 0, len(other_values)
            while start < end:
                half = (start + end) // 2
                if other_values[half] <= values[middle]:
                    start = half + 1
                else:
                    end = half
            if start > 0:
                rows += other_upto[start - 1]
            if rows < ranks[i]:
                low = middle + 1
            else:
                high = middle
        positions[i] = low
    return positions
