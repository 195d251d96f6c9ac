"""Weights that make the rows of a reference stand for those of a batch, whose covariates have moved.

The weight of a row is how many times as frequent rows like it are in the batch: the odds that such a row is from the
batch. The trees that tell both sides apart exaggerate or play down; a spline of what they say, fitted to both sides,
calibrates it.
"""

import numpy as np
import numpy.typing as npt

from engine.models.calibration import choose_knots, fit_spline

Floats = npt.NDArray[np.float64]

LARGEST_WEIGHT = 20.0
"""A row of the reference stands for at most as many rows of a batch of the same size."""


def weigh_reference(reference: Floats, batch: Floats) -> tuple[Floats, float]:
    """Return the weight of each row of the reference, with mean 1, and the share of the batch that none stands for.

    Parameters
    ----------
    reference, batch
        Log odds that a row is from the batch, by a model that was not trained on that row.
    """
    score = np.concatenate([reference, batch])
    is_batch = np.arange(len(score)) >= len(reference)
    of_side = np.where(is_batch, len(score) / (2 * len(batch)), len(score) / (2 * len(reference)))
    spline = fit_spline(score, is_batch.astype(np.float64), of_side, choose_knots(score, (is_batch, ~is_batch)))
    chance = np.clip(spline.fitted, 0.0, 1.0)
    largest = LARGEST_WEIGHT / (1 + LARGEST_WEIGHT)
    odds = np.minimum(chance, largest) / (1 - np.minimum(chance, largest))
    weights = odds[: len(reference)]
    total = float(weights.mean())
    outside = float((chance[len(reference) :] >= largest).mean())
    return (weights / total if total > 0 else np.zeros(len(reference))), outside
