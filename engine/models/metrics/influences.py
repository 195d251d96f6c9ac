"""The influence of each row on each performance metric of one model: see `engine.models.metrics.intervals`.

Two models measured on the same rows are compared by the differences of these influences. They are computed metric by
metric, so that only few arrays with one element per row exist at a time.
"""

from collections.abc import Callable, Mapping

import numpy as np

from engine.models.metrics.classification import (
    Bools,
    Floats,
    Ints,
    compute_log_losses,
    compute_roc_auc,
    count_by_threshold,
    find_calibration_bins,
)
from engine.models.metrics.classification_intervals import (
    area_influence,
    average_precision_influence,
    calibration_influence,
    find_threshold_of_rows,
    lift_influence,
    matrix_influences,
    multiclass_area_influences,
)
from engine.models.metrics.regression_intervals import JACKKNIFED, measure_mean_influence

Influences = Mapping[str, Callable[[], Floats]]
"""By metric: a function that computes the influence of each row, shape (n,), up to a constant."""


def binary_influences(
    truth: Bools, predicted: Bools, probability: Floats | None, values: Mapping[str, float], gains: Floats
) -> Influences:
    """Return the influences on the metrics of a binary task, except the shares of correct rows.

    Parameters
    ----------
    truth, predicted
        Shape (n,), true where positive.
    probability
        Probability of the positive class, shape (n,); None if the model gives none.
    values
        The value of each metric that has one.
    gains
        The gain of a row by true and predicted class, shape (2, 2).
    """
    t, p = truth.astype(np.int64), predicted.astype(np.int64)
    found: dict[str, Callable[[], Floats]] = {
        # The derivative of a ratio of two means: (numerator - ratio * denominator) / mean denominator.
        "precision": lambda: (t * p - values["precision"] * p) / p.mean(),
        "f1": lambda: (2 * t * p - values["f1"] * (t + p)) / (t + p).mean(),
        "mcc": lambda: matrix_influences(np.bincount(2 * t + p, minlength=4).reshape(2, 2))["mcc"][0][t, p],
        "cost_matrix_gain": lambda: gains[t, p],
    }
    if probability is not None:
        right = np.where(truth, probability, 1 - probability)
        found |= {
            "log_loss": lambda: compute_log_losses(right),
            "brier": lambda: (1 - right) ** 2,
            "calibration_error": lambda: calibration_influence(find_calibration_bins(probability), probability - truth),
            **_threshold_influences(truth, probability, values),
        }
    return found


def _threshold_influences(truth: Bools, probability: Floats, values: Mapping[str, float]) -> Influences:
    tps, fps, _, order = count_by_threshold(truth, probability)

    def of_rows(of_cells: Floats) -> Floats:
        return of_cells[2 * find_threshold_of_rows(tps, fps, order) + truth]

    return {
        "roc_auc": lambda: area_influence(truth, values["roc_auc"], (tps, fps, order)),
        "average_precision": lambda: of_rows(average_precision_influence(values["average_precision"], tps, fps)),
        "lift": lambda: of_rows(lift_influence(values["lift"], tps, fps)),
    }


def multiclass_influences(truth: Ints, predicted: Ints, probabilities: Floats | None, classes: int) -> Influences:
    """Return the influences on the metrics of a multiclass task, except the share of correct rows.

    Parameters
    ----------
    truth, predicted
        Class indices below `classes`, shape (n,).
    probabilities
        Shape (n, classes known to the model); None if the model gives none.
    """
    matrix = np.bincount(truth * classes + predicted, minlength=classes**2).reshape(classes, classes)
    of_cells = matrix_influences(matrix)
    found: dict[str, Callable[[], Floats]] = {
        name: lambda of_cell=of_cell: of_cell[truth, predicted]  # type: ignore[misc] # bound when it is made
        for name, (of_cell, _) in of_cells.items()
    }
    if probabilities is None or not (np.unique(truth) < probabilities.shape[1]).all():
        return found
    right, confident = probabilities[np.arange(len(truth)), truth], probabilities.max(axis=1)
    gap = confident - (probabilities.argmax(axis=1) == truth)

    def of_areas(name: str) -> Floats:
        counted = [count_by_threshold(truth == i, probabilities[:, i]) for i in range(probabilities.shape[1])]
        areas = np.array([compute_roc_auc(tps, fps) for tps, fps, *_ in counted])
        return multiclass_area_influences(truth, areas, [(tps, fps, order) for tps, fps, _, order in counted])[name]

    return found | {
        "log_loss": lambda: compute_log_losses(right),
        "brier": lambda: np.einsum("ij,ij->i", probabilities, probabilities) - 2 * right + 1,
        "calibration_error": lambda: calibration_influence(find_calibration_bins(confident), gap),
        "roc_auc": lambda: of_areas("roc_auc"),
        "roc_auc_weighted": lambda: of_areas("roc_auc_weighted"),
    }


def regression_influences(truth: Floats, predicted: Floats, values: Mapping[str, float]) -> Influences:
    """Return the influences on the metrics of a regression that are means or their roots.

    Parameters
    ----------
    truth, predicted
        Shape (n,), finite.
    values
        The value of each metric that has one.
    """
    return {
        name: lambda name=name, value=value: (  # type: ignore[misc] # bound when it is made
            measure_mean_influence(name, value, truth, predicted) if value else np.zeros(len(truth))
        )
        for name, value in values.items()
        if name not in JACKKNIFED
    }
