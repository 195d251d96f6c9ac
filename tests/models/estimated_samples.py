"""Rows whose true performance is known, what a model learns of them, and what is estimated from that."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.models.estimation.estimates import Rows, fit_reference
from engine.models.estimation.expected_metrics import Predicted
from engine.models.estimation.expected_outcomes import KnownRows, OutcomeModel
from engine.models.estimation.prediction_powered import FOLDS
from engine.models.metrics.classification import arrange_gains, measure_binary
from engine.models.metrics.intervals import Units
from engine.spec.resources.models import CostMatrix

GAINS = arrange_gains(CostMatrix(true_positive=3, false_positive=-1, true_negative=0.5, false_negative=-4))

ROWS_PER_ENTITY = 8


@dataclass(frozen=True)
class Sample:
    """Scores, classes and entities of rows."""

    score: npt.NDArray[np.float64]
    truth: npt.NDArray[np.bool_]
    codes: npt.NDArray[np.int64] | None = None

    @property
    def scores(self) -> npt.NDArray[np.float64]:
        """The probabilities of both classes."""
        return np.stack([1 - self.score, self.score], axis=1)

    @property
    def outcomes(self) -> npt.NDArray[np.float64]:
        """The classes as outcomes."""
        return np.stack([~self.truth, self.truth], axis=1).astype(np.float64)

    @property
    def units(self) -> Units:
        """The entities."""
        return Units(len(self.score), 0.95, self.codes)

    def as_known(self, weights: npt.NDArray[np.float64] | None = None) -> KnownRows:
        """Return the rows as a reference."""
        ones = np.ones(len(self.score))
        return KnownRows(self.scores, self.outcomes, self.units, ones if weights is None else weights, classes=True)

    def as_rows(self) -> Rows:
        """Return the rows as a batch, the second class predicted from a probability of 0.4 upwards."""
        predicted = Predicted((self.score > 0.4).astype(np.int64), self.scores)
        return Rows("binary_classification", predicted, self.scores, self.units, GAINS)


def draw_rows(
    rng: np.random.Generator, rows: int, *, entities: bool = False, shift: float = 0.0, change: float = 0.0
) -> Sample:
    """Draw rows whose scores are not calibrated; with a shift of the covariate, or a change of the concept."""
    codes, common = None, 0.0
    x = rng.normal(size=rows)
    if entities:
        codes = np.repeat(np.arange(rows // ROWS_PER_ENTITY), ROWS_PER_ENTITY)
        common = 0.9 * rng.normal(size=codes.max() + 1)[codes]
        x = 0.7 * x + 0.7 * rng.normal(size=codes.max() + 1)[codes]
    x = x + shift
    logit = 1.5 * x - 1.5
    truth = rng.random(rows) < 1 / (1 + np.exp(-(logit + change + common)))
    return Sample(1 / (1 + np.exp(-(1.6 * logit + 0.3))), truth, codes)


def learn(known: KnownRows) -> OutcomeModel:
    """Return what a reference shows that is known to be large enough."""
    model = fit_reference(known)
    assert isinstance(model, OutcomeModel), model
    return model


def measure(sample: Sample) -> dict[str, float]:
    """Return the metrics of the labels, as `engine.models.metrics.performance` measures them."""
    cost = CostMatrix(true_positive=3, false_positive=-1, true_negative=0.5, false_negative=-4)
    predicted = sample.score > 0.4
    found, _, _ = measure_binary(
        sample.truth, predicted, sample.score, names=("0", "1"), cost_matrix=cost, units=sample.units
    )
    return {name: value for name, value in found.items() if isinstance(value, float)}


def losses_of(truth: npt.NDArray[np.float64], predicted: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the losses of a regression, one column each."""
    off = truth - predicted
    return np.stack([abs(off), off**2, (np.log1p(truth) - np.log1p(predicted)) ** 2, abs(off / truth)], axis=1)


def fold_of(batch: Sample) -> npt.NDArray[np.int64]:
    """Return the part of each row, the same for all rows of an entity."""
    return (np.arange(len(batch.score)) if batch.codes is None else batch.codes) % FOLDS
