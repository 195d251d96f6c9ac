"""Can a classifier tell the batch from the reference? Its accuracy on rows it has not seen is `data_drift`.

It sees what single columns do not: relations between them. Without care it also sees what is no drift: rows of one
entity on both sides of its split (accuracy .97 without any drift), sides of unequal size, row order. So the split
is by entity, the sides are balanced, and everything is drawn by hash of row content.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import gammaln, ndtri

from engine.drift.features import coded
from engine.drift.kernels.boosting import Codes, Trees, boosted, log_odds
from engine.drift.kernels.drawing import Hashes
from engine.drift.roles import Role
from engine.drift.sampling import most_rows, row_keys
from engine.errors import DataError

FEWEST_ROWS = 25
"""Rows a side below which the classifier's trees cannot even split: they need 20 rows in each of two leaves."""

ONE_IN = 5
"""One entity (or row) in as many is held out."""

TREES = 100

TREE_VALUES = 1_000_000
"""Values (rows times columns) that one tree sees, at most; half of the rows where that is less."""

TREE_ROWS = 2_000
"""Rows that one tree sees whatever the columns, if there are as many."""

IMPORTANCE_ROWS = 10_000
"""Held-out rows that the columns' importance is measured on."""


@dataclass(frozen=True, slots=True)
class DomainClassifier:
    """How well a classifier tells batch from reference on held-out rows.

    `accuracy` (0.5: no drift, 1: complete) lies in [`low`, `high`] (Wilson, at the confidence asked for); `p_value` is
    one-sided, conditional on the share predicted as batch. With an entity both count one row per entity and side.
    `importance` sums to 1. Where nothing can be computed all are None and `reason` says why. `rows_used` is a side's.
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
class _Rows:
    """Rows of both sides in the order of their keys: codes, side (1: batch), entity, held out or not."""

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
        The columns to look at. Missing values take part; categories unseen on one side are categories.
    entity
        The column whose rows belong together: all rows of an entity, of both sides, are held out or none.
    max_rows
        Most rows a side, fewer where columns are many; drawn by hash of content, like the split.
    drawn_from
        How many rows of reference and batch there are, where what is given is a sample of them: for the notes.

    Raises
    ------
    DataError
        A column is not there or cannot be read in its role.
    """
    for side, frame in (("reference", reference), ("batch", batch)):
        there = set(frame.columns)
        if absent := [name for name in [*roles, *([entity] if entity else [])] if name not in there]:
            raise DataError(f"the {side} lacks {', '.join(map(repr, absent))}")
    if not roles:
        return DomainClassifier(reason="no column takes part")
    n = min(len(reference), len(batch), most_rows(len(roles), max_rows))
    if n < FEWEST_ROWS:
        return DomainClassifier(reason=f"too few rows: {n} a side, at least {FEWEST_ROWS} are needed")
    rows = _drawn(reference, batch, roles, entity, n, seed)
    train, test = _balanced(rows, ~rows.held_out), _balanced(rows, rows.held_out)
    if len(train) < 2 * FEWEST_ROWS * (ONE_IN - 1) // ONE_IN or not len(test):
        return DomainClassifier(reason=f"too few entities to hold out one in {ONE_IN} of both sides")
    model = _trained(rows, train, np.array([role is Role.CATEGORICAL for role in roles.values()]))
    codes, truth = rows.codes[test], rows.side[test] == 1
    said = log_odds(codes, model)
    odds: NDArray[np.float64] = said.sum(axis=0)
    predicted = odds > 0
    accuracy = float((predicted == truth).mean())
    voting = _one_per_entity(rows, test) if entity else np.arange(len(test))
    p_value = _conditional_p(predicted[voting], truth[voting])
    low, high = _wilson(accuracy, len(voting), confidence)
    return DomainClassifier(
        accuracy,
        low,
        high,
        p_value,
        p_value < 1 - confidence,
        _auc(odds, truth),
        dict(zip(roles, _importance(model, codes, truth, said), strict=True)),
        n,
        _notes(n, drawn_from or (len(reference), len(batch)), len(roles), max_rows, entity),
    )


def _notes(n: int, available: tuple[int, int], columns: int, max_rows: int, entity: str | None) -> tuple[str, ...]:
    notes = [] if entity else ["the p-value takes rows for independent; declare an entity where they are not"]
    if max(available) > n:
        why = f": no more, because columns are {columns:,}" if n == most_rows(columns, max_rows) < max_rows else ""
        notes.append(f"{n:,} rows a side of {available[0]:,} reference rows and {available[1]:,} batch rows{why}")
    return tuple(notes)


