"""Estimated performance of a model on rows without labels, from a reference with known labels.

*Calibrated*: the outcomes of the reference given its scores predict the outcomes of the batch row by row
(confidence-based performance estimation, as in NannyML; for regression, the expected errors: direct loss estimation).
*Reweighted*: the same after the rows of the reference are weighted by how often the batch has similar rows, if the
covariates moved (Białek, Kuberski, Perrakis & Bifet 2024, for metrics of the confusion matrix of two classes; here also
for metrics of thresholds, of more classes and of regressions). No such method detects a change in the relation between
the columns and the target. *Prediction-powered*, if some labels exist: see
`engine.models.estimation.prediction_powered`.

At the confidence of the store, the interval contains both the metric that the labels of these rows will show and the
metric of all rows like them; so it is wider than either alone would need. No random numbers are used.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import floor, sqrt
from typing import Literal

import numpy as np
import numpy.typing as npt

from engine.models.estimation.expected_metrics import (
    LOSSES,
    Expected,
    ExpectedOrReasons,
    Predicted,
    expect_binary,
    expect_multiclass,
    expect_regression,
    iterate_expected,
)
from engine.models.estimation.expected_outcomes import ExpectedOutcomes, KnownRows, OutcomeModel, fit_outcomes
from engine.models.metrics.intervals import IntervalOrReason, Units, interval_around
from engine.spec.metrics.catalogue import ESTIMATED_BY_TASK

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

Method = Literal["calibrated", "reweighted", "prediction-powered"]

FEWEST_KNOWN = 50
"""Minimum effective number of independent units of the reference; with fewer, nothing is estimated."""
FEWEST_KNOWN_OF_A_CLASS = 10
"""Minimum number of rows of each class in the reference."""
FEWEST_EXPECTED = 10
"""Minimum expected number of rows of the rarer class for intervals of metrics that compare the classes."""
FEWEST_DEGREES = 50
"""Minimum degrees of freedom of the variance for intervals of metrics of a regression: if few rows have most of the
error, the available rows show too little of it, and intervals at 0.95 contain the value 8 times in 10 (simulated)."""
_NO_INFLUENCE = 1e-12
"""Maximum influence of outcomes on a metric that does not depend on them, such as the ROC AUC of equal scores, 0.5."""
_OF_RARER_CLASS = ("precision", "recall", "f1", "mcc", "roc_auc", "average_precision", "lift")
_RANGES = {"calibration_error": (0.0, 1.0), "brier": (0.0, 2.0)}


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a batch that have a prediction.

    Attributes
    ----------
    task
        The task of the model.
    predicted
        The model's predictions for them.
    scores
        The scores on which the expected outcomes depend, shape (n, outcomes) or (n, 1): see `KnownRows`.
    units
        The independent units of the rows, and the confidence of the intervals.
    gains
        The gain of a row by true and predicted class, shape (2, 2).
    losses
        The losses of a regression that are defined, in the order of the outcomes.
    """

    task: str
    predicted: Predicted
    scores: Floats
    units: Units
    gains: Floats
    losses: tuple[str, ...] = LOSSES

    def take(self, rows: Bools) -> "Rows":
        """Return the selected rows."""
        codes = self.units.codes
        if codes is not None:
            codes = np.unique(codes[rows], return_inverse=True)[1].astype(np.int64)
        units = Units(int(rows.sum()), self.units.confidence, codes)
        return Rows(self.task, self.predicted.take(rows), self.scores[rows], units, self.gains, self.losses)

    def measure(self, outcomes: Floats, noise: Floats, mass: Floats) -> ExpectedOrReasons:
        """Return the metrics of known or expected outcomes, shape (n, outcomes).

        Parameters
        ----------
        noise
            The variance of each outcome, shape (n, outcomes); 0 if it is known.
        mass
            The weight of each row, shape (n,).
        """
        with np.errstate(all="ignore"):
            if self.task == "regression":
                return expect_regression(outcomes, mass, self.losses)
            if self.task == "binary_classification":
                return expect_binary(self.predicted, outcomes, noise[:, 1], self.gains)
            top = self.predicted.values if self.predicted.scores is None else self.predicted.scores.argmax(axis=1)
            return expect_multiclass(self.predicted, outcomes, noise[np.arange(len(top)), top])

    def expect(self, expected: ExpectedOutcomes) -> ExpectedOrReasons:
        """Return the expected metrics."""
        return self.measure(expected.outcomes, expected.noise, np.ones(len(expected.outcomes)))


