"""The permutation importance of columns for the drift model: how much its loss grows if a column is shuffled."""

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.tree_paths import Leaves, Trees, predict_log_odds, rotate_column
from engine.drift.kernels.tree_splits import Codes
from engine.drift.threads import parallel_map

_ROWS = 10_000
"""Maximum number of held-out rows used to measure importance."""


def measure_importance(model: Trees, codes: Codes, truth: NDArray[np.bool_], leaves: Leaves) -> list[float]:
    """Return the permutation importance of each column: the log loss that shuffling it adds, as a share of the sum.

    The rows are in the order of their sampling keys, so rotating a column shuffles it. Only the trees that use the
    column are evaluated again. If shuffling never increases the loss, all columns are equally important.

    Parameters
    ----------
    codes, truth
        The held-out rows, and whether each is from the batch.
    leaves
        The leaves of these rows: see `engine.drift.kernels.tree_paths.find_leaves`.
    """
    codes, truth, leaves = codes[:_ROWS], truth[:_ROWS], np.ascontiguousarray(leaves[:, :_ROWS])
    log_odds = predict_log_odds(model, leaves).sum(axis=0)
    losses = _logistic_losses(log_odds, truth)
    whole = losses.mean()
    added = np.zeros(codes.shape[1])

    def measure_column(column: int) -> None:
        change = rotate_column(codes, *model, leaves, column, len(codes) // 2)
        changed = np.flatnonzero(change)
        after = losses.copy()
        after[changed] = _logistic_losses(log_odds[changed] + change[changed], truth[changed])
        added[column] = max(0.0, after.mean() - whole)

    parallel_map(measure_column, np.unique(model[0][model[0] >= 0]).tolist())
    total = added.sum()
    return (added / total if total > 0 else np.full(len(added), 1 / len(added))).tolist()


def _logistic_losses(log_odds: NDArray[np.float64], truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.logaddexp(0, np.where(truth, -log_odds, log_odds))
