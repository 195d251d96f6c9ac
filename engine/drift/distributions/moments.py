"""Number, mean, squared deviations, minimum and maximum of a sample, from its values or from its parts."""

from dataclasses import dataclass
from math import isfinite, nan
from typing import Self

import numpy as np

from engine.drift.distributions.quantile_grid import RunningMoments
from engine.drift.kernels.moments import mean_and_squares
from engine.drift.kernels.value_tables import Counts, Values

_NO_COUNTS = np.empty(0, np.int64)
"""Stands for counts of 1: each value occurs once."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Number of rows with a value, their mean, sum of squared deviations from the mean, minimum and maximum.

    The mean is kept as `centre + offset`. Far from zero, the rounded sum would be too inexact to subtract the means of
    two parts.
    """

    rows: int = 0
    centre: float = 0.0
    offset: float = nan
    squares: float = nan
    low: float = nan
    high: float = nan

    @classmethod
    def from_values(cls, values: Values, counts: Counts | None = None) -> Self:
        """Compute the moments of distinct ascending values, each occurring once or `counts` times.

        Where a value is infinite, or a sum overflows, the mean or the squared deviations are NaN.
        """
        if not len(values):
            return cls()
        low, high = values[0].item(), values[-1].item()
        rows = len(values) if counts is None else int(counts.sum())
        centre = values[len(values) // 2].item()
        centre = centre if isfinite(centre) else 0.0
        offset, squares = mean_and_squares(values, _NO_COUNTS if counts is None else counts, values.dtype.type(centre))
        return cls(rows, centre, _nan_unless_finite(offset), _nan_unless_finite(squares), low, high)

    @classmethod
    def from_running(cls, running: RunningMoments) -> Self:
        """Return the moments of all values added to `running`."""
        rows, offset, squares = running.spread.tolist()
        if not rows:
            return cls()
        spread = map(_nan_unless_finite, (offset, squares))
        return cls(int(rows), running.middle, *spread, *running.ends.tolist())

    @property
    def mean(self) -> float:
        """The mean."""
        return self.centre + self.offset

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of both parts together (Chan, Golub and LeVeque 1979)."""
        if not (self.rows and other.rows):
            return self if self.rows else other
        rows = self.rows + other.rows
        # d = mean_2 - mean_1; mean = mean_1 + d n_2 / n; squares = squares_1 + squares_2 + d^2 n_1 n_2 / n
        d = other.offset - self.offset + (other.centre - self.centre)
        return Moments(
            rows,
            self.centre,
            self.offset + d * (other.rows / rows),
            self.squares + other.squares + d * d * (self.rows * (other.rows / rows)),
            min(self.low, other.low),
            max(self.high, other.high),
        )


def _nan_unless_finite(value: float) -> float:
    return value if isfinite(value) else nan
