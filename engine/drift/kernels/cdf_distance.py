"""The Kolmogorov-Smirnov and the Wasserstein distance of two empirical distribution functions.

The first is their largest vertical distance, the second the area between them. Both sides, a and b, are tables of
ascending values with counts, which hold all rows.

Vertical distances are multiplied by n * m, the numbers of rows of both sides, which makes them whole numbers. They must
fit 63 bits: three billion rows per side.
"""

from typing import Any

import numpy as np

from engine.drift.kernels.differences import subtract_ascending
from engine.drift.kernels.lazy import helper, kernel
from engine.drift.kernels.value_tables import Counts, Values, count_rows

STEPS_PER_SUM = 1024
"""Number of steps whose areas are added up before they are added to the total: many small sums lose fewer digits than
one long sum."""


def _ks_wasserstein_in_numpy(
    a_values: Values, a_counts: Counts, b_values: Values, b_counts: Counts
) -> tuple[int, float]:
    n, m = a_counts.sum(), b_counts.sum()
    values, positions = np.unique(np.concatenate([a_values, b_values]), return_inverse=True)
    # n * m * (F_a - F_b) at each value: whole numbers, exact in any order
    changes = np.zeros(len(values), np.int64)
    changes[positions[: len(a_values)]] = m * a_counts
    changes[positions[len(a_values) :]] -= n * b_counts
    gaps = np.cumsum(changes)
    widths = (values[1:] - values[:-1]).astype(np.float64)
    widths[widths < 0] += 18446744073709551616.0
    areas = np.append(0.0, np.abs(gaps[:-1]).astype(np.float64) * widths)
    # added up as the loop does: in stretches as long as both sides have values, then one by one
    joint = int(np.searchsorted(values, min(a_values[-1], b_values[-1]), side="right"))
    stretches = [areas[start : min(start + STEPS_PER_SUM, joint)] for start in range(0, joint, STEPS_PER_SUM)]
    area = np.cumsum([*(np.cumsum(stretch)[-1] for stretch in stretches), *areas[joint:]])[-1]
    return int(np.abs(gaps).max()), float(area / (np.float64(n) * np.float64(m)))


@kernel(
    "Tuple((i8, f8))(f8[::1], i8[::1], f8[::1], i8[::1])",
    "Tuple((i8, f8))(i8[::1], i8[::1], i8[::1], i8[::1])",
    small=_ks_wasserstein_in_numpy,
    work=lambda a_values, _, b_values, __: (len(a_values) + len(b_values)) / 10,
)
def ks_wasserstein(a_values: Values, a_counts: Counts, b_values: Values, b_counts: Counts) -> tuple[int, float]:
    """Return n * m times the largest distance, and the area, of two tables that hold all rows; neither is empty."""
    n, m = count_rows(a_counts), count_rows(b_counts)
    # the next values of the sides are a_values[i] and b_values[j]; gap is n * m * (F_a - F_b) from `previous` on
    i = j = gap = largest = np.int64(0)
    previous = min(a_values[0], b_values[0])
    area = 0.0
    while i < len(a_values) and j < len(b_values):
        part = 0.0
        for _ in range(STEPS_PER_SUM):
            value = min(a_values[i], b_values[j])
            # n * m * |F_a - F_b| is constant from the previous value up to this one
            part += np.float64(abs(gap)) * subtract_ascending(previous, value)
            previous = value
            # products with booleans instead of branches: mispredicting half of the branches would cost more than the
            # multiplications
            a_next, b_next = np.int64(a_values[i] == value), np.int64(b_values[j] == value)
            gap += a_next * m * a_counts[i] - b_next * n * b_counts[j]
            largest = max(largest, abs(gap))
            i += a_next
            j += b_next
            if i == len(a_values) or j == len(b_values):
                break
        area += part
    # one side has ended: its distribution function is 1 from here on
    for k in range(i, len(a_values)):
        area += np.float64(abs(gap)) * subtract_ascending(previous, a_values[k])
        previous = a_values[k]
        gap += m * a_counts[k]
    for k in range(j, len(b_values)):
        area += np.float64(abs(gap)) * subtract_ascending(previous, b_values[k])
        previous = b_values[k]
        gap -= n * b_counts[k]
    return int(largest), area / (np.float64(n) * np.float64(m))


