"""How far two distribution functions are apart: their largest distance (Kolmogorov-Smirnov) and the area between them.

Both are tables of ascending values with counts. What lies between two values of a table, in a gap, is known by its
count and sum alone, so the distribution function there lies in a band, and what is found is an interval. Where no gap
of one side can hide anything from the other both of its ends are the exact number.

Distances are whole numbers, n * m times the real ones, and must fit 63 bits: three billion rows a side.
"""

from typing import Any

import numpy as np
from numba import njit
from numba.extending import register_jitable
from numpy.typing import NDArray

from engine.drift.kernels.counting import Counts, Values

Sums = NDArray[np.float64]

STRETCH = 1024


@register_jitable
def _width(low: Any, high: Any) -> Any:
    """Return high - low >= 0; of whole numbers it may need 64 bits without a sign."""
    width = np.float64(high - low)
    return width + 18446744073709551616.0 if width < 0 else width


@register_jitable
def distance(value: Any, centre: Any) -> Any:
    """Return value - centre as a float; of whole numbers it may overflow."""
    exact = np.float64(value - centre)
    return exact if (exact >= 0) == (value >= centre) else np.float64(value) - np.float64(centre)


@njit(
    [
        "Tuple((i8, f8))(f8[::1], i8[::1], f8[::1], i8[::1])",
        "Tuple((i8, f8))(i8[::1], i8[::1], i8[::1], i8[::1])",
    ],
    cache=True,
    nogil=True,
)
def apart(a_values: Values, a_counts: Counts, b_values: Values, b_counts: Counts) -> tuple[int, float]:
    """Return n * m times the largest distance, and the area, of two tables without gaps; neither is empty."""
    n, m = a_counts.sum(), b_counts.sum()
    i = j = gap = largest = np.int64(0)
    at = min(a_values[0], b_values[0])
    area = 0.0
    while i < len(a_values) and j < len(b_values):
        part = 0.0  # many small sums lose fewer digits than a long one
        for _ in range(STRETCH):
            # products with truth values: which side is next is a coin toss, and a wrong guess costs more than all this
            value = min(a_values[i], b_values[j])
            part += np.float64(abs(gap)) * _width(at, value)
            at = value
            a_next, b_next = np.int64(a_values[i] == value), np.int64(b_values[j] == value)
            gap += a_next * m * a_counts[i] - b_next * n * b_counts[j]
            largest = max(largest, abs(gap))
            i += a_next
            j += b_next
            if i == len(a_values) or j == len(b_values):
                break
        area += part
    for k in range(i, len(a_values)):
        area += np.float64(abs(gap)) * _width(at, a_values[k])
        at = a_values[k]
        gap += m * a_counts[k]
    for k in range(j, len(b_values)):
        area += np.float64(abs(gap)) * _width(at, b_values[k])
        at = b_values[k]
        gap -= n * b_counts[k]
    return int(largest), area / (np.float64(n) * np.float64(m))


@njit(
    [
        "f8[::1](f8[::1], i8[::1], i8[::1], f8[::1], f8[::1], i8[::1], i8[::1], f8[::1], f8, f8, f8)",
        "f8[::1](i8[::1], i8[::1], i8[::1], f8[::1], i8[::1], i8[::1], i8[::1], f8[::1], i8, i8, i8)",
    ],
    cache=True,
    nogil=True,
)
def bounds(
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
    """Return bounds of the largest distance, times n * m, and of the area: least, most, least, most.

    Parameters
    ----------
    a_gaps, a_sums
        Count and sum of the distances from `centre` of the rows below the first value, between neighbours, and above
        the last: one more than values.
    low, high
        No value of either side lies outside.
    """
    n, m = a_counts.sum() + a_gaps.sum(), b_counts.sum() + b_gaps.sum()
    i = j = 0
    a_sure = b_sure = np.int64(0)  # rows up to here, without those of the gap that is open
    a_low = b_low = np.int64(0)  # at least so many rows are up to here
    least = most = np.int64(0)
    smallest = largest = 0.0
    # since the last place where both sides were known: rows then, sums of the rows since, and what the area may be
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
        # on the way here a had a_low to a_most rows, b had b_low to b_most
        up, down = a_most * m - b_low * n, b_most * n - a_low * m
        most = max(most, up, down)
        least = max(least, a_least * m - b_most * n, b_least * n - a_most * m)
        above, below = above or up > 0, below or down > 0
        widest += _width(at, value) * np.float64(max(up, down))
        a_sum += a_sums[i] if a_closes else 0.0
        b_sum += b_sums[j] if b_closes else 0.0
        known = a_least == a_most and b_least == b_most
        if known:
            reach = distance(value, centre)
            area = _width(since, value) * np.float64(a_then * m - b_then * n)
            area += (reach * (a_least - a_then) - a_sum) * m - (reach * (b_least - b_then) - b_sum) * n
            smallest += abs(area)
            largest += max(abs(area), widest) if above and below else abs(area)
        if ended:
            break
        a_sum += 0.0 if known or not a_next else a_counts[i] * distance(value, centre)
        b_sum += 0.0 if known or not b_next else b_counts[j] * distance(value, centre)
        a_low, b_low = a_least, b_least
        if a_next:
            a_low = a_sure = a_most + a_counts[i]
            i += 1
        if b_next:
            b_low = b_sure = b_most + b_counts[j]
            j += 1
        a_high, b_high = max(a_low, a_most), max(b_low, b_most)
        least = max(least, a_low * m - b_high * n, b_low * n - a_high * m)
        if known:
            since, a_then, b_then = value, a_low, b_low
            a_sum = b_sum = widest = 0.0
            above = below = False
        at = value
    rows = np.float64(n) * np.float64(m)
    return np.array([np.float64(least), np.float64(most), smallest / rows, largest / rows])
