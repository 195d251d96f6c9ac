"""Exact distributions of Kolmogorov-Smirnov distances: for two samples by lattice paths, for one sample by a sum."""

from math import exp

import numpy as np

from engine.drift.kernels.binomial import log_binomial
from engine.drift.kernels.lazy import LARGE, kernel


def _outer_path_share_in_numpy(n: int, m: int, gap: int) -> float:
    if n > m:
        n, m = m, n
    share = np.ones(n + 2)
    share[n] = 0.0
    xs = np.arange(n, -1, -1.0)
    for s in range(1, n + m + 1):
        low, high = max(0, s - m, (s * n - gap) // (n + m) + 1), min(n, s, -((-s * n - gap) // (n + m)) - 1)
        if low <= high:
            diagonal, x = share[n - high : n - low + 2], xs[n - high : n - low + 1]
            diagonal[:-1] = (x * diagonal[1:] + (s - x) * diagonal[:-1]) * (1.0 / s)
        share[n - low + 1] = 1.0
    return float(share[0])


@kernel("f8(i8, i8, i8)", small=_outer_path_share_in_numpy, work=lambda n, m, _: n + m)
def outer_path_share(n: int, m: int, gap: int) -> float:
    """Return the share of lattice paths from (0, 0) to (n, m) that reach abs(x*m - y*n) >= gap.

    A path stands for an order of the pooled rows: a step in x for a row of one side, in y for a row of the other. The
    share is P(D >= gap / (n*m)) without ties (Hodges 1958). A random path into (x, y) comes from (x-1, y) with
    probability x/(x+y), else from (x, y-1). Only positive terms are added, so small probabilities keep their relative
    accuracy; to count the paths that stay inside would cancel digits. The time is proportional to `gap`.
    """
    if n > m:
        n, m = m, n
    # share[n - x] is the share of the paths into (x, s - x) that have reached the border; 1 on it and beyond. The
    # diagonal x + y = s depends only on the one before: it is updated in place, in a loop that the compiler vectorises
    share = np.ones(n + 2)
    share[n] = 0.0
    xs = np.arange(n, -1, -1).astype(np.float64)
    for s in range(1, n + m + 1):
        # the x of the diagonal that are inside the borders
        low = max(0, s - m, (s * n - gap) // (n + m) + 1)
        high = min(n, s, -((-s * n - gap) // (n + m)) - 1)
        if low <= high:
            diagonal, x = share[n - high : n - low + 2], xs[n - high : n - low + 1]
            total, scale = float(s), 1.0 / s
            for i in range(len(x)):
                diagonal[i] = (x[i] * diagonal[i + 1] + (total - x[i]) * diagonal[i]) * scale
        share[n - low + 1] = 1.0
    return float(share[0])


@kernel("f8(i8, i8)", work=lambda n, _: n)
def outer_path_share_of_square(n: int, steps: int) -> float:
    """Return the share of lattice paths from (0, 0) to (n, n) that reach abs(x - y) >= steps.

    By reflection it is twice the alternating sum of C(2n, n - j*steps) / C(2n, n) over j >= 1 (Gnedenko and Korolyuk
    1951). Where the sum is small its first term dominates, so nothing cancels.
    """
    share, sign, ratio = 0.0, 2.0, 1.0
    for i in range(n):
        # ratio = C(2n, n - i - 1) / C(2n, n)
        ratio *= (n - i) / (n + i + 1.0)
        if (i + 1) % steps == 0:
            share += sign * ratio
            sign = -sign
        if ratio <= 1e-17 * share:
            break
    return min(1.0, max(0.0, share))


@kernel("f8(i8, f8)", work=lambda n, _: min(n, LARGE))
def one_sided_p(n: int, d: float) -> float:
    """Return P(D+ >= d) of the one-sample, one-sided distance of n values (Birnbaum and Tingey 1951).

    The sum has a term for each number j of values that may lie above the last point at which the empirical
    distribution exceeds the true one by d. For p below 0.5 the terms are smooth in j and vanish at both ends, so every
    s-th of many terms, multiplied by s, gives the sum to the last digits: fewer than 8,192 terms are added. Where p is
    close to 1 this would be wrong from 8,192 values on; the caller uses other formulas there. scipy takes a second for
    a million values.
    """
    step = max(1, n // 4096)
    total = 0.0
    for j in range(0, int(n * (1 - d)) + 1, step):
        if n * (1 - d) - j > 1e-9 * n:  # a term with 1 - d - j/n = 0 is 0, and has no logarithm
            total += step * d / (d + j / n) * exp(log_binomial(j, n, d))
    return total
