"""The Kolmogorov-Smirnov and the Wasserstein distance of two empirical distribution functions.

The first is their largest vertical distance, the second the area between them. Both sides are tables of ascending
values with counts. A table may have intervals between its values of which only the number of rows and their sum are
known. There its distribution function lies between two bounds, and so do the distances.

Vertical distances are whole numbers, n * m times the real ones, and must fit 63 bits: three billion rows per side.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import helper, kernel, longest_array
from engine.drift.kernels.value_tables import Counts, Values

Sums = NDArray[np.float64]

STEPS_PER_SUM = 1024
"""Steps whose areas are added up apart from the total: many small sums lose fewer digits than a long one."""


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
    values, place = np.unique(np.concatenate([a_values, b_values]), return_inverse=True)
    # n * m * (F_a - F_b) at each value: whole numbers, exact in any order
    changes = np.zeros(len(values), np.int64)
    changes[place[: len(a_values)]] = m * a_counts
    changes[place[len(a_values) :]] -= n * b_counts
    gaps = np.cumsum(changes)
    widths = (values[1:] - values[:-1]).astype(np.float64)
    widths[widths < 0] += 18446744073709551616.0
    areas = np.append(0.0, np.abs(gaps[:-1]).astype(np.float64) * widths)
    # added up as the loop does: in stretches up to the end of one side, then one by one
    both = int(np.searchsorted(values, min(a_values[-1], b_values[-1]), side="right"))
    parts = [np.cumsum(areas[start : min(start + STEPS_PER_SUM, both)])[-1] for start in range(0, both, STEPS_PER_SUM)]
    area = np.cumsum([*parts, *areas[both:]])[-1]
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
    i = j = gap = largest = np.int64(0)
    at = min(a_values[0], b_values[0])
    area = 0.0
    while i < len(a_values) and j < len(b_values):
        part = 0.0
        for _ in range(STEPS_PER_SUM):
            # the next value of either side: products with truth values, because the processor would mispredict half of
            # the branches, and that costs more than the multiplications
            value = min(a_values[i], b_values[j])
            part += np.float64(abs(gap)) * _subtract_ascending(
                at, value
            )  # n * m * |F_a - F_b| is constant up to this value
            at = value
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
        area += np.float64(abs(gap)) * _subtract_ascending(at, a_values[k])
        at = a_values[k]
        gap += m * a_counts[k]
    for k in range(j, len(b_values)):
        area += np.float64(abs(gap)) * _subtract_ascending(at, b_values[k])
        at = b_values[k]
        gap -= n * b_counts[k]
    return int(largest), area / (np.float64(n) * np.float64(m))


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
    """Return bounds of the largest distance, times n * m, and of the area: lower, upper, lower, upper.

    Parameters
    ----------
    a_gaps, a_sums
        For each interval below the first value, between neighbours, and above the last: its rows, and the sum of their
        differences from `centre`. One element more than values.
    low, high
        All values of both sides are between these.
    """
    n, m = a_counts.sum() + a_gaps.sum(), b_counts.sum() + b_gaps.sum()
    i = j = 0
    a_sure = b_sure = np.int64(0)  # rows up to the last value of the side
    a_low = b_low = np.int64(0)  # lower bound of the rows up to `at`
    least = most = np.int64(0)
    smallest = largest = 0.0
    # since the last value at which both numbers of rows were known: the rows there, the sums of the rows since then, an
    # upper bound of the area since then, and whether F_a may have been above or below F_b
    since, a_then, b_then = low, np.int64(0), np.int64(0)
    a_sum = b_sum = widest = 0.0
    above = below = False
    at = low
    while True:
        ended = i == len(a_values) and j == len(b_values)
        a_next = i < len(a_values) and (j == len(b_values) or a_values[i] <= b_values[j])
        b_next = j < len(b_values) and (i == len(a_values) or b_values[j] <= a_values[i])
        value = high if ended else a_values[i] if a_next else b_values[j]
        a_closes, b_closes = a_next or ended, b_next or ended
        a_most, b_most = a_sure + a_gaps[i], b_sure + b_gaps[j]
        a_least, b_least = a_most if a_closes else a_sure, b_most if b_closes else b_sure
        # between the previous value and this one, n * F_a is in [a_low, a_most], and m * F_b in [b_low, b_most]
        up, down = a_most * m - b_low * n, b_most * n - a_low * m
        most = max(most, up, down)
        least = max(least, a_least * m - b_most * n, b_least * n - a_most * m)
        above, below = above or up > 0, below or down > 0
        widest += _subtract_ascending(at, value) * np.float64(max(up, down))
        a_sum += a_sums[i] if a_closes else 0.0
        b_sum += b_sums[j] if b_closes else 0.0
        known = a_least == a_most and b_least == b_most
        if known:
            # the signed area since then, from sums alone: the integral of a rows count is rows * value - sum of values
            reach = subtract_as_float(value, centre)
            area = _subtract_ascending(since, value) * np.float64(a_then * m - b_then * n)
            area += (reach * (a_least - a_then) - a_sum) * m - (reach * (b_least - b_then) - b_sum) * n
            # |signed area| is the area itself unless the functions may have crossed
            smallest += abs(area)
            largest += max(abs(area), widest) if above and below else abs(area)
        if ended:
            break
        a_sum += 0.0 if known or not a_next else a_counts[i] * subtract_as_float(value, centre)
        b_sum += 0.0 if known or not b_next else b_counts[j] * subtract_as_float(value, centre)
        a_low, b_low = a_least, b_least
        if a_next:
            a_low = a_sure = a_most + a_counts[i]
            i += 1
        if b_next:
            b_low = b_sure = b_most + b_counts[j]
            j += 1
        # at the value itself the counts on it are included
        a_high, b_high = max(a_low, a_most), max(b_low, b_most)
        least = max(least, a_low * m - b_high * n, b_low * n - a_high * m)
        if known:
            since, a_then, b_then = value, a_low, b_low
            a_sum = b_sum = widest = 0.0
            above = below = False
        at = value
    rows = np.float64(n) * np.float64(m)
    return np.array([np.float64(least), np.float64(most), smallest / rows, largest / rows])
