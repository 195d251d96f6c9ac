"""How much each feature matters to a trained model, summing to 1, so that drift can be read beside it.

Trees know their own (mean decrease in impurity); linear models show it in how far each feature alone moves their
answer (for a number, the coefficient times the standard deviation); boosting gets permutation importance (Breiman
2001; Fisher, Rudin & Dominici 2019): what the loss on held-out rows grows by when the feature's values are shuffled.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from engine.models.estimators import LINEAR, Array
from engine.models.features import Feature

ROWS = 2_000
REPEATS = 2


def importance(
    algorithm: str, estimator: Any, features: Sequence[Feature], rows: Array, target: npt.NDArray[Any], seed: int
) -> dict[str, float] | None:
    """Return the share of each feature, None where none matters or no held-out row is labelled.

    Parameters
    ----------
    rows, target
        Encoded, labelled, held-out rows, already in an order drawn by hash; at most `ROWS` are used.
    """
    rows, target = rows[:ROWS], target[:ROWS]
    if hasattr(estimator, "feature_importances_"):
        raw = np.asarray(estimator.feature_importances_)
    elif not len(rows):
        return None
    elif algorithm in LINEAR:
        raw = _movement(estimator, rows)
    else:
        raw = _permutation(estimator, rows, target, seed)
    total = raw.sum()
    if not np.isfinite(total) or total <= 0:
        return None
    return {f.name: float(share) for f, share in zip(features, raw / total, strict=True)}


def _movement(estimator: Any, rows: Array) -> Array:
    """Return the standard deviation of the linear answer as each feature alone varies; the mean over classes."""
    answer = getattr(estimator, "decision_function", estimator.predict)
    moved = []
    for column in range(rows.shape[1]):
        alone = np.repeat(rows[:1], len(rows), axis=0)
        alone[:, column] = rows[:, column]
        moved.append(np.std(np.asarray(answer(alone)), axis=0).mean())
    return np.array(moved)


def _permutation(estimator: Any, rows: Array, target: npt.NDArray[Any], seed: int) -> Array:
    from sklearn.inspection import permutation_importance
    from sklearn.metrics import log_loss

    def score(fitted: Any, x: Array, y: npt.NDArray[Any]) -> float:
        if hasattr(fitted, "predict_proba"):
            return -float(log_loss(y, fitted.predict_proba(x), labels=fitted.classes_))
        return -float(np.mean((fitted.predict(x) - y) ** 2))

    with threadpool_limits(limits=1):
        found = permutation_importance(estimator, rows, target, scoring=score, n_repeats=REPEATS, random_state=seed)
    shares: Array = np.maximum(found.importances_mean, 0)
    return shares
