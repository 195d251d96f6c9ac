"""Expected outcomes given a score: linear splines fitted to rows with known outcomes, with the influence of each row.

The outcome is whether a row is of a class, or how large its error is; the score is the model's probability of the
class, or its prediction. A spline is exact if the model's own probabilities are right, and otherwise follows the data
as closely as the number of rows allows. Bins would lose the order of the rows within each bin (with few rows, 0.05 of
an area under the ROC curve), and isotonic regression would find an order where there is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST_SEGMENTS = 64
"""Maximum number of segments of a spline."""
ROWS_PER_SEGMENT = 25
"""Minimum average number of rows per segment."""
RARE_ROWS_PER_SEGMENT = 5
"""Minimum average number of rows per segment of the rarer of two outcomes."""
_RIDGE = 1e-6
"""Pseudo-rows added at each knot, as a share of all rows: a knot without rows gets the mean."""


@dataclass(frozen=True, slots=True)
class Positions:
    """Where n scores lie between the knots of a spline: past knot `below` by the share `part` of the segment."""

    below: Ints
    part: Floats

    def add_up(self, of_row: Floats, knots: int) -> Floats:
        """Return per knot the sum of `of_row` over rows, weighted by their closeness to the knot, shape (knots,)."""
        above = np.minimum(self.below + 1, knots - 1)
        return np.asarray(
            np.bincount(self.below, of_row * (1 - self.part), knots) + np.bincount(above, of_row * self.part, knots)
        )

    def interpolate(self, at_knots: Floats) -> Floats:
        """Return for each row the interpolation of the values at the knots, shape (n,)."""
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
        Of each fitted row, shape (rows,).
    diagonal, off_diagonal
        The diagonal and the off-diagonal of the normal matrix.
    """

    knots: Floats
    values: Floats
    positions: Positions
    residuals: Floats
    weights: Floats
    diagonal: Floats
    off_diagonal: Floats

    @property
    def fitted(self) -> Floats:
        """The expected outcome of each row that the spline was fitted to, shape (rows,)."""
        return self.positions.interpolate(self.values)

    def locate(self, scores: Floats) -> Positions:
        """Return the positions of scores between the knots."""
        return _locate(self.knots, scores)

    def influences(self, of_knots: Floats) -> Floats:
        """Return the influence of each fitted row on the sum of the knots' values times `of_knots`, shape (rows,)."""
        moved = _solve(self.diagonal, self.off_diagonal, of_knots)
        return self.weights * self.positions.interpolate(moved) * self.residuals


def fit_spline(scores: Floats, outcomes: Floats, weights: Floats, knots: Floats) -> Spline:
    """Fit a linear spline to outcomes given scores, shape (rows,) each.

    Parameters
    ----------
    weights
        Not negative, not all zero.
    knots
        The result of `choose_knots`.
    """
    at = _locate(knots, scores)
    count = len(knots)
    mean = float((weights * outcomes).sum() / weights.sum())
    diagonal: Floats = np.bincount(at.below, weights * (1 - at.part) ** 2, count).astype(np.float64, copy=False)
    diagonal += np.bincount(np.minimum(at.below + 1, count - 1), weights * at.part**2, count)
    off_diagonal: Floats = np.bincount(at.below, weights * at.part * (1 - at.part), count)[:-1].astype(
        np.float64, copy=False
    )
    diagonal += _RIDGE * weights.sum() + 1e-300
    values = mean + _solve(diagonal, off_diagonal, at.add_up(weights * (outcomes - mean), count))
    return Spline(knots, values, at, outcomes - at.interpolate(values), weights, diagonal, off_diagonal)


def choose_knots(
    scores: Floats, classes: Sequence[npt.NDArray[np.bool_]] = (), *, rare_rows: int = RARE_ROWS_PER_SEGMENT
) -> Floats:
    """Return the knots for a spline of scores, shape (rows,), at least one of them.

    They are quantiles of the scores. If `classes` are given, as masks of shape (rows,), all classes have equal weight:
    otherwise the few rows of a rare class, which determine its metrics, would have hardly any knot among them.

    Parameters
    ----------
    rare_rows
        Minimum average number of rows per segment of the rarest class.
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


def _solve(diagonal: Floats, off_diagonal: Floats, right: Floats) -> Floats:
    """Solve the symmetric tridiagonal system of a spline in one thread, so that results are reproducible to the bit."""
    from scipy.linalg import solveh_banded  # imported late, as for the intervals: few runs estimate anything

    if len(diagonal) == 1:
        return right / diagonal
    return np.asarray(solveh_banded(np.stack([np.r_[0.0, off_diagonal], diagonal]), right))
