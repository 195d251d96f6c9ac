"""Random exchanges of the labels of pooled rows: the chi-squared statistic of each labelling."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit("f8[::1](i8[::1], f8[::1], i8, i8, u8)", cache=True, nogil=True)
def relabelled(
    labels: NDArray[np.int64], weights: NDArray[np.float64], size: int, draws: int, state: np.uint64
) -> NDArray[np.float64]:
    """Return, for each of `draws` samples of `size` rows without replacement, sum(weights * counts**2) by category.

    `labels` holds the category of every pooled row and is shuffled in place (a Fisher-Yates of its head; any order
    to start from is as good, so it is never restored). The generator is splitmix64 from `state`.
    """
    counts = np.zeros(len(weights), np.int64)
    sums = np.empty(draws)
    total = len(labels)
    for d in range(draws):
        s = 0.0
        for i in range(size):
            state += np.uint64(0x9E3779B97F4A7C15)
            z = state
            z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            z ^= z >> np.uint64(31)
            # 53 random bits times the rows left: a bias below 1e-9 for any table that fits in memory
            j = i + np.int64((z >> np.uint64(11)) * (1.0 / 9007199254740992.0) * (total - i))
            labels[i], labels[j] = labels[j], labels[i]
            c = labels[i]
            s += (2 * counts[c] + 1) * weights[c]
            counts[c] += 1
        sums[d] = s
        for i in range(size):
            counts[labels[i]] = 0
    return sums
