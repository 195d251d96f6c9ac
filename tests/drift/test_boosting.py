"""The trees of the drift model against a twin that looks at every split of every node anew."""

from math import pi

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.drift.kernels.boosting import (
    _FEWEST_PARALLEL_SUMS,
    LEARNING_RATE,
    LEAVES,
    assign_bins,
    train_trees,
)
from engine.drift.kernels.tree_paths import find_leaves, predict_log_odds, rotate_column
from engine.drift.kernels.tree_splits import FEWEST_CATEGORY_ROWS, FEWEST_LEAF_ROWS, SMALLEST_GAIN


def splits(column, gradient, categorical, variance):
    """Every way to divide a node by one column, with its gain: (gain, codes that go left)."""
    present = np.unique(column)
    penalty = 0.0
    if categorical:
        kept = [c for c in present if (column == c).sum() >= FEWEST_CATEGORY_ROWS]
        kept.sort(key=lambda c: gradient[column == c].sum() / ((column == c).sum() + FEWEST_CATEGORY_ROWS))
        ways = [kept[: k + 1] for k in range(len(kept))]
        penalty = 2 / pi * (len(kept) - 1) * variance
    else:
        ways = []
        for last in present[present > 0]:
            below = [c for c in present if 0 < c <= last]
            ways += [below, [0, *below]]
    for way in ways:
        left = np.isin(column, way)
        n, m = left.sum(), (~left).sum()
        if min(n, m) >= FEWEST_LEAF_ROWS:
            g, h = gradient[left].sum(), gradient[~left].sum()
            between = g * g / n + h * h / m - gradient.sum() ** 2 / len(left)
            yield between - penalty, way


def naive(codes, categorical, batch, trees):
    scores = np.zeros(len(codes))
    for _ in range(trees):
        p = 1 / (1 + np.exp(-scores))
        gradient = p - batch
        variance = (gradient**2).mean()
        leaves = [np.arange(len(codes))]
        while len(leaves) < LEAVES:
            best = (0, 0, 0, [])
            for at, rows in enumerate(leaves):
                for column in range(codes.shape[1]):
                    for gain, way in splits(codes[rows, column], gradient[rows], categorical[column], variance):
                        if gain > max(best[0] * (1 + 1e-9), SMALLEST_GAIN * len(rows) * variance):
                            best = (gain, at, column, way)
            if not best[3]:
                break
            _, at, column, way = best
            rows = leaves.pop(at)
            left = np.isin(codes[rows, column], way)
            leaves += [rows[left], rows[~left]]
        for rows in leaves:
            scores[rows] -= LEARNING_RATE * gradient[rows].sum() / (1 + (p[rows] * (1 - p[rows])).sum())
    return scores


def drifted(seed, n=600):
    rng = np.random.default_rng(seed)
    batch = rng.random(n) < 0.5
    numbers = rng.integers(0, 12, (n, 2)) + 3 * (batch & (rng.random(n) < 0.4))[:, None]
    category = np.where(batch, rng.integers(0, 9, n), rng.integers(0, 14, n))
    return np.column_stack([numbers, category]).astype(np.uint8), batch


@pytest.mark.parametrize("seed", range(4))
def test_the_trees_are_those_of_the_twin(seed):
    codes, batch = drifted(seed)
    categorical = np.array([False, False, True])
    starts = np.concatenate([[0], np.cumsum(codes.max(axis=0).astype(np.int64) + 1)])
    model = train_trees(codes, starts, categorical, batch, 3, len(codes))
    assert predict_log_odds(model, find_leaves(codes, model)).sum(axis=0) == pytest.approx(
        naive(codes, categorical, batch, 3), abs=1e-5
    )


def test_a_column_of_many_categories_without_drift_is_left_alone():
    rng = np.random.default_rng(0)
    n = 20_000
    batch = rng.random(n) < 0.5
    x = rng.integers(1, 33, n)
    y = np.where(batch, x, rng.integers(1, 33, n))
    codes = np.column_stack([x, y, *rng.integers(0, 250, (6, n))]).astype(np.uint8)
    starts = np.concatenate([[0], np.cumsum(codes.max(axis=0).astype(np.int64) + 1)])
    columns, *_ = model = train_trees(codes, starts, np.array([False] * 2 + [True] * 6), batch, 20, n // 2)
    asked = columns[columns >= 0]
    assert (asked < 2).mean() > 0.8
    assert ((predict_log_odds(model, find_leaves(codes, model)).sum(axis=0) > 0) == batch).mean() > 0.8


def test_the_first_of_columns_with_equal_gain_is_split():
    """The second half of the columns repeats the first, and is searched by another thread: there are enough rows."""
    rng = np.random.default_rng(0)
    n = 10_000
    batch = rng.random(n) < 0.5
    codes = rng.integers(0, 100, (n, 30)).astype(np.uint8) + 3 * (batch & (rng.random(n) < 0.4))[:, None].astype(
        np.uint8
    )
    categorical = np.arange(30) % 3 == 0

    def train(times):
        repeated = np.tile(codes, times)
        starts = np.concatenate([[0], np.cumsum(repeated.max(axis=0).astype(np.int64) + 1)])
        return train_trees(repeated, starts, np.tile(categorical, times), batch, 3, n)

    assert n * 30 < _FEWEST_PARALLEL_SUMS < n * 60
    once, twice = train(1), train(2)
    assert all(np.array_equal(one, other) for one, other in zip(once, twice, strict=True))
    assert len(np.unique(once[0])) > 10


@given(st.lists(st.floats(), min_size=1, max_size=50), st.lists(st.floats(allow_nan=False), unique=True, max_size=63))
def test_bins_are_those_of_numpy(values, edges):
    values, edges = np.array(values), np.sort(np.array(edges, dtype=float))
    expected = np.where(np.isnan(values), 0, np.searchsorted(edges, values) + 1)
    assert assign_bins(values, edges).tolist() == expected.tolist()


@pytest.mark.parametrize("seed", range(3))
def test_a_rotated_column_changes_what_it_does_in_rotated_rows(seed):
    codes, batch = drifted(seed)
    starts = np.concatenate([[0], np.cumsum(codes.max(axis=0).astype(np.int64) + 1)])
    model = train_trees(codes, starts, np.array([False, False, True]), batch, 10, len(codes))
    leaves = find_leaves(codes, model)
    for column in range(codes.shape[1]):
        assert ((model[0] == column).sum(axis=1) > 1).any()  # a way may meet the column twice
        rotated = codes.copy()
        rotated[:, column] = np.roll(codes[:, column], 7)
        expected = predict_log_odds(model, find_leaves(rotated, model)) - predict_log_odds(model, leaves)
        change = rotate_column(codes, *model, leaves, column, 7)
        assert change == pytest.approx(expected.sum(axis=0), abs=1e-12)
        assert np.array_equal(change != 0, (expected != 0).any(axis=0))
