"""The drift model: a domain classifier, which predicts whether a row is from the batch or from the reference.

Its accuracy on held-out rows is the metric `data_drift`. It finds changed relations between columns, which no statistic
of a single column shows. Three things that are not drift would also tell the sides apart: rows of one entity in both
training and test (accuracy .97 without any drift), sides of unequal size, and the order of rows. So the split is by
entity, the sides are balanced, and rows are drawn by a hash of their content.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.drift.classifier.column_importance import measure_importance
from engine.drift.classifier.feature_encoding import encode_features
from engine.drift.kernels.boosting import train_trees
from engine.drift.kernels.tree_paths import Trees, find_leaves, predict_log_odds
from engine.drift.kernels.tree_splits import Codes
from engine.drift.kernels.value_hashes import Hashes
from engine.drift.profiles.drawn_rows import limit_rows
from engine.drift.profiles.roles import require_comparable_role
from engine.drift.profiles.sampling import row_keys
from engine.drift.reading.alignment import align_columns, describe_columns
from engine.drift.reading.column_families import read_storage
from engine.drift.reading.normalization import Role, column_named, normalize_categories
from engine.drift.reading.row_hash import hash_values
from engine.drift.reading.sources import hold_rows
from engine.drift.significance.discrete_tails import hypergeometric_tail, lower_bound
from engine.errors import DataError

FEWEST_ROWS = 25
"""Rows per side below which the trees cannot split: each of two leaves needs 20 rows."""

HOLD_OUT_ONE_IN = 5
"""One in this many entities (or rows, without an entity) is held out."""

TREES = 100
"""Number of trees of the drift model."""

TREE_VALUES = 1_000_000
"""Maximum number of values (rows times columns) that a tree is trained on; at most half of the rows."""

TREE_ROWS = 2_000
"""Minimum number of rows that a tree is trained on, if there are as many."""


@dataclass(frozen=True, slots=True)
class DomainClassifierResult:
    """How well the drift model distinguishes batch and reference, measured on held-out rows.

    `accuracy` is 0.5 without drift and 1 at most; [`low`, `high`] is its Wilson interval. `p_value` is one-sided and
    conditional on the number of rows predicted as batch. With an entity, the interval and the p-value use one row per
    entity and side as sample size, because the rows of an entity are not independent; `accuracy` is that of all
    held-out rows. `importance` sums to 1. `rows_used` is per side. If nothing can be computed, the numbers are None and
    `reason` gives the reason.

    `accuracy_low` is the one-sided lower bound of the accuracy at `confidence`, from equally many held-out rows of each
    side (one per entity and side, where entities are declared). 2 * `accuracy_low` - 1 is a lower bound of the total
    variation distance between batch and reference, which is the share of the mass that differs, because no classifier
    is more accurate than 1/2 + half of that distance (Lopez-Paz & Oquab 2017). There is no such upper bound: a weak
    classifier proves nothing.
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
    accuracy_low: float | None = None


@dataclass(frozen=True, slots=True)
class _EncodedRows:
    """Rows of both sides in the order of their sampling keys.

    Per row: its `codes` (see `encode_features`, also for `starts`), its `side` (1 for the batch), the hash of its
    entity, and whether it is `held_out`.
    """

    codes: Codes
    starts: NDArray[np.int64]
    side: NDArray[np.int8]
    entities: Hashes
    held_out: NDArray[np.bool_]


