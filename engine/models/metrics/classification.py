"""Metrics of classification: from the confusion matrix, from one sort of the probabilities, and from bins of them.

Definitions are those of scikit-learn unless a docstring gives another one. If a metric is undefined, its value is a
sentence with the reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from engine.formatting.lists import join_some
from engine.models.metrics.classification_intervals import (
    LIFT_SHARE,
    calibration_interval,
    matrix_intervals,
    mean_interval,
    multiclass_area_intervals,
    threshold_intervals,
)
from engine.models.metrics.intervals import IntervalOrReason, Units
from engine.models.metrics.performance_detail import (
    CalibrationCurve,
    ConfusionMatrix,
    PerformanceDetail,
    PrecisionRecallCurve,
    RocCurve,
)
from engine.spec.resources.models import CostMatrix

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
MetricsOrReasons = Mapping[str, float | str]
"""By metric: the value, or the reason why there is none."""
Intervals = Mapping[str, IntervalOrReason]
"""By metric with a value: its interval, or the reason why there is none."""

MAX_CURVE_POINTS = 200
"""Maximum number of points of a stored curve."""
CALIBRATION_BINS = 10
MAX_MATRIX_CLASSES = 50
"""Maximum number of classes for which a confusion matrix is stored."""

NO_PROBABILITIES = "the model gives no probabilities"
ONE_CLASS = "all target values are of one class"
NO_POSITIVE = "no target value is the positive class"


def measure_binary(
    truth: Bools,
    predicted: Bools,
    probability: Floats | None,
    *,
    names: tuple[str, str],
    cost_matrix: CostMatrix,
    units: Units,
) -> tuple[MetricsOrReasons, Intervals, PerformanceDetail]:
    """Measure a binary classification on n rows.

    Parameters
    ----------
    truth, predicted
        Shape (n,), true where positive; n at least 1.
    probability
        Probability of the positive class, shape (n,); None if the model gives none. If one is missing (NaN), no metric
        of probabilities has a value.
    names
        Labels of the negative and of the positive class.
    cost_matrix
        The gain of a data row for each of the four combinations of true and predicted class.
    units
        The independent units of the rows, and the confidence of the intervals.

    Returns
    -------
    metrics, intervals, detail
        Value or reason by metric; interval or reason by metric with a value; and the confusion matrix, calibration,
        ROC and precision-recall curves.

    Notes
    -----
    `lift`: the share of positives among the tenth of the rows with the highest probabilities, divided by their share
    among all rows; rows tied at the border count in proportion. `calibration_error`: expected calibration error over
    10 bins of equal width (Naeini, Cooper & Hauskrecht 2015). `cost_matrix_gain`: mean gain per row. `brier`: mean
    squared error of the probability (Brier 1950), from 0 to 1.
    """
    n = len(truth)
    tp = int((truth & predicted).sum())
    fp, fn = int(predicted.sum()) - tp, int(truth.sum()) - tp
    tn = n - tp - fp - fn
    positives, negatives = tp + fn, tn + fp  # by label, not by prediction
    gain = (
        tp * cost_matrix.true_positive
        + fp * cost_matrix.false_positive
        + tn * cost_matrix.true_negative
        + fn * cost_matrix.false_negative
    )
    both = positives > 0 and negatives > 0
    metrics: dict[str, float | str] = {
        "accuracy": (tp + tn) / n,
        "precision": tp / (tp + fp) if tp + fp else "no row was predicted positive",
        "recall": tp / positives if positives else NO_POSITIVE,
        "f1": 2 * tp / (2 * tp + fp + fn)
        if tp + fp + fn
        else "no row is positive, neither by its target value nor by its prediction",
        "mcc": _matthews_correlation(np.array([[tn, fp], [fn, tp]])) if both else ONE_CLASS,
        "hamming_loss": (fp + fn) / n,
        "cost_matrix_gain": gain / n,
    }
    matrix = np.array([[tn, fp], [fn, tp]])
    intervals = matrix_intervals(
        truth.astype(np.int64), predicted.astype(np.int64), matrix, metrics, units, arrange_gains(cost_matrix)
    )
    detail = PerformanceDetail(confusion_matrix=_describe_matrix(names, matrix))
    of_probability = ("roc_auc", "average_precision", "log_loss", "brier", "calibration_error", "lift")
    if probability is None:
        return metrics | dict.fromkeys(of_probability, NO_PROBABILITIES), intervals, detail
    if np.isnan(probability).any():
        return metrics | dict.fromkeys(of_probability, "some rows have no probability"), intervals, detail
    # One sort gives the counts at every threshold, from which ROC, precision-recall and lift follow.
    tps, fps, thresholds, order = count_by_threshold(truth, probability)
    calibration, error = _calibration_curve(truth, probability)
    right = np.where(truth, probability, 1 - probability)  # the probability given to the true class
    losses, squares = compute_log_losses(right), (1 - right) ** 2  # (1 - right)^2 = (p - y)^2 for either class
    metrics |= {
        "roc_auc": compute_roc_auc(tps, fps) if both else ONE_CLASS,
        "average_precision": _average_precision(tps, fps) if positives else NO_POSITIVE,
        "log_loss": float(losses.mean()),
        "brier": float(squares.mean()),
        "calibration_error": error,
        "lift": compute_lift(tps, fps) if positives else NO_POSITIVE,
    }
    intervals |= threshold_intervals(truth, (tps, fps, order), metrics, units) | {
        "log_loss": mean_interval(float(losses.mean()), losses, units),
        "brier": mean_interval(float(squares.mean()), squares, units),
        "calibration_error": calibration_interval(error, find_calibration_bins(probability), truth, probability, units),
    }
    detail = replace(detail, calibration=calibration)
    if both:
        some = _thin_curve(len(tps))
        roc = RocCurve(
            false_positive_rate=(0.0, *(fps[some] / negatives).tolist()),
            true_positive_rate=(0.0, *(tps[some] / positives).tolist()),
            threshold=(None, *thresholds[some].tolist()),
        )
        precision_recall = PrecisionRecallCurve(
            recall=tuple((tps[some] / positives).tolist()),
            precision=tuple((tps[some] / (tps[some] + fps[some])).tolist()),
            threshold=tuple(thresholds[some].tolist()),
        )
        detail = replace(detail, roc=roc, precision_recall=precision_recall)
    return metrics, intervals, detail


def arrange_gains(cost_matrix: CostMatrix) -> Floats:
    """Return the gain per row by true and by predicted class, shape (2, 2); the negative class comes first."""
    return np.array(
        [
            [cost_matrix.true_negative, cost_matrix.false_positive],
            [cost_matrix.false_negative, cost_matrix.true_positive],
        ],
        dtype=np.float64,
    )


def _describe_matrix(names: Sequence[str], matrix: Ints) -> ConfusionMatrix:
    return ConfusionMatrix(tuple(names), tuple(map(tuple, matrix.tolist())))


def measure_multiclass(
    truth: Ints, predicted: Ints, probabilities: Floats | None, names: Sequence[str], units: Units
) -> tuple[MetricsOrReasons, Intervals, PerformanceDetail]:
    """Measure a classification of k classes on n rows.

    Parameters
    ----------
    truth, predicted
        Indices of classes in `names`, shape (n,), n at least 1.
    probabilities
        Shape (n, classes known to the model); None if the model gives none.
    names
        Labels of the classes: first those known to the model, then others that occur in the rows.
    units
        The independent units of the rows, and the confidence of the intervals.

    Returns
    -------
    metrics, intervals, detail
        Value or reason by metric; interval or reason by metric with a value; and the confusion matrix, calibration
        and `roc_auc_by_class`.

    Notes
    -----
    Averages are taken over the classes that occur among the labels or predictions; a class that is never predicted has
    precision 0. `roc_auc`: mean over classes of the area for that class against the rest. `calibration_error`: expected
    calibration error of the largest probability, 10 bins of equal width (Guo, Pleiss, Sun & Weinberger 2017). `brier`:
    sum over classes of the squared error, mean over rows (Brier 1950), from 0 to 2.
    """
    n, k = len(truth), len(names)
    # The confusion matrix in one pass: each pair (true, predicted) is one number below k * k.
    matrix = np.bincount(truth * k + predicted, minlength=k * k).reshape(k, k)
    support, guessed, hits = matrix.sum(axis=1), matrix.sum(axis=0), np.diag(matrix)
    here = (support + guessed) > 0  # classes that occur in these rows
    precision, recall = _safe_ratio(hits, guessed)[here], _safe_ratio(hits, support)[here]
    # F1 of a class: 2 TP / (2 TP + FP + FN), where the denominator is support + predicted.
    f1, weights = (2 * hits / np.maximum(support + guessed, 1))[here], support[here] / n
    accuracy = float(hits.sum() / n)
    metrics: dict[str, float | str] = {
        "accuracy": accuracy,
        "precision": float(precision.mean()),
        "recall": float(recall.mean()),
        "f1": float(f1.mean()),
        "precision_weighted": float(precision @ weights),
        "recall_weighted": float(recall @ weights),
        "f1_weighted": float(f1 @ weights),
        "mcc": _matthews_correlation(matrix) if (support > 0).sum() > 1 else ONE_CLASS,
        "hamming_loss": 1 - accuracy,
    }
    intervals = matrix_intervals(truth, predicted, matrix, metrics, units)
    detail = PerformanceDetail(confusion_matrix=_describe_matrix(names, matrix) if k <= MAX_MATRIX_CLASSES else None)
    of_probability = ("roc_auc", "roc_auc_weighted", "log_loss", "brier", "calibration_error")
    if probabilities is None:
        return metrics | dict.fromkeys(of_probability, NO_PROBABILITIES), intervals, detail
    if np.isnan(probabilities).any():
        return metrics | dict.fromkeys(of_probability, "some rows have no probability"), intervals, detail
    unknown = [names[i] for i in range(probabilities.shape[1], k) if support[i]]
    if unknown:
        reason = f"the target column contains classes that are unknown to the model: {join_some(unknown)}"
        return metrics | dict.fromkeys(of_probability, reason), intervals, detail
    right = probabilities[np.arange(n), truth]
    confident = probabilities.max(axis=1)
    hit = probabilities.argmax(axis=1) == truth
    calibration, error = _calibration_curve(hit, confident)
    # sum_j (p_j - y_j)^2 = sum_j p_j^2 - 2 p_true + 1
    losses, squares = compute_log_losses(right), np.einsum("ij,ij->i", probabilities, probabilities) - 2 * right + 1
    detail = replace(detail, calibration=calibration)
    metrics |= {
        "log_loss": float(losses.mean()),
        "brier": float(squares.mean()),
        "calibration_error": error,
    }
    intervals |= {
        "log_loss": mean_interval(float(losses.mean()), losses, units),
        "brier": mean_interval(float(squares.mean()), squares, units),
        "calibration_error": calibration_interval(error, find_calibration_bins(confident), hit, confident, units),
    }
    absent = [names[i] for i in range(probabilities.shape[1]) if not support[i]]
    if absent:
        reason = f"no target value is {join_some(absent)}"
        return metrics | dict.fromkeys(("roc_auc", "roc_auc_weighted"), reason), intervals, detail
    if probabilities.shape[1] < 2:
        return metrics | dict.fromkeys(("roc_auc", "roc_auc_weighted"), ONE_CLASS), intervals, detail
    curves = [count_by_threshold(truth == i, probabilities[:, i]) for i in range(probabilities.shape[1])]
    areas = np.array([compute_roc_auc(tps, fps) for tps, fps, _, _ in curves])
    intervals |= multiclass_area_intervals(truth, areas, [(tps, fps, order) for tps, fps, _, order in curves], units)
    return (
        metrics
        | {
            "roc_auc": float(areas.mean()),
            "roc_auc_weighted": float(areas @ support[: len(areas)] / n),
        },
        intervals,
        replace(detail, roc_auc_by_class=dict(zip(names, areas.tolist(), strict=False))),
    )


def count_by_threshold(truth: Bools, probability: Floats) -> tuple[Ints, Ints, Floats, Ints]:
    """Count true and false positives for each distinct probability as threshold, from high to low.

    Returns
    -------
    true positives, false positives, thresholds, order
        Shape (distinct probabilities,) each: the rows with at least that probability, by label. `order`, shape (n,),
        holds the rows from the highest probability to the lowest.
    """
    order = np.argsort(-probability, kind="stable")
    ordered = probability[order]
    # The last row of each run of equal probabilities: tied rows pass a threshold together.
    last = np.r_[np.flatnonzero(np.diff(ordered)), len(ordered) - 1]
    tps = np.cumsum(truth[order], dtype=np.int64)[last]
    # last + 1 rows have passed; those that are not true positives are false positives.
    return tps, last + 1 - tps, ordered[last], order


def compute_roc_auc(tps: Ints, fps: Ints) -> float:
    """Return the area under the ROC curve, by trapezoids in counts, divided by positives times negatives."""
    area = np.trapezoid(np.r_[0, tps].astype(np.float64), np.r_[0, fps])
    return float(area / (tps[-1] * float(fps[-1])))


def compute_lift(tps: Ints, fps: Ints) -> float:
    """Return the share of positives in the first `LIFT_SHARE` of the rows, divided by their share in all rows."""
    n = float(tps[-1] + fps[-1])
    top = float(np.interp(LIFT_SHARE * n, np.r_[0, tps + fps], np.r_[0, tps]))  # shares out tied rows
    return top / (LIFT_SHARE * n) / (float(tps[-1]) / n)


def _average_precision(tps: Ints, fps: Ints) -> float:
    """Return the sum over thresholds of the gain in recall times the precision there."""
    return float(np.sum(np.diff(tps, prepend=0) * (tps / (tps + fps))) / tps[-1])


def compute_log_losses(right: Floats) -> Floats:
    """Return -log(probability of the true class) of each row, with probabilities clipped to [eps, 1 - eps]."""
    step = np.finfo(np.float64).eps
    return -np.log(np.clip(right, step, 1 - step))


def _matthews_correlation(matrix: Ints) -> float:
    """Return the Matthews correlation coefficient for k classes; 0 if only one class was predicted.

    With n rows, c correct ones, t_k rows of class k and p_k predicted as k (Gorodkin 2004):
    (c n - sum t_k p_k) / sqrt((n^2 - sum p_k^2) (n^2 - sum t_k^2)).
    """
    n, support, guessed = float(matrix.sum()), matrix.sum(axis=1).astype(float), matrix.sum(axis=0).astype(float)
    spread = (n**2 - guessed @ guessed) * (n**2 - support @ support)
    return float((np.trace(matrix) * n - support @ guessed) / np.sqrt(spread)) if spread > 0 else 0.0


def _calibration_curve(right: Bools, probability: Floats) -> tuple[CalibrationCurve, float]:
    """Return the calibration curve and the expected calibration error over bins of equal width.

    Parameters
    ----------
    right
        Shape (n,): whether the event of the probability happened.
    probability
        Shape (n,), from 0 to 1.
    """
    bins = find_calibration_bins(probability)
    rows = np.bincount(bins, minlength=CALIBRATION_BINS)
    expected = np.bincount(bins, probability, minlength=CALIBRATION_BINS)
    happened = np.bincount(bins, right, minlength=CALIBRATION_BINS)
    some = rows > 0
    curve = CalibrationCurve(
        probability=tuple((expected[some] / rows[some]).tolist()),
        frequency=tuple((happened[some] / rows[some]).tolist()),
        rows=tuple(rows[some].tolist()),
    )
    # sum over bins of (n_b / n) |mean probability - frequency| = sum |expected - happened| / n
    return curve, float(np.abs(expected - happened).sum() / len(right))


def find_calibration_bins(probability: Floats) -> Ints:
    """Return the index of each probability's bin."""
    return np.minimum((probability * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1)


def _safe_ratio(part: Ints, whole: Ints) -> Floats:
    """Return part / whole, and 0 where the whole is 0."""
    return part / np.maximum(whole, 1)


def _thin_curve(points: int) -> Ints:
    """Return evenly spaced indices of at most `MAX_CURVE_POINTS` - 1 points, with both ends."""
    return np.unique(np.linspace(0, points - 1, min(points, MAX_CURVE_POINTS - 1)).astype(np.int64))
