"""The tail of chi-squared over all labellings, by a double saddlepoint approximation instead of drawing.

Given their sum, the counts of one side are independent binomials. The joint cumulants of chi-squared and the sum are
therefore sums over categories, and the conditional tail follows from them by the formula of Skovgaard, Saddlepoint
expansions for conditional distributions (1987). Its error is about a hundredth of the p-value, however small that is;
the asymptotic chi-squared has no such bound where categories are rare.
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
"""Beyond it `exp` is infinite in compiled code and an error in Python."""


@helper("Tuple((i8[::1], f8[::1], f8[::1]))(i8[::1], f8, f8)")
def _likely_counts(pooled: Counts, share: float, depth: float) -> tuple[Counts, Floats, Floats]:
    """Return the likely counts for each of `pooled`: where its counts end, their distances from its mean, log weights.

    A count is likely if its probability is at least exp(-depth) times that of the mode. Where the binomial is wide
    every s-th count stands for s of them, s being half a standard deviation.
    """
    ends = np.empty(len(pooled), np.int64)
    size = 0
    off, weight = np.empty(1024), np.empty(1024)
    for j in range(len(pooled)):
        t = pooled[j]
        mode = min(floor((t + 1) * share), t)
        spread = sqrt(t * share * (1 - share))
        step = int(spread / 2) if spread >= 4 else 1
        peak = log_binomial(mode, t, share - mode / t)
        for direction in (-step, step):
            k, w = mode if direction > 0 else mode - step, 0.0
            if direction < 0 and step == 1:
                w = log(mode / (t - mode + 1.0) * (1 - share) / share) if mode else 0.0
            while 0 <= k <= t:
                if step > 1:
                    w = log_binomial(k, t, share - k / t) - peak
                if w < -depth:
                    break
                if size == len(off):
                    # twice the room, by a loop: np.append takes numba six times as long to compile
                    more_off, more_weight = np.empty(2 * size), np.empty(2 * size)
                    for i in range(size):
                        more_off[i], more_weight[i] = off[i], weight[i]
                    off, weight = more_off, more_weight
                off[size], weight[size] = k - t * share, w
                size += 1
                if step == 1 and direction > 0 and k < t:
                    w += log((t - k) / (k + 1.0) * share / (1 - share))
                if step == 1 and direction < 0 and k > 0:
                    w += log(k / (t - k + 1.0) * (1 - share) / share)
                k += direction
        ends[j] = size
    return ends, off[:size], weight[:size]


@helper("UniTuple(f8, 6)(i8[::1], i8[::1], f8[::1], f8[::1], f8[::1], f8, f8)")
def _sum_cumulants(
    times: Counts, ends: Counts, off: Floats, square: Floats, weight: Floats, s: float, u: float
) -> tuple[float, float, float, float, float, float]:
    """Return K(s, u) and its derivatives K_s, K_u, K_ss, K_su, K_uu; NaN where they overflow.

    K is the log of E exp(s * chi-squared + u * (sum - its mean)), a sum over categories.
    """
    k = k_s = k_u = k_ss = k_su = k_uu = 0.0
    start = 0
    for j in range(len(times)):
        w = w_x = w_y = w_xx = w_xy = w_yy = 0.0
        for i in range(start, ends[j]):
            x, y = square[i], off[i]
            exponent = weight[i] + s * x + u * y
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
    """Return P(chi-squared >= statistic) over all labellings; NaN where the approximation does not apply.

    Parameters
    ----------
    pooled, times
        Rows of a category, at least one, and how many categories have as many.
    share
        Of the side whose counts vary among all rows.
    statistic
        The observed chi-squared.
    start
        The first guess of the saddlepoint: that of a gamma with the same moments is (1 - mean/x) * mean / variance.
    depth
        Counts less likely than exp(-depth) times the likeliest are taken as impossible. Chi-squared of rare counts
        has a heavy tail: outcomes that never occur would otherwise dominate the cumulants.
    """
    ends, off, weight = _likely_counts(pooled, share, depth)
    square = np.empty_like(off)
    j = 0
    for i in range(len(off)):
        while i >= ends[j]:
            j += 1
        square[i] = off[i] * off[i] / (pooled[j] * share * (1 - share))
    k0, _, _, _, _, k_uu0 = _sum_cumulants(times, ends, off, square, weight, 0.0, 0.0)
    # Newton's method for K_s = statistic, K_u = 0
    s, u = start, 0.0
    k, k_s, k_u, k_ss, k_su, k_uu = _sum_cumulants(times, ends, off, square, weight, s, u)
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
            k, k_s, k_u, k_ss, k_su, k_uu = _sum_cumulants(times, ends, off, square, weight, s + ds, u + du)
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
    # Skovgaard's formula: 1 - Phi(w) + phi(w) (1/v - 1/w)
    w = sqrt(deviance) if s > 0 else -sqrt(deviance)
    v = s * sqrt((k_ss * k_uu - k_su * k_su) / k_uu0)
    return 0.5 * erfc(w / sqrt(2.0)) + exp(-deviance / 2) / sqrt(2 * np.pi) * (1 / v - 1 / w)
