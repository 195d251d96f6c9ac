"""Confidence intervals of the metrics of classification (see `engine.models.metrics.intervals`).

The rows fall into cells: pairs of true and predicted class, or of true class and threshold. If a metric depends only on
the number of rows per cell, all rows of a cell have the same influence, so without an entity it is computed per cell
and not per row.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import pi, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.models.metrics.intervals import (
    CONSTANT,
    Floats,
    IntervalOrReason,
    Ints,
    Scale,
    Units,
    interval_around,
    interval_of_sums,
    share_interval,
)

Bools = npt.NDArray[np.bool_]

LIFT_SHARE = 0.1
"""Share of rows, those with the highest probabilities, whose positives `lift` counts."""

FEWEST_OF_A_CLASS = 10
"""Minimum number of independent units of each class for an interval of the area under the ROC curve."""


@dataclass(frozen=True, slots=True)
class Cells:
    """The cell of each of n rows: `of_row`, shape (n,), counted in `counts`, shape (cells,)."""

    of_row: Ints
    counts: Ints

    def find_interval(self, value: float, influence: Floats, of: Units, scale: Scale) -> IntervalOrReason:
        """Return the interval of a metric from the influence of a row in each cell, shape (cells,)."""
        if of.codes is None:
            square = float((self.counts * influence * influence).sum())
        else:
            square = float((of.add_up(influence[self.of_row]) ** 2).sum())
        return interval_of_sums(value, square, of, scale)


def matrix_intervals(
    truth: Ints, predicted: Ints, matrix: Ints, values: Mapping[str, Any], of: Units, gains: Floats | None = None
) -> dict[str, IntervalOrReason]:
    """Return the intervals of the metrics of a confusion matrix.

    Parameters
    ----------
    truth, predicted
        Class indices below k, shape (n,).
    matrix
        Rows by true and by predicted class, shape (k, k).
    values
        Value, or reason for none, by metric; only metrics with a value get an interval.
    gains
        The gain of a row by true and predicted class, shape (k, k), for `cost_matrix_gain`.
    """
    cells = Cells(truth * len(matrix) + predicted, matrix.ravel())
    right = (truth == predicted).astype(np.float64)
    accuracy = share_interval(right, np.ones(len(truth), dtype=bool), of)
    found: dict[str, IntervalOrReason] = {"accuracy": accuracy, "recall_weighted": accuracy}
    found["hamming_loss"] = accuracy if isinstance(accuracy, str) else (1 - accuracy[1], 1 - accuracy[0])
    found["mcc"] = "no interval: only one class was predicted"
    influences = matrix_influences(matrix)
    if gains is not None:  # binary: precision, recall and f1 are shares of the positive class 1
        influences["cost_matrix_gain"] = gains, "plain"
        found |= _positive_class_intervals(truth == 1, predicted == 1, values, of)
    for name, (influence, scale) in influences.items():
        value = values.get(name)
        if (name not in found or name == "mcc") and isinstance(value, float):
            centred = influence - float((matrix * influence).sum()) / len(truth)
            found[name] = cells.find_interval(value, centred.ravel(), of, scale)
    return {name: interval for name, interval in found.items() if isinstance(values.get(name), float)}


def _positive_class_intervals(
    truth: Bools, predicted: Bools, values: Mapping[str, Any], of: Units
) -> dict[str, IntervalOrReason]:
    """Return the intervals of precision, recall and f1 of the positive class."""
    hits = (truth & predicted).astype(np.float64)
    among = {"precision": predicted, "recall": truth, "f1": truth | predicted}
    found = {name: share_interval(hits, rows, of) for name, rows in among.items() if isinstance(values[name], float)}
    jaccard = found.get("f1")
    if isinstance(jaccard, tuple):
        # f1 = 2 j / (1 + j), where j = tp / (tp + fp + fn) is a share (the Jaccard index).
        found["f1"] = 2 * jaccard[0] / (1 + jaccard[0]), 2 * jaccard[1] / (1 + jaccard[1])
    return found


def matrix_influences(matrix: Ints) -> dict[str, tuple[Floats, Scale]]:
    """Return, by metric, the influence of a row in each cell, shape (k, k), up to a constant, and the scale.

    It is the derivative of the metric by the share of the rows in that cell.
    """
    n, k = float(matrix.sum()), len(matrix)
    support, guessed, hits = matrix.sum(axis=1) / n, matrix.sum(axis=0) / n, np.diag(matrix) / n
    here = (support + guessed) > 0
    classes = int(here.sum())
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(guessed > 0, hits / guessed, 0.0)
        recall = np.where(support > 0, hits / support, 0.0)
        f1 = np.where(here, 2 * hits / (support + guessed), 0.0)
        of_guessed, of_support, of_both = (
            np.where(rows > 0, 1 / rows, 0.0) for rows in (guessed, support, support + guessed)
        )
    diagonal = np.eye(k)
    # By cell (true class a, predicted class b); a class adds to the cells of its row, its column or both.
    by_precision = diagonal * of_guessed - np.broadcast_to(precision * of_guessed, (k, k))
    by_recall = diagonal * of_support - (recall * of_support)[:, None]
    by_f1 = 2 * diagonal * of_both - (f1 * of_both)[:, None] - f1 * of_both
    weighted_precision = diagonal * (support * of_guessed) - support * precision * of_guessed + precision[:, None]
    weighted_f1 = (
        2 * diagonal * (support * of_both) - (support * f1 * of_both)[:, None] - support * f1 * of_both + f1[:, None]
    )
    influences: dict[str, tuple[Floats, Scale]] = {
        "precision": (by_precision / classes, "logit"),
        "recall": (by_recall / classes, "logit"),
        "f1": (by_f1 / classes, "logit"),
        "precision_weighted": (weighted_precision, "logit"),
        "f1_weighted": (weighted_f1, "logit"),
    }
    # mcc = s / sqrt(u v) with s = trace - sum t p, u = 1 - sum p^2, v = 1 - sum t^2, in shares (Gorodkin 2004)
    s = float(hits.sum() - (support * guessed).sum())
    u, v = 1 - float((guessed**2).sum()), 1 - float((support**2).sum())
    if u > 0 and v > 0:
        by_s = diagonal - guessed[:, None] - support
        by_spread = -2 * guessed / u - (2 * support / v)[:, None]
        influences["mcc"] = (by_s - s / 2 * by_spread) / sqrt(u * v), "fisher"
    return influences


def threshold_intervals(
    truth: Bools, curve: tuple[Ints, Ints, Ints], values: Mapping[str, Any], of: Units
) -> dict[str, IntervalOrReason]:
    """Return the intervals of `roc_auc`, `average_precision` and `lift`.

    Parameters
    ----------
    truth
        Shape (n,), true where positive.
    curve
        True positives and false positives at each threshold, from high to low, and the rows in that order.
    """
    tps, fps, order = curve
    positive, negative = np.diff(tps, prepend=0), np.diff(fps, prepend=0)
    if isinstance(values["average_precision"], str):
        return {}
    cells = Cells(2 * find_threshold_of_rows(tps, fps, order) + truth, np.stack([negative, positive], axis=1).ravel())
    found = {}
    if isinstance(values["roc_auc"], float):
        found["roc_auc"] = _area_interval(values["roc_auc"], tps, fps, cells, of)
    influence = average_precision_influence(values["average_precision"], tps, fps)
    found["average_precision"] = cells.find_interval(values["average_precision"], influence, of, "logit")
    influence = lift_influence(values["lift"], tps, fps)
    found["lift"] = cells.find_interval(values["lift"], influence, of, "log")
    return found


def find_threshold_of_rows(tps: Ints, fps: Ints, order: Ints) -> Ints:
    """Return, for each row, the index of its threshold."""
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.repeat(np.arange(len(tps)), np.diff(tps + fps, prepend=0))
    return place


def placement_values(tps: Ints, fps: Ints) -> tuple[Floats, Floats]:
    """Return, for a positive and a negative row at each threshold, the share of the other class ranked correctly to it.

    These are the components of DeLong et al. 1988: for a positive row the share of negative rows with a lower
    probability, for a negative row the share of positive rows with a higher one; ties count half.
    """
    positive, negative = np.diff(tps, prepend=0), np.diff(fps, prepend=0)
    return 1 - (fps - negative / 2) / fps[-1], (tps - positive / 2) / tps[-1]


def area_variance(area: float, tps: Ints, fps: Ints, cells: Cells, of: Units) -> float:
    """Return the variance of the area under the ROC curve: DeLong et al. 1988, by entity Obuchowski 1997."""
    m, n = float(tps[-1]), float(fps[-1])
    above, below = placement_values(tps, fps)
    if of.codes is None:
        s10 = float((np.diff(tps, prepend=0) * (above - area) ** 2).sum()) / (m - 1)
        s01 = float((np.diff(fps, prepend=0) * (below - area) ** 2).sum()) / (n - 1)
        return s10 / m + s01 / n
    is_positive = cells.of_row % 2 == 1
    of_cell = np.stack([below - area, above - area], axis=1).ravel()[cells.of_row]
    of_positive = of.add_up(np.where(is_positive, of_cell, 0.0))
    of_negative = of.add_up(np.where(is_positive, 0.0, of_cell))
    i10, i01 = of.count_with(is_positive), of.count_with(~is_positive)
    i = of.count
    s10 = i10 / (i10 - 1) * float((of_positive**2).sum()) / m
    s01 = i01 / (i01 - 1) * float((of_negative**2).sum()) / n
    s11 = i / (i - 1) * float((of_positive * of_negative).sum())
    return max(0.0, s10 / m + s01 / n + 2 * s11 / (m * n))


def _area_interval(area: float, tps: Ints, fps: Ints, cells: Cells, of: Units) -> IntervalOrReason:
    """Return the interval of the area under the ROC curve, on the logit scale; exact if the classes are separated.

    If all probabilities are equal, the area is 0.5 for any labels.
    """
    if len(tps) == 1:
        return 0.5, 0.5
    is_positive = cells.of_row % 2 == 1
    positive, negative = of.count_with(is_positive), of.count_with(~is_positive)
    if area in (0.0, 1.0):
        # Disjoint pairs of a positive and a negative unit are independent, and each is ordered correctly with
        # probability `area`: all k are with area^k, which falls to half the error level at the bound.
        k = min(positive, negative, of.count // 2)
        if k < 1:
            return "no interval: all rows belong to one entity"
        bound = ((1 - of.confidence) / 2) ** (1 / k)
        return (bound, 1.0) if area == 1 else (0.0, 1 - bound)
    rarer = min(positive, negative)
    if rarer < FEWEST_OF_A_CLASS:
        return f"no interval: each class needs at least {FEWEST_OF_A_CLASS} {of.noun}, the rarer one has {rarer}"
    error = sqrt(area_variance(area, tps, fps, cells, of))
    return interval_around(area, error, rarer, of, "logit", FEWEST_OF_A_CLASS)


def average_precision_influence(value: float, tps: Ints, fps: Ints) -> Floats:
    """Return the influence of a negative and of a positive row at each threshold on the average precision.

    With precision P(s) and B(s) rows above threshold s, a row with the probability s_i and the label y_i has the
    influence (n / positives) [y_i (P(s_i) - value) + sum over positives s <= s_i of (y_i - P(s)) / B(s)].
    """
    rows, positive = tps + fps, np.diff(tps, prepend=0)
    precision = tps / rows
    below = np.cumsum((positive / rows)[::-1])[::-1]
    below_precise = np.cumsum((positive * precision / rows)[::-1])[::-1]
    return (
        float(rows[-1])
        / float(tps[-1])
        * np.stack([-below_precise, precision - value + below - below_precise], axis=1).ravel()
    )


def lift_influence(value: float, tps: Ints, fps: Ints) -> Floats:
    """Return the influence of a negative and of a positive row at each threshold on the lift.

    A row also moves the border of the top rows; the effect is the share of positives around the border, here among the
    rows ranked from half the top share to one and a half times it.
    """
    rows = tps + fps
    n, base = float(rows[-1]), float(tps[-1]) / float(rows[-1])
    at = np.interp(np.array([0.5, 1.5]) * LIFT_SHARE * n, np.r_[0, rows], np.r_[0, tps])
    near = float(at[1] - at[0]) / (LIFT_SHARE * n)
    size = np.diff(rows, prepend=0)
    inside = np.clip((LIFT_SHARE * n - (rows - size)) / size, 0, 1)  # the part of the rows at a threshold in the top
    # lift = top / (LIFT_SHARE base) with top = share of the rows that are positive and in the top
    top = value * LIFT_SHARE * base
    by_label = [inside * (y - near) + LIFT_SHARE * near - top - value * LIFT_SHARE * (y - base) for y in (0, 1)]
    return np.stack(by_label, axis=1).ravel() / (LIFT_SHARE * base)


def mean_interval(value: float, of_row: Floats, of: Units, scale: Scale = "log") -> IntervalOrReason:
    """Return the interval of the mean of a number per row, shape (n,)."""
    sums = of.add_up(of_row - value)
    return interval_of_sums(value, float((sums * sums).sum()), of, scale)


def calibration_interval(value: float, bins: Ints, right: Bools, probability: Floats, of: Units) -> IntervalOrReason:
    """Return the interval of the expected calibration error.

    It is a sum of absolute values, which chance alone makes positive: by the mean of a folded normal distribution in
    each bin (Leone, Nelson & Nottingham 1961). The low end allows for that; so the interval is wider than necessary if
    bins are clearly off.
    """
    gap = probability - right
    interval = mean_interval(value, calibration_influence(bins, gap), of, "plain")
    if isinstance(interval, str):
        return interval
    return max(0.0, interval[0] - calibration_excess(bins, gap, of)), min(1.0, interval[1])


def calibration_influence(bins: Ints, gap: Floats) -> Floats:
    """Return the influence of each row on the expected calibration error, up to a constant, shape (n,).

    Parameters
    ----------
    gap
        Probability minus outcome, shape (n,).
    """
    return np.asarray(np.sign(np.bincount(bins, gap))[bins] * gap)


def calibration_excess(bins: Ints, gap: Floats, of: Units) -> float:
    """Return the average increase of the expected calibration error by chance alone, at most."""
    last = int(bins.max()) + 1
    if of.codes is None:
        squares = np.bincount(bins, gap * gap, minlength=last)
    else:
        sums = np.bincount(of.codes * last + bins, gap, minlength=of.count * last).reshape(of.count, last)
        squares = (sums * sums).sum(axis=0)
    return sqrt(2 / pi) * float(np.sqrt(squares).sum()) / len(gap)


def multiclass_area_intervals(
    truth: Ints, areas: Floats, curves: list[tuple[Ints, Ints, Ints]], of: Units
) -> dict[str, IntervalOrReason]:
    """Return the intervals of the mean area of each class against the rest, plain and weighted by the labels."""
    k = len(areas)
    shares = np.bincount(truth, minlength=k)[:k] / len(truth)
    fewest = min(min(of.count_with(truth == i), of.count_with(truth != i)) for i in range(k))
    if fewest < 2:
        reason = f"no interval: each class needs at least 2 {of.noun}"
        return {"roc_auc": reason, "roc_auc_weighted": reason}
    values = {"roc_auc": float(areas.mean()), "roc_auc_weighted": float((areas * shares).sum())}
    influences = multiclass_area_influences(truth, areas, curves)
    return {
        name: mean_interval(value, value + influences[name], of, "logit") if 0 < value < 1 else CONSTANT
        for name, value in values.items()
    }


def multiclass_area_influences(
    truth: Ints, areas: Floats, curves: Iterable[tuple[Ints, Ints, Ints]]
) -> dict[str, Floats]:
    """Return the influence of each row on the mean area of each class against the rest, plain and weighted."""
    n, k = len(truth), len(areas)
    shares = np.bincount(truth, minlength=k)[:k] / n
    mean, weighted = np.zeros(n), areas[truth] - float((areas * shares).sum())
    for i, curve in enumerate(curves):
        influence = area_influence(truth == i, areas[i], curve)
        mean += influence / k
        weighted += influence * shares[i]
    return {"roc_auc": mean, "roc_auc_weighted": weighted}


def area_influence(truth: Bools, area: float, curve: tuple[Ints, Ints, Ints]) -> Floats:
    """Return the influence of each row on the area under a ROC curve, shape (n,): see `placement_values`.

    Parameters
    ----------
    curve
        True positives and false positives at each threshold, from high to low, and the rows in that order.
    """
    tps, fps, order = curve
    above, below = placement_values(tps, fps)
    at, share = find_threshold_of_rows(tps, fps, order), float(truth.mean())
    return np.where(truth, (above[at] - area) / share, (below[at] - area) / (1 - share))
