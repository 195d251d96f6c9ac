"""Bounds of the Kolmogorov-Smirnov and the Wasserstein distance (see `cdf_distance`) of tables with intervals.

For an interval between two values of a table, only the number of rows and the sum of their values are known. There the
distribution function lies between two bounds, and so do the distances.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.cdf_distance import sweep_values
from engine.drift.kernels.differences import subtract_as_float, subtract_ascending
from engine.drift.kernels.lazy import kernel, longest_array
from engine.drift.kernels.value_tables import Counts, Sums, Values, count_rows


@kernel(
    "Tuple((i8[::1], i8[::1], i8[::1], i8[::1], f8[::1]))(f8[::1], i8[::1], f8[::1], f8)",
    "Tuple((i8[::1], i8[::1], i8[::1], i8[::1], f8[::1]))(i8[::1], i8[::1], i8[::1], i8)",
)
def divide_table(
    values: Values, counts: Counts, points: Values, centre: Any
) -> tuple[Counts, Counts, Counts, Counts, Sums]:
    """Divide a table at ascending points.

    Returns
    -------
    starts, ends
        Per point, the number of values less than it, and of those less than or equal to it.
    below, upto
        Per point, the number of rows with these values.
    sums
        For each gap below the first point, between neighbours, and above the last: the sum of the differences of its
        rows' values from `centre`.
    """
    starts, ends = np.empty(len(points), np.int64), np.empty(len(points), np.int64)
    below, upto = np.empty(len(points), np.int64), np.empty(len(points), np.int64)
    sums = np.zeros(len(points) + 1)
    i, rows = 0, np.int64(0)
    for k in range(len(points)):
        while i < len(values) and values[i] < points[k]:
            rows += counts[i]
            sums[k] += counts[i] * subtract_as_float(values[i], centre)
            i += 1
        starts[k], below[k] = i, rows
        if i < len(values) and values[i] == points[k]:
            rows += counts[i]
            i += 1
        ends[k], upto[k] = i, rows
    for last in range(i, len(values)):
        sums[len(points)] += counts[last] * subtract_as_float(values[last], centre)
    return starts, ends, below, upto, sums


GAPS_PER_SUM = 128
"""Number of gaps whose areas are added up before they are added to the total."""


@kernel(
    "Tuple((i8, i8, f8, f8))(f8[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], f8[::1], f8,"
    " f8[::1], i8[::1], i8[::1], f8[::1], f8, i8[::1], i8[::1], i8, i8, f8, f8)",
    "Tuple((i8, i8, f8, f8))(i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], i8[::1], f8[::1], i8,"
    " i8[::1], i8[::1], i8[::1], f8[::1], i8, i8[::1], i8[::1], i8, i8, i8, i8)",
    work=lambda *tables: 10 * longest_array(*tables),
)
def ks_wasserstein_in_gaps(
    a_values: Values,
    a_counts: Counts,
    a_starts: Counts,
    a_ends: Counts,
    a_below: Counts,
    a_upto: Counts,
    a_sums: Sums,
    a_centre: Any,
    b_values: Values,
    b_counts: Counts,
    b_gaps: Counts,
    b_sums: Sums,
    b_centre: Any,
    b_upto: Counts,
    places: Counts,
    n: int,
    m: int,
    low: Any,
    high: Any,
) -> tuple[int, int, float, float]:
    """Return bounds of n * m times the largest distance, and of the area, between an exact table and another one.

    At some values of b, the points, the row counts of both sides are exact. Between two points each distribution
    function lies between its values there. If this shows that the largest distance is not in the gap and that the
    functions do not cross in it, the area follows from the sums of the values. All other gaps are swept value by value;
    if b has rows with unknown values there, the gap has bounds.

    Parameters
    ----------
    a_values, a_counts, b_values, b_counts
        Distinct ascending values of both sides, and the rows that equal each; those of b may be 0.
    a_starts, a_ends, a_below, a_upto, a_sums
        What `divide_table` returns for a and the points, and `a_centre`.
    b_gaps, b_sums
        For each interval below the first value of b, between neighbours, and above the last: its rows, and the sum of
        their differences from `b_centre`. They are 0 in a gap with values of b between its points.
    b_upto
        The rows of b up to each of its values.
    places
        The positions of the points among the values of b.
    n, m
        The rows of a and b.
    low, high
        Bounds of the values of both sides.
    """
    largest = np.int64(0)
    for k in range(len(places)):
        at = places[k]
        before = a_below[k] * m - (b_upto[at] - b_counts[at]) * n
        largest = max(largest, abs(before), abs(a_upto[k] * m - b_upto[at] * n))
    known = most = largest
    area_low = area_high = part_low = part_high = 0.0
    # a gap starts with a_start and b_start rows at its lower point, and has a_end and b_end below its upper one
    a_start, b_start, start = np.int64(0), np.int64(0), low
    i, j = np.int64(0), np.int64(0)
    for k in range(len(places) + 1):
        if k < len(places):
            at = places[k]
            i_end, a_end, b_end, end = a_starts[k], a_below[k], b_upto[at] - b_counts[at], b_values[at]
        else:
            at = np.int64(len(b_values))
            i_end, a_end, b_end, end = np.int64(len(a_values)), n, m, high
        # a point may lie outside of all values
        end = min(max(end, low), high)
        gap = a_start * m - b_start * n
        up, down = a_end * m - b_start * n, b_end * n - a_start * m
        crosses = up > 0 and down > 0
        if start != end:  # not `<`, which would let the compiler overlook a difference that wraps
            if j < at or (b_gaps[j] == 0 and (crosses or max(up, down) > known)):
                swept, gap, previous, largest = sweep_values(
                    a_values, a_counts, i, i_end, b_values, b_counts, j, at, n, m, gap, start, largest, 0.0
                )
                swept += np.float64(abs(gap)) * subtract_ascending(previous, end)
                part_low += swept
                part_high += swept
            else:
                # the integral of a distribution function from its value at the start: for each row in the gap the width
                # from its value to the end
                width = subtract_ascending(start, end)
                signed = np.float64(gap) * width
                if a_end > a_start:
                    reach = subtract_as_float(end, a_centre) * np.float64(a_end - a_start)
                    signed += (reach - a_sums[k]) * np.float64(m)
                if b_end > b_start:
                    reach = subtract_as_float(end, b_centre) * np.float64(b_end - b_start)
                    signed -= (reach - b_sums[j]) * np.float64(n)
                most = max(most, up, down)
                part_low += abs(signed)
                bound = width * np.float64(max(up, down))
                part_high += max(abs(signed), bound) if crosses else abs(signed)
        if k % GAPS_PER_SUM == GAPS_PER_SUM - 1:  # adding many small sums loses fewer digits than one long sum
            area_low += part_low
            area_high += part_high
            part_low = part_high = 0.0
        if k < len(places):
            a_start, b_start, start = a_upto[k], b_upto[at], end
            i, j = a_ends[k], at + 1
    rows = np.float64(n) * np.float64(m)
    return int(largest), int(max(largest, most)), (area_low + part_low) / rows, (area_high + part_high) / rows


@kernel(
    "f8[::1](f8[::1], i8[::1], i8[::1], f8[::1], f8[::1], i8[::1], i8[::1], f8[::1], f8, f8, f8)",
    "f8[::1](i8[::1], i8[::1], i8[::1], f8[::1], i8[::1], i8[::1], i8[::1], f8[::1], i8, i8, i8)",
    work=lambda *tables: 10 * longest_array(*tables),
)
def ks_wasserstein_bounds(
    a_values: Values,
    a_counts: Counts,
    a_gaps: Counts,
    a_sums: Sums,
    b_values: Values,
    b_counts: Counts,
    b_gaps: Counts,
    b_sums: Sums,
    centre: float,
    low: float,
    high: float,
) -> NDArray[np.float64]:
    """Return bounds of the largest distance, times n * m, and of the area.

    Parameters
    ----------
    a_values, a_counts, b_values, b_counts
        Distinct ascending values of both sides, and the rows that equal each. A count may be 0.
    a_gaps, a_sums, b_gaps, b_sums
        For each interval below the first value, between neighbours, and above the last: its rows, and the sum of their
        differences from `centre`. One element more than values.
    centre
        The number that is subtracted from values before they are summed.
    low, high
        Bounds of the values of both sides.

    Returns
    -------
    bounds
        Four numbers: lower and upper bound of n * m times the largest distance, lower and upper bound of the area.
    """
    n, m = count_rows(a_counts) + count_rows(a_gaps), count_rows(b_counts) + count_rows(b_gaps)
    # The sweep visits the values of both sides in ascending order, then `high`. At each, a side "closes" its interval i
    # (or j) if it has a value there, or if both sides have ended: then all rows of the interval lie below the value.
    # Otherwise the value is inside the interval, and any number of its rows may lie below. All numbers are rows:
    #   a_before  up to the previous value of the side itself, which is exact
    #   a_start   the fewest up to the previous value of either side
    #   a_fewest  the fewest, and
    #   a_most    the most that are less than the current value
    a_before = b_before = np.int64(0)
    a_start = b_start = np.int64(0)
    i = j = 0
    ks_low = ks_high = np.int64(0)
    area_low = area_high = 0.0
    # The area is computed in stretches. A stretch ends at a value at which the numbers of rows of both sides are exact.
    # It starts at `stretch_start` with a_first rows up to there; a_sum is the sum of value - centre of the rows after
    # that; stretch_high is an upper bound of its area; above: F_a may exceed F_b in it; below: F_b may exceed F_a.
    stretch_start, a_first, b_first = low, np.int64(0), np.int64(0)
    a_sum = b_sum = stretch_high = 0.0
    above = below = False
    previous = low
    while True:
        ended = i == len(a_values) and j == len(b_values)
        a_next = i < len(a_values) and (j == len(b_values) or a_values[i] <= b_values[j])
        b_next = j < len(b_values) and (i == len(a_values) or b_values[j] <= a_values[i])
        value = high if ended else a_values[i] if a_next else b_values[j]
        a_closes, b_closes = a_next or ended, b_next or ended
        a_most, b_most = a_before + a_gaps[i], b_before + b_gaps[j]
        a_fewest, b_fewest = a_most if a_closes else a_before, b_most if b_closes else b_before
        # between the previous value and this one, n * F_a is in [a_start, a_most], and m * F_b in [b_start, b_most]
        up, down = a_most * m - b_start * n, b_most * n - a_start * m
        ks_high = max(ks_high, up, down)
        # just below this value, n * F_a is in [a_fewest, a_most]: the functions differ by at least this much
        ks_low = max(ks_low, a_fewest * m - b_most * n, b_fewest * n - a_most * m)
        above, below = above or up > 0, below or down > 0
        stretch_high += subtract_ascending(previous, value) * np.float64(max(up, down))
        a_sum += a_sums[i] if a_closes else 0.0
        b_sum += b_sums[j] if b_closes else 0.0
        exact = a_fewest == a_most and b_fewest == b_most
        if exact:
            # the signed area of the stretch follows from sums alone: with k rows x_1 ... x_k in it, the integral of
            # their cumulative count up to `value` is k * value - sum of x_i; rows before it count over its whole width
            reach = subtract_as_float(value, centre)
            area = subtract_ascending(stretch_start, value) * np.float64(a_first * m - b_first * n)
            area += (reach * (a_fewest - a_first) - a_sum) * m - (reach * (b_fewest - b_first) - b_sum) * n
            # |signed area| is the area itself unless the functions may have crossed
            area_low += abs(area)
            area_high += max(abs(area), stretch_high) if above and below else abs(area)
        if ended:
            break
        a_sum += 0.0 if exact or not a_next else a_counts[i] * subtract_as_float(value, centre)
        b_sum += 0.0 if exact or not b_next else b_counts[j] * subtract_as_float(value, centre)
        a_start, b_start = a_fewest, b_fewest
        if a_next:
            a_start = a_before = a_most + a_counts[i]
            i += 1
        if b_next:
            b_start = b_before = b_most + b_counts[j]
            j += 1
        # at the value itself, with the rows that equal it
        a_at_most, b_at_most = max(a_start, a_most), max(b_start, b_most)
        ks_low = max(ks_low, a_start * m - b_at_most * n, b_start * n - a_at_most * m)
        if exact:
            stretch_start, a_first, b_first = value, a_start, b_start
            a_sum = b_sum = stretch_high = 0.0
            above = below = False
        previous = value
    rows = np.float64(n) * np.float64(m)
    return np.array([np.float64(ks_low), np.float64(ks_high), area_low / rows, area_high / rows])