def _drawn(
    reference: pl.DataFrame, batch: pl.DataFrame, roles: Mapping[str, Role], entity: str | None, n: int, seed: int
) -> _Rows:
    """Draw `n` rows a side by key, and hold out every fifth entity (without one: row) in the order of its hash."""
    frames, keys = [], []
    names = [*roles, *([entity] if entity and entity not in roles else [])]
    for frame in (reference, batch):
        key = row_keys(frame, names, seed)
        first = np.sort(np.argpartition(key, n - 1)[:n]) if n < len(key) else np.arange(n)
        frames.append(frame[first] if n < len(key) else frame)
        keys.append(key[first])
    side = np.repeat(np.array([0, 1], np.int8), n)
    # ties between the sides' keys (equal rows) are broken by side: the order is a function of the rows alone
    order = np.lexsort((side, np.concatenate(keys)))
    codes, starts = coded(frames, roles, order)
    side = side[order]
    if not entity:  # every row is one, numbered in the order of keys
        entities = np.arange(2 * n, dtype=np.uint64)
    else:
        hashes = [frame.get_column(entity).alias("").cast(pl.String).hash(seed + 1).to_numpy() for frame in frames]
        entities = np.concatenate(hashes)[order]
    return _Rows(codes, starts, side, entities, _held_out(entities, side))


def _held_out(entities: Hashes, side: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Hold out every fifth entity among those of the reference alone, of the batch alone, and of both."""
    distinct, of_row = np.unique(entities, return_inverse=True)
    where = np.zeros(len(distinct), np.int64)
    for s in (0, 1):
        where |= (np.bincount(of_row[side == s], minlength=len(distinct)) > 0) << s
    held_out = np.zeros(len(distinct), np.bool_)
    for group in (1, 2, 3):
        held_out[np.flatnonzero(where == group)[::ONE_IN]] = True
    return held_out[of_row]


def _balanced(rows: _Rows, part: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the positions of a part with as many rows of one side as of the other: those with the smallest keys."""
    sides = [np.flatnonzero(part & (rows.side == s)) for s in (0, 1)]
    n = min(map(len, sides))
    return np.sort(np.concatenate([s[:n] for s in sides]))


def _trained(rows: _Rows, train: NDArray[np.intp], categorical: NDArray[np.bool_]) -> Trees:
    """Train on the rows `train`, of which each tree sees some and the next one others."""
    some = max(TREE_ROWS, min(len(train) // 2, TREE_VALUES // len(categorical)))
    side = rows.side[train] == 1
    return boosted(rows.codes[train], rows.starts, categorical, side, TREES, min(some, len(train)))


def _importance(model: Trees, codes: Codes, truth: NDArray[np.bool_], said: NDArray[np.float64]) -> list[float]:
    """Return what shuffling each column among held-out rows adds to the log loss, as shares of the sum.

    The rows are in the order of their hashes, so to rotate a column is to shuffle it. Only the trees that ask for the
    column answer again. A column that adds nothing has 0; where none adds anything all are equal.
    """
    codes, truth, said = codes[:IMPORTANCE_ROWS].copy(), truth[:IMPORTANCE_ROWS], said[:, :IMPORTANCE_ROWS]
    odds = said.sum(axis=0)
    before = _log_loss(odds, truth)
    losses = np.zeros(codes.shape[1])
    for column in np.unique(model[0][model[0] >= 0]):
        trees = (model[0] == column).any(axis=1)
        kept = codes[:, column].copy()
        codes[:, column] = np.roll(kept, len(kept) // 2)
        asked = model[0][trees], model[1][trees], model[2][trees], model[3][trees]
        change = log_odds(codes, asked).sum(axis=0) - said[trees].sum(axis=0)
        codes[:, column] = kept
        losses[column] = max(0.0, _log_loss(odds + change, truth) - before)
    total = losses.sum()
    return (losses / total if total > 0 else np.full(len(losses), 1 / len(losses))).tolist()


def _log_loss(odds: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    return float(np.logaddexp(0, np.where(truth, -odds, odds)).mean())


def _one_per_entity(rows: _Rows, test: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the positions in `test` of one row per entity and side: the first, rows being in the order of keys."""
    pairs = np.stack([rows.entities[test], rows.side[test].astype(np.uint64)])
    return np.sort(np.unique(pairs, axis=1, return_index=True)[1])


def _conditional_p(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Return the chance of as many hits among as many predicted, were the labels exchanged: hypergeometric, exact."""
    rows, batch, claimed, hits = len(truth), int(truth.sum()), int(predicted.sum()), int((predicted & truth).sum())
    k = np.arange(hits, min(batch, claimed) + 1)
    ways = _log_choose(batch, k) + _log_choose(rows - batch, claimed - k) - _log_choose(rows, np.array([claimed]))
    return min(1.0, float(np.exp(ways).sum()))


def _log_choose(n: int, k: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log of the number of ways to choose k of n; minus infinity where there is none."""
    chosen: NDArray[np.float64] = gammaln(n + 1) - gammaln(k + 1) - gammaln(np.maximum(n - k, 0) + 1)
    return np.where((k >= 0) & (k <= n), chosen, -np.inf)


def _wilson(share: float, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a share of `n`."""
    z = float(ndtri(0.5 + confidence / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def _auc(odds: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Return the share of pairs, one row of each side, in which the batch's has the higher odds; ties count half."""
    _, place, rows = np.unique(odds, return_inverse=True, return_counts=True)
    rank = np.cumsum(rows) - (rows - 1) / 2
    batch = int(truth.sum())
    return float((rank[place[truth]].sum() - batch * (batch + 1) / 2) / (batch * (len(truth) - batch)))
