"""Expected outcomes given a score: linear splines, fitted to rows whose outcome is known, with the influence of each.

The outcome is whether a row is of a class, or how large its error is; the score is the probability that the model gives
to the class, or what it predicts. A spline is exact where the model's own probabilities are right, and follows any
other course as closely as the rows allow. Bins instead lose the order of the rows inside each bin (with few rows, 0.05
of an area under the ROC curve), and isotonic regression finds an order where there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_SEGMENTS = 64
"""The largest number of segments of a spline."""
ROWS_PER_SEGMENT = 25
"""Rows that a segment needs on average."""
RARE_ROWS_PER_SEGMENT = 5
"""Rows that a segment needs on average of the rarer of two outcomes."""
_RIDGE = 1e-6
"""What is added to the rows of each knot, as a share of all rows: a knot without rows takes the mean."""


@dataclass(frozen=True, slots=True)
class Positions:
    """Where n scores lie between the knots of a spline: above knot `below` by the share `part` of the segment."""

    below: Ints
    part: Floats

    def add_up(self, of_row: Floats, knots: int) -> Floats:
        """Return the sum over rows of a number per row times each knot's share in the row, shape (knots,)."""
        above = np.minimum(self.below + 1, knots - 1)
        return np.asarray(
            np.bincount(self.below, of_row * (1 - self.part), knots) + np.bincount(above, of_row * self.part, knots)
        )

    def interpolate(self, at_knots: Floats) -> Floats:
        """Return the value of each row between those at the knots, shape (n,)."""
        above = np.minimum(self.below + 1, len(at_knots) - 1)
        return np.asarray(at_knots[self.below] * (1 - self.part) + at_knots[above] * self.part)


@dataclass(frozen=True, slots=True)
class Spline:
    """A linear spline fitted by weighted least squares; constant beyond its first and last knot.

    Attributes
    ----------
    knots, values
        The scores of the knots, ascending, and the expected outcome there, shape (knots,).
    positions, residuals, weights
        Of each row that it was fitted to, shape (rows,).
    diagonal, beside
        The normal matrix: its diagonal, and what stands beside it.
    """

    knots: Floats
    values: Floats
    positions: Positions
    residuals: Floats
    weights: Floats
    diagonal: Floats
    beside: Floats

    @property
    def fitted(self) -> Floats:
        """The expected outcome of each row that the spline was fitted to, shape (rows,)."""
        return self.positions.interpolate(self.values)

    def locate(self, scores: Floats) -> Positions:
        """Return where scores lie between the knots."""
        return _locate(self.knots, scores)

    def influences(self, of_knots: Floats) -> Floats:
        """Return how each fitted row moves the sum of the values at the knots times `of_knots`, shape (rows,)."""
        moved = _solve(self.diagonal, self.beside, of_knots)
        return self.weights * self.positions.interpolate(moved) * self.residuals


def fit_spline(scores: Floats, outcomes: Floats, weights: Floats, knots: Floats) -> Spline:
    """Fit a linear spline to outcomes given scores, shape (rows,) each.

    Parameters
    ----------
    weights
        Not negative, not all zero.
    knots
        Of `choose_knots`.
    """
    at = _locate(knots, scores)
    count = len(knots)
    mean = float((weights * outcomes).sum() / weights.sum())
    diagonal: Floats = np.bincount(at.below, weights * (1 - at.part) ** 2, count).astype(np.float64, copy=False)
    diagonal += np.bincount(np.minimum(at.below + 1, count - 1), weights * at.part**2, count)
    beside: Floats = np.bincount(at.below, weights * at.part * (1 - at.part), count)[:-1].astype(np.float64, copy=False)
    diagonal += _RIDGE * weights.sum() + 1e-300
    values = mean + _solve(diagonal, beside, at.add_up(weights * (outcomes - mean), count))
    return Spline(knots, values, at, outcomes - at.interpolate(values), weights, diagonal, beside)


def choose_knots(
    scores: Floats, classes: Sequence[npt.NDArray[np.bool_]] = (), *, rare_rows: int = RARE_ROWS_PER_SEGMENT
) -> Floats:
    """Return the knots for a spline of scores, shape (rows,), at least one of them.

    They are quantiles of the scores. Where the rows fall into `classes`, masks of shape (rows,), all classes count
    alike: else the few rows of a rare class, which decide on its metrics, would have hardly any knot among them.

    Parameters
    ----------
    rare_rows
        Rows that a segment needs on average of the rarest class.
    """
    rows = len(scores)
    sizes = [int(one.sum()) for one in classes if one.any()]
    segments = rows // ROWS_PER_SEGMENT
    mass = np.ones(rows)
    if len(sizes) > 1:
        segments = min(segments, min(sizes) // rare_rows)
        for one in classes:
            mass[one] = rows / max(int(one.sum()), 1)
    segments = min(max(segments, 1), MOST_SEGMENTS)
    order = np.argsort(scores, kind="stable")
    ordered, until = scores[order], np.cumsum(mass[order])
    places = np.searchsorted(until, np.arange(1, segments) / segments * until[-1])
    return np.unique(np.r_[ordered[0], ordered[np.minimum(places, rows - 1)], ordered[-1]])


def _locate(knots: Floats, scores: Floats) -> Positions:
    if len(knots) == 1:
        return Positions(np.zeros(len(scores), np.int64), np.zeros(len(scores)))
    below = np.clip(np.searchsorted(knots, scores, side="right") - 1, 0, len(knots) - 2)
    part = np.clip((scores - knots[below]) / (knots[below + 1] - knots[below]), 0, 1)
    return Positions(below, part)


def _solve(diagonal: Floats, beside: Floats, right: Floats) -> Floats:
    """Solve the symmetric tridiagonal system of a spline (one thread, so that the bits are always the same)."""
    from scipy.linalg import solveh_banded  # loaded late, as for the intervals: few runs estimate anything

    if len(diagonal) == 1:
        return right / diagonal
    return np.asarray(solveh_banded(np.stack([np.r_[0.0, beside], diagonal]), right))