def domain_classifier(
    reference: Any,
    batch: Any,
    roles: Mapping[str, Role | str],
    *,
    entity: str | None = None,
    confidence: float = 0.95,
    max_rows: int = 100_000,
    seed: int = 0,
    drawn_from: tuple[int, int] | None = None,
) -> DomainClassifierResult:
    """Train a classifier to distinguish the rows of `batch` and `reference`, and measure it on held-out rows.

    Parameters
    ----------
    reference, batch
        The rows of both sides, in any form that `scan_table` accepts; they are held in memory.
    roles
        The columns to use, and how: the first part of what `roles` returns. Missing values count as values, and so do
        categories that only one side has. The batch is converted to the types of the reference; a column that is gone
        or cannot be read is left out, with a note.
    entity
        Column that identifies the entity of a row: on both sides, all rows of an entity are held out, or none.
    max_rows
        Maximum number of rows per side; there are fewer if there are many columns. Rows are drawn and split by a hash
        of their content.
    drawn_from
        Numbers of rows of reference and batch if the frames are samples, for the notes.

    Raises
    ------
    DataError
        The reference lacks a column or cannot be read in its role; the batch lacks the entity or every column; a side
        is not a table.
    TypeError
        `roles` is not a mapping.
    """
    if not isinstance(roles, Mapping):
        raise TypeError(
            f"roles must map columns to roles, but this is a {type(roles).__name__}; engine.drift.roles returns the "
            "mapping as its first part"
        )
    known_roles: Mapping[str, Role] = {name: require_comparable_role(name, role) for name, role in roles.items()}
    reference, batch = hold_rows(reference), hold_rows(batch)
    for side, frame in (("reference", reference), ("batch", batch)):
        present = set(frame.columns)
        absent = [name for name in [*known_roles, *([entity] if entity else [])] if name not in present]
        if absent and (frame is reference or entity in absent or set(absent) >= set(known_roles)):
            raise DataError(f"the {side} lacks {', '.join(map(repr, absent))}")
    reference, batch, known_roles, unmeasured = align_sides(reference, batch, known_roles)
    left_out = tuple(f"data_drift does not see column {name!r}: {why}" for name, why in unmeasured.items())
    if not known_roles:
        return DomainClassifierResult(reason="there is no column to compare")
    n = min(len(reference), len(batch), limit_rows(len(known_roles), max_rows))
    if n < FEWEST_ROWS:
        return DomainClassifierResult(reason=_explain_too_few_rows(n, reference, batch))
    rows = _draw_rows(reference, batch, known_roles, entity, n, seed)
    train, test = _balance_sides(rows, ~rows.held_out), _balance_sides(rows, rows.held_out)
    if len(train) < 2 * FEWEST_ROWS * (HOLD_OUT_ONE_IN - 1) // HOLD_OUT_ONE_IN or not len(test):
        return DomainClassifierResult(reason=f"too few entities to hold out one in {HOLD_OUT_ONE_IN} of both sides")
    model = _train(rows, train, np.array([role is Role.CATEGORICAL for role in known_roles.values()]))
    codes, truth = rows.codes[test], rows.side[test] == 1
    leaves = find_leaves(codes, model)
    log_odds: NDArray[np.float64] = predict_log_odds(model, leaves).sum(axis=0)
    predicted = log_odds > 0
    accuracy = float((predicted == truth).mean())
    independent_rows = _first_row_per_entity(rows, test) if entity else np.arange(len(test))
    p_value = _hypergeometric_p(predicted[independent_rows], truth[independent_rows])
    low, high = _wilson_interval(accuracy, len(independent_rows), confidence)
    return DomainClassifierResult(
        accuracy,
        low,
        high,
        p_value,
        p_value < 1 - confidence,
        _area_under_roc(log_odds, truth),
        dict(zip(known_roles, measure_importance(model, codes, truth, leaves), strict=True)),
        n,
        (*left_out, *_write_notes(n, drawn_from or (len(reference), len(batch)), len(known_roles), max_rows, entity)),
        accuracy_low=_bound_accuracy(
            predicted[independent_rows] == truth[independent_rows], truth[independent_rows], confidence
        ),
    )


def align_sides(
    reference: pl.DataFrame, batch: pl.DataFrame, roles: Mapping[str, Role]
) -> tuple[pl.DataFrame, pl.DataFrame, Mapping[str, Role], Mapping[str, str]]:
    """Return both sides with the reference's columns and types, the roles, and why columns are left out."""
    reference = read_storage(reference.lazy()).collect()
    alignment = align_columns(batch.lazy(), describe_columns(reference, roles, batch.schema))
    batch = alignment.frame.collect()
    reference = reference.with_columns(column_named(name).cast(pl.Float32) for name in alignment.rounded)
    batch = batch.with_columns(_retype_numbers(reference, batch, alignment.roles))
    return reference, batch, alignment.roles, alignment.unmeasured


def _retype_numbers(reference: pl.DataFrame, batch: pl.DataFrame, roles: Collection[str]) -> list[pl.Series]:
    """Return the batch's numerical columns of another type, converted to the reference's type where they fit it.

    Rows are drawn and split by a hash, which differs between the decimal 0.5 and the float 0.5: the result would depend
    on the type.
    """
    retyped = []
    for name in roles:
        known, column = reference.get_column(name).dtype, batch.get_column(name).alias("")
        if column.dtype == known or not (column.dtype.is_numeric() and known.is_numeric()):
            continue
        values = column.fill_nan(None) if column.dtype.is_float() else column
        alike = values.cast(known, strict=False)
        if alike.cast(column.dtype, strict=False).equals(values):
            retyped.append(alike.alias(name))
    return retyped


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
    """Draw the `n` rows per side with the lowest keys, and hold out every fifth entity (or row) by its hash."""
    frames, keys = [], []
    names = [*roles, *([entity] if entity and entity not in roles else [])]
    for frame in (reference, batch):
        key = row_keys(frame, names, seed)
        lowest = np.sort(np.argpartition(key, n - 1)[:n]) if n < len(key) else np.arange(n)
        frames.append(frame[lowest] if n < len(key) else frame)
        keys.append(key[lowest])
    side = np.repeat(np.array([0, 1], np.int8), n)
    # equal rows of both sides have equal keys and are ordered by side: the order depends on the rows alone
    order = np.lexsort((side, np.concatenate(keys)))
    codes, starts = encode_features(frames, roles, order)
    side = side[order]
    if not entity:  # each row is an entity, numbered in the order of keys
        entities = np.arange(2 * n, dtype=np.uint64)
    else:
        # as text, so that 7 and 7.0 are the same entity
        names_of_entities = [normalize_categories(frame.get_column(entity).alias("")) for frame in frames]
        entities = np.concatenate([hash_values(one, seed + 1) for one in names_of_entities])[order]
    return _EncodedRows(codes, starts, side, entities, _hold_out(entities, side))


