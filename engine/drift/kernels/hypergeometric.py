"""What two counts owe to chance alone when the labels "reference" and "batch" are exchanged: hypergeometric sums.

Each category of t pooled rows gives the reference a hypergeometric number of them; means over labellings of anything
that adds up over categories follow from that marginal alone, exactly, with no draws.
"""

from math import exp, floor, log, sqrt

from numba import njit

from engine.drift.kernels.binomial import log_binomial
from engine.drift.kernels.counting import Counts
from engine.drift.kernels.distances import gain


@njit("f8(i8, i8, i8, i8)", cache=True, nogil=True)
def divergence_term(k: int, t: int, n: int, m: int) -> float:
    """One category's part of the Jensen-Shannon divergence (bits): k of n reference rows, t - k of m batch rows."""
    p, q = k / n, (t - k) / m
    return (p + q) * gain((p - q) / (p + q)) / (4 * log(2.0))


@njit("i8(i8, i8, i8)", cache=True, nogil=True)
def _mode(t: int, n: int, m: int) -> int:
    return min(max(floor((t + 1.0) * (n + 1.0) / (n + m + 2.0)), t - m, 0), t, n)


@njit("f8(i8, i8, i8)", cache=True, nogil=True)
def expected_divergence_term(t: int, n: int, m: int) -> float:
    """Return the mean of `divergence_term` over all labellings of n + m rows, t > 0 of them in the category.

    The sum runs outwards from the mode. Where the distribution is wide it takes every s-th count, s half a standard
    deviation, which is enough for the last digits of a mean of something as smooth as this.
    """
    low, high, mode, total = max(0, t - m), min(t, n), _mode(t, n, m), n + m
    spread = sqrt(t / total * n * (m / total) * ((total - t) / max(total - 1, 1)))
    weights, mean = 1.0, divergence_term(mode, t, n, m)
    if spread < 8:
        for up in (True, False):
            w, k = 1.0, mode
            while k < high if up else k > low:
                if up:
                    w *= (t - k) / (k + 1.0) * ((n - k) / (m - t + k + 1.0))
                    k += 1
                else:
                    w *= k / (t - k + 1.0) * ((m - t + k) / (n - k + 1.0))
                    k -= 1
                if w < 1e-18:
                    break
                weights += w
                mean += w * divergence_term(k, t, n, m)
        return mean / weights
    step, share, rest = int(spread / 2), n / total, total - t
    peak = log_binomial(mode, t, share - mode / t) + log_binomial(n - mode, rest, share - (n - mode) / rest)
    for s in range(-18, 19):
        k = mode + s * step
        if s and low <= k <= high:
            w = exp(log_binomial(k, t, share - k / t) + log_binomial(n - k, rest, share - (n - k) / rest) - peak)
            weights += w
            mean += w * divergence_term(k, t, n, m)
    return mean / weights


@njit("f8(i8[::1], i8[::1], i8, i8)", cache=True, nogil=True)
def expected_divergence(pooled: Counts, times: Counts, n: int, m: int) -> float:
    """Return the mean divergence over all labellings, of categories of `pooled` > 0 rows, `times` of each."""
    mean = 0.0
    for i in range(len(pooled)):
        mean += times[i] * expected_divergence_term(pooled[i], n, m)
    return mean


@njit("f8(i8, i8, i8, i8)", cache=True, nogil=True)
def two_category_p(k: int, t: int, n: int, m: int) -> float:
    """Return the two-sided exact p of k of n against t - k of m: Fisher's test, all tables no likelier than this one.

    Walks outwards from the mode with the ratio of neighbouring probabilities, so that no probability is a difference,
    until what is left is below the last digit; a table 1e-300 times as likely as the mode has p = 0.
    """
    low, high, mode = max(0, t - m), min(t, n), _mode(t, n, m)
    w, j = 1.0, mode
    while j < k and w > 1e-300:
        w *= (t - j) * float(n - j) / ((j + 1.0) * (m - t + j + 1.0))
        j += 1
    while j > k and w > 1e-300:
        w *= j * float(m - t + j) / ((t - j + 1.0) * (n - j + 1.0))
        j -= 1
    if w <= 1e-300:
        return 0.0
    observed = w * (1 + 1e-7)  # tables as likely as this one are as extreme, whatever the rounding
    everything, extreme = 1.0, 1.0 if observed >= 1 else 0.0
    w, j = 1.0, mode
    while j < high and (w > observed or w > 1e-24 * extreme):
        w *= (t - j) * float(n - j) / ((j + 1.0) * (m - t + j + 1.0))
        j += 1
        everything += w
        if w <= observed:
            extreme += w
    w, j = 1.0, mode
    while j > low and (w > observed or w > 1e-24 * extreme):
        w *= j * float(m - t + j) / ((t - j + 1.0) * (n - j + 1.0))
        j -= 1
        everything += w
        if w <= observed:
            extreme += w
    return min(1.0, extreme / everything)
