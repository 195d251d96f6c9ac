"""The two-sided p-value of the two-sample Kolmogorov-Smirnov distance, without scipy.stats, which is slow to import.

It is exact up to 10,000 rows per side, and for few rows against many. Otherwise it is Smirnov's approximation: the
distribution of the one-sample distance for n * m / (n + m) values. scipy has the same limit of 10,000 rows, so its
results are comparable.
"""

from math import ceil, exp, factorial, pi, sqrt

import numpy as np

from engine.drift.kernels.binomial import stirling_error
from engine.drift.kernels.ks_distribution import one_sided_p, outer_path_share, outer_path_share_of_square

EXACT_ROWS = 10_000
"""Maximum number of rows per side for which the p-value is always exact; scipy has the same limit."""

EXACT_PAIRS = 1_000_000
"""The p-value is also exact if the product of the numbers of rows is at most this. For one row against many, the
approximation would be entirely wrong: it gives 0 where the exact p-value is 2 / (m + 1)."""


def ks_p_value(gap: int, n: int, m: int) -> float:
    """Return P(D >= gap / (n * m)) if both sides are drawn from one continuous distribution; ties make it conservative.

    Exact (Hodges 1958) up to `EXACT_ROWS` per side or `EXACT_PAIRS` pairs of rows, and down to about 1e-20; otherwise
    `one_sample_ks_p` (Simard and L'Ecuyer 2011).

    Parameters
    ----------
    gap
        n * m times the distance: a whole number.
    n, m
        Rows of the two sides, at least one each.
    """
    if gap <= 0:
        return 1.0
    distance, effective = gap / (n * m), n * m / (n + m)
    if max(n, m) <= EXACT_ROWS or n * m <= EXACT_PAIRS:
        if n == m:
            return outer_path_share_of_square(n, -(-gap // n))
        if exp(-2 * effective * distance * distance) > 1e-20:
            return outer_path_share(n, m, gap)
    return one_sample_ks_p(round(effective), distance)


def one_sample_ks_p(n: int, d: float) -> float:
    """Return P(D >= d) for the one-sample Kolmogorov-Smirnov distance of n values; scipy chooses the same formulas."""
    if d >= 1 or n * d <= 0.5:
        return float(d < 1)
    if n * d * d >= 370:
        return 0.0
    # twice the one-sided p counts samples that differ by d in both directions twice, a share of exp(-6 n d^2)
    if d >= 0.5 or n * d * d > (4 if n <= 140 else 2.2):
        return min(1.0, 2 * one_sided_p(n, d))
    within = _durbin_cdf(n, d) if n <= 140 or (n <= 5_000 and n * d**1.5 <= 1.4) else _pelz_good_cdf(n, d)
    return min(1.0, max(0.0, 1 - within))


def _durbin_cdf(n: int, d: float) -> float:
    """Return P(D < d) exactly: an entry of the n-th power of a matrix (Durbin 1968; Marsaglia, Tsang and Wang 2003)."""
    k = ceil(n * d)
    h, size = k - n * d, 2 * k - 1
    factorials = np.array([float(factorial(j)) for j in range(size + 1)])
    i, j = np.indices((size, size))
    matrix = np.where(i - j + 1 >= 0, 1 / factorials[np.maximum(i - j + 1, 0)], 0.0)
    powers = h ** np.arange(1, size + 1) / factorials[1:]
    matrix[:, 0] -= powers
    matrix[-1, :] -= powers[::-1]
    matrix[-1, 0] += max(0.0, 2 * h - 1) ** size / factorials[size]
    # P = n! / n^n * H^n[k, k], where n! / n^n = exp(-n) * scale. Each factor H is multiplied by exp(-1), so that
    # nothing overflows.
    scale = sqrt(2 * pi * n) * exp(stirling_error(n))
    return float(np.linalg.matrix_power(matrix * exp(-1), n)[k - 1, k - 1]) * scale


def _pelz_good_cdf(n: int, d: float) -> float:
    """Return P(D < d) for many values: Kolmogorov's limit and three terms in 1 / sqrt(n) (Pelz and Good 1976)."""
    z = d * sqrt(n)
    z2, k = z * z, np.arange(1, 11)
    halves, wholes = ((k - 0.5) * pi) ** 2, (k * pi) ** 2
    over_halves, over_wholes = np.exp(-halves / (2 * z2)), np.exp(-wholes / (2 * z2))
    first = over_halves.sum() / z
    second = ((halves - z2) * over_halves).sum() / (6 * z**4)
    third = ((6 * z2**3 + 2 * z2**2 + (2 * z2**2 - 5 * z2) * halves + (1 - 2 * z2) * halves**2) * over_halves).sum() / (
        72 * z**7
    ) - (wholes * over_wholes).sum() / (36 * z**3)
    fourth = (
        (
            -30 * z2**3
            - 90 * z2**4
            + (135 * z2**2 - 96 * z2**3) * halves
            + (212 * z2**2 - 60 * z2) * halves**2
            + (5 - 30 * z2) * halves**3
        )
        * over_halves
    ).sum() / (6480 * z**10) + ((3 * z2 - wholes) * wholes * over_wholes).sum() / (216 * z**6)
    return float(sqrt(2 * pi) * (first + second / sqrt(n) + third / n + fourth / n**1.5))
