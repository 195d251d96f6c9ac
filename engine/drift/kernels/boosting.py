"""Boosted trees of the drift model: they predict which of two sides a row is from. Columns are codes of one byte.

Gradient boosting of least-squares trees with Newton's step in the leaves: Friedman, Annals of Statistics 29 (2001).

Common libraries miss drift that is hidden among columns with many categories. The best split of k categories gains
about 2/pi * (k - 1) by chance alone, so such columns are chosen in nearly every node, and an interaction of two
numerical columns, whose first split gains nothing by itself, is never found (in our test: AUC .51 for LightGBM with 100
trees, .66 here). So the gain expected by chance is subtracted. Gradients are whole numbers, so their sums do not depend
on the order of the rows. Importing scikit-learn takes longer than training here.
"""

from math import exp, pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import helper, kernel

LEAVES = 31
FEWEST_LEAF_ROWS = 20
"""Minimum number of rows in a leaf."""
FEWEST_CATEGORY_ROWS = 10
"""A category with fewer rows in a node goes right, as do the categories without a row in the node."""
LEARNING_RATE = 0.1
CODES = 256
"""Maximum number of codes of a column: one byte."""
SMALLEST_GAIN = 1e-9
"""A gain below this share of the sum of squares is a rounding error."""

_COUNT_BITS = 0xFFFFFFFF
"""A row's weight is its whole-number gradient in the upper 32 bits and 1 in the lower 32 bits. So one sum of weights
has the sum of the gradients (`>> 32`) and the number of rows (`& _COUNT_BITS`)."""

_SUMS_PER_PASS = 4096
"""Maximum number of sums of weights that a pass over the rows updates: they stay in the processor's cache."""

_ROWS_PER_BLOCK = 512
"""Rows that go down a tree together: their codes stay in the processor's nearest cache."""

_GOLDEN_RATIO = 0.6180339887498949

Codes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Trees = tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.int32], NDArray[np.float64]]
"""Four arrays, whose first axis is the tree. Columns: the column that a node splits by, -1 for no node. Lefts: per
node, a mask of the codes that go left. Children: per node, the left and the right child, where leaf n is coded as
-1 - n. Values: the log odds that a leaf adds. Node 0 is the root; a tree without nodes has one leaf, leaf 0."""


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


@kernel("void(u1[:,::1], i4[::1], i8[::1], i8[::1], i8[::1])", work=None)
def _sum_weights(codes: Codes, rows: NDArray[np.int32], weights: Ints, starts: Ints, sums: Ints) -> None:
    """Add up the weights of `rows` by column and code, in passes over some columns each.

    Parameters
    ----------
    codes
        Rows x columns.
    rows
        Positions of the rows to add up.
    weights
        Gradient and count of each row of `codes` (see `_COUNT_BITS`).
    starts
        The sums of column c are `sums[starts[c] : starts[c + 1]]`, one per code.
    sums
        Output, overwritten: the sums of weights.
    """
    sums[:] = 0
    columns = codes.shape[1]
    first = 0
    while first < columns:
        last = first + 1
        while last < columns and starts[last + 1] - starts[first] <= _SUMS_PER_PASS:
            last += 1
        for i in range(len(rows)):
            row = rows[i]
            weight = weights[row]
            for column in range(first, last):
                sums[starts[column] + codes[row, column]] += weight
        first = last


@helper()
def _find_best_prefix(upto: Ints, k: int, added: Any, whole: Any, gains: NDArray[np.float64]) -> Any:
    """Return the largest G_l^2 / n_l + G_r^2 / n_r where the first codes go left, and the smallest number of these.

    Parameters
    ----------
    upto, k
        The sums of the weights of the first 1, ..., k codes.
    added
        The sum of the weights of other rows that go left.
    whole
        The sum of the weights of the node's rows.
    gains
        Working memory.
    """
    # a side has too few rows at the ends only, because the numbers of rows ascend; the other rows never go left alone
    first, last = 0, k
    while first < last and (upto[first] == 0 or ((upto[first] + added) & _COUNT_BITS) < FEWEST_LEAF_ROWS):
        first += 1
    while last > first and ((whole - upto[last - 1] - added) & _COUNT_BITS) < FEWEST_LEAF_ROWS:
        last -= 1
    g = float(whole >> 32)
    for j in range(first, last):  # in 32 bits, because the compiler vectorises only their conversion to floats
        side = upto[j] + added
        n_left, n_right = float(np.int32(side & _COUNT_BITS)), float(np.int32((whole - side) & _COUNT_BITS))
        g_left = float(np.int32(side >> 32))
        g_right = g - g_left
        gains[j] = (g_left * g_left * n_right + g_right * g_right * n_left) / (n_left * n_right)
    top, count = -1.0, 0
    for j in range(first, last):
        if gains[j] > top:
            top, count = gains[j], j + 1
    return top, count


