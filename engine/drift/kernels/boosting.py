"""Boosted trees for one question: which side is a row from? Columns come as codes of one byte.

Libraries lose the drift among noise: the best division of k categories gains about 2/pi * (k - 1) by chance, so columns
of many categories win nearly every node, and a relation between two numbers, whose first division gains nothing, is
never found (AUC .51 of LightGBM with 100 trees where this finds .66). Here what chance gains is subtracted. Gradients
are whole numbers, so that no order of adding up matters; importing scikit-learn takes longer than this takes to train.

Gradient boosting of least-squares trees with Newton's step in the leaves: Friedman, Annals of Statistics 29 (2001).
"""

from math import exp, pi

import numpy as np
from numba import njit
from numpy.typing import NDArray

LEAVES = 31
FEWEST = 20
"""Rows in a leaf."""
FEWEST_OF_CATEGORY = 10
"""Rows of a category in a node below which it goes right with those that the node has not seen."""
RATE = 0.1
CODES = 256
NOTHING = 1e-9
"""Share of what there is to explain below which a gain is rounding."""

_COUNT = 0xFFFFFFFF
_STRIP = 4096
_GOLDEN = 0.6180339887498949

Codes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Trees = tuple[NDArray[np.int32], NDArray[np.bool_], NDArray[np.int32], NDArray[np.float64]]
"""Of each tree and node: the column asked, the codes that go left, the two children (a leaf as -1 - its number); of
each tree and leaf: the log odds added. A tree without any node has column -1 and one leaf."""


@njit("u1[::1](f8[::1], f8[::1])", cache=True, nogil=True)
def bins(values: NDArray[np.float64], edges: NDArray[np.float64]) -> Codes:
    """Return for each value 1 + how many of the ascending edges, at most 255, are below it; 0 for NaN.

    A binary search without branches: six times as fast as numpy's, which guesses which way it goes.
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


@njit("void(u1[:,::1], i4[::1], i8[::1], i8[::1], i8[::1])", cache=True, nogil=True)
def _tally(codes: Codes, rows: NDArray[np.int32], weights: Ints, starts: Ints, sums: Ints) -> None:
    """Add up the rows' weights by column and code, a strip of columns at a time whose sums stay in the cache."""
    sums[:] = 0
    columns = codes.shape[1]
    first = 0
    while first < columns:
        last = first + 1
        while last < columns and starts[last + 1] - starts[first] <= _STRIP:
            last += 1
        for i in range(len(rows)):
            row = rows[i]
            weight = weights[row]
            for column in range(first, last):
                sums[starts[column] + codes[row, column]] += weight
        first = last


@njit("f8(i8, i8)", cache=True, nogil=True, inline="always")
def _gain(part: int, whole: int) -> float:
    """Return what is explained by dividing `whole` into `part` and the rest: sums of squares between, -1: too few."""
    n, m = part & _COUNT, (whole - part) & _COUNT
    if n < FEWEST or m < FEWEST:
        return -1.0
    g = float(part >> 32)
    h = float(whole >> 32) - g
    return (g * g * m + h * h * n) / (float(n) * m)


@njit("f8(i8[::1], i8, b1[::1])", cache=True, nogil=True)
def _ordered(sums: Ints, whole: int, left: NDArray[np.bool_]) -> float:
    """Find the best threshold, with what is missing (code 0) on either side; say which codes go left."""
    best, last, with_missing = -1.0, 0, False
    part = 0
    for code in range(1, len(sums)):
        if sums[code] == 0:
            continue
        part += sums[code]
        gain = _gain(part, whole)
        if gain > best:
            best, last, with_missing = gain, code, False
        if sums[0] != 0:
            gain = _gain(part + sums[0], whole)
            if gain > best:
                best, last, with_missing = gain, code, True
    left[:] = False
    left[1 : last + 1] = True
    left[0] = with_missing
    return best


