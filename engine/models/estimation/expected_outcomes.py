"""The expected outcomes of each row of a batch, learned from rows of the reference with known outcomes.

There is one outcome per class, or one per loss of a regression. Each is a spline of its score: see `calibration`. The
uncertainty has three sources, whose variances `ExpectedOutcomes.variance` adds up for a metric: the reference is a
sample, the batch is a sample, and outcomes vary around their expectation. Outcomes of one entity are correlated as much
as in the reference.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.models.estimation.calibration import Spline, choose_knots, fit_spline
from engine.models.estimation.expected_metrics import Expected
from engine.models.metrics.intervals import Units

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class KnownRows:
    """Rows of the reference with known outcomes.

    Attributes
    ----------
    scores
        The score of each outcome, shape (rows, outcomes), or one score for all, shape (rows, 1).
    outcomes
        1.0 in the column of the true class, else 0; or the losses of a regression. Shape (rows, outcomes).
    units
        The independent units of the rows.
    weights
        The weight of each row, so that the rows represent the batch; shape (rows,).
    classes
        Whether the outcomes are classes.
    """

    scores: Floats
    outcomes: Floats
    units: Units
    weights: Floats
    classes: bool

    @property
    def effective_units(self) -> float:
        """The number of equally weighted units with the same information: Kish 1965."""
        sums = self.units.add_up(self.weights)
        return float(sums.sum() ** 2 / max(float((sums * sums).sum()), 1e-300))


@dataclass(frozen=True, slots=True)
class OutcomeModel:
    """The splines of all outcomes; for two classes, only that of the second.

    `noise` are splines of the squared residuals of losses; `correlation` is that of the residuals of two rows
    of one entity, shape (outcomes,).
    """

    known: KnownRows
    splines: tuple[Spline, ...]
    noise: tuple[Spline, ...]
    correlation: Floats

    @property
    def is_binary(self) -> bool:
        """Whether there are two classes, so that one spline suffices."""
        return self.known.classes and self.known.outcomes.shape[1] == 2

    def expect(self, scores: Floats) -> "ExpectedOutcomes":
        """Return the expected outcomes of n rows, given their scores."""
        chosen = _columns(scores, self.is_binary, len(self.splines))
        at = [spline.locate(score) for spline, score in zip(self.splines, chosen, strict=True)]
        raw = np.stack([one.interpolate(s.values) for one, s in zip(at, self.splines, strict=True)], axis=1)
        outcomes, total = _normalize_outcomes(raw, self.known.classes, self.is_binary)
        if self.known.classes:
            noise = outcomes * (1 - outcomes)
        else:
            located = [spline.locate(score).interpolate(spline.values) for spline, score in zip(self.noise, chosen)]  # noqa: B905  (one spline per score)
            noise = np.maximum(np.stack(located, axis=1), 0.0)
        return ExpectedOutcomes(self, scores, outcomes, noise, total)


def fit_outcomes(known: KnownRows) -> OutcomeModel:
    """Fit the expected outcomes given the scores, from at least one row with a positive weight."""
    outcomes, binary = known.outcomes, known.classes and known.outcomes.shape[1] == 2
    wanted = [1] if binary else list(range(outcomes.shape[1]))
    splines, noise = [], []
    for k, score in zip(wanted, _columns(known.scores, binary, len(wanted)), strict=True):
        of_class = outcomes[:, k] > 0
        knots = choose_knots(score, (of_class, ~of_class) if known.classes else ())
        spline = fit_spline(score, outcomes[:, k], known.weights, knots)
        splines.append(spline)
        if not known.classes:
            noise.append(fit_spline(score, spline.residuals**2, known.weights, knots))
    raw = np.stack([spline.fitted for spline in splines], axis=1)
    residuals = outcomes - _normalize_outcomes(raw, known.classes, binary)[0]
    correlation = _measure_correlation(residuals, known.units, pooled=known.classes)
    return OutcomeModel(known, tuple(splines), tuple(noise), correlation)


@dataclass(frozen=True, slots=True)
class ExpectedOutcomes:
    """The expected outcomes of n rows of a batch.

    Attributes
    ----------
    scores
        The scores of the rows.
    outcomes
        The expected outcomes, shape (n, outcomes).
    noise
        The variance of each outcome, shape (n, outcomes).
    total
        The sum of the splines' values for the classes before they are scaled to a sum of 1, shape (n, 1).
    """

    model: OutcomeModel
    scores: Floats
    outcomes: Floats
    noise: Floats
    total: Floats

    def take(self, rows: npt.NDArray[np.bool_]) -> "ExpectedOutcomes":
        """Return the expected outcomes of the selected rows."""
        return ExpectedOutcomes(self.model, self.scores[rows], self.outcomes[rows], self.noise[rows], self.total[rows])

    def variance(self, of: Expected, units: Units) -> float:
        """Return the variance of a metric of the rows, with that of the value that their outcomes will show."""
        influence = np.broadcast_to(of.influence, self.outcomes.shape)
        mean = (influence * self.outcomes).sum(axis=1)
        sampled = _sum_squares(mean - mean.mean(), units)
        off = influence - mean[:, None] if self.model.known.classes else influence
        parts = off * np.sqrt(self.outcomes if self.model.known.classes else self.noise)
        alone = (parts * parts).sum(axis=0)
        together = alone
        if units.codes is not None and self.model.correlation.any():
            together = np.array([float((units.add_up(part) ** 2).sum()) for part in parts.T])
        noise = float(((1 - self.model.correlation) * alone + self.model.correlation * together).sum())
        return (sampled + noise) / len(mean) ** 2 + self.variance_of_model(of)

    def variance_of_model(self, of: Expected) -> float:
        """Return the part of the variance that is due to the reference being a sample."""
        return _sum_squares(self._influence_of_reference(of), self.model.known.units) / len(self.outcomes) ** 2

    def count_degrees(self, of: Expected) -> float:
        """Return the degrees of freedom of `variance_of_model`."""
        return count_degrees(self.model.known.units.add_up(self._influence_of_reference(of)))

    def _influence_of_reference(self, of: Expected) -> Floats:
        """Return the influence of each row of the reference on the sum of a metric over the rows of the batch."""
        model = self.model
        influence = np.broadcast_to(of.influence, self.outcomes.shape)
        if model.is_binary:
            slopes = influence[:, 1:] - influence[:, :1]
        elif model.known.classes:
            slopes = (influence - (influence * self.outcomes).sum(axis=1, keepdims=True)) / self.total
        else:
            slopes = influence
        moved = np.zeros(len(model.known.outcomes))
        scores = _columns(self.scores, model.is_binary, len(model.splines))
        for spline, score, slope in zip(model.splines, scores, slopes.T, strict=True):
            if slope.any():
                moved += spline.influences(spline.locate(score).add_up(slope, len(spline.knots)))
        return moved


def count_degrees(parts: Floats) -> float:
    """Return the degrees of freedom of the variance s^2 of a sum of independent parts, 2 s^4 / Var(s^2).

    It follows Satterthwaite 1946: for normally distributed parts it is the number of parts; if few parts are far larger
    than the others, it is small.
    """
    squares = parts * parts
    total = float(squares.sum())
    spread = float((squares * squares).sum()) - total**2 / len(squares)
    return 2 * total**2 / spread if spread > 0 else float(len(squares))


def _columns(scores: Floats, binary: bool, count: int) -> Sequence[Floats]:
    """Return the score for each spline, shape (n,)."""
    if binary:
        return [np.ascontiguousarray(scores[:, -1])]
    return [np.ascontiguousarray(scores[:, min(k, scores.shape[1] - 1)]) for k in range(count)]


def _normalize_outcomes(raw: Floats, classes: bool, binary: bool) -> tuple[Floats, Floats]:
    """Return expected outcomes from the values of the splines, and the sums of these values over the classes."""
    if not classes:
        return np.maximum(raw, 0.0), np.ones((len(raw), 1))  # a loss is never negative
    clipped = np.clip(raw, 0.0, 1.0)
    if binary:
        return np.concatenate([1 - clipped, clipped], axis=1), np.ones((len(raw), 1))
    clipped = np.maximum(clipped, 1e-9)
    total = clipped.sum(axis=1, keepdims=True)
    return clipped / total, total


def _measure_correlation(residuals: Floats, units: Units, *, pooled: bool) -> Floats:
    """Return the intraclass correlation of residuals within units, by moments, shape (outcomes,)."""
    if units.codes is None:
        return np.zeros(residuals.shape[1])
    sizes = np.bincount(units.codes).astype(np.float64)
    pairs = float((sizes * (sizes - 1)).sum())
    if not pairs:
        return np.zeros(residuals.shape[1])
    centred = residuals - residuals.mean(axis=0)
    alone = (centred * centred).sum(axis=0)
    together = np.array([float((units.add_up(one) ** 2).sum()) for one in centred.T]) - alone
    variance = alone / len(residuals) * pairs
    if pooled:
        together, variance = np.full_like(together, together.sum()), np.full_like(variance, variance.sum())
    shares: Floats = np.divide(together, variance, out=np.zeros_like(together), where=variance > 0)
    return np.clip(shares, 0.0, 1.0)


def _sum_squares(of_row: Floats, units: Units) -> float:
    """Return the sum of squares of the units' sums of a number per row, corrected for few units."""
    sums = units.add_up(of_row)
    return float((sums * sums).sum()) * units.count / max(units.count - 1, 1)