@kernel("Tuple((f8, i8))(i8[::1], i8[::1], b1[::1], i8, f8, b1[::1])", work=None)
def _find_best_split(
    sums: Ints, starts: Ints, categorical: NDArray[np.bool_], whole: int, variance: float, left: NDArray[np.bool_]
) -> tuple[float, int]:
    """Return the largest gain of a split of a node, and its column; 0 and -1 if no split gains anything.

    The gain of a split is the part of the gradients' sum of squares that it explains:
    G_l^2 / n_l + G_r^2 / n_r - G^2 / n, where G is the sum of the gradients and n the number of rows of the left side,
    of the right side, and of the node.

    Categories are ordered by mean gradient, and the first of them go left: the best split into two sets is one of these
    (Fisher 1958). The gain expected by chance is then subtracted. Without drift the k standardised means are
    independent normal numbers, and a split by their sign explains (k * sqrt(2/pi))^2 / k = 2/pi * k times the variance.
    k - 1 takes the place of k, because the mean over all categories is fitted.

    Parameters
    ----------
    sums, starts
        Sums of weights by column and code: see `_sum_weights`.
    categorical
        Per column, whether its codes are categories, in any order. Other codes are in the order of the values.
    whole
        The sum of the weights of the node's rows.
    variance
        The mean squared gradient of a row of the tree.
    left
        Output, if a column is returned: a mask of the codes that go left.
    """
    n, g = whole & _COUNT_BITS, float(whole >> 32)
    best_gain, best_column = SMALLEST_GAIN * n * variance, -1
    if n < 2 * FEWEST_LEAF_ROWS:
        return 0.0, best_column
    codes, means = np.empty(CODES, np.int64), np.empty(CODES)
    upto, gains = np.empty(CODES, np.int64), np.empty(CODES)
    for column in range(len(categorical)):
        start, size = starts[column], starts[column + 1] - starts[column]
        missing, penalty = np.int64(0), 0.0
        # codes[:k] becomes the codes in the order in which they go left: a split sends the first few of them left
        k = 0
        if categorical[column]:
            for code in range(size):
                rows = sums[start + code] & _COUNT_BITS
                if rows >= FEWEST_CATEGORY_ROWS:
                    # shrunk towards 0, as if as many more rows had gradient 0: small categories are not first by chance
                    codes[k], means[k] = code, (sums[start + code] >> 32) / (rows + FEWEST_CATEGORY_ROWS)
                    k += 1
            for step in (109, 41, 19, 5, 1):  # Shell's sort: numpy's takes numba seconds to compile
                for i in range(step, k):
                    code, mean = codes[i], means[i]
                    j = i
                    while j >= step and (
                        means[j - step] > mean or (means[j - step] == mean and codes[j - step] > code)
                    ):
                        codes[j], means[j] = codes[j - step], means[j - step]
                        j -= step
                    codes[j], means[j] = code, mean
            penalty = 2 / pi * max(k - 1, 0) * variance
        else:
            missing = sums[start]  # code 0: tried on either side of every threshold
            for code in range(1, size):
                codes[k] = code
                k += 1
        prefix = np.int64(0)
        for j in range(k):
            prefix += sums[start + codes[j]]
            upto[j] = prefix
        # the best number of codes that go left, with missing values on the right or on the left
        top, top_count, top_missing_left = -1.0, 0, False
        for missing_left in range(2 if missing != 0 else 1):
            gain, count = _find_best_prefix(upto, k, missing * missing_left, whole, gains)
            if gain > top or (gain == top and count < top_count):
                top, top_count, top_missing_left = gain, count, missing_left == 1
        top = top - penalty - g * g / n
        if top > best_gain:
            best_gain, best_column = top, column
            left[:] = False
            for j in range(top_count):
                left[codes[j]] = True
            if top_missing_left:
                left[0] = True
    return best_gain if best_column >= 0 else 0.0, best_column


