"""Metrics of rows whose outcomes are partly or entirely unknown, from the expected outcome of each row.

The expected outcome of a row is the probability of each class, or the expected loss by each measure of a regression.
The metrics are those of the expected confusion matrix, of the expected counts at each threshold, and of the expected
mean losses. This is exact for metrics that are linear in the outcomes; for the others the error decreases with the
number of rows, while their standard error decreases with its root. The calibration error, which chance alone makes
positive, is the mean of a folded normal distribution in each bin (Leone, Nelson & Nottingham 1961). If the outcomes are
known, the metrics equal those of `classification` and `regression` in `engine.models.metrics`.

Each value comes with its influences: the derivatives by a row's outcomes, from which standard errors are computed.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import pi, sqrt

import numpy as np
import numpy.typing as npt

from engine.models.metrics.classification import (
    CALIBRATION_BINS,
    NO_POSITIVE,
    NO_PROBABILITIES,
    ONE_CLASS,
    compute_lift,
    compute_log_losses,
    compute_roc_auc,
    find_calibration_bins,
)
from engine.models.metrics.classification_intervals import (
    average_precision_influence,
    lift_influence,
    matrix_influences,
    placement_values,
)
from engine.models.metrics.intervals import Scale

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LOSSES = ("mae", "mse", "rmsle", "mape")
"""The losses of a regression, in the order of their columns in the outcomes."""
_LEAST_MASS = 1e-9
"""An expected number of rows below this share of all counts as none."""


@dataclass(frozen=True, slots=True)
class Expected:
    """An expected metric, and its derivatives by the outcomes of a row.

    `influence` broadcasts to shape (n, outcomes): the metric changes by the sum over outcomes of influence times change
    of outcome, divided by the number of rows. It is defined up to a constant per metric.
    """

    value: float
    influence: Floats
    scale: Scale


ExpectedOrReasons = Mapping[str, Expected | str]


@dataclass(frozen=True, slots=True)
class Predicted:
    """A model's predictions for n rows.

    Attributes
    ----------
    values
        Indices of the predicted classes, shape (n,), or the predicted numbers of a regression.
    scores
        Probabilities, shape (n, classes), with the positive class of two last; None if the model gives none, and for a
        regression.
    """

    values: npt.NDArray[np.int64] | Floats
    scores: Floats | None = None

    def take(self, rows: npt.NDArray[np.bool_]) -> "Predicted":
        """Return the predictions for the selected rows."""
        return Predicted(self.values[rows], None if self.scores is None else self.scores[rows])


def expect_binary(of: Predicted, outcomes: Floats, noise: Floats, gains: Floats) -> ExpectedOrReasons:
    """Return the expected metrics of a binary classification.

    Parameters
    ----------
    outcomes
        Expected rows of the negative and of the positive class, shape (n, 2). Their sum is the weight of the row.
    noise
        The variance of the outcome of each row, shape (n,); 0 if it is known.
    gains
        The gain of a row by true and by predicted class, shape (2, 2).
    """
    predicted = of.values.astype(np.int64)
    matrix = _expect_matrix(predicted, outcomes, 2)
    n = float(matrix.sum())
    least = _LEAST_MASS * n
    positives, guessed = float(matrix[1].sum()), float(matrix[:, 1].sum())
    hit = float(matrix[1, 1])
    is_positive, at = np.array([0.0, 1.0]), predicted[:, None] == 1
    both = positives > least and n - positives > least
    accuracy = _mean_of(np.asarray(predicted[:, None] == np.arange(2), np.float64), outcomes, n, "logit")
    found: dict[str, Expected | str] = {
        "accuracy": accuracy,
        "precision": (
            Expected(hit / guessed, at * (is_positive - hit / guessed) * (n / guessed), "logit")
            if guessed > least
            else "no row was predicted positive"
        ),
        "recall": (
            Expected(hit / positives, is_positive * (at - hit / positives) * (n / positives), "logit")
            if positives > least
            else NO_POSITIVE
        ),
        "f1": "no row is positive, neither by its target value nor by its prediction",
        "mcc": ONE_CLASS,
        "hamming_loss": Expected(1 - accuracy.value, -accuracy.influence, "logit"),
        "cost_matrix_gain": _mean_of(gains[:, predicted].T, outcomes, n, "plain"),
    }
    if positives + guessed > least:
        f1 = 2 * hit / (positives + guessed)
        of_f1 = (2 * is_positive * at - f1 * (is_positive + at)) * (n / (positives + guessed))
        found["f1"] = Expected(f1, of_f1, "logit")
    if both:
        found["mcc"] = _expect_mcc(matrix, predicted)
    if of.scores is None:
        names = ("roc_auc", "average_precision", "log_loss", "brier", "calibration_error", "lift")
        return found | dict.fromkeys(names, NO_PROBABILITIES)
    score = of.scores[:, 1]
    squares = (of.scores[:, 1:] - is_positive) ** 2
    found |= {
        "log_loss": _mean_of(compute_log_losses(of.scores), outcomes, n, "log"),
        "brier": _mean_of(squares, outcomes, n, "log"),
        "calibration_error": _expect_calibration_error(score, outcomes.sum(axis=1), outcomes[:, 1], noise, n, 1, 2),
    }
    curve = _Curve.count(score, outcomes[:, 1], outcomes[:, 0])
    found["roc_auc"] = curve.expect_area() if both else ONE_CLASS
    if positives <= least:
        return found | {"average_precision": NO_POSITIVE, "lift": NO_POSITIVE}
    return found | {"average_precision": curve.expect_average_precision(), "lift": curve.expect_lift()}


def expect_multiclass(of: Predicted, outcomes: Floats, noise: Floats) -> ExpectedOrReasons:
    """Return the expected metrics of a classification of k classes.

    Parameters
    ----------
    outcomes
        Expected rows of each class, shape (n, k). Their sum is the weight of the row.
    noise
        The variance of whether the class with the highest probability is right, shape (n,); 0 if it is known.
    """
    predicted, k = of.values.astype(np.int64), outcomes.shape[1]
    matrix = _expect_matrix(predicted, outcomes, k)
    n = float(matrix.sum())
    support, guessed, hits = matrix.sum(axis=1) / n, matrix.sum(axis=0) / n, np.diag(matrix) / n
    here = support + guessed > _LEAST_MASS
    precision, recall, f1 = (
        np.divide(hits, by, out=np.zeros(k), where=by > _LEAST_MASS)
        for by in (guessed, support, (support + guessed) / 2)
    )
    values = {
        "precision": float(precision[here].mean()),
        "recall": float(recall[here].mean()),
        "f1": float(f1[here].mean()),
        "precision_weighted": float((precision * support).sum()),
        "f1_weighted": float((f1 * support).sum()),
    }
    influences = matrix_influences(matrix)  # type: ignore[arg-type] # expected counts are not whole
    accuracy = _mean_of(np.asarray(predicted[:, None] == np.arange(k), np.float64), outcomes, n, "logit")
    found: dict[str, Expected | str] = {
        "accuracy": accuracy,
        **{name: Expected(value, influences[name][0][:, predicted].T, "logit") for name, value in values.items()},
        "recall_weighted": accuracy,
        "mcc": _expect_mcc(matrix, predicted) if (support > _LEAST_MASS).sum() > 1 else ONE_CLASS,
        "hamming_loss": Expected(1 - accuracy.value, -accuracy.influence, "logit"),
    }
    if of.scores is None:
        names = ("roc_auc", "roc_auc_weighted", "log_loss", "brier", "calibration_error")
        return found | dict.fromkeys(names, NO_PROBABILITIES)
    squares = np.einsum("ij,ij->i", of.scores, of.scores)[:, None] - 2 * of.scores + 1
    top = of.scores.argmax(axis=1)
    rows = np.arange(len(top))
    found |= {
        "log_loss": _mean_of(compute_log_losses(of.scores), outcomes, n, "log"),
        "brier": _mean_of(squares, outcomes, n, "log"),
        "calibration_error": _expect_calibration_error(
            of.scores[rows, top], outcomes.sum(axis=1), outcomes[rows, top], noise, n, top, k
        ),
    }
    if k < 2 or (support <= _LEAST_MASS).any():
        return found | dict.fromkeys(("roc_auc", "roc_auc_weighted"), ONE_CLASS)
    mean, weighted = np.zeros((len(top), k)), np.zeros((len(top), k))
    areas = np.zeros(k)
    for i in range(k):
        area = _Curve.count(of.scores[:, i], outcomes[:, i], outcomes.sum(axis=1) - outcomes[:, i]).expect_area()
        areas[i] = area.value
        of_class = np.where(np.arange(k) == i, area.influence[:, 1:], area.influence[:, :1])
        mean += of_class / k
        weighted += of_class * support[i]
    of_all = float((areas * support).sum())
    return found | {
        "roc_auc": Expected(float(areas.mean()), mean, "logit"),
        "roc_auc_weighted": Expected(of_all, weighted + areas - of_all, "logit"),
    }


def expect_regression(outcomes: Floats, mass: Floats, losses: Sequence[str]) -> ExpectedOrReasons:
    """Return the expected metrics of a regression.

    Parameters
    ----------
    outcomes
        Expected losses of each row, shape (n, losses).
    mass
        The weight of each row, shape (n,).
    losses
        The defined losses, in the order of the columns.
    """
    found: dict[str, Expected | str] = dict(UNDEFINED_LOSSES)
    for loss, unit, mean in zip(losses, np.eye(len(losses)), outcomes.sum(axis=0) / mass.sum(), strict=True):
        of_loss = unit[None, :]
        for name in ("mse", "rmse") if loss == "mse" else (loss,):
            if name in ("rmse", "rmsle"):
                root = sqrt(max(float(mean), 0.0))
                found[name] = Expected(root, of_loss / (2 * root) if root else of_loss * 0, "log")
            else:
                found[name] = Expected(float(mean), of_loss, "log")
    return found


def measure_losses(truth: Floats, predicted: Floats) -> Floats:
    """Return the losses of rows in the order of `LOSSES`, shape (n, losses); not finite if a loss is undefined."""
    off = truth - predicted
    with np.errstate(all="ignore"):
        logs = np.where(np.minimum(truth, predicted) > -1, (np.log1p(truth) - np.log1p(predicted)) ** 2, np.nan)
        return np.stack([np.abs(off), off**2, logs, np.where(truth != 0, np.abs(off / truth), np.nan)], axis=1)


_TOO_LARGE = "the errors of the reference are too large to compute with"
UNDEFINED_LOSSES = {
    "mae": _TOO_LARGE,
    "mse": _TOO_LARGE,
    "rmse": _TOO_LARGE,
    "rmsle": "a true or predicted value is -1 or less, where log(1 + value) is not defined",
    "mape": "a true value is 0, where the relative error is not defined",
}
"""Reasons why a metric of a regression has no estimate if its loss is undefined for some row with a known label."""


def _expect_matrix(predicted: Ints, outcomes: Floats, k: int) -> Floats:
    """Return the expected rows by true and by predicted class, shape (k, k)."""
    return np.stack([np.bincount(predicted, outcomes[:, i], k) for i in range(k)])


def _mean_of(by_outcome: Floats, outcomes: Floats, n: float, scale: Scale) -> Expected:
    """Return the mean of a number per row and outcome, weighted by the outcomes, shape (n, outcomes)."""
    return Expected(float((by_outcome * outcomes).sum() / n), by_outcome, scale)


def _expect_mcc(matrix: Floats, predicted: Ints) -> Expected | str:
    """Return Matthews' correlation (Gorodkin 2004) in shares of the rows."""
    shares = matrix / matrix.sum()
    support, guessed = shares.sum(axis=1), shares.sum(axis=0)
    spread = (1 - float((guessed * guessed).sum())) * (1 - float((support * support).sum()))
    value = (float(np.trace(shares)) - float((support * guessed).sum())) / sqrt(spread) if spread > 1e-15 else 0.0
    influences = matrix_influences(matrix)  # type: ignore[arg-type] # expected counts are not whole
    if "mcc" not in influences or not spread > 1e-15:
        return Expected(0.0, np.zeros((1, len(matrix))), "fisher")  # only one class was predicted
    return Expected(value, influences["mcc"][0][:, predicted].T, "fisher")


