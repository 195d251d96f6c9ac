"""The Kolmogorov-Smirnov and the Wasserstein distance of two empirical distribution functions.

The first is their largest vertical distance, the second the area between them. Both sides, a and b, are tables of
ascending values with counts. A table may have intervals between its values, of which only the number of rows and the
sum of their values are known. There its distribution function lies between two bounds, and so do the distances.

Vertical distances are multiplied by n * m, the numbers of rows of both sides, which makes them whole numbers. They must
fit 63 bits: three billion rows per side.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import helper, kernel, longest_array
from engine.drift.kernels.value_tables import Counts, Values

Sums = NDArray[np.float64]

STEPS_PER_SUM = 1024
"""Steps whose areas are added up before they are added to the total: many small sums lose fewer digits than one long
sum."""


@helper()
def _subtract_ascending(low: Any, high: Any) -> Any:
    """Return high - low >= 0 as a float."""
    # a difference of int64 that needs 64 bits wraps around to a negative number, 2^64 too small
    width = np.float64(high - low)
    return width + 18446744073709551616.0 if width < 0 else width


@helper()
def subtract_as_float(value: Any, centre: Any) -> Any:
    """Return value - centre as a float."""
    # the difference of int64 is exact; where it wraps around, which its sign shows, floats are subtracted
    exact = np.float64(value - centre)
    return exact if (exact >= 0) == (value >= centre) else np.float64(value) - np.float64(centre)


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
    n, m = a_counts.sum(), b_counts.sum()
    # the next values of the sides are a_values[i] and b_values[j]; gap is n * m * (F_a - F_b) from `previous` on
    i = j = gap = largest = np.int64(0)
    previous = min(a_values[0], b_values[0])
    area = 0.0
    while i < len(a_values) and j < len(b_values):
        part = 0.0
        for _ in range(STEPS_PER_SUM):
            value = min(a_values[i], b_values[j])
            # n * m * |F_a - F_b| is constant from the previous value up to this one
            part += np.float64(abs(gap)) * _subtract_ascending(previous, value)
            previous = value
            # products with truth values instead of branches: the processor would mispredict half of the branches, which
            # costs more than the multiplications
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
        area += np.float64(abs(gap)) * _subtract_ascending(previous, a_values[k])
        previous = a_values[k]
        gap += m * a_counts[k]
    for k in range(j, len(b_values)):
        area += np.float64(abs(gap)) * _subtract_ascending(previous, b_values[k])
        previous = b_values[k]
        gap -= n * b_counts[k]
    return int(largest), area / (np.float64(n) * np.float64(m))


@helper()
def _sweep_values(
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
        area += np.float64(abs(gap)) * _subtract_ascending(previous, value)
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
"""Values of one table between two boundaries at which the rows of both tables are counted."""


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
    n, m = a_counts.sum(), b_counts.sum()
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
            part, _, previous, largest = _sweep_values(
                a_values, a_counts, start, end, b_values, b_counts, b_start, b_end, n, m, gap, previous, largest, part
            )
        else:
            # with x_i the values of the segment: the integral of a step function from its value at the start, plus for
            # each row the width from its value to the boundary; two sums each, because one would wait for every step
            a_even = a_odd = b_even = b_odd = 0.0
            for i in range(start, end - 1, 2):
                a_even += np.float64(a_counts[i]) * _subtract_ascending(a_values[i], boundary)
                a_odd += np.float64(a_counts[i + 1]) * _subtract_ascending(a_values[i + 1], boundary)
            # the last value of a segment with an odd number of them is the boundary, whose width is 0
            for j in range(b_start, b_end - 1, 2):
                b_even += np.float64(b_counts[j]) * _subtract_ascending(b_values[j], boundary)
                b_odd += np.float64(b_counts[j + 1]) * _subtract_ascending(b_values[j + 1], boundary)
            if (b_end - b_start) % 2:
                b_even += np.float64(b_counts[b_end - 1]) * _subtract_ascending(b_values[b_end - 1], boundary)
            signed = np.float64(gap) * _subtract_ascending(previous, boundary)
            part += abs(signed + (a_even + a_odd) * np.float64(m) - (b_even + b_odd) * np.float64(n))
            previous = boundary
        if k % 16 == 15:  # many small sums lose fewer digits than one long sum
            area += part
            part = 0.0
    area += part
    # a has ended: its distribution function is 1 from here on
    gap = n * m - b_upto[segments] * n
    for j in range(b_ends[segments], len(b_values)):
        area += np.float64(abs(gap)) * _subtract_ascending(previous, b_values[j])
        previous = b_values[j]
        gap -= n * b_counts[j]
    return int(largest), area / (np.float64(n) * np.float64(m))


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
        Per point, the number of values less than it, and of those not greater.
    below, upto
        The numbers of rows that have these values.
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
"""Gaps whose areas are added up before they are added to the total."""


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
    """Return bounds of n * m times the largest distance, and of the area, of a table that has all rows and another.

    At some values of b, the points, the rows of both sides are known. Between two of them each distribution function
    lies between its values there. Where this shows that the distance is not the largest in the gap, and that the
    functions do not cross, the area follows from the sums of the values. All other gaps are swept value by value; if b
    has rows there whose values are not known, the gap has bounds.

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
        All values of both sides are between these.
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
        if start != end:  # they ascend; to ask for that would let the compiler overlook a difference that wraps
            if j < at or (b_gaps[j] == 0 and (crosses or max(up, down) > known)):
                swept, gap, previous, largest = _sweep_values(
                    a_values, a_counts, i, i_end, b_values, b_counts, j, at, n, m, gap, start, largest, 0.0
                )
                swept += np.float64(abs(gap)) * _subtract_ascending(previous, end)
                part_low += swept
                part_high += swept
            else:
                # the integral of a distribution function from its value at the start: for each row in the gap the width
                # from its value to the end
                width = _subtract_ascending(start, end)
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
        if k % GAPS_PER_SUM == GAPS_PER_SUM - 1:  # many small sums lose fewer digits than one long sum
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
        All values of both sides are between these.

    Returns
    -------
    bounds
        Four numbers: lower and upper bound of n * m times the largest distance, lower and upper bound of the area.
    """
    n, m = a_counts.sum() + a_gaps.sum(), b_counts.sum() + b_gaps.sum()
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
        stretch_high += _subtract_ascending(previous, value) * np.float64(max(up, down))
        a_sum += a_sums[i] if a_closes else 0.0
        b_sum += b_sums[j] if b_closes else 0.0
        exact = a_fewest == a_most and b_fewest == b_most
        if exact:
            # the signed area of the stretch follows from sums alone: with k rows x_1 ... x_k in it, the integral of
            # their cumulative count up to `value` is k * value - sum of x_i; rows before it count over its whole width
            reach = subtract_as_float(value, centre)
            area = _subtract_ascending(stretch_start, value) * np.float64(a_first * m - b_first * n)
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
