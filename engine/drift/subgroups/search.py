"""Search for the groups of rows that drifted most, among groups described by one or two simple conditions.

A group is a leaf of a tree of depth 1 or 2 (`age <= 25`, `age <= 25 and country = DE`). Within each group, every column
is compared between the sides. This finds changes inside a group; trees that separate the sides, such as those of the
drift model, are barely sensitive to a change in a group whose size stays the same. It is a beam search for exceptional
subgroups (Leman, Feelders & Knobbe 2008), where the drift of a column measures the exception, and groups are found one
after another by covering (Clark & Niblett 1989).

The result is the most extreme of thousands of groups, so the same rows cannot show whether it is real: the caller tests
it on rows that the search has not seen (honest trees: Athey & Imbens 2016).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from engine.drift.kernels.joint_counts import count_joint
from engine.drift.reading.normalization import Role
from engine.drift.subgroups.conditions import CodedRows, Condition, Floats, Ints, Mask, encode_rows

SEARCHED_CELLS = 50_000_000
"""Maximum number of rows of both sides times pairs of columns per pass; if exceeded, fewer rows are searched."""
FEWEST_SEARCHED_ROWS = 5_000
"""Minimum number of rows per side that are searched, if there are as many."""
BEAM = 8
"""Number of groups of one condition, those with the highest scores, that a second condition may divide."""
LEAST_RISE = 1.0
"""Minimum increase of the score by a second condition: otherwise the simpler group is preferred."""
MOST_OVERLAP = 0.25
"""Maximum share of the smaller group's rows that two groups may share; above it they count as the same."""


@dataclass(frozen=True, slots=True)
class Subgroup:
    """The rows for which all conditions hold.

    `score` is a standard normal quantile: how far the column `moved` has drifted, both in the group and relative to its
    drift in all rows. `moved` is the column that drifted most; None for the losses.
    """

    conditions: tuple[Condition, ...]
    score: float
    moved: str | None

    @property
    def sort_key(self) -> tuple[float, int, list[tuple[str, str, str]]]:
        """The key by which groups are sorted: the score, then fewer conditions, then the conditions as text."""
        return -self.score, len(self.conditions), [one.sort_key for one in self.conditions]


def find_subgroups(
    reference: pl.DataFrame,
    batch: pl.DataFrame,
    roles: Mapping[str, Role],
    *,
    split_by: Sequence[str],
    losses: tuple[Floats, Floats] | None = None,
    max_depth: int = 2,
    min_rows: int = 50,
    most: int = 3,
) -> list[Subgroup]:
    """Return the groups of rows that drifted most, the highest score first; none if no group is conspicuous.

    Parameters
    ----------
    reference, batch
        Independent rows with the columns of `roles`, in random order: with many columns only the first rows are
        searched (`count_searched_rows`).
    split_by
        The columns that conditions may use.
    losses
        The model's loss on each row of both sides, shape (rows,) each, NaN if unknown: a group may also be found
        because its mean loss rose.
    max_depth
        Maximum number of conditions of a group, 1 or 2.
    min_rows
        Minimum number of rows of a group on each side, at least 1.
    most
        Maximum number of returned groups. Any two share at most a quarter of the rows of the smaller one.
    """
    n = count_searched_rows(len(roles), len(split_by))
    rows = encode_rows([reference.head(n), batch.head(n)], roles, losses and [one[:n] for one in losses])
    expected = _describe_whole(rows)
    chosen: list[tuple[Subgroup, Mask]] = []
    left = np.ones(len(rows.side), np.bool_)
    for _ in range(most):
        # without the rows of earlier groups, each of which would otherwise be found again by other conditions
        for group in _search(rows.take(left), expected, split_by, max_depth, min_rows):
            mask = rows.select(group.conditions)
            if all(_share_of_smaller(mask, other) <= MOST_OVERLAP for _, other in chosen):
                chosen.append((group, mask))
                left &= ~mask
                break
    return [group for group, _ in chosen]


def score_subgroup(
    reference: pl.DataFrame,
    batch: pl.DataFrame,
    roles: Mapping[str, Role],
    members: tuple[Mask, Mask],
    *,
    losses: tuple[Floats, Floats] | None = None,
) -> dict[str | None, float]:
    """Return the scores of each column in one group, and of the losses (key None), as `find_subgroups` computes them.

    On rows that were not searched, a score tells whether the group drifted more than all rows did: if it did not, the
    score is approximately standard normal, or lower.

    Parameters
    ----------
    members
        Masks of each side's rows in the group, shape (rows,) each.
    """
    rows = encode_rows([reference, batch], roles, losses)
    expected = _describe_whole(rows)
    group = np.concatenate(members).astype(np.int64)
    before, now = _tabulate(rows, group, 2)[:, 1:]
    of_columns = _score_counts(before, now, rows.starts, expected)[0]
    scores: dict[str | None, float] = dict(zip(roles, of_columns.tolist(), strict=True))
    if losses is not None:
        scores[None] = float(_score_losses(_tabulate_losses(rows, group, 2)[:, :, 1:], expected)[0])
    return scores


