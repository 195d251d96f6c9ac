"""A classifier that tells the batch from the reference: its accuracy on rows it was not trained on is `data_drift`.

It finds changed relations between columns, which no statistic of a single column shows. It would also find what is not
drift: rows of one entity in both training and test (accuracy .97 without any drift), sides of unequal size, the order
of rows. So the split is by entity, the sides are balanced, and rows are drawn by a hash of their content.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import gammaln, ndtri

from engine.drift.feature_encoding import encode_features
from engine.drift.kernels.boosting import Codes, Trees, predict_log_odds, train_trees
from engine.drift.kernels.sampling_keys import Hashes
from engine.drift.roles import Role
from engine.drift.sampling import limit_rows, row_keys
from engine.errors import DataError

FEWEST_ROWS = 25
"""Rows per side below which the trees cannot split: each of two leaves needs 20 rows."""

HOLD_OUT_ONE_IN = 5
"""One of so many entities (or rows) is held out."""

TREES = 100

TREE_VALUES = 1_000_000
"""Values (rows times columns) that one tree sees at most; half of the rows where that is less."""

TREE_ROWS = 2_000
"""Rows that one tree sees at least, if there are so many."""

IMPORTANCE_ROWS = 10_000
"""Held-out rows on which the importance of columns is measured."""


@dataclass(frozen=True, slots=True)
class DomainClassifier:
    """How well a classifier tells batch from reference on held-out rows.

    `accuracy` is 0.5 without drift and 1 at most; [`low`, `high`] is its Wilson interval. `p_value` is one-sided and
    conditional on the number of rows predicted as batch. With an entity, both count one row per entity and side.
    `importance` sums to 1. `rows_used` is per side. If nothing can be computed, the numbers are None and `reason` says
    why.
    """

    accuracy: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    significant: bool | None = None
    auc: float | None = None
    importance: Mapping[str, float] = field(default_factory=dict)
    rows_used: int = 0
    notes: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _EncodedRows:
    """Rows of both sides in the order of their keys; `side` is 1 for the batch."""

    codes: Codes
    starts: NDArray[np.int64]
    side: NDArray[np.int8]
    entities: Hashes
    held_out: NDArray[np.bool_]


def domain_classifier(
    reference: pl.DataFrame,
    batch: pl.DataFrame,
    roles: Mapping[str, Role],
    *,
    entity: str | None = None,
    confidence: float = 0.95,
    max_rows: int = 100_000,
    seed: int = 0,
    drawn_from: tuple[int, int] | None = None,
) -> DomainClassifier:
    """Train a classifier to tell `batch` from `reference` and measure it on held-out rows.

    Parameters
    ----------
    roles
        The columns to use. Missing values count as values, and so do categories that only one side has.
    entity
        The column that says which rows belong together: of an entity all rows of both sides are held out, or none.
    max_rows
        Rows per side at most, fewer if there are many columns; drawn by a hash of their content, as the split is.
    drawn_from
        How many rows reference and batch have, if the frames are samples of them: for the notes.

    Raises
    ------
    DataError
        A column is missing or cannot be read in its role.
    """
    for side, frame in (("reference", reference), ("batch", batch)):
        there = set(frame.columns)
        if absent := [name for name in [*roles, *([entity] if entity else [])] if name not in there]:
            raise DataError(f"the {side} lacks {', '.join(map(repr, absent))}")
    if not roles:
        return DomainClassifier(reason="no column takes part")
    n = min(len(reference), len(batch), limit_rows(len(roles), max_rows))
    if n < FEWEST_ROWS:
        return DomainClassifier(reason=_explain_too_few_rows(n, reference, batch))
    rows = _draw_rows(reference, batch, roles, entity, n, seed)
    train, test = _balance_sides(rows, ~rows.held_out), _balance_sides(rows, rows.held_out)
    if len(train) < 2 * FEWEST_ROWS * (HOLD_OUT_ONE_IN - 1) // HOLD_OUT_ONE_IN or not len(test):
        return DomainClassifier(reason=f"too few entities to hold out one in {HOLD_OUT_ONE_IN} of both sides")
    model = _train(rows, train, np.array([role is Role.CATEGORICAL for role in roles.values()]))
    codes, truth = rows.codes[test], rows.side[test] == 1
    by_tree = predict_log_odds(codes, model)
    odds: NDArray[np.float64] = by_tree.sum(axis=0)
    predicted = odds > 0
    accuracy = float((predicted == truth).mean())
    voting = _first_row_per_entity(rows, test) if entity else np.arange(len(test))
    p_value = _hypergeometric_p(predicted[voting], truth[voting])
    low, high = _wilson_interval(accuracy, len(voting), confidence)
    return DomainClassifier(
        accuracy,
        low,
        high,
        p_value,
        p_value < 1 - confidence,
        _area_under_roc(odds, truth),
        dict(zip(roles, _measure_importance(model, codes, truth, by_tree), strict=True)),
        n,
        _write_notes(n, drawn_from or (len(reference), len(batch)), len(roles), max_rows, entity),
    )


def _explain_too_few_rows(n: int, reference: pl.DataFrame, batch: pl.DataFrame) -> str:
    side = "batch" if len(batch) <= len(reference) else "reference"
    return f"too few rows: {n} of the {side} can be used, at least {FEWEST_ROWS} are needed"


def _write_notes(
    n: int, available: tuple[int, int], columns: int, max_rows: int, entity: str | None
) -> tuple[str, ...]:
    assumption = (
        "the p-value assumes that rows are independent; if several rows belong to one customer, machine or card, "
    )
    notes = [] if entity else [f"{assumption}declare that column as entity"]
    if max(available) > n:
        why = (
            f", no more because there are {columns:,} columns" if n == limit_rows(columns, max_rows) < max_rows else ""
        )
        notes.append(
            f"data_drift compares {n:,} of {available[0]:,} rows of the reference with "
            f"{n:,} of {available[1]:,} rows of the batch{why}"
        )
    return tuple(notes)


def _draw_rows(
    reference: pl.DataFrame, batch: pl.DataFrame, roles: Mapping[str, Role], entity: str | None, n: int, seed: int
) -> _EncodedRows:
    """Draw the `n` rows per side with the lowest keys, and hold out every fifth entity (or row), by its hash."""
    frames, keys = [], []
    names = [*roles, *([entity] if entity and entity not in roles else [])]
    for frame in (reference, batch):
        key = row_keys(frame, names, seed)
        first = np.sort(np.argpartition(key, n - 1)[:n]) if n < len(key) else np.arange(n)
        frames.append(frame[first] if n < len(key) else frame)
        keys.append(key[first])
    side = np.repeat(np.array([0, 1], np.int8), n)
    # equal rows of both sides have equal keys and are ordered by side: the order depends on the rows alone
    order = np.lexsort((side, np.concatenate(keys)))
    codes, starts = encode_features(frames, roles, order)
    side = side[order]
    if not entity:  # each row is an entity, numbered in the order of keys
        entities = np.arange(2 * n, dtype=np.uint64)
    else:
        hashes = [frame.get_column(entity).alias("").cast(pl.String).hash(seed + 1).to_numpy() for frame in frames]
        entities = np.concatenate(hashes)[order]
    return _EncodedRows(codes, starts, side, entities, _hold_out(entities, side))


def _hold_out(entities: Hashes, side: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Hold out every fifth entity of those that only the reference has, only the batch has, and both have."""
    distinct, of_row = np.unique(entities, return_inverse=True)
    where = np.zeros(len(distinct), np.int64)
    for s in (0, 1):
        where |= (np.bincount(of_row[side == s], minlength=len(distinct)) > 0) << s
    held_out = np.zeros(len(distinct), np.bool_)
    for group in (1, 2, 3):
        held_out[np.flatnonzero(where == group)[::HOLD_OUT_ONE_IN]] = True
    return held_out[of_row]