@njit("f8(i8[::1], i8, f8, b1[::1])", cache=True, nogil=True)
def _unordered(sums: Ints, whole: int, variance: float, left: NDArray[np.bool_]) -> float:
    """Find the best division of the categories, those of lower mean gradient left (Fisher 1958), less chance's gain.

    Under the null the k means, standardised, fall on either side of 0: their distances from it, sqrt(2/pi) on average,
    add up to a gain of about 2/pi * k * variance.
    """
    codes, means = np.empty(len(sums), np.int64), np.empty(len(sums))
    k = 0
    for code in range(len(sums)):
        n = sums[code] & _COUNT
        if n >= FEWEST_OF_CATEGORY:
            codes[k], means[k] = code, (sums[code] >> 32) / (n + FEWEST_OF_CATEGORY)
            k += 1
    for step in (109, 41, 19, 5, 1):  # Shell's sort: numpy's costs numba seconds to compile
        for i in range(step, k):
            code, mean = codes[i], means[i]
            j = i
            while j >= step and (means[j - step] > mean or (means[j - step] == mean and codes[j - step] > code)):
                codes[j], means[j] = codes[j - step], means[j - step]
                j -= step
            codes[j], means[j] = code, mean
    left[:] = False
    best, last = -1.0, 0
    part = 0
    for j in range(k):
        part += sums[codes[j]]
        gain = _gain(part, whole)
        if gain > best:
            best, last = gain, j + 1
    for j in range(last):
        left[codes[j]] = True
    return best - 2 / pi * max(k - 1, 0) * variance


@njit("Tuple((f8, i8))(i8[::1], i8[::1], b1[::1], i8, f8, b1[::1])", cache=True, nogil=True)
def _best_split(
    sums: Ints, starts: Ints, categorical: NDArray[np.bool_], whole: int, variance: float, left: NDArray[np.bool_]
) -> tuple[float, int]:
    """Return the largest gain in a node and its column, -1 where none gains; fill in the codes that go left."""
    n, g = whole & _COUNT, float(whole >> 32)
    best, found = NOTHING * n * variance, -1
    if n < 2 * FEWEST:
        return 0.0, found
    trial = np.zeros(CODES, np.bool_)
    for column in range(len(categorical)):
        here = sums[starts[column] : starts[column + 1]]
        side = trial[: len(here)]
        gain = _unordered(here, whole, variance, side) if categorical[column] else _ordered(here, whole, side)
        gain -= g * g / n
        if gain > best:
            best, found = gain, column
            for code in range(len(left)):
                left[code] = code < len(side) and side[code]
    return best if found >= 0 else 0.0, found


@njit("i8(i4[::1], u1[:,::1], i8, b1[::1], i4[::1])", cache=True, nogil=True)
def _divide(
    rows: NDArray[np.int32], codes: Codes, column: int, left: NDArray[np.bool_], spare: NDArray[np.int32]
) -> int:
    """Move the rows that go left to the front, both parts in their order; return how many those are."""
    a = b = 0
    for i in range(len(rows)):
        row = rows[i]
        if left[codes[row, column]]:
            rows[a] = row
            a += 1
        else:
            spare[b] = row
            b += 1
    for i in range(b):
        rows[a + i] = spare[i]
    return a


