"""Mean and sum of squared deviations in one pass over memory, as accurate as the two-pass formula."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.cdf_distance import subtract_as_float
from engine.drift.kernels.lazy import kernel
from engine.drift.kernels.value_tables import Counts, Values

VALUES_PER_STRETCH = 2048
"""Values per stretch. The second pass over a stretch finds its values in the processor's cache."""


def _sum_in_order(terms: NDArray[np.float64]) -> float:
    """Return the sum, added from the first to the last term as a loop does; `np.sum` adds pairwise."""
    return float(np.cumsum(terms)[-1])


def _mean_and_squares_in_numpy(values: Values, counts: Counts, centre: Any) -> tuple[float, float]:
    rows = offset = squares = 0.0
    for start in range(0, len(values), VALUES_PER_STRETCH):
        stretch = values[start : start + VALUES_PER_STRETCH]
        exact = (stretch - centre).astype(np.float64)
        # see `subtract_as_float`
        wrapped = (exact >= 0) != (stretch >= centre)
        centred = np.where(wrapped, stretch.astype(np.float64) - np.float64(centre), exact)
        times = counts[start : start + VALUES_PER_STRETCH].astype(np.float64) if len(counts) else np.ones(len(stretch))
        new_rows = _sum_in_order(times)
        mean = _sum_in_order(times * centred) / new_rows
        new_squares = _sum_in_order(times * (centred - mean) * (centred - mean))
        difference = mean - offset
        rows += new_rows
        offset += difference * (new_rows / rows)
        squares += new_squares + difference * difference * ((rows - new_rows) * (new_rows / rows))
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
    # the values of a stretch minus the centre, and their counts
    centred = np.empty(VALUES_PER_STRETCH)
    times = np.ones(VALUES_PER_STRETCH)
    rows = offset = squares = 0.0
    for start in range(0, len(values), VALUES_PER_STRETCH):
        n = min(VALUES_PER_STRETCH, len(values) - start)
        for i in range(n):
            centred[i] = subtract_as_float(values[start + i], centre)
        for i in range(n if len(counts) else 0):
            times[i] = counts[start + i]
        new_rows = total = 0.0
        for i in range(n):
            new_rows += times[i]
            total += times[i] * centred[i]
        mean = total / new_rows
        new_squares = 0.0
        for i in range(n):
            new_squares += times[i] * (centred[i] - mean) * (centred[i] - mean)
        # merge n_1 rows with n_2 new ones: with d = mean_2 - mean_1 the mean moves by d * n_2 / n, and the squared
        # deviations grow by d^2 * n_1 * n_2 / n
        difference = mean - offset
        rows += new_rows
        offset += difference * (new_rows / rows)
        squares += new_squares + difference * difference * ((rows - new_rows) * (new_rows / rows))
    return offset, squares
