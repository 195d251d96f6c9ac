"""Mean and sum of squared deviations in one pass over memory, as accurate as the two-pass formula."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.differences import subtract_as_float
from engine.drift.kernels.lazy import helper, kernel
from engine.drift.kernels.value_tables import Counts, Values

VALUES_PER_STRETCH = 512
"""Number of values per stretch: the second pass over a stretch finds its values in the processor's fastest cache."""


@helper()
def sum_lanes(terms: NDArray[np.float64], size: int) -> Any:
    """Return the sum of the first `size` terms, as eight interleaved sums that do not wait for each other."""
    a = b = c = d = e = f = g = h = 0.0
    for i in range(0, size - 7, 8):
        a += terms[i]
        b += terms[i + 1]
        c += terms[i + 2]
        d += terms[i + 3]
        e += terms[i + 4]
        f += terms[i + 5]
        g += terms[i + 6]
        h += terms[i + 7]
    for i in range(size // 8 * 8, size):
        a += terms[i]
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@helper()
def add_stretch(spread: NDArray[np.float64], rows: Any, mean: Any, squares: Any) -> None:
    """Merge a stretch of rows, given by its number, mean and squared deviations, into the running totals in `spread`.

    The formula is that of Chan, Golub and LeVeque (1979): with d = mean_2 - mean_1 the mean moves by d * n_2 / n, and
    the squared deviations grow by d^2 * n_1 * n_2 / n.
    """
    difference = mean - spread[1]
    before = spread[0]
    spread[0] += rows
    share = rows / spread[0]
    spread[1] += difference * share
    spread[2] += squares + difference * difference * (before * share)


def _sum_lanes_in_numpy(terms: NDArray[np.float64]) -> float:
    """Return the same as `sum_lanes`, to the last bit; `np.sum` adds in another order."""
    full = len(terms) // 8 * 8
    lanes = np.cumsum(terms[:full].reshape(-1, 8), axis=0)[-1].tolist() if full else [0.0] * 8
    a, b, c, d, e, f, g, h = lanes
    for term in terms[full:].tolist():
        a += term
    return float(((a + b) + (c + d)) + ((e + f) + (g + h)))


def _mean_and_squares_in_numpy(values: Values, counts: Counts, centre: Any) -> tuple[float, float]:
    spread = np.zeros(3)
    for start in range(0, len(values), VALUES_PER_STRETCH):
        stretch = values[start : start + VALUES_PER_STRETCH]
        exact = (stretch - centre).astype(np.float64)
        # see `subtract_as_float`
        wrapped = (exact >= 0) != (stretch >= centre)
        centred = np.where(wrapped, stretch.astype(np.float64) - np.float64(centre), exact)
        times = counts[start : start + VALUES_PER_STRETCH].astype(np.float64) if len(counts) else np.ones(len(stretch))
        new_rows = _sum_lanes_in_numpy(times)
        mean = _sum_lanes_in_numpy(times * centred) / new_rows
        add_stretch(spread, new_rows, mean, _sum_lanes_in_numpy(times * (centred - mean) * (centred - mean)))
    return spread[1], spread[2]


@kernel(
    "UniTuple(f8, 2)(const f8[::1], i8[::1], f8)",
    "UniTuple(f8, 2)(const i8[::1], i8[::1], i8)",
    small=_mean_and_squares_in_numpy,
    work=lambda values, *_: len(values) / 20,
)
def mean_and_squares(values: Values, counts: Counts, centre: Any) -> tuple[float, float]:
    """Return mean - centre, and the sum of squared deviations from the mean, of at least one value.

    Each value occurs once if `counts` is empty.
    """
    # the values of a stretch minus the centre, their counts, and what is added up
    centred = np.empty(VALUES_PER_STRETCH)
    times = np.empty(VALUES_PER_STRETCH)
    terms = np.empty(VALUES_PER_STRETCH)
    spread = np.zeros(3)
    for start in range(0, len(values), VALUES_PER_STRETCH):
        # slices, because numba checks each index into `values` for being negative
        part, part_counts = values[start : start + VALUES_PER_STRETCH], counts[start : start + VALUES_PER_STRETCH]
        n = len(part)
        for i in range(n):
            centred[i] = subtract_as_float(part[i], centre)
        if len(counts):
            for i in range(n):
                times[i] = part_counts[i]
                terms[i] = times[i] * centred[i]
            new_rows = sum_lanes(times, n)
            mean = sum_lanes(terms, n) / new_rows
            for i in range(n):
                terms[i] = times[i] * (centred[i] - mean) * (centred[i] - mean)
        else:
            new_rows = np.float64(n)
            mean = sum_lanes(centred, n) / new_rows
            for i in range(n):
                terms[i] = (centred[i] - mean) * (centred[i] - mean)
        add_stretch(spread, new_rows, mean, sum_lanes(terms, n))
    return spread[1], spread[2]
