"""Weights with which the rows of a reference represent a batch whose covariates moved.

The weight of a row is how many times more frequent similar rows are in the batch: the odds that such a row is from the
batch. The odds predicted by the trees that distinguish the sides are too extreme or too moderate; a spline fitted to
both sides calibrates them. Trees approximate a slope by small steps and fall short of it: the weights are then tilted
until the means of the numerical columns equal those of the batch (entropy balancing: Hainmueller 2012).
"""

import numpy as np
import numpy.typing as npt

from engine.models.estimation.calibration import choose_knots, fit_spline

Floats = npt.NDArray[np.float64]

LARGEST_WEIGHT = 20.0
"""Maximum weight of a row of the reference, relative to sides of equal size."""
BALANCED_ROWS = 20_000
"""Maximum number of rows of the reference from which the tilt is computed."""
_RIDGE = 1e-3
"""Regularization of the tilt: uninformative columns stay unchanged."""
_STEPS = 30


def weigh_reference(reference: Floats, batch: Floats) -> tuple[Floats, float]:
    """Return the weight of each row of the reference, with mean 1, and the share of the batch that no row represents.

    Parameters
    ----------
    reference, batch
        Log odds that a row is from the batch, predicted by a model not trained on that row.
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


def balance_weights(weights: Floats, reference: Floats, batch: Floats) -> Floats:
    """Return weights, with mean 1 and clipped, with which the columns of the reference have the means of the batch.

    Parameters
    ----------
    weights
        The initial weights of the rows of the reference, shape (rows,).
    reference, batch
        Numerical columns of both sides, shape (rows, columns), NaN if a value is missing.
    """
    centre, spread = _describe_columns(reference)
    with np.errstate(invalid="ignore"):  # infinite values of a column that is left out
        rows, batch_rows = (np.nan_to_num(np.clip((side - centre) / spread, -5, 5)) for side in (reference, batch))
    usable = (rows.std(axis=0) > 0) & (weights.sum() > 0)
    rows, wanted = rows[:, usable], batch_rows[:, usable].mean(axis=0)
    if not rows.shape[1]:
        return weights
    some = slice(None, None, max(1, -(-len(rows) // BALANCED_ROWS)))
    columns, base, tilt = rows[some], weights[some], np.zeros(rows.shape[1])
    for _ in range(_STEPS):  # Newton steps on the convex dual, damped so that no step overshoots
        share = base * np.exp(np.clip(columns @ tilt, -20, 20))
        share = share / share.sum()
        mean = (share[:, None] * columns).sum(axis=0)
        off = columns - mean
        slope = mean - wanted + _RIDGE * tilt
        curve = np.einsum("ni,n,nj->ij", off, share, off) + _RIDGE * np.eye(len(tilt))
        step = np.linalg.solve(curve, slope)
        tilt = tilt - step * min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-12))
        if float(np.abs(step).max()) < 1e-8:
            break
    tilted = weights * np.exp(np.clip(rows @ tilt, -20, 20))
    tilted = np.minimum(tilted / tilted.mean(), LARGEST_WEIGHT)
    return np.asarray(tilted / tilted.mean())


def _describe_columns(columns: Floats) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of the present values of each column; 0 and 1 if there is none."""
    there = np.isfinite(columns)
    count = np.maximum(there.sum(axis=0), 1)
    with np.errstate(all="ignore"):
        centre = np.where(there, columns, 0.0).sum(axis=0) / count
        spread = np.sqrt(np.where(there, (columns - centre) ** 2, 0.0).sum(axis=0) / count)
    usable = np.isfinite(centre) & np.isfinite(spread) & (spread > 0)
    return np.where(usable, centre, 0.0), np.where(usable, spread, np.inf)
