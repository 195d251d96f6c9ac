"""Can a classifier tell the batch from the reference? Its accuracy on rows it has not seen is `data_drift`.

It sees what single columns do not: relations between them. Without care it also sees what is no drift: rows of one
entity on both sides of its split (accuracy .97 without any drift), sides of unequal size, row order. So the split
is by entity, the sides are balanced, and everything is drawn by hash of row content.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from engine.drift.canonical import categories, ordered
from engine.drift.roles import Role
from engine.drift.sampling import Keys, row_keys
from engine.errors import DataError

FEWEST_ROWS = 25
"""Rows a side below which the classifier's trees cannot even split: they need 20 rows in each of two leaves."""

MOST_CATEGORIES = 254
"""Categories that the classifier tells apart in one column, the most frequent ones; the rest are one more."""

ONE_IN = 5
"""One entity (or row) in as many is held out."""

IMPORTANCE_ROWS = 4_000
"""Held-out rows, of all columns' importance: every column costs a prediction of each."""


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
    """Rows of both sides in the order of their keys: features, side (1: batch), key, entity, held out or not."""

    x: NDArray[np.float64]
    side: NDArray[np.int8]
    keys: Keys
    entities: Keys
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
) -> DomainClassifier:
    """Train a classifier to tell `batch` from `reference` and measure it on held-out rows.

    Parameters
    ----------
    roles
        The columns to look at. Missing values take part; categories unseen on one side are categories.
    entity
        The column whose rows belong together: all rows of an entity, of both sides, are held out or none.
    max_rows
        Most rows a side; drawn by hash of content, like the split.

    Raises
    ------
    DataError
        A column is not there or cannot be read in its role.
    """
    for side, frame in (("reference", reference), ("batch", batch)):
        if absent := [name for name in [*roles, *([entity] if entity else [])] if name not in frame.columns]:
            raise DataError(f"the {side} lacks {', '.join(map(repr, absent))}")
    if not roles:
        return DomainClassifier(reason="no column takes part")
    n = min(len(reference), len(batch), max_rows)
    if n < FEWEST_ROWS:
        return DomainClassifier(reason=f"too few rows: {n} a side, at least {FEWEST_ROWS} are needed")
    rows = _drawn(reference, batch, roles, entity, n, seed)
    train, test = _balanced(rows, ~rows.held_out), _balanced(rows, rows.held_out)
    if len(train) < 2 * FEWEST_ROWS * (ONE_IN - 1) // ONE_IN or not len(test):
        return DomainClassifier(reason=f"too few entities to hold out one in {ONE_IN} of both sides")
    categorical = [role is Role.CATEGORICAL for role in roles.values()]
    probability, importance = _fitted(rows, train, test, categorical, seed)
    predicted = probability > 0.5
    truth = rows.side[test] == 1
    accuracy = float((predicted == truth).mean())
    voting = _one_per_entity(rows, test) if entity else np.arange(len(test))
    p_value = _conditional_p(predicted[voting], truth[voting])
    low, high = _wilson(accuracy, len(voting), confidence)
    notes = [] if entity else ["the p-value takes rows for independent; declare an entity where they are not"]
    if max(len(reference), len(batch)) > n:
        notes.append(f"{n:,} rows a side of {len(reference):,} reference rows and {len(batch):,} batch rows")
    return DomainClassifier(
        accuracy,
        low,
        high,
        p_value,
        p_value < 1 - confidence,
        _auc(probability, truth),
        dict(zip(roles, importance, strict=True)),
        n,
        tuple(notes),
    )


def _drawn(
    reference: pl.DataFrame, batch: pl.DataFrame, roles: Mapping[str, Role], entity: str | None, n: int, seed: int
) -> _Rows:
    """Draw `n` rows a side by key, and hold out every fifth entity (without one: row) in the order of its hash."""
    frames, keys = [], []
    names = [*roles, *([entity] if entity and entity not in roles else [])]
    for frame in (reference, batch):
        key = row_keys(frame, names, seed)
        first = np.argsort(key, kind="stable")[:n]
        frames.append(frame[first])
        keys.append(key[first])
    key = np.concatenate(keys)
    side = np.repeat(np.array([0, 1], np.int8), n)
    x = np.column_stack([_feature(frames[0][name], frames[1][name], role) for name, role in roles.items()])
    entities = np.concatenate(
        [frame[entity].cast(pl.String).hash(seed + 1).to_numpy() for frame in frames]
        if entity
        else [np.zeros(2 * n, np.uint64)]
    )
    # ties between the sides' keys (equal rows) are broken by side: the order is a function of the rows alone
    order = np.lexsort((side, key))
    x, side, key, entities = x[order], side[order], key[order], entities[order]
    if not entity:
        entities = np.arange(2 * n, dtype=np.uint64)  # every row is one, numbered in the order of keys
    return _Rows(x, side, key, entities, _held_out(entities, side))


