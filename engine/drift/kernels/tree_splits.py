"""The best split of a leaf of the drift model's trees, from sums of gradients by column and code."""

from math import pi
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import helper, kernel

FEWEST_LEAF_ROWS = 20
"""Minimum number of rows in a leaf."""
FEWEST_CATEGORY_ROWS = 10
"""A category with fewer rows in a node goes right, as do the categories without a row in the node."""
CODES = 256
"""Maximum number of codes of a column: one byte."""
SMALLEST_GAIN = 1e-9
"""A gain below this share of the sum of squares is a rounding error."""
ROUNDING = 1e-14
"""Upper bound of the relative rounding error of the two sums whose difference is a gain."""

CATEGORY_ROUNDING = 1e-12
"""Upper bound of the relative rounding error of a sum over at most 256 categories."""

COUNT_BITS = 0xFFFFFFFF
"""Mask of the row count in a sum of weights. A row's weight is its whole-number gradient in the upper 32 bits and 1 in
the lower 32 bits, so a sum of weights holds the sum of gradients (`>> 32`) and the number of rows (`& COUNT_BITS`)."""

_SUMS_PER_PASS = 16_384
"""Maximum number of a leaf's sums that one pass over the rows updates: they stay in the processor's cache."""

Codes = NDArray[np.uint8]
Ints = NDArray[np.int64]


@helper()
def _may_gain(upto: Ints, k: int, added: Any, whole: Any, least: float) -> Any:
    """Return whether a split after some of the first k codes may gain more than `least`, up to rounding.

    The gain is (n G_l - G n_l)^2 / (n n_l n_r). This test takes a third of the time of finding the largest gain, and
    few columns gain more than the best column before them.
    """
    n, g, found = float(whole & COUNT_BITS), float(whole >> 32), 0
    for j in range(k):  # in 32 bits: the compiler vectorises only the conversion of 32-bit integers to floats
        side = upto[j] + added
        n_left = float(np.int32(side & COUNT_BITS))
        n_right = n - n_left
        between = n * float(np.int32(side >> 32)) - g * n_left
        enough = (n_left >= FEWEST_LEAF_ROWS) & (n_right >= FEWEST_LEAF_ROWS)
        found += enough & (between * between > least * n * n_left * n_right)
    return found > 0