def count_searched_rows(columns: int, split_by: int) -> int:
    """Return the maximum number of searched rows per side, given the numbers of compared columns and of `split_by`."""
    return max(FEWEST_SEARCHED_ROWS, SEARCHED_CELLS // max(1, 2 * columns * split_by))


def _share_of_smaller(one: Mask, other: Mask) -> float:
    return float((one & other).sum() / max(1, min(one.sum(), other.sum())))


@dataclass(frozen=True, slots=True)
class _Expected:
    """Statistics of all rows together.

    Attributes
    ----------
    odds
        The odds that a row in a bin is from the batch, shape (bins of all columns,).
    effect
        The drift of each column, shape (columns,).
    rise
        The increase of the mean loss.
    """

    odds: Floats
    effect: Floats
    rise: float


def _describe_whole(rows: CodedRows) -> _Expected:
    alike = np.zeros(len(rows.side), np.int64)
    [before], [now] = _tabulate(rows, alike, 1)
    chi, bins, size = _compare_counts(before[None], now[None], rows.starts)
    rise = 0.0 if rows.losses is None else float(_measure_rise(_tabulate_losses(rows, alike, 1))[0][0])
    return _Expected((now + 0.5) / (before + 0.5), ((chi - bins + 1) / np.maximum(size, 1))[0], rise)


def _search(
    rows: CodedRows, expected: _Expected, split_by: Sequence[str], max_depth: int, min_rows: int
) -> list[Subgroup]:
    """Return the groups with a positive score, the highest first."""
    groups = sorted(_score_splits(rows, expected, split_by, min_rows), key=lambda one: one.sort_key)
    if max_depth > 1:
        for parent in groups[:BEAM]:
            part = rows.take(rows.select(parent.conditions))
            groups += _divide(parent, _score_splits(part, expected, split_by, min_rows))
    return sorted((one for one in groups if one.score > 0), key=lambda one: one.sort_key)


def _divide(parent: Subgroup, splits: Iterator[Subgroup]) -> Iterator[Subgroup]:
    """Yield the parts of a group given by a second condition, if their scores are sufficiently higher."""
    [first] = parent.conditions
    for one in splits:
        [second] = one.conditions
        same = (first.column, first.relation) == (second.column, second.relation)
        if not same and one.score >= parent.score + LEAST_RISE:
            conditions = tuple(sorted((first, second), key=lambda condition: condition.sort_key))
            yield replace(one, conditions=conditions)


def _score_splits(rows: CodedRows, expected: _Expected, split_by: Sequence[str], min_rows: int) -> Iterator[Subgroup]:
    """Yield the groups that one condition selects among some rows, with their scores."""
    names = [*rows.columns]
    for name in split_by:
        column = rows.columns[name]
        codes = rows.codes[:, names.index(name)].astype(np.int64)
        size = column.selected.shape[1]
        before, now = (column.selected.astype(np.int64) @ side for side in _tabulate(rows, codes, size))
        # each row is in one bin of every column, so the bins of the first column suffice to count the rows
        of_first = slice(0, rows.starts[1])
        enough = np.flatnonzero(np.minimum(before[:, of_first].sum(axis=1), now[:, of_first].sum(axis=1)) >= min_rows)
        if not len(enough):
            continue
        scores = _score_counts(before[enough], now[enough], rows.starts, expected)
        if rows.losses is not None:
            sums = _tabulate_losses(rows, codes, size) @ column.selected.T[:, enough].astype(np.float64)
            scores = np.column_stack([scores, _score_losses(sums, expected)])
        for i, of_group in zip(enough.tolist(), scores, strict=True):
            best = int(np.argmax(of_group))
            moved = names[best] if best < len(names) else None
            yield Subgroup((column.conditions[i],), float(of_group[best]), moved)


def _tabulate(rows: CodedRows, codes: Ints, size: int) -> Ints:
    """Return the number of rows by side, code and bin of every column, shape (2, size, bins)."""
    counts = np.zeros((2 * size, rows.starts[-1]), np.int64)
    count_joint(rows.bins, rows.starts[:-1], rows.side * size + codes, counts)
    return counts.reshape(2, size, -1)


def _tabulate_losses(rows: CodedRows, codes: Ints, size: int) -> Floats:
    """Return number, sum and sum of squares of the losses by side and code, shape (3, 2, size)."""
    losses = np.zeros(0) if rows.losses is None else rows.losses
    known = np.isfinite(losses)
    cell = (rows.side * size + codes)[known]
    return np.stack([np.bincount(cell, losses[known] ** power, 2 * size).reshape(2, size) for power in (0, 1, 2)])


def _compare_counts(before: Ints, now: Ints, starts: Ints) -> tuple[Floats, Floats, Floats]:
    """Return, per group and column, Pearson's chi-squared and the number of bins with rows; per group n m / (n + m).

    Parameters
    ----------
    before, now
        Rows of both sides by bin, shape (groups, bins).
    """
    both, widths = before + now, np.diff(starts)
    rows, of_batch = (np.add.reduceat(one, starts[:-1], axis=1) for one in (both, now))
    share = of_batch / np.maximum(rows, 1)
    chi = _add_squares(now, both, np.repeat(share, widths, axis=1), starts)
    return chi, np.add.reduceat((both > 0).astype(np.float64), starts[:-1], axis=1), rows * share * (1 - share)


def _add_squares(now: Ints, both: Ints, share: Floats, starts: Ints) -> Floats:
    """Return the sum over the bins of each column of (rows - expected rows)² / variance, shape (groups, columns)."""
    with np.errstate(all="ignore"):
        parts = (now - both * share) ** 2 / (both * share * (1 - share))
    return np.asarray(np.add.reduceat(np.where(np.isfinite(parts), parts, 0.0), starts[:-1], axis=1))


def _score_counts(before: Ints, now: Ints, starts: Ints, expected: _Expected) -> Floats:
    """Return the score of each group and column, shape (groups, columns).

    It is the smaller of two: the difference between the sides in the group, and its excess over the difference that the
    drift of all rows predicts. So a group stands out neither because only other rows drifted, nor because it drifted
    like all rows. A column that drifted less in the group than in all rows has no score.
    """
    both, widths = before + now, np.diff(starts)
    chi, bins, size = _compare_counts(before, now, starts)
    share = _scale_odds(now, both, expected.odds, starts, widths)
    freedom = np.maximum(bins - 1, 1)
    score = np.minimum(_as_normal(chi, freedom), _as_normal(_add_squares(now, both, share, starts), freedom))
    more = (chi - freedom) / np.maximum(size, 1) > np.maximum(expected.effect, 0)
    return np.where(more & (bins > 1), score, -np.inf)


def _score_losses(sums: Floats, expected: _Expected) -> Floats:
    """Return by how many standard errors the mean loss of each group rose, in itself or beyond the rise in all rows.

    It is the smaller of the two, as for columns; `sums` is the result of `_tabulate_losses`.
    """
    rise, error = _measure_rise(sums)
    with np.errstate(all="ignore"):
        scores = np.minimum(rise, rise - expected.rise) / error
    return np.where(np.isfinite(scores), scores, -np.inf)


def _scale_odds(now: Ints, both: Ints, odds: Floats, starts: Ints, widths: Ints) -> Floats:
    """Return the share of each bin that is from the batch if the odds are those of all rows times a factor per group.

    The factor is chosen so that the group's number of batch rows is the actual one (Newton's method).
    """
    log_odds, scale = np.log(odds), np.zeros((len(both), len(widths)))
    of_batch = np.add.reduceat(now, starts[:-1], axis=1)
    for _ in range(6):
        share = 1 / (1 + np.exp(-(log_odds + np.repeat(scale, widths, axis=1))))
        missed = of_batch - np.add.reduceat(both * share, starts[:-1], axis=1)
        slope = np.add.reduceat(both * share * (1 - share), starts[:-1], axis=1)
        scale = np.clip(scale + missed / np.maximum(slope, 1e-9), -20, 20)
    return np.asarray(1 / (1 + np.exp(-(log_odds + np.repeat(scale, widths, axis=1)))))


def _as_normal(chi: Floats, freedom: Floats) -> Floats:
    """Return the standard normal quantile of a chi-squared value (Wilson & Hilferty 1931)."""
    off = 2 / (9 * freedom)
    return np.asarray((np.cbrt(chi / freedom) - (1 - off)) / np.sqrt(off))


def _measure_rise(losses: Floats) -> tuple[Floats, Floats]:
    """Return the increase of the mean loss of each group, and its standard error.

    Parameters
    ----------
    losses
        Number, sum and sum of squares by side and group, shape (3, 2, groups).
    """
    number, total, squares = losses
    with np.errstate(all="ignore"):
        mean = total / number
        variance = (squares / number - mean**2) / (number - 1)
    return mean[1] - mean[0], np.sqrt(np.maximum(variance, 0).sum(axis=0))