@dataclass(frozen=True, slots=True)
class Estimates:
    """Estimated performance of a model on a batch.

    `metrics` holds every metric of the task that can be estimated; if a value is None, `reasons` has the reason.
    `intervals` holds the low and high ends of their confidence intervals; if a value has none, `interval_reasons` has
    the reason. `method` is None if there is no estimate at all. `rows` counts the rows of the batch that were used,
    `reference_rows` the rows of the reference with a known outcome, and `effective_units` is the number of equally
    weighted units (entities, or rows) with the same information as the reference.
    """

    metrics: Mapping[str, float | None]
    reasons: Mapping[str, str] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    interval_reasons: Mapping[str, str] = field(default_factory=dict)
    method: Method | None = None
    rows: int = 0
    reference_rows: int = 0
    effective_units: float | None = None


def refuse_estimates(task: str, reason: str) -> Estimates:
    """Return a result without any estimate for a task, with the reason."""
    names = ESTIMATED_BY_TASK[task]
    return Estimates(dict.fromkeys(names), dict.fromkeys(names, reason))


def fit_reference(known: KnownRows) -> OutcomeModel | str:
    """Learn the expected outcomes from the reference, or return the reason why it has too little data."""
    rows = len(known.outcomes)
    if not rows:
        return "no row of the reference has a label and a prediction"
    if not known.weights.any():
        return "no row of the reference with a label is like the rows of the batch"
    if known.classes and (counts := known.outcomes.sum(axis=0)).min() < FEWEST_KNOWN_OF_A_CLASS:
        return (
            f"too few labels: the reference has {int(counts.min()):,} rows of the rarest class, "
            f"at least {FEWEST_KNOWN_OF_A_CLASS} are needed"
        )
    if (effective := known.effective_units) < FEWEST_KNOWN:
        noun, what = known.units.noun, "have a label"
        if known.units.count >= FEWEST_KNOWN:
            what = f"count as much as only {effective:,.0f}, so unlike the batch are they"
        return f"{known.units.count:,} {noun} of the reference {what}, at least {FEWEST_KNOWN} are needed"
    return fit_outcomes(known)


def estimate_performance(rows: Rows, model: OutcomeModel, *, reweighted: bool = False) -> Estimates:
    """Estimate the performance on rows with unknown outcomes.

    Parameters
    ----------
    model
        The result of `fit_reference`.
    reweighted
        Whether the rows of the reference were weighted to represent the batch.
    """
    if not len(rows.scores):
        return refuse_estimates(rows.task, "no row of the batch has a prediction")
    expected = model.expect(rows.scores)
    found = rows.expect(expected)
    rarer = float(expected.outcomes.sum(axis=0).min()) if model.is_binary else np.inf
    bounds = {
        name: find_interval(
            name, one, expected.variance(one, rows.units), rows.units, rarer, model, expected.count_degrees(one)
        )
        for name, one in iterate_expected(found)
    }
    return assemble_estimates(rows.task, found, bounds, "reweighted" if reweighted else "calibrated", model, rows)


def find_interval(
    name: str, of: Expected, variance: float, units: Units, rarer: float, model: OutcomeModel, degrees: float
) -> IntervalOrReason:
    """Return the interval of an estimate.

    Parameters
    ----------
    rarer
        The expected number of rows of the rarer of two classes; infinite if irrelevant.
    degrees
        The degrees of freedom of the variance.
    """
    if not model.known.classes and degrees < FEWEST_DEGREES:
        return (
            "no interval: few rows have most of the error, so they do not show how far chance could move it "
            f"({degrees:,.0f} degrees of freedom, at least {FEWEST_DEGREES} needed)"
        )
    if name in _OF_RARER_CLASS and rarer < FEWEST_EXPECTED:
        return (
            f"no interval: about {rarer:,.0f} rows of the rarer class are expected, at least {FEWEST_EXPECTED} needed"
        )
    if model.known.classes and np.ptp(of.influence, axis=-1).max(initial=0.0) <= _NO_INFLUENCE:
        return of.value, of.value
    count = min(units.count, floor(model.known.effective_units))
    bound = interval_around(of.value, sqrt(variance), count, units, of.scale)
    low, high = _RANGES.get(name, (-np.inf, np.inf))
    return bound if isinstance(bound, str) else (max(low, bound[0]), min(high, bound[1]))


def assemble_estimates(
    task: str,
    found: ExpectedOrReasons,
    bounds: Mapping[str, IntervalOrReason],
    method: Method,
    model: OutcomeModel,
    rows: Rows,
) -> Estimates:
    """Return values, intervals and reasons as one record."""
    values = {name: found[name] for name in ESTIMATED_BY_TASK[task]}
    return Estimates(
        {name: one.value if isinstance(one, Expected) else None for name, one in values.items()},
        {name: one for name, one in values.items() if isinstance(one, str)},
        {name: bound for name, bound in bounds.items() if not isinstance(bound, str)},
        {name: bound for name, bound in bounds.items() if isinstance(bound, str)},
        method,
        len(rows.scores),
        len(model.known.outcomes),
        model.known.effective_units,
    )