def _balance_sides(rows: _EncodedRows, part: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the positions of a part's rows with the smallest keys, equally many of both sides."""
    sides = [np.flatnonzero(part & (rows.side == s)) for s in (0, 1)]
    n = min(map(len, sides))
    return np.sort(np.concatenate([s[:n] for s in sides]))


def _train(rows: _EncodedRows, train: NDArray[np.intp], categorical: NDArray[np.bool_]) -> Trees:
    """Train on the rows `train`; each tree sees another window of them."""
    some = max(TREE_ROWS, min(len(train) // 2, TREE_VALUES // len(categorical)))
    side = rows.side[train] == 1
    return train_trees(rows.codes[train], rows.starts, categorical, side, TREES, min(some, len(train)))


def _measure_importance(
    model: Trees, codes: Codes, truth: NDArray[np.bool_], by_tree: NDArray[np.float64]
) -> list[float]:
    """Return the permutation importance of each column: what shuffling it adds to the log loss, as a share of the sum.

    The rows are in the order of their hashes, so rotating a column shuffles it. Only the trees that use the column are
    evaluated again. If no column adds anything, all are equally important.
    """
    codes, truth, by_tree = codes[:IMPORTANCE_ROWS].copy(), truth[:IMPORTANCE_ROWS], by_tree[:, :IMPORTANCE_ROWS]
    odds = by_tree.sum(axis=0)
    before = _log_loss(odds, truth)
    losses = np.zeros(codes.shape[1])
    for column in np.unique(model[0][model[0] >= 0]):
        trees = (model[0] == column).any(axis=1)
        kept = codes[:, column].copy()
        codes[:, column] = np.roll(kept, len(kept) // 2)
        using = model[0][trees], model[1][trees], model[2][trees], model[3][trees]
        change = predict_log_odds(codes, using).sum(axis=0) - by_tree[trees].sum(axis=0)
        codes[:, column] = kept
        losses[column] = max(0.0, _log_loss(odds + change, truth) - before)
    total = losses.sum()
    return (losses / total if total > 0 else np.full(len(losses), 1 / len(losses))).tolist()


def _log_loss(odds: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    return float(np.logaddexp(0, np.where(truth, -odds, odds)).mean())


def _first_row_per_entity(rows: _EncodedRows, test: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the positions in `test` of the first row of each entity and side, in the order of keys."""
    pairs = np.stack([rows.entities[test], rows.side[test].astype(np.uint64)])
    return np.sort(np.unique(pairs, axis=1, return_index=True)[1])


def _hypergeometric_p(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Return the probability of at least as many hits if the labels were exchanged at random: exact, hypergeometric."""
    rows, batch, claimed, hits = len(truth), int(truth.sum()), int(predicted.sum()), int((predicted & truth).sum())
    k = np.arange(hits, min(batch, claimed) + 1)
    ways = _log_choose(batch, k) + _log_choose(rows - batch, claimed - k) - _log_choose(rows, np.array([claimed]))
    return min(1.0, float(np.exp(ways).sum()))


def _log_choose(n: int, k: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the log of the number of ways to choose k of n; minus infinity where there is none."""
    chosen: NDArray[np.float64] = gammaln(n + 1) - gammaln(k + 1) - gammaln(np.maximum(n - k, 0) + 1)
    return np.where((k >= 0) & (k <= n), chosen, -np.inf)


def _wilson_interval(share: float, n: int, confidence: float) -> tuple[float, float]:
    """Return Wilson's score interval of a share of `n` rows."""
    z = float(ndtri(0.5 + confidence / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def _area_under_roc(odds: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Return the share of pairs of a row of each side where the batch's row has the higher odds; ties count half."""
    # the Mann-Whitney statistic by mean ranks
    _, place, rows = np.unique(odds, return_inverse=True, return_counts=True)
    rank = np.cumsum(rows) - (rows - 1) / 2
    batch = int(truth.sum())
    return float((rank[place[truth]].sum() - batch * (batch + 1) / 2) / (batch * (len(truth) - batch)))