@helper()
def sweep_values(
    a_values: Values,
    a_counts: Counts,
    i: Any,
    i_end: Any,
    b_values: Values,
    b_counts: Counts,
    j: Any,
    j_end: Any,
    n: Any,
    m: Any,
    gap: Any,
    previous: Any,
    largest: Any,
    area: Any,
) -> Any:
    """Sweep over the values from i and j on, in ascending order.

    Parameters
    ----------
    i, i_end, j, j_end
        The values are a_values[i:i_end] and b_values[j:j_end].
    n, m
        The rows of a and b.
    gap, previous
        n * m * (F_a - F_b) before these values, from `previous` on.
    largest, area
        The largest |gap| and the area so far.

    Returns
    -------
    area, gap, previous, largest
        The same up to the last of the values.
    """
    while i < i_end or j < j_end:
        a_comes = i < i_end and (j == j_end or a_values[i] <= b_values[j])
        b_comes = j < j_end and (i == i_end or b_values[j] <= a_values[i])
        value = a_values[i] if a_comes else b_values[j]
        area += np.float64(abs(gap)) * subtract_ascending(previous, value)
        previous = value
        if a_comes:
            gap += m * a_counts[i]
            i += 1
        if b_comes:
            gap -= n * b_counts[j]
            j += 1
        largest = max(largest, abs(gap))
    return area, gap, previous, largest


VALUES_PER_SEGMENT, VALUES_PER_PIECE = 64, 8
"""Number of values of one table in a segment, at whose end the rows of both tables are counted; and in a piece of a
segment that is not measured as a whole."""

STRIDE = 16
"""Number of values that a search for the next segment moves by."""


@helper()
def find_first_above(values: Values, start: Any, end: Any, boundary: Any) -> Any:
    """Return the position of the first of the ascending values[start:end] above a boundary, or the end."""
    while start + STRIDE <= end and values[start + STRIDE - 1] <= boundary:
        start += STRIDE
    while start < end and values[start] <= boundary:
        start += 1
    return start


