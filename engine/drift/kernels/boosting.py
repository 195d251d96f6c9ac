"""Boosted trees of the drift model: they predict which of two sides a row is from. Columns are codes of one byte.

Gradient boosting of least-squares trees with Newton's step in the leaves: Friedman, Annals of Statistics 29 (2001).

Common libraries miss drift that is hidden among columns with many categories. The best split of k categories gains
about 2/pi * (k - 1) by chance alone, so such columns are chosen in nearly every node, and an interaction of two
numerical columns, whose first split gains nothing by itself, is never found (in our test: AUC .51 for LightGBM with 100
trees, .66 here). So the gain expected by chance is subtracted. Gradients are whole numbers, so their sums do not depend
on the order of the rows. Importing scikit-learn takes longer than training here.
"""

from itertools import pairwise
from math import exp

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import kernel
from engine.drift.kernels.tree_paths import Trees, find_leaves_of_tree
from engine.drift.kernels.tree_splits import CODES, Codes, Ints, split_leaves
from engine.drift.threads import THREADS, parallel_map

LEAVES = 31
LEARNING_RATE = 0.1

_FEWEST_PARALLEL_SUMS = 400_000
"""Fewest sums (added to or read by a split, both leaves together) for which threads save time; about 0.3 ms."""

_FEWEST_PARALLEL_ROWS = 10_000
"""Fewest rows that a thread sends down a tree; about 0.2 ms."""

_GOLDEN_RATIO = 0.6180339887498949

_Split = tuple[float, int, NDArray[np.bool_]]
"""The best split of a leaf: its gain, its column, and a mask of the codes that go left. A gain of 0 means no split."""


def _assign_bins_in_numpy(values: NDArray[np.float64], edges: NDArray[np.float64]) -> Codes:
    return np.where(np.isnan(values), 0, np.searchsorted(edges, values) + 1).astype(np.uint8)


@kernel("u1[::1](f8[::1], f8[::1])", small=_assign_bins_in_numpy, work=lambda values, _: len(values) / 20)
def assign_bins(values: NDArray[np.float64], edges: NDArray[np.float64]) -> Codes:
    """Return for each value 1 + the number of edges below it; 0 for NaN. The edges ascend; there are at most 254.

    A binary search without branches, six times as fast as numpy's, whose branches the processor mispredicts.
    """
    padded = np.full(256, np.inf)
    for i in range(len(edges)):
        padded[i] = edges[i]
    codes = np.empty(len(values), np.uint8)
    for i in range(len(values)):
        # `below` edges are below the value for certain; infinity as padding is below none
        value, below = values[i], 0
        for step in (128, 64, 32, 16, 8, 4, 2, 1):
            below += step * (padded[below + step - 1] < value)
        codes[i] = 0 if np.isnan(value) else below + 1
    return codes


@kernel("i8(u1[:,::1], i4[::1], i8, b1[::1], i4[::1])", work=None)
def _divide_rows(
    codes: Codes, rows: NDArray[np.int32], column: int, left: NDArray[np.bool_], scratch: NDArray[np.int32]
) -> int:
    """Put the rows of a leaf that go left first, and return their number; both parts stay in their order.

    Parameters
    ----------
    codes
        Rows x columns.
    rows
        Input and output: positions of the leaf's rows.
    column, left
        The column that the leaf is split by, and a mask of its codes that go left.
    scratch
        Working memory, at least as long as `rows`.
    """
    n_left = n_right = 0
    for i in range(len(rows)):
        row = rows[i]
        goes_left = int(left[codes[row, column]])
        # always written; the next row overwrites it unless it is kept
        rows[n_left], scratch[n_right] = row, row
        n_left += goes_left
        n_right += 1 - goes_left
    for i in range(n_right):
        rows[n_left + i] = scratch[i]
    return n_left