@njit("void(u1[:,::1], i4[::1], b1[:,::1], i4[:,::1], f8[::1], f8[::1])", cache=True, nogil=True)
def _add(
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


@njit(
    "void(u1[:,::1], i8[::1], b1[::1], b1[::1], i8, i8, f8[::1], i8[:,::1], i4[::1], b1[:,::1], i4[:,::1], f8[::1])",
    cache=True,
    nogil=True,
)
def _grow(
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
    """Grow one tree, best node first, from the `size` rows that start at `first`; add what it says to the scores."""
    rows, spare, weights = np.empty(size, np.int32), np.empty(size, np.int32), np.empty(len(codes), np.int64)
    # of the leaves so far: the rows' range, their weights' sum, the best split, the node above and which child it is
    begin, end, whole = np.zeros(LEAVES, np.int64), np.zeros(LEAVES, np.int64), np.zeros(LEAVES, np.int64)
    gain, column = np.zeros(LEAVES), np.zeros(LEAVES, np.int64)
    left = np.zeros((LEAVES, CODES), np.bool_)
    above, which = np.zeros(LEAVES, np.int64), np.zeros(LEAVES, np.int64)
    # the gradient in the upper half of a weight, in steps so small that its sum fits; 1, to count, in the lower half
    scale = float(min(2**31 // size - 1, 2**24))
    whole[0], squares = 0, 0
    for i in range(size):
        row = rows[i] = (first + i) % len(codes)
        gradient = int(np.rint((1 / (1 + exp(-scores[row])) - batch[row]) * scale))
        weights[row] = (gradient << 32) + 1
        whole[0] += weights[row]
        squares += gradient * gradient
    variance = squares / size
    begin[0], end[0] = 0, size
    _tally(codes, rows, weights, starts, sums[0])
    gain[0], column[0] = _best_split(sums[0], starts, categorical, whole[0], variance, left[0])
    leaves = 1
    while leaves < LEAVES:
        old, new, node = 0, leaves, leaves - 1
        for leaf in range(1, leaves):
            if gain[leaf] > gain[old]:
                old = leaf
        if gain[old] <= 0:
            break
        columns[node] = column[old]
        for code in range(CODES):
            lefts[node, code] = left[old, code]
        middle = begin[old] + _divide(rows[begin[old] : end[old]], codes, column[old], left[old], spare)
        # the smaller part is the new leaf and is counted; what it takes away leaves the other
        if middle - begin[old] <= end[old] - middle:
            begin[new], end[new], begin[old], right = begin[old], middle, middle, old
        else:
            begin[new], end[new], end[old], right = middle, end[old], middle, new
        children[node, 0], children[node, 1] = -1 - (old + new - right), -1 - right
        if node:
            children[above[old], which[old]] = node
        above[old], above[new], which[old], which[new] = node, node, right == old, right == new
        _tally(codes, rows[begin[new] : end[new]], weights, starts, sums[new])
        whole[new] = 0
        for i in range(starts[-1]):
            sums[old, i] -= sums[new, i]
        for code in range(starts[1]):
            whole[new] += sums[new, code]
        whole[old] -= whole[new]
        leaves += 1
        if leaves == LEAVES:
            break
        for leaf in (old, new):
            gain[leaf], column[leaf] = _best_split(sums[leaf], starts, categorical, whole[leaf], variance, left[leaf])
    for leaf in range(leaves):
        curvature = 1.0  # one row more, undecided four times over: no step is large where all is certain
        for i in range(begin[leaf], end[leaf]):
            p = 1 / (1 + exp(-scores[rows[i]]))
            curvature += p * (1 - p)
        values[leaf] = -RATE * ((whole[leaf] >> 32) / scale) / curvature
    _add(codes, columns, lefts, children, values, scores)


def boosted(
    codes: Codes, starts: Ints, categorical: NDArray[np.bool_], batch: NDArray[np.bool_], trees: int, size: int
) -> Trees:
    """Train on rows in random order: a window of them, which each tree sees, is then a random sample.

    Parameters
    ----------
    codes
        Rows x columns; 0 is missing, the others are in the order of the values where the column has one.
    starts
        The running sum of how many codes each column has, from 0.
    batch
        Which rows are the batch's; what is learned is the log odds of that.
    size
        How many rows a tree sees, at most all.
    """
    columns = np.full((trees, LEAVES - 1), -1, np.int32)
    lefts = np.zeros((trees, LEAVES - 1, CODES), np.bool_)
    children = np.zeros((trees, LEAVES - 1, 2), np.int32)
    values = np.zeros((trees, LEAVES))
    scores, sums = np.zeros(len(codes)), np.empty((LEAVES, starts[-1]), np.int64)
    for t in range(trees):
        first = int(t * _GOLDEN % 1 * len(codes))  # windows that overlap as little as they can
        tree = columns[t], lefts[t], children[t], values[t]
        _grow(codes, starts, categorical, batch, first, size, scores, sums, *tree)
    return columns, lefts, children, values


def log_odds(codes: Codes, model: Trees) -> NDArray[np.float64]:
    """Return what each tree says of each row: trees x rows, to be added up."""
    said = np.zeros((len(model[0]), len(codes)))
    for column, left, child, value, scores in zip(*model, said, strict=True):
        _add(codes, column, left, child, value, scores)
    return said