@kernel("void(u1[:,::1], i4[::1], b1[:,::1], i4[:,::1], f8[::1], f8[::1])", work=None)
def _add_log_odds(
    codes: Codes,
    column: NDArray[np.int32],
    left: NDArray[np.bool_],
    child: NDArray[np.int32],
    value: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> None:
    """Add one tree's log odds to the scores of the rows.

    Parameters
    ----------
    codes
        Rows x columns.
    column, left, child, value
        One tree of `Trees`.
    scores
        Input and output: the log odds of each row.
    """
    # the rows of a block go down one node after another, because one row alone would wait for memory at each node;
    # `active` are those that are at a node still, and `ends` has the leaf of each
    active, nodes = np.empty(_ROWS_PER_BLOCK, np.uint32), np.empty(_ROWS_PER_BLOCK, np.uint32)
    ends = np.full(_ROWS_PER_BLOCK, -1, np.int32)
    for start in range(0, len(codes), _ROWS_PER_BLOCK):
        size = min(_ROWS_PER_BLOCK, len(codes) - start)
        k = size if column[0] >= 0 else 0
        for i in range(k):
            active[i], nodes[i] = i, 0
        while k:
            kept = 0
            for i in range(k):
                row, node = active[i], nodes[i]
                goes_right = np.uint32(not left[node, codes[start + row, column[node]]])
                following = child[node, goes_right]
                ends[row] = following
                # written in any case, and kept or overwritten by the next one
                active[kept], nodes[kept] = row, np.uint32(following & 0x7FFFFFFF)
                kept += int(following >= 0)
            k = kept
        for i in range(size):
            scores[start + i] += value[-1 - ends[i]]


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
        # written in any case, and kept or overwritten by the next one
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
    first, size
        The tree is grown from `size` consecutive rows from `first` on; after the last row comes row 0.
    scores
        Input and output: the log odds of each row so far.
    sums
        Working memory: one row of sums of weights per leaf (see `_sum_weights`).
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
    # per leaf so far: its rows are rows[begin:end], and `whole` is the sum of their weights; `best` is the gain and the
    # column of its best split, and `left` the codes that this split sends left; `parent` is its entry in `children`
    begin, end, whole = [0], [size], [int(weights[rows].sum())]
    left, scratch = np.zeros((LEAVES, CODES), np.bool_), np.empty(size, np.int32)
    parent: list[tuple[int, int]] = [(0, 0)]

    def split(leaf: int) -> tuple[float, int]:
        return _find_best_split(sums[leaf], starts, categorical, whole[leaf], variance, left[leaf])

    _sum_weights(codes, rows, weights, starts, sums[0])
    best = [split(0)]
    while len(best) < LEAVES:
        # leaf `old` becomes a node with two leaves: one is called `old` again, the other `new`
        new, node = len(best), len(best) - 1
        old = max(range(new), key=lambda leaf: best[leaf][0])
        gain, column = best[old]
        if gain <= 0:
            break
        columns[node], lefts[node] = column, left[old]
        middle = begin[old] + _divide_rows(codes, rows[begin[old] : end[old]], column, left[old], scratch)
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
        _sum_weights(codes, rows[begin[new] : end[new]], weights, starts, sums[new])
        sums[old] -= sums[new]
        # every row has a code in column 0, so the sums of that column add up to the whole leaf
        whole.append(int(sums[new, : starts[1]].sum()))
        whole[old] -= whole[new]
        best.append((0.0, -1))
        if len(best) < LEAVES:
            best[old], best[new] = split(old), split(new)
    for leaf in range(len(best)):
        # Newton's step: the sum of the gradients divided by the sum of the curvatures p (1 - p), added in the order of
        # the rows. One more row of curvature 1 keeps the step small where every p is near 0 or 1.
        leaf_p = p[rows[begin[leaf] : end[leaf]]]
        curvature = np.cumsum(np.append(1.0, leaf_p * (1 - leaf_p)))[-1]
        values[leaf] = -LEARNING_RATE * ((whole[leaf] >> 32) / scale) / curvature
        scores[rows[begin[leaf] : end[leaf]]] += values[leaf]
    # the other rows of `codes` go down the tree
    last = first + size
    others = [(0, first), (last, len(codes))] if last <= len(codes) else [(last - len(codes), first)]
    for start, stop in others:
        _add_log_odds(codes[start:stop], columns, lefts, children, values, scores[start:stop])


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
    for t in range(trees):
        first = int(t * _GOLDEN_RATIO % 1 * len(codes))  # spreads the windows evenly
        tree = columns[t], lefts[t], children[t], values[t]
        _grow_tree(codes, starts, categorical, batch, first, size, scores, sums, *tree)
    return columns, lefts, children, values


def predict_log_odds(codes: Codes, model: Trees) -> NDArray[np.float64]:
    """Return the log odds that each tree adds to each row: trees x rows."""
    log_odds = np.zeros((len(model[0]), len(codes)))
    for column, left, child, value, scores in zip(*model, log_odds, strict=True):
        _add_log_odds(codes, column, left, child, value, scores)
    return log_odds