@kernel("f8[::1](f8[::1])", work=lambda scores: 10 * len(scores))  # compiles quickly, and each tree calls it
def _to_probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 / (1 + exp(-score)): the probability that each row is from the batch.

    numpy's exp would not do: its last digits differ between machines.
    """
    probabilities = np.empty(len(scores))
    for i in range(len(scores)):
        probabilities[i] = 1 / (1 + exp(-scores[i]))
    return probabilities


def _grow_tree(
    codes: Codes,
    starts: Ints,
    categorical: NDArray[np.bool_],
    batch: NDArray[np.bool_],
    parts: list[tuple[int, int]],
    first: int,
    size: int,
    scores: NDArray[np.float64],
    sums: Ints,
    columns: NDArray[np.int32],
    lefts: NDArray[np.bool_],
    children: NDArray[np.int32],
    values: NDArray[np.float64],
) -> None:
    """Grow one tree, the leaf with the largest gain first, and add its log odds to the scores.

    Parameters
    ----------
    codes, starts, categorical, batch
        See `train_trees`.
    parts
        The first column and the one after the last, of parts of the columns that threads search for the best split.
    first, size
        The tree is grown from `size` consecutive rows from `first` on; after the last row comes row 0.
    scores
        Input and output: the log odds of each row so far.
    sums
        Working memory: one row of sums of weights per leaf (see `split_leaves`).
    columns, lefts, children, values
        Output: one tree of `Trees`.
    """
    rows = ((first + np.arange(size)) % len(codes)).astype(np.int32)
    # p: the probability that a row is from the batch; both arrays are set at the tree's rows only
    p, weights = np.empty(len(codes)), np.empty(len(codes), np.int64)
    p[rows] = _to_probabilities(scores[rows])
    # gradients p - y in whole numbers of 1 / scale: the largest scale at which the sum of `size` gradients fits 32 bits
    scale = float(min(2**31 // size - 1, 2**24))
    gradients = np.rint((p[rows] - batch[rows]) * scale).astype(np.int64)
    weights[rows] = (gradients << 32) + 1
    variance = int((gradients * gradients).sum()) / size
    # per leaf so far: its rows are rows[begin:end], and `whole` is the sum of their weights; `best` is its best split:
    # the gain, the column, and a mask of the codes that go left; `parent` is its entry in `children`
    begin, end, whole = [0], [size], [int(weights[rows].sum())]
    scratch = np.empty(size, np.int32)
    parent: list[tuple[int, int]] = [(0, 0)]

    def split(old: int, new: int, old_rows: NDArray[np.int32]) -> tuple[_Split, _Split]:
        moved = rows[begin[new] : end[new]]

        def search(part: tuple[int, int]) -> tuple[_Split, _Split]:
            left = np.empty((2, CODES), np.bool_)
            gain, column, new_gain, new_column = split_leaves(
                *(codes, old_rows, moved, weights, starts, categorical, sums, left),
                *(old, new, whole[old], whole[new], *part, variance),
            )
            return (gain, column, left[0]), (new_gain, new_column, left[1])

        work = len(moved) * codes.shape[1] + 2 * int(starts[-1])
        found = parallel_map(search, parts) if work >= _FEWEST_PARALLEL_SUMS else [search((0, codes.shape[1]))]
        # of equal gains take the first column's, so that the number of threads does not matter
        of_old, of_new = (max(leaf, key=lambda one: one[0]) for leaf in zip(*found, strict=True))
        return of_old, of_new

    best = [split(0, 0, rows[:0])[1]]
    while len(begin) < LEAVES:
        # leaf `old` becomes a node with two leaves: one is called `old` again, the other `new`
        new, node = len(begin), len(begin) - 1
        old = max(range(new), key=lambda leaf: best[leaf][0])
        gain, column, left = best[old]
        if gain <= 0:
            break
        columns[node], lefts[node] = column, left
        middle = begin[old] + _divide_rows(codes, rows[begin[old] : end[old]], column, left, scratch)
        # the smaller part is the new leaf, whose weights are added up; the sums of the larger part are the difference
        if middle - begin[old] <= end[old] - middle:
            begin.append(begin[old])
            end.append(middle)
            begin[old], right = middle, old
        else:
            begin.append(middle)
            end.append(end[old])
            end[old], right = middle, new
        # leaf n is coded as -1 - n; old + new - right is the leaf that is on the left
        children[node] = -1 - (old + new - right), -1 - right
        if node:
            children[parent[old]] = node
        parent[old] = node, int(right == old)
        parent.append((node, int(right == new)))
        whole.append(int(weights[rows[begin[new] : end[new]]].sum()))
        whole[old] -= whole[new]
        if len(begin) < LEAVES:
            best[old], of_new = split(old, new, rows[begin[old] : end[old]])
            best.append(of_new)
    for leaf in range(len(begin)):
        # Newton's step: the sum of the gradients divided by the sum of the curvatures p (1 - p), added in the order of
        # the rows. One more row of curvature 1 keeps the step small where every p is near 0 or 1.
        leaf_p = p[rows[begin[leaf] : end[leaf]]]
        curvature = np.cumsum(np.append(1.0, leaf_p * (1 - leaf_p)))[-1]
        values[leaf] = -LEARNING_RATE * ((whole[leaf] >> 32) / scale) / curvature
        scores[rows[begin[leaf] : end[leaf]]] += values[leaf]
    # the other rows of `codes` go down the tree
    last = first + size
    others = [(0, first), (last, len(codes))] if last <= len(codes) else [(last - len(codes), first)]

    def add_values(part: slice) -> None:
        scores[part] += values[find_leaves_of_tree(codes[part], columns, lefts, children)]

    most = max(_FEWEST_PARALLEL_ROWS, -(-(len(codes) - size) // THREADS))
    pieces = [slice(i, min(i + most, stop)) for start, stop in others for i in range(start, stop, most)]
    parallel_map(add_values, pieces)


def train_trees(
    codes: Codes, starts: Ints, categorical: NDArray[np.bool_], batch: NDArray[np.bool_], trees: int, size: int
) -> Trees:
    """Train trees that give the log odds that a row is from the batch, each on a window of consecutive rows.

    Parameters
    ----------
    codes
        Rows x columns; 0 is a missing value. The caller must pass the rows in random order: a window is then a random
        sample.
    starts
        The cumulative numbers of codes per column, starting with 0: one element more than there are columns.
    categorical
        Per column, whether its codes are categories. The codes of other columns are in the order of the values.
    batch
        Per row, whether it is from the batch.
    trees
        Number of trees.
    size
        Number of rows in a window, at most all.
    """
    columns = np.full((trees, LEAVES - 1), -1, np.int32)
    lefts = np.zeros((trees, LEAVES - 1, CODES), np.bool_)
    children = np.zeros((trees, LEAVES - 1, 2), np.int32)
    values = np.zeros((trees, LEAVES))
    scores, sums = np.zeros(len(codes)), np.empty((LEAVES, starts[-1]), np.int64)
    parts = list(pairwise(np.searchsorted(starts, np.linspace(0, starts[-1], THREADS + 1)).tolist()))
    for t in range(trees):
        first = int(t * _GOLDEN_RATIO % 1 * len(codes))  # spreads the windows evenly
        tree = columns[t], lefts[t], children[t], values[t]
        _grow_tree(codes, starts, categorical, batch, parts, first, size, scores, sums, *tree)
    return columns, lefts, children, values