def _expect_calibration_error(
    score: Floats, mass: Floats, happened: Floats, noise: Floats, n: float, event: Ints | int, k: int
) -> Expected:
    """Return the expected calibration error of the probability of an event; `event` is its index among k outcomes."""
    bins = find_calibration_bins(score)
    gap = np.bincount(bins, score * mass - happened, CALIBRATION_BINS)
    spread = np.sqrt(np.bincount(bins, noise, CALIBRATION_BINS))
    sign = np.where(gap < 0, -1.0, 1.0)[bins][:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(spread > 0, np.abs(gap) / spread, np.inf)
    from scipy.special import ndtr  # imported late, as for the intervals

    expected = spread * sqrt(2 / pi) * np.exp(-(np.minimum(ratio, 40.0) ** 2) / 2) + np.abs(gap) * (
        1 - 2 * ndtr(-ratio)
    )
    is_event = np.arange(k) == (event[:, None] if isinstance(event, np.ndarray) else event)
    return Expected(float(expected.sum() / n), sign * (score[:, None] - is_event), "plain")


@dataclass(frozen=True, slots=True)
class _Curve:
    """Expected counts of positives and negatives at each threshold, from high to low, and the threshold of each row."""

    tps: Floats
    fps: Floats
    of_row: Ints

    @classmethod
    def count(cls, score: Floats, positive: Floats, negative: Floats) -> "_Curve":
        counted = (positive != 0) | (negative != 0)  # a row with weight 0 would cause 0 / 0
        thresholds = np.unique(-score[counted])
        place = np.minimum(np.searchsorted(thresholds, -score), len(thresholds) - 1)
        tps, fps = (
            np.cumsum(np.bincount(place, rows, len(thresholds))).astype(np.float64) for rows in (positive, negative)
        )
        return cls(tps, fps, place)

    def _by_row(self, of_cells: Floats) -> Floats:
        return np.asarray(of_cells.reshape(-1, 2)[self.of_row])

    def expect_area(self) -> Expected:
        area = compute_roc_auc(self.tps, self.fps)  # type: ignore[arg-type] # expected counts are not whole
        above, below = placement_values(self.tps, self.fps)  # type: ignore[arg-type]
        n, positives = float(self.tps[-1] + self.fps[-1]), float(self.tps[-1])
        of_cells = np.stack([(below - area) * (n / (n - positives)), (above - area) * (n / positives)], axis=1)
        return Expected(area, self._by_row(of_cells), "logit")

    def expect_average_precision(self) -> Expected:
        positive = np.diff(self.tps, prepend=0)
        value = float((positive * self.tps / (self.tps + self.fps)).sum() / self.tps[-1])
        influence = average_precision_influence(value, self.tps, self.fps)  # type: ignore[arg-type]
        return Expected(value, self._by_row(influence), "logit")

    def expect_lift(self) -> Expected:
        value = compute_lift(self.tps, self.fps)  # type: ignore[arg-type]
        influence = lift_influence(value, self.tps, self.fps)  # type: ignore[arg-type]
        return Expected(value, self._by_row(influence), "log")


def iterate_expected(found: ExpectedOrReasons) -> Iterator[tuple[str, Expected]]:
    """Yield the metrics that have a value."""
    return ((name, one) for name, one in found.items() if isinstance(one, Expected))
