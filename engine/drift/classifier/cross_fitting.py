"""Predict for each row, by boosted trees trained on other rows, which side it is from or how large its error is.

The drift model is measured on held-out rows; to weigh the rows of the reference, each of them must be held out once. So
the entities (or rows) are divided into two halves, and the trees that predict one half are trained on the other
(cross-fitting). The predictions are not calibrated.
"""

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.drift.classifier.domain_classifier import FEWEST_ROWS, TREE_ROWS, TREE_VALUES, align_sides
from engine.drift.classifier.feature_encoding import encode_features
from engine.drift.kernels.boosting import train_trees
from engine.drift.kernels.tree_paths import find_leaves, predict_log_odds
from engine.drift.profiles.drawn_rows import limit_rows
from engine.drift.profiles.sampling import row_keys
from engine.drift.reading.normalization import Role, normalize_categories
from engine.drift.reading.row_hash import hash_values

CROSS_FITTED_TREES = 40
"""Number of trees per half: both halves together have fewer than the drift model, and each sees half as many rows."""


def cross_fit_log_odds(
    reference: pl.DataFrame,
    batch: pl.DataFrame,
    roles: Mapping[str, Role],
    *,
    chosen: NDArray[np.bool_] | None = None,
    entity: str | None = None,
    max_rows: int = 100_000,
    seed: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | str:
    """Return, for each row of the reference and of the batch, the log odds that it is from the batch.

    Parameters
    ----------
    reference, batch
        Rows with the columns of `roles`, and the entity.
    chosen
        Mask of rows of the reference, shape (rows,). If given, the log odds are those of being one of these rows rather
        than another row of the reference, and the batch is not used for training.
    max_rows
        Maximum number of training rows per side.

    Returns
    -------
    log odds of the reference, of the batch; or the reason why there are none
    """
    reference, batch, roles, _ = align_sides(reference, batch, roles)
    if not roles:
        return "there is no column to compare"
    names = [*roles, *([entity] if entity and entity not in roles else [])]
    keys = np.concatenate([row_keys(frame, names, seed) for frame in (reference, batch)])
    is_batch = np.repeat(np.array([0, 1], np.int8), [len(reference), len(batch)])
    side = is_batch if chosen is None else np.r_[chosen.astype(np.int8), np.full(len(batch), -1, np.int8)]
    order = np.lexsort((side, is_batch, keys))  # depends on the rows alone, never on their order
    codes, starts = encode_features([reference, batch], roles, order)
    halves = keys
    if entity:
        texts = [normalize_categories(frame.get_column(entity).alias("")) for frame in (reference, batch)]
        missing = np.concatenate([one.is_null().to_numpy() for one in texts])
        halves = np.where(missing, keys, np.concatenate([hash_values(one, seed + 1) for one in texts]))
    half, side = (halves % np.uint64(2)).astype(np.int8)[order], side[order]
    categorical = np.array([role is Role.CATEGORICAL for role in roles.values()])
    odds = np.zeros(len(order))
    for judged in (0, 1):
        sides = [np.flatnonzero((half != judged) & (side == s)) for s in (0, 1)]
        n = min(*map(len, sides), limit_rows(len(roles), max_rows))
        if n < FEWEST_ROWS:
            return f"too few rows to compare: {n} of half of a side, at least {FEWEST_ROWS} are needed"
        train = np.sort(np.concatenate([one[:n] for one in sides]))
        window = min(max(TREE_ROWS, min(n, TREE_VALUES // len(roles))), len(train))
        trees = train_trees(codes[train], starts, categorical, side[train] == 1, CROSS_FITTED_TREES, window)
        # a row that is in neither training set is predicted by both, and gets the mean
        rows = np.flatnonzero((half == judged) | (side < 0))
        predicted = predict_log_odds(trees, find_leaves(codes[rows], trees)).sum(axis=0)
        odds[rows] += predicted * np.where(side[rows] < 0, 0.5, 1.0)
    of_row = np.empty(len(order))
    of_row[order] = odds
    return of_row[: len(reference)], of_row[len(reference) :]
