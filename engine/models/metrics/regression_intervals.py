"""Confidence intervals of the metrics of regression (see `engine.models.metrics.intervals`)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from engine.models.metrics.intervals import (
    CONSTANT,
    NOT_FINITE,
    Floats,
    IntervalOrReason,
    Scale,
    Units,
    interval_of_sums,
    jackknife_interval,
)

_SCALES: dict[str, Scale] = {"r2": "log_distance_to_one", "explained_variance": "log_distance_to_one"}
JACKKNIFED = ("r2", "explained_variance", "pearson")
"""Metrics on which single rows have a far larger effect than the derivative suggests."""
SMALLEST_VALUE = 1e-140
"""The value of a mean or of a root below which squares of the influences lose digits, or become 0."""


def regression_intervals(
    truth: Floats, predicted: Floats, values: Mapping[str, Any], of: Units
) -> dict[str, IntervalOrReason]:
    """Return the intervals of the metrics that have a value.

    Parameters
    ----------
    truth, predicted
        Shape (n,), finite.
    values
        Value, or reason for none, by metric.
    """
    found: dict[str, IntervalOrReason] = {}
    with np.errstate(all="ignore"):
        for name, value in values.items():
            if isinstance(value, str):
                continue
            if name in JACKKNIFED:
                without = measure_without_unit(name, truth, predicted, of)
                found[name] = jackknife_interval(value, without, of, _SCALES.get(name, "fisher"))
            elif 0 < value < SMALLEST_VALUE and name != "mse":
                found[name] = NOT_FINITE
            elif value == 0:  # every prediction is right
                found[name] = CONSTANT
            else:
                sums = of.add_up(measure_mean_influence(name, value, truth, predicted))
                found[name] = interval_of_sums(value, float((sums * sums).sum()), of, "log")
    return found


def measure_mean_influence(name: str, value: float, truth: Floats, predicted: Floats) -> Floats:
    """Return the influence of each row on a mean, or on its root, shape (n,)."""
    match name:
        case "mae":
            return np.asarray(np.abs(truth - predicted) - value)
        case "mape":
            return np.asarray(np.abs((truth - predicted) / truth) - value)
        case "rmsle":
            residual = np.log1p(truth) - np.log1p(predicted)
        case _:
            residual = truth - predicted
    # A root's derivative is 1 / (2 root).
    square: Floats = residual * residual
    return square - value if name == "mse" else (square - value * value) / (2 * value)


def measure_without_unit(name: str, truth: Floats, predicted: Floats, of: Units) -> Floats:
    """Return `r2`, `explained_variance` or `pearson` of all rows except those of one unit each, shape (units,)."""
    # These metrics do not depend on means, except r2 on that of the residuals; sums of centred values lose no digits.
    both, _ = scale_to_one(np.stack([truth, predicted]))
    truth, predicted = both[0], both[1]
    t = truth - truth.mean()
    other = predicted - predicted.mean() if name == "pearson" else truth - predicted
    rows = of.rows - of.add_up(np.ones(of.rows))

    def mean_without(values: Floats) -> Floats:
        return (float(values.sum()) - of.add_up(values)) / rows

    mean_t, mean_other = mean_without(t), mean_without(other)
    spread, other_square = mean_without(t * t) - mean_t * mean_t, mean_without(other * other)
    match name:
        case "r2":
            return 1 - other_square / spread
        case "explained_variance":
            return 1 - (other_square - mean_other * mean_other) / spread
    common = mean_without(t * other) - mean_t * mean_other
    return np.asarray(common / np.sqrt(spread * (other_square - mean_other * mean_other)))


def scale_to_one(values: Floats) -> tuple[Floats, int]:
    """Return values / 2^e and e, so that the largest is between 0.5 and 1 and squares do not overflow or become 0.

    Only the exponents of the values change, not their digits.
    """
    exponent = int(np.frexp(np.abs(values).max())[1])
    return np.ldexp(values, -exponent), exponent
