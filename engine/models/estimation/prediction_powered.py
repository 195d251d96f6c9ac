"""Estimates from the available labels and the expected outcomes of all other rows: prediction-powered inference.

The labels of some rows correct the expectation for all (Angelopoulos, Bates, Fannjiang, Jordan & Zrnic 2023). Labels
may be missing systematically, so each labelled row represents the rows with a similar score: its weight is the inverse
of the share of them that have a label, estimated from rows of other entities (cross-fitting). The weight of the
expectation is chosen per metric to minimize the variance, down to 0 (PPI++: Angelopoulos, Duchi & Zrnic 2023): so a
wrong expectation costs precision, never correctness. No such method detects that missing labels depend on the target
beyond the score.

Two metrics are not smooth functions of means over rows. The average precision is that of the labelled rows alone, with
their weights. The calibration error, which weighted rows would distort, is computed from the labels and a curve fitted
to them.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from engine.models.estimation.calibration import choose_knots, fit_spline
from engine.models.estimation.estimates import Estimates, Rows, assemble_estimates, find_interval
from engine.models.estimation.expected_metrics import Expected, ExpectedOrReasons, iterate_expected
from engine.models.estimation.expected_outcomes import KnownRows, OutcomeModel, count_degrees, fit_outcomes
from engine.models.metrics.intervals import IntervalOrReason, Units

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

FEWEST_LABELLED = 100
"""Minimum number of independent units with a label; with fewer, labels correct nothing."""
FEWEST_LABELLED_OF_A_CLASS = 20
"""Minimum number of labelled rows of each class; with fewer, labels correct nothing."""
FOLDS = 5
"""Number of folds: the shares of labels in each are estimated from the others."""
MOST_WEIGHT = 20
"""Maximum number of rows that a labelled row represents, relative to the average."""
LABELLED_ROWS_PER_SEGMENT = 25
"""Minimum average number of rows with a label, and of rows without, per segment of the share of labels: its error of a
fifth then adds a few per cent to the variance. With 5 rows, intervals were wider than from labelled rows alone
(simulated)."""
_SHARES = (1.0, 0.75, 0.5, 0.25, 0.0)
"""The weights of the expectation that are tried; finer steps improve the variance very little."""
_VARIANCE_SLACK = 1.05
"""How much larger the variance may be with a larger weight of the expectation: a protection from inexact row
weights."""
_BY_LABELS = "average_precision"
"""The one metric without weight for the expectation: corrected rows may have negative counts, and precision among the
few rows with the highest scores would then not be a share."""
_BY_CURVE = "calibration_error"
"""The one metric that is computed from a curve fitted to the labelled rows."""


def are_enough(labelled: Bools, outcomes: Floats, units: Units, *, classes: bool) -> bool:
    """Return whether some rows, but not all, have a label, and enough of them to correct an estimate.

    Parameters
    ----------
    labelled
        Shape (n,).
    outcomes
        The outcomes of the labelled rows in their order, shape (labelled rows, outcomes).
    """
    if labelled.all() or units.count_with(labelled) < FEWEST_LABELLED:
        return False
    return not classes or bool(outcomes.sum(axis=0).min() >= FEWEST_LABELLED_OF_A_CLASS)


def correct_by_labels(
    rows: Rows, model: OutcomeModel, labelled: Bools, outcomes: Floats, folds: npt.NDArray[np.int64]
) -> Estimates:
    """Estimate the performance on rows, some of which have a label.

    Parameters
    ----------
    labelled
        Mask of the rows with a label, shape (n,).
    outcomes
        The outcomes of the labelled rows, shape (n, outcomes); any finite value in the other rows.
    folds
        The fold of each row for cross-fitting, below `FOLDS`, shape (n,): the same for all rows of an entity.
    """
    expected = model.expect(rows.scores)
    weights = _weigh_labelled(rows, labelled, folds)
    known = np.where(labelled[:, None], outcomes, 0.0)

    def measure(share: float) -> tuple[ExpectedOrReasons, Floats, Floats]:
        """Return the metrics for a weight of the expectation, with the outcomes and the weight of each row."""
        guess = share * expected.outcomes
        mass = share + weights * (1 - share)
        mixed = guess + weights[:, None] * (known - guess * labelled[:, None])
        return rows.measure(mixed, expected.noise, mass), mixed, mass

    measured = {1.0: measure(1.0)}
    first = measured[1.0][0]
    found: dict[str, Expected | str] = {}
    bounds: dict[str, IntervalOrReason] = {}
    tuned = _choose_shares(first, expected.outcomes, known, weights, rows.units)
    effective = _count_effective(weights, labelled, rows.units)
    few = Units(effective, rows.units.confidence) if effective < rows.units.count else rows.units
    rarer = max(float(known.sum(axis=0).min()), 0.0) if model.is_binary else np.inf
    for name, one in first.items():
        if name == _BY_CURVE and isinstance(one, Expected):
            by_curve, variance = _expect_from_curve(rows, labelled, known, weights)
            found[name] = by_curve
            bounds[name] = find_interval(name, by_curve, variance, few, rarer, model, np.inf)
            continue
        share = 0.0 if name == _BY_LABELS else tuned.get(name, 1.0)
        if share not in measured:
            measured[share] = measure(share)
        metrics, mixed, mass = measured[share]
        found[name] = metrics[name]
        if isinstance(value := metrics[name], Expected):
            influence = np.broadcast_to(value.influence, mixed.shape)
            of_row = (influence * mixed).sum(axis=1)
            parts = rows.units.add_up(of_row - of_row.sum() / mass.sum() * mass)
            variance = float((parts * parts).sum()) * len(parts) / max(len(parts) - 1, 1) / len(of_row) ** 2
            by = few
            if name == _BY_LABELS:  # computed from the rows of the rarer class alone
                by = Units(
                    min(_count_effective(weights * one, labelled, rows.units) for one in known.T), few.confidence
                )
            bounds[name] = find_interval(name, value, variance, by, rarer, model, count_degrees(parts))
            found[name] = _limit(name, value)
    return assemble_estimates(rows.task, found, bounds, "prediction-powered", model, rows)


def _expect_from_curve(rows: Rows, labelled: Bools, known: Floats, weights: Floats) -> tuple[Expected, float]:
    """Return the calibration error and its variance, from the labels and the expectations of a curve fitted to them."""
    units = rows.take(labelled).units
    curve = fit_outcomes(KnownRows(rows.scores[labelled], known[labelled], units, weights[labelled], classes=True))
    expected = curve.expect(rows.scores)
    outcomes = np.where(labelled[:, None], known, expected.outcomes)
    noise = np.where(labelled[:, None], 0.0, expected.noise)
    found = rows.measure(outcomes, noise, np.ones(len(outcomes)))[_BY_CURVE]
    assert isinstance(found, Expected)  # noqa: S101 - there are scores, so it has a value
    return found, expected.variance(found, rows.units)


def _limit(name: str, one: Expected) -> Expected | str:
    """Return a metric unchanged, or the reason for leaving it out if few labels moved it outside its range."""
    inside = {"mcc": abs(one.value) <= 1, "cost_matrix_gain": True}.get(
        name, one.value >= 0 and (one.scale != "logit" or one.value <= 1)
    )
    return one if inside else "there are too few labels, and their rows differ too much from the others, to measure it"


def _weigh_labelled(rows: Rows, labelled: Bools, folds: npt.NDArray[np.int64]) -> Floats:
    """Return how many rows each labelled row represents, shape (n,): 0 for other rows, 1 on average over all rows.

    The share of rows with a label is a spline of the score, fitted to the rows of other folds. With more than two
    classes, the labelled rows of a predicted class are then scaled to represent that class, if it has enough labels.
    """
    score, outcome = _find_leading_score(rows), labelled.astype(np.float64)
    share = np.empty(len(score))
    for fold in range(FOLDS):
        here = folds == fold
        others = ~here if not here.all() and labelled[~here].any() else np.ones_like(here)
        knots = choose_knots(score[others], (labelled[others], ~labelled[others]), rare_rows=LABELLED_ROWS_PER_SEGMENT)
        spline = fit_spline(score[others], outcome[others], np.ones(int(others.sum())), knots)
        share[here] = spline.locate(score[here]).interpolate(spline.values)
    weights = outcome / np.clip(share, outcome.mean() / MOST_WEIGHT, 1.0)
    if rows.scores.shape[1] > 2:
        of_class = rows.predicted.values.astype(np.int64)
        wanted, got = np.bincount(of_class), np.bincount(of_class, weights)
        enough = np.bincount(of_class, labelled) >= FEWEST_LABELLED_OF_A_CLASS
        weights *= np.where(enough, wanted / np.maximum(got, 1e-12), 1.0)[of_class]
    return np.asarray(weights * (len(weights) / weights.sum()))


def _find_leading_score(rows: Rows) -> Floats:
    """Return the score by which rows are alike: of two classes the second's, of more the highest, or the only one."""
    return rows.scores[:, -1] if rows.scores.shape[1] <= 2 else rows.scores.max(axis=1)