def _hold_out(entities: Hashes, side: NDArray[np.int8]) -> NDArray[np.bool_]:
    """Return which rows are held out: those of every fifth entity.

    Entities of the reference only, of the batch only, and of both sides are counted separately, so that a fifth of each
    group is held out.
    """
    distinct, entity_of_row = np.unique(entities, return_inverse=True)
    # 1: the entity has rows in the reference, 2: in the batch, 3: in both
    sides = np.zeros(len(distinct), np.int64)
    for s in (0, 1):
        sides |= (np.bincount(entity_of_row[side == s], minlength=len(distinct)) > 0) << s
    held_out = np.zeros(len(distinct), np.bool_)
    for group in (1, 2, 3):
        held_out[np.flatnonzero(sides == group)[::HOLD_OUT_ONE_IN]] = True
    return held_out[entity_of_row]


def _balance_sides(rows: _EncodedRows, part: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return positions of rows in `part`, a mask: equally many of both sides, those with the smallest keys."""
    sides = [np.flatnonzero(part & (rows.side == s)) for s in (0, 1)]
    n = min(map(len, sides))
    return np.sort(np.concatenate([s[:n] for s in sides]))


def _train(rows: _EncodedRows, train: NDArray[np.intp], categorical: NDArray[np.bool_]) -> Trees:
    """Train on the rows at the positions `train`; each tree sees another window of them."""
    window = max(TREE_ROWS, min(len(train) // 2, TREE_VALUES // len(categorical)))
    side = rows.side[train] == 1
    return train_trees(rows.codes[train], rows.starts, categorical, side, TREES, min(window, len(train)))


def _first_row_per_entity(rows: _EncodedRows, test: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the positions in `test` of the first row of each entity and side, in the order of keys."""
    pairs = np.stack([rows.entities[test], rows.side[test].astype(np.uint64)])
    return np.sort(np.unique(pairs, axis=1, return_index=True)[1])


def _hypergeometric_p(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Return the exact probability of at least as many hits after a random permutation of the labels.

    A hit is a row of the batch that is predicted as batch. The number of hits is then hypergeometric.
    """
    return hypergeometric_tail(int((predicted & truth).sum()), len(truth), int(truth.sum()), int(predicted.sum()))


def _wilson_interval(share: float, n: int, confidence: float) -> tuple[float, float]:
    """Return Wilson's score interval of a share of `n` rows."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - reach), min(1.0, centre + reach)


def _bound_accuracy(hits: NDArray[np.bool_], truth: NDArray[np.bool_], confidence: float) -> float:
    """Return the one-sided lower bound of the accuracy, by Clopper & Pearson 1934, from equally many rows per side.

    Wilson's bound is too high for an accuracy near 1: for 20 rows, all predicted correctly, it is 0.881, which is above
    an accuracy of 0.88 in 7.8 % of cases instead of at most 5 %. The exact bound errs no more often than stated, also
    if the two sides are not equally easy to predict (Hoeffding 1956).

    Parameters
    ----------
    hits, truth
        Whether each row is predicted correctly, and whether it is from the batch; in the order of sampling keys. If one
        side has more rows, its last ones are not used: otherwise, a classifier that always predicts "batch" would be
        right in more than half of the rows.
    """
    sides = [hits[truth], hits[~truth]]
    n = min(map(len, sides))
    right = sum(int(side[:n].sum()) for side in sides)
    return lower_bound(right, 2 * n, confidence)


def _area_under_roc(log_odds: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Return the share of pairs of rows in which the row of the batch has the higher odds; ties count half."""
    # the Mann-Whitney statistic by mean ranks
    _, inverse, rows = np.unique(log_odds, return_inverse=True, return_counts=True)
    rank = np.cumsum(rows) - (rows - 1) / 2
    batch = int(truth.sum())
    return float((rank[inverse[truth]].sum() - batch * (batch + 1) / 2) / (batch * (len(truth) - batch)))
