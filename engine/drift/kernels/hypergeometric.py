"""What two counts owe to chance alone when the labels "reference" and "batch" are exchanged: hypergeometric sums.

Each category of t pooled rows gives the reference a hypergeometric number of them; means over labellings of anything
that adds up over categories follow from that marginal alone, exactly, with no draws.
"""

from math import floor, lgamma, log2, sqrt

import numpy as np
from numba import njit


@njit("f8(i8, i8, i8, i8)", cache=True, nogil=True)
def _log_weight(k: int, t: int, n: int, m: int) -> float:
    """Log of C(t, k) * C(n + m - t, n - k), up to what does not depend on k."""
    return -lgamma(k + 1.0) - lgamma(t - k + 1.0) - lgamma(n - k + 1.0) - lgamma(m - t + k + 1.0)


@njit("f8(i8, i8, i8, i8)", cache=True, nogil=True)
def divergence_term(k: int, t: int, n: int, m: int) -> float:
    """One category's part of the Jensen-Shannon divergence (base 2): k of n reference rows, t - k of m batch rows."""
    p, q = k / n, (t - k) / m
    term = 0.0
    if p > 0:
        term += p * log2(2 * p / (p + q))
    if q > 0:
        term += q * log2(2 * q / (p + q))
    return term / 2


@njit("f8(i8, i8, i8)", cache=True, nogil=True)
def expected_divergence_term(t: int, n: int, m: int) -> float:
    """Return the mean of `divergence_term` over all labellings of n + m rows, t of them in the category.

    The sum runs over the support, or over 12 standard deviations about the mode. Where these are wide it takes every
    s-th count, s an eighth of a standard deviation: for a summand as smooth as this one that changes the mean by less
    than the rounding of the weights.
    """
    low, high = max(0, t - m), min(t, n)
    total = n + m
    spread = sqrt(t / total * n * (m / total) * max(total - t, 0) / max(total - 1, 1))
    mode = floor((t + 1.0) * (n + 1.0) / (total + 2.0))
    step = max(1, int(spread / 8))
    reach = int(12 * spread) + 12
    start = mode - step * ((mode - max(low, mode - reach)) // step)
    peak = _log_weight(mode, t, n, m)
    weights = mean = 0.0
    for k in range(start, min(high, mode + reach) + 1, step):
        w = np.exp(_log_weight(k, t, n, m) - peak)
        weights += w
        mean += w * divergence_term(k, t, n, m)
    return mean / weights


@njit("f8(i8, i8, i8, i8)", cache=True, nogil=True)
def two_category_p(k: int, t: int, n: int, m: int) -> float:
    """Return the two-sided exact p of k of n against t - k of m: Fisher's test, all tables no likelier than this one.

    Walks outwards from the mode with the ratio of neighbouring probabilities, so that no probability is a difference.
    """
    low, high = max(0, t - m), min(t, n)
    mode = min(max(floor((t + 1.0) * (n + 1.0) / (n + m + 2.0)), low), high)
    w = 1.0
    for j in range(mode, k):
        w *= (t - j) / (j + 1.0) * ((n - j) / (m - t + j + 1.0))
    for j in range(mode, k, -1):
        w *= j / (t - j + 1.0) * ((m - t + j) / (n - j + 1.0))
    observed = w * (1 + 1e-7)  # tables as likely as this one are as extreme, whatever the rounding
    everything = extreme = 0.0
    w, j = 1.0, mode
    while j <= high and w > 0:
        everything += w
        if w <= observed:
            extreme += w
        w *= (t - j) / (j + 1.0) * ((n - j) / (m - t + j + 1.0))
        j += 1
    w, j = 1.0, mode
    while j > low and w > 0:
        w *= j / (t - j + 1.0) * ((m - t + j) / (n - j + 1.0))
        j -= 1
        everything += w
        if w <= observed:
            extreme += w
    return min(1.0, extreme / everything)