@helper()
def _find_best_prefix(upto: Ints, k: int, added: Any, whole: Any, gains: NDArray[np.float64]) -> Any:
    """Return the largest G_l^2 / n_l + G_r^2 / n_r if the first codes go left, and the smallest such number of codes.

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
    # only at the ends has a side too few rows, because the row counts ascend; the other rows never go left alone
    first, last = 0, k
    while first < last and (upto[first] == 0 or ((upto[first] + added) & COUNT_BITS) < FEWEST_LEAF_ROWS):
        first += 1
    while last > first and ((whole - upto[last - 1] - added) & COUNT_BITS) < FEWEST_LEAF_ROWS:
        last -= 1
    g = float(whole >> 32)
    for j in range(first, last):
        side = upto[j] + added
        n_left, n_right = float(np.int32(side & COUNT_BITS)), float(np.int32((whole - side) & COUNT_BITS))
        g_left = float(np.int32(side >> 32))
        g_right = g - g_left
        gains[j] = (g_left * g_left * n_right + g_right * g_right * n_left) / (n_left * n_right)
    top, count = -1.0, 0
    for j in range(first, last):
        if gains[j] > top:
            top, count = gains[j], j + 1
    return top, count


@helper()
def _search_columns(
    sums: Ints,
    before: Any,
    starts: Ints,
    categorical: NDArray[np.bool_],
    first: int,
    last: int,
    whole: Any,
    variance: float,
    best_gain: float,
    best_column: Any,
    left: NDArray[np.bool_],
) -> Any:
    """Return the largest gain of a split of a leaf by one of the columns from `first` to before `last`, and its column.

    The gain of a split is the part of the gradients' sum of squares that it explains:
    G_l^2 / n_l + G_r^2 / n_r - G^2 / n, where G is the sum of the gradients and n the number of rows of the left side,
    of the right side, and of the leaf.

    Categories are ordered by mean gradient, and the first of them go left: the best split into two sets is one of these
    (Fisher 1958). The gain expected by chance is then subtracted. Without drift the k standardized means are
    independent normal numbers, and a split by their sign explains (k * sqrt(2/pi))^2 / k = 2/pi * k times the variance.
    k is replaced by k - 1, because the mean over all categories is fitted.

    Parameters
    ----------
    sums, before
        Sums of weights by column and code: those of column c are `sums[starts[c] - before : starts[c + 1] - before]`.
    starts
        See `train_trees`.
    categorical
        Per column, whether its codes are categories, in any order. Other codes are in the order of the values.
    whole
        The sum of the weights of the leaf's rows.
    variance
        The mean squared gradient of a row of the tree.
    best_gain, best_column
        The best split by other columns so far; returned unless another column gains more.
    left
        Output, if another column is returned: a mask of the codes that go left.
    """
    n, g = float(whole & COUNT_BITS), float(whole >> 32)
    codes, means = np.empty(CODES, np.int64), np.empty(CODES)
    upto, gains = np.empty(CODES, np.int64), np.empty(CODES)
    for column in range(first, last):
        start, size = starts[column] - before, starts[column + 1] - starts[column]
        missing, penalty = np.int64(0), 0.0
        # a split sends the first few of k codes left: those of categories are put in order in codes[:k]
        k = 0
        prefix = np.int64(0)
        if categorical[column]:
            # no split explains more than separating all of these categories from each other and from the other rows
            explained, others = 0.0, whole
            for code in range(size):
                rows = sums[start + code] & COUNT_BITS
                if rows >= FEWEST_CATEGORY_ROWS:
                    gradient = float(sums[start + code] >> 32)
                    # shrunk towards 0, as if as many rows with gradient 0 were added: small categories are not first by
                    # chance
                    codes[k], means[k] = code, gradient / (rows + FEWEST_CATEGORY_ROWS)
                    explained += gradient * gradient / rows
                    others -= sums[start + code]
                    k += 1
            if others & COUNT_BITS:
                explained += float(others >> 32) * float(others >> 32) / (others & COUNT_BITS)
            penalty = 2 / pi * max(k - 1, 0) * variance
            if explained * (1 + CATEGORY_ROUNDING) - penalty - g * g / n <= best_gain:
                continue
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
            for j in range(k):
                prefix += sums[start + codes[j]]
                upto[j] = prefix
        else:
            missing = sums[start]  # code 0: tried on either side of every threshold
            k, present = size - 1, sums[start + 1 : start + size]
            for j in range(k):
                prefix += present[j]
                upto[j] = prefix
            least = best_gain - ROUNDING * (best_gain + g * g / n)
            promising = False
            for missing_left in range(2 if missing != 0 else 1):
                promising |= _may_gain(upto, k, missing * missing_left, whole, least)
            if not promising:
                continue
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
                left[codes[j] if categorical[column] else 1 + j] = True
            if top_missing_left:
                left[0] = True
    return best_gain, best_column


@helper()
def _add_weights(
    codes: Codes, rows: NDArray[np.int32], weights: Ints, starts: Ints, first: Any, last: Any, sums: Ints
) -> None:
    """Add the weights of rows to the sums of the columns from `first` to before `last`; `sums` starts with `first`."""
    places = starts[first:last] - starts[first]
    for i in range(len(rows)):
        row = np.uint64(rows[i])  # unsigned: numba checks signed indices for being negative
        weight, line = weights[row], codes[row, first:last]
        for column in range(len(line)):
            sums[np.uint64(places[column]) + np.uint64(line[column])] += weight


@kernel(
    "Tuple((f8, i8, f8, i8))"
    "(u1[:,::1], i4[::1], i4[::1], i8[::1], i8[::1], b1[::1], i8[:,::1], b1[:,::1], i8, i8, i8, i8, i8, i8, f8)",
    work=None,
)
def split_leaves(
    codes: Codes,
    old_rows: NDArray[np.int32],
    new_rows: NDArray[np.int32],
    weights: Ints,
    starts: Ints,
    categorical: NDArray[np.bool_],
    sums: Ints,
    lefts: NDArray[np.bool_],
    old: int,
    new: int,
    old_whole: int,
    new_whole: int,
    first: int,
    last: int,
    variance: float,
) -> tuple[float, int, float, int]:
    """Move rows from one leaf to a new one, and return for both the largest gain of a split, and its column.

    The gain is 0 and the column -1 if no split gains anything. Few columns are processed at a time, so that their sums
    stay in the processor's cache.

    The sums of a leaf with fewer rows than a column has codes are not kept: adding up its rows is faster than
    subtracting the rows that leave it, and its child leaves have no more rows.

    Parameters
    ----------
    codes
        Rows x columns.
    old_rows, new_rows
        Positions of the rows of each leaf after the move; none if there is no old leaf.
    weights
        Gradient and count of each row of `codes` (see `COUNT_BITS`).
    starts, categorical
        See `train_trees`.
    sums
        Per leaf, the sums of weights of column c by code, `sums[leaf, starts[c] : starts[c + 1]]`: input and output for
        the old leaf, output for the new one. Sums that are not needed are not changed.
    lefts
        Output: for the old and the new leaf, a mask of the codes that go left, if a column is returned.
    old, new
        The two leaves.
    old_whole, new_whole
        The sum of the weights of the rows of each leaf after the move.
    first, last
        Only columns from `first` to before `last` are moved and searched.
    variance
        The mean squared gradient of a row of the tree.
    """
    fewest = 2 * FEWEST_LEAF_ROWS
    old_splits, new_splits = len(old_rows) >= fewest, len(new_rows) >= fewest
    fewest_kept = max(fewest, starts[-1] // codes.shape[1])
    old_kept, new_kept = len(old_rows) >= fewest_kept, len(new_rows) >= fewest_kept
    gains, found = np.empty(2), np.empty(2, np.int64)
    gains[0] = SMALLEST_GAIN * len(old_rows) * variance
    gains[1] = SMALLEST_GAIN * len(new_rows) * variance
    found[0] = found[1] = -1
    scratch = np.empty((2, max(_SUMS_PER_PASS, CODES)), np.int64)
    while first < last and (old_splits or new_splits):
        end = first + 1
        while end < last and starts[end + 1] - starts[first] <= _SUMS_PER_PASS:
            end += 1
        start, stop = starts[first], starts[end]
        old_sums = sums[old, start:stop] if old_kept else scratch[0, : stop - start]
        new_sums = sums[new, start:stop] if new_kept else scratch[1, : stop - start]
        if new_splits or old_kept:
            new_sums[:] = 0
            _add_weights(codes, new_rows, weights, starts, first, end, new_sums)
        if old_kept:
            for cell in range(stop - start):
                old_sums[cell] -= new_sums[cell]
        elif old_splits:
            old_sums[:] = 0
            _add_weights(codes, old_rows, weights, starts, first, end, old_sums)
        for i in range(2):  # one call for both leaves, because a call takes long to compile
            if old_splits if i == 0 else new_splits:
                found_sums, whole = (old_sums, old_whole) if i == 0 else (new_sums, new_whole)
                gains[i], found[i] = _search_columns(
                    found_sums, start, starts, categorical, first, end, whole, variance, gains[i], found[i], lefts[i]
                )
        first = end
    for i in range(2):
        if found[i] < 0:
            gains[i] = 0.0
    return gains[0], found[0], gains[1], found[1]
