"""Boosted trees that tell which of two sides a row is from. Columns are codes of one byte.

Gradient boosting of least-squares trees with Newton's step in the leaves: Friedman, Annals of Statistics 29 (2001).

Libraries lose the drift among noise. The best division of k categories gains about 2/pi * (k - 1) by chance, so columns
of many categories win nearly every node, and a relation between two numbers, whose first division gains nothing, is
never found (AUC .51 of LightGBM with 100 trees, .66 here). Here the gain of chance is subtracted. Gradients are whole
numbers, so their sums do not depend on an order. Importing scikit-learn takes longer than this takes to train.
"""

from math import exp, pi

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import kernel

LEAVES = 31
FEWEST_LEAF_ROWS = 20
"""Rows in a leaf."""
FEWEST_CATEGORY_ROWS = 10
"""A category with fewer rows in a node goes right, with the categories that the node has not seen."""
LEARNING_RATE = 0.1
CODES = 256
SMALLEST_GAIN = 1e-9
"""A gain below this share of the sum of squares is a rounding error."""

_COUNT_BITS = 0xFFFFFFFF
_SUMS_AT_A_TIME = 4096
_GOLDEN_RATIO = 0.6180339887498949

Codes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Trees = tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.int32], NDArray[np.float64]]
"""For each tree and node: its column, the codes that go left, the two children (a leaf as -1 - its number); for each
tree and leaf: the log odds to add. A tree without a node has column -1 and one leaf."""


def _assign_bins_in_numpy(values: NDArray[np.float64], edges: NDArray[np.float64]) -> Codes:
    return np.where(np.isnan(values), 0, np.searchsorted(edges, values) + 1).astype(np.uint8)


@kernel("u1[::1](f8[::1], f8[::1])", small=_assign_bins_in_numpy, work=lambda values, _: len(values) / 20)
def assign_bins(values: NDArray[np.float64], edges: NDArray[np.float64]) -> Codes:
    """Return for each value 1 + how many of the ascending edges, at most 255, are below it; 0 for NaN.

    A binary search without branches, six times as fast as numpy's, whose branches the processor mispredicts.
    """
    padded = np.full(256, np.inf)
    for i in range(len(edges)):
        padded[i] = edges[i]
    codes = np.empty(len(values), np.uint8)
    for i in range(len(values)):
        value, below = values[i], 0
        for step in (128, 64, 32, 16, 8, 4, 2, 1):
            below += step * (padded[below + step - 1] < value)
        codes[i] = 0 if np.isnan(value) else below + 1
    return codes


@kernel("void(u1[:,::1], i4[::1], i8[::1], i8[::1], i8[::1])", work=None)
def _sum_weights(codes: Codes, rows: NDArray[np.int32], weights: Ints, starts: Ints, sums: Ints) -> None:
    """Add up the rows' weights by column and code, some columns at a time, whose sums stay in the processor's cache."""
    sums[:] = 0
    columns = codes.shape[1]
    first = 0
    while first < columns:
        last = first + 1
        while last < columns and starts[last + 1] - starts[first] <= _SUMS_AT_A_TIME:
            last += 1
        for i in range(len(rows)):
            row = rows[i]
            weight = weights[row]
            for column in range(first, last):
                sums[starts[column] + codes[row, column]] += weight
        first = last


@kernel("Tuple((f8, i8))(i8[::1], i8[::1], b1[::1], i8, f8, b1[::1])", work=None)
def _find_best_split(
    sums: Ints, starts: Ints, categorical: NDArray[np.bool_], whole: int, variance: float, left: NDArray[np.bool_]
) -> tuple[float, int]:
    """Return the largest gain in a node and its column, -1 where none gains; fill in the codes that go left.

    The gain of a division is what it explains of the gradients' sum of squares. Of k categories, those of lower mean
    gradient go left (Fisher 1958), and what chance gains is subtracted: under the null hypothesis their k standardised
    means lie on both sides of 0 at a mean distance of sqrt(2/pi), which adds up to about 2/pi * k * variance.
    """
    n, g = whole & _COUNT_BITS, float(whole >> 32)
    best, found = SMALLEST_GAIN * n * variance, -1
    if n < 2 * FEWEST_LEAF_ROWS:
        return 0.0, found
    codes, means = np.empty(CODES, np.int64), np.empty(CODES)
    for column in range(len(categorical)):
        start, size = starts[column], starts[column + 1] - starts[column]
        missing, penalty = np.int64(0), 0.0
        # the codes in the order in which they go left
        k = 0
        if categorical[column]:
            for code in range(size):
                rows = sums[start + code] & _COUNT_BITS
                if rows >= FEWEST_CATEGORY_ROWS:
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
        # the best number of codes that go left
        top, last, with_missing = -1.0, 0, False
        part = np.int64(0)
        for j in range(k):
            if sums[start + codes[j]] == 0:
                continue
            part += sums[start + codes[j]]
            for joins in range(2 if missing != 0 else 1):
                side = part + missing * joins
                a, b = side & _COUNT_BITS, (whole - side) & _COUNT_BITS
                if a < FEWEST_LEAF_ROWS or b < FEWEST_LEAF_ROWS:
                    continue
                # g^2 / a + h^2 / b of the sums g and h of the gradients on both sides
                g_left = float(side >> 32)
                g_right = float(whole >> 32) - g_left
                gain = (g_left * g_left * b + g_right * g_right * a) / (float(a) * b)
                if gain > top:
                    top, last, with_missing = gain, j + 1, joins == 1
        top = top - penalty - g * g / n
        if top > best:
            best, found = top, column
            left[:] = False
            for j in range(last):
                left[codes[j]] = True
            if with_missing:
                left[0] = True
    return best if found >= 0 else 0.0, found


