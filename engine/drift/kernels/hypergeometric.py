"""Exact sums over all permutations of the labels "reference" and "batch", by the hypergeometric distribution.

After a random permutation, the number of a category's t pooled rows that are labelled "reference" is hypergeometric.
This marginal distribution alone determines the mean over all permutations of any sum over categories, so nothing has to
be drawn.

In this module n and m are the rows of the two sides, t the rows of a category on both sides, and k those of side n.
"""

from math import exp, floor, log, sqrt

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.binomial import log_binomial
from engine.drift.kernels.count_distances import divergence_gain
from engine.drift.kernels.lazy import helper, kernel
from engine.drift.kernels.value_tables import Counts


@helper("f8(i8, i8, i8, i8)")
def divergence_term(k: int, t: int, n: int, m: int) -> float:
    """Return the part of the Jensen-Shannon divergence, in bits, of a category with k of n and t - k of m rows."""
    p, q = k / n, (t - k) / m
    return (p + q) * divergence_gain((p - q) / (p + q)) / (4 * log(2.0))


@helper("i8(i8, i8, i8)")
def _likeliest_count(t: int, n: int, m: int) -> int:
    """Return the mode of the hypergeometric distribution of k."""
    return min(max(floor((t + 1.0) * (n + 1.0) / (n + m + 2.0)), t - m, 0), t, n)


@helper("f8(i8, i8, i8)")
def expected_divergence_term(t: int, n: int, m: int) -> float:
    """Return the mean of `divergence_term` over all permutations of the labels of n + m rows, for t > 0.

    The sum goes from the mode in both directions. Where the distribution is wide it takes every s-th count, where s is
    half a standard deviation: the terms are so smooth that the mean has all its digits.
    """
    low, high, mode, total = max(0, t - m), min(t, n), _likeliest_count(t, n, m), n + m
    spread = sqrt(t / total * n * (m / total) * ((total - t) / max(total - 1, 1)))
    # sums of w and of w * term, where w is P(k) / P(mode), starting with the mode itself
    weights, mean = 1.0, divergence_term(mode, t, n, m)
    if spread < 8:
        for up in (True, False):
            w, k = 1.0, mode
            while k < high if up else k > low:
                # w of the next k, by the ratio of neighbouring probabilities
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
    # P(k) is proportional to Binomial(k; t, share) * Binomial(n - k; total - t, share), whatever the share
    # with share = n / total; log_binomial takes share minus the observed fraction, which keeps digits
    step, share, rest = int(spread / 2), n / total, total - t
    peak = log_binomial(mode, t, share - mode / t) + log_binomial(n - mode, rest, share - (n - mode) / rest)
    for s in range(-18, 19):
        k = mode + s * step
        if s and low <= k <= high:
            w = exp(log_binomial(k, t, share - k / t) + log_binomial(n - k, rest, share - (n - k) / rest) - peak)
            weights += w
            mean += w * divergence_term(k, t, n, m)
    return mean / weights


@kernel("f8[::1](i8[::1], i8, i8)", work=lambda pooled, *_: 100 * len(pooled))
def expected_divergence_terms(pooled: Counts, n: int, m: int) -> NDArray[np.float64]:
    """Return each category's part of the mean Jensen-Shannon divergence, in bits, over all permutations of the labels.

    `pooled` are the rows of the categories on both sides, at least 1 each; the parts of all categories add up to the
    mean.
    """
    means = np.empty(len(pooled))
    for i in range(len(pooled)):
        means[i] = expected_divergence_term(pooled[i], n, m)
    return means


@kernel("f8(i8, i8, i8, i8)", work=lambda _, t, n, m: 10 * sqrt(min(t, n, m)))
def fisher_exact_p(k: int, t: int, n: int, m: int) -> float:
    """Return the two-sided p of Fisher's exact test of k of n rows against t - k of m rows.

    It sums the probabilities of all tables that are not more likely than this one, from the mode in both directions, by
    the ratio of neighbouring probabilities, until the rest is below the last digit. No probability is a difference.
    Where this table is less than 1e-300 times as likely as the mode, p is 0.
    """
    low, high, mode = max(0, t - m), min(t, n), _likeliest_count(t, n, m)
    # w = P(j) / P(mode), first for j = k
    w, j = 1.0, mode
    while j < k and w > 1e-300:
        w *= (t - j) * float(n - j) / ((j + 1.0) * (m - t + j + 1.0))
        j += 1
    while j > k and w > 1e-300:
        w *= j * float(m - t + j) / ((t - j + 1.0) * (n - j + 1.0))
        j -= 1
    if w <= 1e-300:
        return 0.0
    observed = w * (1 + 1e-7)  # rounding must not exclude tables that are exactly as likely as this one
    # the sums of w over all tables, and over those that are not more likely than this one
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
