"""Importance of each feature for a trained model, summing to 1, shown next to the feature's drift.

Trees and forests compute it in training: the mean decrease in impurity. For a linear model it is the standard deviation
of the linear predictor (the prediction of a regression, the decision function of a classification) when one feature
alone varies; for a number that is |coefficient| times standard deviation. Boosting gets permutation importance (Breiman
2001; Fisher, Rudin & Dominici 2019): the increase of the loss on held-out rows when the feature's values are shuffled.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from engine.models.estimators import LINEAR_ALGORITHMS, FeatureMatrix
from engine.models.features import Feature

MAX_IMPORTANCE_ROWS = 2_000
"""Maximum number of held-out rows from which importance is computed."""
PERMUTATION_REPEATS = 2
"""Number of shuffles per feature."""


def compute_importance(
    algorithm: str,
    estimator: Any,
    features: Sequence[Feature],
    rows: FeatureMatrix,
    target: npt.NDArray[Any],
    seed: int,
) -> dict[str, float] | None:
    """Return the share of each feature by name; None if no feature matters.

    It is also None if held-out rows are needed (linear models, boosting) and none has a label.

    Parameters
    ----------
    rows, target
        Encoded held-out rows with labels, in the pseudo-random order of the split: the first `MAX_IMPORTANCE_ROWS`
        are a random sample.
    """
    rows, target = rows[:MAX_IMPORTANCE_ROWS], target[:MAX_IMPORTANCE_ROWS]
    if hasattr(estimator, "feature_importances_"):
        raw = np.asarray(estimator.feature_importances_)
    elif not len(rows):
        return None
    elif algorithm in LINEAR_ALGORITHMS:
        raw = _linear_importance(estimator, rows)
    else:
        raw = _permutation_importance(estimator, rows, target, seed)
    total = raw.sum()
    if not np.isfinite(total) or total <= 0:
        return None
    return {f.name: float(share) for f, share in zip(features, raw / total, strict=True)}


def _linear_importance(estimator: Any, rows: FeatureMatrix) -> FeatureMatrix:
    """Return, per feature, the standard deviation of the linear predictor while only that feature varies.

    With several classes there is one linear predictor per class; the mean over classes is returned.
    """
    predict_linear = getattr(estimator, "decision_function", estimator.predict)
    deviations = []
    for column in range(rows.shape[1]):
        # Row 0 repeated, with only this column unchanged: its codes must pass through the model's one-hot encoding.
        varied = np.repeat(rows[:1], len(rows), axis=0)
        varied[:, column] = rows[:, column]
        deviations.append(np.std(np.asarray(predict_linear(varied)), axis=0).mean())
    return np.array(deviations)


def _permutation_importance(estimator: Any, rows: FeatureMatrix, target: npt.NDArray[Any], seed: int) -> FeatureMatrix:
    """Return, per feature, the mean increase of the loss (log loss, or squared error); 0 where it decreases."""
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import log_loss

    def score(fitted: Any, x: FeatureMatrix, y: npt.NDArray[Any]) -> float:
        if hasattr(fitted, "predict_proba"):
            return -float(log_loss(y, fitted.predict_proba(x), labels=fitted.classes_))
        return -float(np.mean((fitted.predict(x) - y) ** 2))

    with threadpool_limits(limits=1):
        found = permutation_importance(
            estimator, rows, target, scoring=score, n_repeats=PERMUTATION_REPEATS, random_state=seed
        )
    shares: FeatureMatrix = np.maximum(found.importances_mean, 0)
    return shares
