"""The chi-squared statistic of random labellings of pooled rows."""

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.lazy import kernel


@kernel("f8[::1](i8[::1], f8[::1], i8, i8, u8)", work=None)
def draw_relabellings(
    labels: NDArray[np.int64], weights: NDArray[np.float64], size: int, draws: int, state: np.uint64
) -> NDArray[np.float64]:
    """Return, for each of `draws` samples of `size` rows without replacement, sum(weights * counts**2) by category.

    `labels` holds the category of every pooled row. The first `size` of them are shuffled in place (Fisher and Yates),
    from whatever order they are in. The random numbers are those of splitmix64 from `state`.
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
            s += (2 * counts[c] + 1) * weights[c]  # (count + 1)^2 - count^2
            counts[c] += 1
        sums[d] = s
        for i in range(size):
            counts[labels[i]] = 0
    return sums
