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


VALUES_PER_SEGMENT = 64
"""Number of values of one table between two boundaries, where the rows of both tables are counted."""


@kernel(
    "Tuple((i8, f8))(f8[::1], i8[::1], f8[::1], i8[::1])",
    "Tuple((i8, f8))(i8[::1], i8[::1], i8[::1], i8[::1])",
    work=None,
)
def ks_wasserstein_by_segments(
    a_values: Values, a_counts: Counts, b_values: Values, b_counts: Counts
) -> tuple[int, float]:
    """Return the same as `ks_wasserstein`, for tables of many values: in a third of the time.

    At every 64th value of a the rows of both sides are counted. Between two such boundaries each distribution function
    lies between its values there. Where this shows that the distance is nowhere the largest, and that the functions do
    not cross, the area follows from the sums of the values; all other segments are swept value by value.
    """
    n, m = count_rows(a_counts), count_rows(b_counts)
    segments = (len(a_values) + VALUES_PER_SEGMENT - 1) // VALUES_PER_SEGMENT
    # rows up to each boundary, and how many values of b are not above it; element 0 is before all values
    a_upto, b_upto = np.zeros(segments + 1, np.int64), np.zeros(segments + 1, np.int64)
    b_ends = np.zeros(segments + 1, np.int64)
    largest = np.int64(0)
    j = 0
    for k in range(segments):
        end = min((k + 1) * VALUES_PER_SEGMENT, len(a_values))
        rows = np.int64(0)
        for i in range(k * VALUES_PER_SEGMENT, end):
            rows += a_counts[i]
        a_upto[k + 1] = a_upto[k] + rows
        boundary = a_values[end - 1]
        rows = np.int64(0)
        while j < len(b_values) and b_values[j] <= boundary:
            rows += b_counts[j]
            j += 1
        b_upto[k + 1], b_ends[k + 1] = b_upto[k] + rows, j
        largest = max(largest, abs(a_upto[k + 1] * m - b_upto[k + 1] * n))
    previous = min(a_values[0], b_values[0])
    area = part = 0.0
    for k in range(segments):
        start, end = k * VALUES_PER_SEGMENT, min((k + 1) * VALUES_PER_SEGMENT, len(a_values))
        b_start, b_end = b_ends[k], b_ends[k + 1]
        boundary = a_values[end - 1]
        gap = a_upto[k] * m - b_upto[k] * n
        # before the boundary, the rows of a are at most those without its own, and the rows of b likewise
        a_most = a_upto[k + 1] - a_counts[end - 1]
        b_most = b_upto[k + 1]
        if b_end > b_start and b_values[b_end - 1] == boundary:
            b_most -= b_counts[b_end - 1]
        up, down = a_most * m - b_upto[k] * n, b_most * n - a_upto[k] * m
        if max(up, down) > largest or (up > 0 and down > 0):
            part, _, previous, largest = sweep_values(
                a_values, a_counts, start, end, b_values, b_counts, b_start, b_end, n, m, gap, previous, largest, part
            )
        else:
            # with x_i the values of the segment: the integral of a step function from its value at the start, plus for
            # each row the width from its value to the boundary; two sums each, because one would wait for every step
            a_even = a_odd = b_even = b_odd = 0.0
            for i in range(start, end - 1, 2):
                a_even += np.float64(a_counts[i]) * subtract_ascending(a_values[i], boundary)
                a_odd += np.float64(a_counts[i + 1]) * subtract_ascending(a_values[i + 1], boundary)
            # the last value of a segment with an odd number of them is the boundary, whose width is 0
            for j in range(b_start, b_end - 1, 2):
                b_even += np.float64(b_counts[j]) * subtract_ascending(b_values[j], boundary)
                b_odd += np.float64(b_counts[j + 1]) * subtract_ascending(b_values[j + 1], boundary)
            if (b_end - b_start) % 2:
                b_even += np.float64(b_counts[b_end - 1]) * subtract_ascending(b_values[b_end - 1], boundary)
            signed = np.float64(gap) * subtract_ascending(previous, boundary)
            part += abs(signed + (a_even + a_odd) * np.float64(m) - (b_even + b_odd) * np.float64(n))
            previous = boundary
        if k % 16 == 15:  # adding many small sums loses fewer digits than one long sum
            area += part
            part = 0.0
    area += part
    # a has ended: its distribution function is 1 from here on
    gap = n * m - b_upto[segments] * n
    for j in range(b_ends[segments], len(b_values)):
        area += np.float64(abs(gap)) * subtract_ascending(previous, b_values[j])
        previous = b_values[j]
        gap -= n * b_counts[j]
    return int(largest), area / (np.float64(n) * np.float64(m))
