"""Mean and sum of squared deviations in one pass over memory, as accurate as the two-pass formula."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.cdf_distance import subtract_as_float
from engine.drift.kernels.lazy import kernel
from engine.drift.kernels.value_tables import Counts, Values

VALUES_PER_STRETCH = 2048
"""Values at a time, which stay in the processor's cache for their second pass."""


def _sum_in_order(terms: NDArray[np.float64]) -> float:
    """Return the sum from the first to the last, as a loop adds up: `np.sum` adds pairwise."""
    return float(np.cumsum(terms)[-1])


def _mean_and_squares_in_numpy(values: Values, counts: Counts, centre: Any) -> tuple[float, float]:
    rows = offset = squares = 0.0
    for start in range(0, len(values), VALUES_PER_STRETCH):
        some = values[start : start + VALUES_PER_STRETCH]
        exact = (some - centre).astype(np.float64)
        # see `distance`
        away = np.where((exact >= 0) == (some >= centre), exact, some.astype(np.float64) - np.float64(centre))
        times = counts[start : start + VALUES_PER_STRETCH].astype(np.float64) if len(counts) else np.ones(len(some))
        more = _sum_in_order(times)
        mean = _sum_in_order(times * away) / more
        around = _sum_in_order(times * (away - mean) * (away - mean))
        apart = mean - offset
        rows += more
        offset += apart * (more / rows)
        squares += around + apart * apart * ((rows - more) * (more / rows))
    return offset, squares


@kernel(
    "UniTuple(f8, 2)(const f8[::1], i8[::1], f8)",
    "UniTuple(f8, 2)(const i8[::1], i8[::1], i8)",
    small=_mean_and_squares_in_numpy,
    work=lambda values, *_: len(values) / 20,
)
def mean_and_squares(values: Values, counts: Counts, centre: Any) -> tuple[float, float]:
    """Return mean - centre, and the sum of squared deviations from the mean, of at least one value.

    Each value occurs once if `counts` is empty. Stretches are merged by the formula of Chan, Golub and LeVeque (1979).
    """
    away = np.empty(VALUES_PER_STRETCH)
    times = np.ones(VALUES_PER_STRETCH)
    rows = offset = squares = 0.0
    for start in range(0, len(values), VALUES_PER_STRETCH):
        n = min(VALUES_PER_STRETCH, len(values) - start)
        for i in range(n):
            away[i] = subtract_as_float(values[start + i], centre)
        for i in range(n if len(counts) else 0):
            times[i] = counts[start + i]
        more = total = 0.0
        for i in range(n):
            more += times[i]
            total += times[i] * away[i]
        mean = total / more
        around = 0.0
        for i in range(n):
            around += times[i] * (away[i] - mean) * (away[i] - mean)
        # merge: the mean moves by the share of the new rows; the squares gain the square of the means' difference
        apart = mean - offset
        rows += more
        offset += apart * (more / rows)
        squares += around + apart * apart * ((rows - more) * (more / rows))
    return offset, squares