@helper()
def sum_widths(values: Values, start: Any, end: Any, boundary: Any) -> Any:
    """Return the sum of the differences between a boundary and values[start:end] below it."""
    a = b = c = d = 0.0  # one sum would wait for every step
    part, size = values[start:end], end - start
    for i in range(0, size - 3, 4):
        a += subtract_ascending(part[i], boundary)
        b += subtract_ascending(part[i + 1], boundary)
        c += subtract_ascending(part[i + 2], boundary)
        d += subtract_ascending(part[i + 3], boundary)
    for i in range(size // 4 * 4, size):
        a += subtract_ascending(part[i], boundary)
    return (a + b) + (c + d)


@helper()
def sum_weighted_widths(values: Values, counts: Counts, start: Any, end: Any, boundary: Any) -> Any:
    """Return the same sum, with each value as often as it is counted."""
    a = b = 0.0
    part, times, size = values[start:end], counts[start:end], end - start
    for i in range(0, size - 1, 2):
        a += np.float64(times[i]) * subtract_ascending(part[i], boundary)
        b += np.float64(times[i + 1]) * subtract_ascending(part[i + 1], boundary)
    if size % 2:
        a += np.float64(times[size - 1]) * subtract_ascending(part[size - 1], boundary)
    return a + b


@kernel(
    "Tuple((i8, f8))(f8[::1], i8[::1], i8[::1], f8[::1], i8[::1], i8[::1])",
    "Tuple((i8, f8))(i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1])",
    work=None,
)
def ks_wasserstein_by_segments(
    a_values: Values, a_counts: Counts, a_upto: Counts, b_values: Values, b_counts: Counts, b_upto: Counts
) -> tuple[int, float]:
    """Return the same as `ks_wasserstein`, for tables of many values: in a fifth of the time.

    `a_upto` and `b_upto` are the cumulative sums of the counts. At every 64th value of a the rows of both sides are
    known. Between two such boundaries each distribution function lies between its values there. Where this shows that
    the distance is nowhere the largest, and that the functions do not cross, the area follows from the sums of the
    values. All other segments are divided into pieces of 8 values of a, and where a piece shows neither, it is swept
    value by value.
    """
    n, m = a_upto[-1], b_upto[-1]
    segments = (len(a_values) + VALUES_PER_SEGMENT - 1) // VALUES_PER_SEGMENT
    b_ends = np.zeros(segments, np.int64)  # the number of values of b that are not above each boundary
    largest = b_end = np.int64(0)
    for k in range(segments):
        last = min((k + 1) * VALUES_PER_SEGMENT, len(a_values)) - 1
        b_end = b_ends[k] = find_first_above(b_values, b_end, len(b_values), a_values[last])
        b_rows = b_upto[b_end - 1] if b_end else np.int64(0)
        largest = max(largest, abs(a_upto[last] * m - b_rows * n))
    previous = min(a_values[0], b_values[0])
    area = part = 0.0
    # what comes next are a_values[start] and b_values[b_start], after so many rows
    start = b_start = a_rows = b_rows = np.int64(0)
    end: Any
    gap: Any
    for k in range(segments):
        segment_end = min((k + 1) * VALUES_PER_SEGMENT, len(a_values))
        size = VALUES_PER_SEGMENT
        while start < segment_end:
            end, b_end = min(start + size, segment_end), b_ends[k]
            boundary = a_values[end - 1]
            if end < segment_end:
                b_end = find_first_above(b_values, b_start, b_end, boundary)
            a_next, b_next = a_upto[end - 1], b_upto[b_end - 1] if b_end else np.int64(0)
            # before the boundary, the rows of a are at most those without its own, and the rows of b likewise
            a_most, b_most = a_next - a_counts[end - 1], b_next
            if b_end > b_start and b_values[b_end - 1] == boundary:
                b_most -= b_counts[b_end - 1]
            up, down = a_most * m - b_rows * n, b_most * n - a_rows * m
            gap = a_rows * m - b_rows * n
            largest = max(largest, abs(a_next * m - b_next * n))  # at the boundary, which may be that of a piece
            if max(up, down) <= largest and (up <= 0 or down <= 0):
                # the integral of a step function from its value at the start, plus for each row the width from its
                # value to the boundary
                if a_next - a_rows == end - start:  # each value once, as in most large tables
                    a_area = sum_widths(a_values, start, end, boundary)
                else:
                    a_area = sum_weighted_widths(a_values, a_counts, start, end, boundary)
                if b_next - b_rows == b_end - b_start:
                    b_area = sum_widths(b_values, b_start, b_end, boundary)
                else:
                    b_area = sum_weighted_widths(b_values, b_counts, b_start, b_end, boundary)
                signed = np.float64(gap) * subtract_ascending(previous, boundary)
                part += abs(signed + a_area * np.float64(m) - b_area * np.float64(n))
                previous = boundary
            elif size > VALUES_PER_PIECE:
                size = VALUES_PER_PIECE
                continue
            else:
                part, _, previous, largest = sweep_values(
                    a_values, a_counts, start, end, b_values, b_counts, b_start, b_end,
                    n, m, gap, previous, largest, part,
                )  # fmt: skip
            start, b_start, a_rows, b_rows = end, b_end, a_next, b_next
        if k % 16 == 15:  # adding many small sums loses fewer digits than one long sum
            area += part
            part = 0.0
    area += part
    # a has ended: its distribution function is 1 from here on
    gap = n * m - b_rows * n
    for j in range(b_start, len(b_values)):
        area += np.float64(abs(gap)) * subtract_ascending(previous, b_values[j])
        previous = b_values[j]
        gap -= n * b_counts[j]
    return int(largest), area / (np.float64(n) * np.float64(m))