@kernel("void(u1[:,::1], i4[::1], b1[:,::1], i4[:,::1], f8[::1], f8[::1])", work=None)
def _add_log_odds(
    codes: Codes,
    column: NDArray[np.int32],
    left: NDArray[np.bool_],
    child: NDArray[np.int32],
    value: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> None:
    """Add one tree's log odds to the scores of the rows."""
    for row in range(len(codes)):
        node = 0 if column[0] >= 0 else -1
        while node >= 0:
            node = child[node, 0] if left[node, codes[row, column[node]]] else child[node, 1]
        scores[row] += value[-1 - node]


@kernel("f8[::1](f8[::1])", work=lambda scores: 10 * len(scores))  # compiles quickly, and each tree calls it
def _to_probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the probability that each row is the batch's; the last digits of numpy's exp differ between machines."""
    found = np.empty(len(scores))
    for i in range(len(scores)):
        found[i] = 1 / (1 + exp(-scores[i]))
    return found


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
    """Grow one tree, best node first, from the `size` rows that start at `first`; add its log odds to the scores."""
    rows = ((first + np.arange(size)) % len(codes)).astype(np.int32)
    p, weights = np.empty(len(codes)), np.empty(len(codes), np.int64)
    p[rows] = _to_probabilities(scores[rows])
    # the gradient in the upper half of a weight, in steps so small that its sum fits; 1, to count, in the lower half
    scale = float(min(2**31 // size - 1, 2**24))
    gradients = np.rint((p[rows] - batch[rows]) * scale).astype(np.int64)
    weights[rows] = (gradients << 32) + 1
    variance = int((gradients * gradients).sum()) / size
    # of each leaf so far: the range of its rows, the sum of their weights, its best split, and its place in its parent
    begin, end, whole = [0], [size], [int(weights[rows].sum())]
    left = np.zeros((LEAVES, CODES), np.bool_)
    parent: list[tuple[int, int]] = [(0, 0)]

    def split(leaf: int) -> tuple[float, int]:
        return _find_best_split(sums[leaf], starts, categorical, whole[leaf], variance, left[leaf])

    _sum_weights(codes, rows, weights, starts, sums[0])
    best = [split(0)]
    while len(best) < LEAVES:
        new, node = len(best), len(best) - 1
        old = max(range(new), key=lambda leaf: best[leaf][0])
        gain, column = best[old]
        if gain <= 0:
            break
        columns[node], lefts[node] = column, left[old]
        # the rows that go left come first; both parts stay in their order
        here = rows[begin[old] : end[old]]
        goes_left = left[old][codes[here, column]]
        here[:] = np.concatenate([here[goes_left], here[~goes_left]])
        middle = begin[old] + int(goes_left.sum())
        # the smaller part is the new leaf, whose weights are added up; the larger part has the difference
        if middle - begin[old] <= end[old] - middle:
            begin.append(begin[old])
            end.append(middle)
            begin[old], right = middle, old
        else:
            begin.append(middle)
            end.append(end[old])
            end[old], right = middle, new
        children[node] = -1 - (old + new - right), -1 - right
        if node:
            children[parent[old]] = node
        parent[old] = node, int(right == old)
        parent.append((node, int(right == new)))
        _sum_weights(codes, rows[begin[new] : end[new]], weights, starts, sums[new])
        sums[old] -= sums[new]
        whole.append(int(sums[new, : starts[1]].sum()))
        whole[old] -= whole[new]
        best.append((0.0, -1))
        if len(best) < LEAVES:
            best[old], best[new] = split(old), split(new)
    for leaf in range(len(best)):
        # Newton's step: the sum of the gradients by that of the curvatures p (1 - p), in the order of the rows, and one
        # row more of curvature 1, so that no step is large where all is certain
        of_rows = p[rows[begin[leaf] : end[leaf]]]
        curvature = np.cumsum(np.append(1.0, of_rows * (1 - of_rows)))[-1]
        values[leaf] = -LEARNING_RATE * ((whole[leaf] >> 32) / scale) / curvature
    _add_log_odds(codes, columns, lefts, children, values, scores)


def train_trees(
    codes: Codes, starts: Ints, categorical: NDArray[np.bool_], batch: NDArray[np.bool_], trees: int, size: int
) -> Trees:
    """Train on rows in random order, so that the window of rows that each tree sees is a random sample.

    Parameters
    ----------
    codes
        Rows x columns; 0 is missing. The codes of a column that is not categorical are in the order of its values.
    starts
        The running sum of how many codes each column has, from 0.
    batch
        Which rows are the batch's. The trees give the log odds of that.
    size
        How many rows a tree sees, at most all.
    """
    columns = np.full((trees, LEAVES - 1), -1, np.int32)
    lefts = np.zeros((trees, LEAVES - 1, CODES), np.bool_)
    children = np.zeros((trees, LEAVES - 1, 2), np.int32)
    values = np.zeros((trees, LEAVES))
    scores, sums = np.zeros(len(codes)), np.empty((LEAVES, starts[-1]), np.int64)
    for t in range(trees):
        first = int(t * _GOLDEN_RATIO % 1 * len(codes))  # windows that overlap as little as they can
        tree = columns[t], lefts[t], children[t], values[t]
        _grow_tree(codes, starts, categorical, batch, first, size, scores, sums, *tree)
    return columns, lefts, children, values


def predict_log_odds(codes: Codes, model: Trees) -> NDArray[np.float64]:
    """Return the log odds that each tree adds to each row: trees x rows."""
    found = np.zeros((len(model[0]), len(codes)))
    for column, left, child, value, scores in zip(*model, found, strict=True):
        _add_log_odds(codes, column, left, child, value, scores)
    return found
