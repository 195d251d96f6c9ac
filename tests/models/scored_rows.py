"""Models whose rows are scored already, and rows to measure them on."""

from collections.abc import Callable

import numpy as np


class NoPredictor:
    """A predictor for models whose rows are scored already."""

    columns = ()


def draw_entities(random: np.random.Generator, n: int) -> np.ndarray:
    """Return numbers of entities of 4 rows on average, of very different sizes."""
    return np.unique(np.repeat(np.arange(n), random.geometric(0.25, n))[:n], return_inverse=True)[1]


def differentiate_by_row(measure: Callable[[np.ndarray], float], n: int, times: int) -> np.ndarray:
    """Return what a little more weight on each row changes: all rows are repeated, and each of them once more."""
    weights = np.full(n, times)
    whole = measure(weights)
    return np.array([(measure(weights + (np.arange(n) == i)) - whole) * times * n for i in range(n)])
