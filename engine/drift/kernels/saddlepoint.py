"""The tail of chi-squared over all permutations of the labels, by a double saddlepoint approximation.

The counts of one side after a random permutation of the labels are distributed as independent binomials, given that
they add up to the rows of that side. The joint cumulants of chi-squared and the sum are sums over categories, and the
conditional tail follows from them by the formula of Skovgaard, Saddlepoint expansions for conditional distributions
(1987). Its error is about a hundredth of the p-value, however small that is. Random permutations cannot reach small
p-values, and the asymptotic chi-squared has no bound of its error where categories are rare.
"""

import sys
from math import erfc, exp, floor, inf, isfinite, log, nan, sqrt

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.binomial import log_binomial
from engine.drift.kernels.lazy import helper, kernel
from engine.drift.kernels.value_tables import Counts

Floats = NDArray[np.float64]

LARGEST_EXPONENT = log(sys.float_info.max)
"""Exponent beyond which `exp` is infinite in compiled code and raises an error in Python."""


@helper("Tuple((i8[::1], f8[::1], f8[::1]))(i8[::1], f8, f8)")
def _likely_counts(pooled: Counts, share: float, depth: float) -> tuple[Counts, Floats, Floats]:
    """Return the likely counts of each category on one side, where the count is binomial.

    A count is likely if its probability is at least exp(-depth) times that of the mode. In a wide binomial only every
    s-th count is listed, where s is half a standard deviation; the common factor s cancels.

    Parameters
    ----------
    pooled
        Rows of each category on both sides: the numbers of trials.
    share
        The probability of a success.

    Returns
    -------
    ends, deviations, log_weights
        The likely counts of all categories are listed one after another: `ends[j]` is the position after the last count
        of category j. Per count: its difference from the mean of its category, and the log of its probability divided
        by that of the mode.
    """
    ends = np.empty(len(pooled), np.int64)
    size = 0
    deviations, log_weights = np.empty(1024), np.empty(1024)
    for j in range(len(pooled)):
        t = pooled[j]
        mode = min(floor((t + 1) * share), t)
        spread = sqrt(t * share * (1 - share))
        step = int(spread / 2) if spread >= 4 else 1
        # the third argument is `share` minus the observed fraction, which keeps digits that the probability would lose
        peak = log_binomial(mode, t, share - mode / t)
        for direction in (-step, step):
            # downwards from the count below the mode, then upwards from the mode; w is log(P(k) / P(mode)). With step 1
            # it follows from its neighbour's by the ratio of neighbouring probabilities, which is faster
            k, w = mode if direction > 0 else mode - step, 0.0
            if direction < 0 and step == 1:
                w = log(mode / (t - mode + 1.0) * (1 - share) / share) if mode else 0.0
            while 0 <= k <= t:
                if step > 1:
                    w = log_binomial(k, t, share - k / t) - peak
                if w < -depth:
                    break
                if size == len(deviations):
                    # double the arrays in a loop: np.append takes numba six times as long to compile
                    more_deviations, more_log_weights = np.empty(2 * size), np.empty(2 * size)
                    for i in range(size):
                        more_deviations[i], more_log_weights[i] = deviations[i], log_weights[i]
                    deviations, log_weights = more_deviations, more_log_weights
                deviations[size], log_weights[size] = k - t * share, w
                size += 1
                if step == 1 and direction > 0 and k < t:
                    w += log((t - k) / (k + 1.0) * share / (1 - share))
                if step == 1 and direction < 0 and k > 0:
                    w += log(k / (t - k + 1.0) * (1 - share) / share)
                k += direction
        ends[j] = size
    return ends, deviations[:size], log_weights[:size]


