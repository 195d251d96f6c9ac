"""Mean and spread of values in one pass that is as exact as two: stretch by stretch, each about its own mean."""

from typing import Any

import numpy as np
from numba import njit, types

from engine.drift.kernels.apart import distance
from engine.drift.kernels.counting import READ_FLOATS, READ_WHOLES, Counts, Values

STRETCH = 2048


@njit(
    [
        types.UniTuple(types.f8, 2)(READ_FLOATS, types.i8[::1], types.f8),  # type: ignore[no-untyped-call]  # numba's
        types.UniTuple(types.f8, 2)(READ_WHOLES, types.i8[::1], types.i8),  # type: ignore[no-untyped-call]  # numba's
    ],
    cache=True,
    nogil=True,
)
def spread(values: Values, counts: Counts, centre: Any) -> tuple[float, float]:
    """Return mean - centre, and the sum of squared deviations from the mean, of at least one value.

    Values occur once each if there are no `counts`. Stretches are united as in Chan, Golub and LeVeque 1979.
    """
    away = np.empty(STRETCH)
    times = np.ones(STRETCH)
    rows = offset = squares = 0.0
    for start in range(0, len(values), STRETCH):
        n = min(STRETCH, len(values) - start)
        for i in range(n):
            away[i] = distance(values[start + i], centre)
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
        apart = mean - offset
        rows += more
        offset += apart * (more / rows)
        squares += around + apart * apart * ((rows - more) * (more / rows))
    return offset, squares
