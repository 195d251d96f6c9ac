"""Exact distributions of Kolmogorov-Smirnov distances: of two samples by counting lattice paths, of one by a sum."""

from math import exp

import numpy as np
from numba import njit

from engine.drift.kernels.binomial import log_binomial


@njit("f8(i8, i8, i8)", cache=True, nogil=True)
def outer_path_share(n: int, m: int, gap: int) -> float:
    """Return the share of lattice paths from (0, 0) to (n, m) that reach abs(x*m - y*n) >= gap.

    That share is P(D >= gap / (n*m)) without ties (Hodges 1958). Every path into (x, y) comes from (x-1, y) with
    probability x/(x+y), else from (x, y-1): only positive terms are added, so that small probabilities keep their
    relative accuracy, where counting the paths that stay inside would cancel. Time: twice `gap`. It goes diagonal by
    diagonal, x + y constant: a point depends on the diagonal before only, so the compiler makes vectors of it, which
    it cannot row by row.
    """
    if n > m:
        n, m = m, n
    # at n - x: a diagonal is then updated in place, ascending; 1 on and beyond the border
    share = np.ones(n + 2)
    share[n] = 0.0
    xs = np.arange(n, -1, -1).astype(np.float64)
    for s in range(1, n + m + 1):
        low = max(0, s - m, (s * n - gap) // (n + m) + 1)
        high = min(n, s, -((-s * n - gap) // (n + m)) - 1)
        if low <= high:
            here, x_of = share[n - high : n - low + 2], xs[n - high : n - low + 1]
            total, scale = float(s), 1.0 / s
            for i in range(len(x_of)):
                here[i] = (x_of[i] * here[i + 1] + (total - x_of[i]) * here[i]) * scale
        share[n - low + 1] = 1.0
    return float(share[0])


@njit("f8(i8, i8)", cache=True, nogil=True)
def outer_path_share_of_square(n: int, steps: int) -> float:
    """Return the share of lattice paths from (0, 0) to (n, n) that reach abs(x - y) >= steps.

    By reflection it is twice the alternating sum of C(2n, n - j*steps) / C(2n, n) over j (Gnedenko and Korolyuk 1951),
    whose first term leads where it is small.
    """
    share, sign, ratio = 0.0, 2.0, 1.0
    for i in range(n):
        ratio *= (n - i) / (n + i + 1.0)
        if (i + 1) % steps == 0:
            share += sign * ratio
            sign = -sign
        if ratio <= 1e-17 * share:
            break
    return min(1.0, max(0.0, share))


@njit("f8(i8, f8)", cache=True, nogil=True)
def one_sided_p(n: int, d: float) -> float:
    """Return P(D+ >= d) of the one-sample, one-sided distance of n values (Birnbaum and Tingey 1951).

    The sum over where the empirical distribution first exceeds has a term a value. For p below 0.5 they are smooth and
    vanish at both ends, so that of many values every s-th tells the sum to the last digits; scipy's takes a second for
    a million.
    """
    step = max(1, n // 4096)
    total = 0.0
    for j in range(0, int(n * (1 - d)) + 1, step):
        if n * (1 - d) - j > 1e-9 * n:
            total += step * d / (d + j / n) * exp(log_binomial(j, n, d))
    return total