def _choose_shares(
    found: ExpectedOrReasons, expected: Floats, known: Floats, weights: Floats, units: Units
) -> Mapping[str, float]:
    """Return, for each metric, the largest weight of the expectation with about the smallest variance."""
    tuned = {}
    for name, one in iterate_expected(found):
        influence = np.broadcast_to(one.influence, expected.shape)
        guess, truth = (influence * expected).sum(axis=1), (influence * known).sum(axis=1)
        truth = truth - float((weights * truth).mean())
        guess = guess - float(guess.mean())
        # The influence of a row is weight * truth + share * (1 - weight) * guess.
        fixed, moved = units.add_up(weights * truth), units.add_up((1 - weights) * guess)
        variances = [float(np.var(fixed + share * moved)) for share in _SHARES]
        largest = min(
            _VARIANCE_SLACK * min(variances), variances[-1]
        )  # never less precise than the labelled rows alone
        tuned[name] = next(s for s, v in zip(_SHARES, variances, strict=True) if v <= largest)
    return tuned


def _count_effective(weights: Floats, labelled: Bools, units: Units) -> int:
    """Return the number of equally weighted units equivalent to the labelled rows."""
    sums = units.add_up(weights)
    return min(int(sums.sum() ** 2 / max(float((sums * sums).sum()), 1e-300)), units.count_with(labelled))