def _held_out(entities: Keys, side: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Hold out every fifth entity among those of the reference alone, of the batch alone, and of both."""
    distinct, of_row = np.unique(entities, return_inverse=True)
    where = np.zeros(len(distinct), np.int64)
    where |= np.bincount(of_row, weights=side == 0, minlength=len(distinct)).astype(bool)
    where |= 2 * np.bincount(of_row, weights=side == 1, minlength=len(distinct)).astype(bool)
    held_out = np.zeros(len(distinct), np.bool_)
    for group in (1, 2, 3):
        held_out[np.flatnonzero(where == group)[::ONE_IN]] = True
    return held_out[of_row]


def _balanced(rows: _Rows, part: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the positions of a part with as many rows of one side as of the other: those with the smallest keys."""
    sides = [np.flatnonzero(part & (rows.side == s)) for s in (0, 1)]
    n = min(map(len, sides))
    return np.sort(np.concatenate([s[:n] for s in sides]))


def _feature(reference: pl.Series, batch: pl.Series, role: Role) -> NDArray[np.float64]:
    """Return one column of both sides as floats; categories by rank of frequency in both; NaN is missing."""
    if role is Role.NUMERICAL:
        numbers = pl.concat([ordered(side).cast(pl.Float64) for side in (reference, batch)])
        # the trees take means of neighbours, which must not overflow
        return numbers.clip(-1e300, 1e300).to_numpy()
    text = pl.concat([categories(reference), categories(batch)]).alias("value").to_frame()
    ranks = (
        text.drop_nulls()
        .group_by("value")
        .len()
        .sort(["len", "value"], descending=[True, False])
        .select("value", rank=pl.int_range(pl.len()).clip(0, MOST_CATEGORIES))
    )
    return text.join(ranks, on="value", how="left", maintain_order="left")["rank"].cast(pl.Float64).to_numpy()


def _fitted(
    rows: _Rows, train: NDArray[np.intp], test: NDArray[np.intp], categorical: list[bool], seed: int
) -> tuple[NDArray[np.float64], list[float]]:
    """Train; return the held-out rows' probability of the batch, and each column's importance."""
    # sklearn takes seconds to import: only who trains pays
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    model = HistGradientBoostingClassifier(
        max_iter=50, early_stopping=False, categorical_features=categorical, random_state=seed % 2**32
    )
    # scikit-learn cannot bin a column without any value, which tells nothing anyway
    known = np.where(np.isnan(rows.x[train]).all(axis=0), 0.0, rows.x)
    x, truth = known[test], rows.side[test]
    with threadpool_limits(limits=1):  # OpenMP threads spin when cores are shared
        model.fit(known[train], rows.side[train])
        probability: NDArray[np.float64] = model.predict_proba(x)[:, 1]
        some = slice(IMPORTANCE_ROWS)  # in the order of keys: as good as any
        return probability, _importance(model, x[some], truth[some], probability[some], seed)


def _importance(
    model: Any, x: NDArray[np.float64], truth: NDArray[np.int8], probability: NDArray[np.float64], seed: int
) -> list[float]:
    """Return what shuffling each column among held-out rows adds to the log loss, as shares of the sum.

    A column that adds nothing has 0; where none adds anything all are equal.
    """
    rng = np.random.default_rng(seed)
    before = _log_loss(probability, truth)
    losses = np.zeros(x.shape[1])
    for column in range(x.shape[1]):
        shuffled = x.copy()
        shuffled[:, column] = rng.permutation(x[:, column])
        losses[column] = max(0.0, _log_loss(model.predict_proba(shuffled)[:, 1], truth) - before)
    total = losses.sum()
    return (losses / total if total > 0 else np.full(len(losses), 1 / len(losses))).tolist()


def _log_loss(probability: NDArray[np.float64], truth: NDArray[np.int8]) -> float:
    return float(-np.log(np.clip(np.where(truth == 1, probability, 1 - probability), 1e-15, 1)).mean())


def _one_per_entity(rows: _Rows, test: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the positions in `test` of one row per entity and side: the first, rows being in the order of keys."""
    pairs = np.stack([rows.entities[test], rows.side[test].astype(np.uint64)])
    return np.sort(np.unique(pairs, axis=1, return_index=True)[1])


def _conditional_p(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Return the chance of as many hits among as many predicted, were the labels exchanged (hypergeometric)."""
    from scipy.stats import hypergeom

    hits = int((predicted & truth).sum())
    return float(hypergeom.sf(hits - 1, len(truth), int(truth.sum()), int(predicted.sum())))


def _wilson(share: float, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a share of `n`."""
    z = float(ndtri(0.5 + confidence / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def _auc(probability: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, probability))