@helper("UniTuple(f8, 6)(i8[::1], i8[::1], f8[::1], f8[::1], f8[::1], f8, f8)")
def _sum_cumulants(
    times: Counts, ends: Counts, deviations: Floats, terms: Floats, log_weights: Floats, s: float, u: float
) -> tuple[float, float, float, float, float, float]:
    """Return K(s, u) and its derivatives K_s, K_u, K_ss, K_su, K_uu; NaN where they overflow.

    K is the log of E exp(s * chi-squared + u * (sum - its mean)), a sum over categories. The probabilities are not
    normalized; that adds a constant to K, which cancels in `chi2_tail`.

    Parameters
    ----------
    times
        Number of categories of each size.
    ends, deviations, log_weights
        See `_likely_counts`.
    terms
        Per count, the part of chi-squared that it adds.
    s, u
        The arguments of K.
    """
    k = k_s = k_u = k_ss = k_su = k_uu = 0.0
    start = 0
    for j in range(len(times)):
        # weighted sums over the counts of one category, with x its part of chi-squared and y its part of the sum
        w = w_x = w_y = w_xx = w_xy = w_yy = 0.0
        for i in range(start, ends[j]):
            x, y = terms[i], deviations[i]
            exponent = log_weights[i] + s * x + u * y
            if not exponent <= LARGEST_EXPONENT:
                return nan, nan, nan, nan, nan, nan
            e = exp(exponent)
            w += e
            w_x += e * x
            w_y += e * y
            w_xx += e * x * x
            w_xy += e * x * y
            w_yy += e * y * y
        start = ends[j]
        if not 0 < w < inf:
            return nan, nan, nan, nan, nan, nan
        # their means are the first derivatives of log(w), their covariances the second
        x, y = w_x / w, w_y / w
        k += times[j] * log(w)
        k_s += times[j] * x
        k_u += times[j] * y
        k_ss += times[j] * (w_xx / w - x * x)
        k_su += times[j] * (w_xy / w - x * y)
        k_uu += times[j] * (w_yy / w - y * y)
    return k, k_s, k_u, k_ss, k_su, k_uu


@kernel("f8(i8[::1], i8[::1], f8, f8, f8, f8)", work=lambda pooled, *_: 300 * len(pooled))
def chi2_tail(pooled: Counts, times: Counts, share: float, statistic: float, start: float, depth: float) -> float:
    """Return P(chi-squared >= statistic) over all permutations; NaN where the approximation does not apply.

    Parameters
    ----------
    pooled, times
        Distinct sizes of categories (rows of both sides, at least 1), and the number of categories of each size.
    share
        Rows of one side divided by the rows of both.
    statistic
        The observed chi-squared.
    start
        Where Newton's method starts to look for the saddlepoint. For a gamma distribution with the same mean and
        variance the saddlepoint is (1 - mean / statistic) * mean / variance.
    depth
        Counts less likely than exp(-depth) times the likeliest are taken as impossible. Chi-squared of rare counts
        has a heavy tail: outcomes that never occur would otherwise dominate the cumulants.
    """
    ends, deviations, log_weights = _likely_counts(pooled, share, depth)
    # the part of chi-squared that each count adds: its squared deviation over its variance
    terms = np.empty_like(deviations)
    j = 0
    for i in range(len(deviations)):
        while i >= ends[j]:
            j += 1
        terms[i] = deviations[i] * deviations[i] / (pooled[j] * share * (1 - share))
    k0, _, _, _, _, k_uu0 = _sum_cumulants(times, ends, deviations, terms, log_weights, 0.0, 0.0)
    # the saddlepoint (s, u), by Newton's method for K_s = statistic, K_u = 0
    s, u = start, 0.0
    k, k_s, k_u, k_ss, k_su, k_uu = _sum_cumulants(times, ends, deviations, terms, log_weights, s, u)
    for _ in range(50):
        determinant = k_ss * k_uu - k_su * k_su
        gap = statistic - k_s
        if not determinant > 0:
            return nan
        if gap * gap <= 1e-12 * k_ss and k_u * k_u <= 1e-12 * k_uu:
            break
        ds, du = (gap * k_uu + k_u * k_su) / determinant, (-k_u * k_ss - gap * k_su) / determinant
        # K(s, u) - s * statistic is convex: a step that does not lower it was too long and is halved
        before = k - s * statistic
        for _ in range(40):
            k, k_s, k_u, k_ss, k_su, k_uu = _sum_cumulants(times, ends, deviations, terms, log_weights, s + ds, u + du)
            if k - (s + ds) * statistic <= before + 1e-9 * abs(before):
                break
            ds, du = ds / 2, du / 2
        else:
            return nan
        s, u = s + ds, u + du
    else:
        return nan
    deviance = 2 * (s * statistic - k + k0)
    if not (deviance > 1e-4 and isfinite(deviance)):
        return nan
    # Skovgaard's formula: 1 - Phi(w) + phi(w) (1/v - 1/w), where w is the signed root of the deviance
    w = sqrt(deviance) if s > 0 else -sqrt(deviance)
    v = s * sqrt((k_ss * k_uu - k_su * k_su) / k_uu0)
    return 0.5 * erfc(w / sqrt(2.0)) + exp(-deviance / 2) / sqrt(2 * np.pi) * (1 / v - 1 / w)
