"""The chi-squared statistic of random permutations of the labels "reference" and "batch" of pooled rows."""

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import kernel


@kernel("f8[::1](i8[::1], f8[::1], i8, i8, u8)", work=None)
def draw_permutations(
    categories: NDArray[np.int64], weights: NDArray[np.float64], size: int, draws: int, state: np.uint64
) -> NDArray[np.float64]:
    """Return sum(weights * counts**2) of random permutations, from which chi-squared follows.

    A permutation gives the label of one side to `size` of the rows: a sample without replacement. `counts` are the rows
    of this sample per category. The sample is drawn by the shuffle of Fisher and Yates, which may start from any order.

    Parameters
    ----------
    categories
        Input and working memory: the category of every pooled row, from 0. The order of the rows is changed.
    weights
        The weight of each category.
    size
        Rows of one side.
    draws
        Number of permutations.
    state
        The state of the generator splitmix64 from which the random numbers come.
    """
    counts = np.zeros(len(weights), np.int64)
    sums = np.empty(draws)
    total = len(categories)
    for d in range(draws):
        s = 0.0
        # row i of the sample changes places with a random one of the rows i, i + 1, ..., total - 1
        for i in range(size):
            state += np.uint64(0x9E3779B97F4A7C15)
            z = state
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z ^= z >> np.uint64(31)
            # a random number of 53 bits, 0 to 1, times the number of rows that are left: the bias is below 1e-9 for any
            # table that fits in memory
            j = i + np.int64((z >> np.uint64(11)) * (1.0 / 9007199254740992.0) * (total - i))
            categories[i], categories[j] = categories[j], categories[i]
            c = categories[i]
            s += (2 * counts[c] + 1) * weights[c]  # (count + 1)^2 - count^2
            counts[c] += 1
        sums[d] = s
        for i in range(size):
            counts[categories[i]] = 0
    return sums
