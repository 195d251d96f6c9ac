"""The chi-squared distribution and the power of its test, without scipy.special, whose import takes .16 s.

Every process that compares two columns needs these, and often nothing else from scipy.
"""

from collections.abc import Callable
from functools import lru_cache
from math import exp, inf, lgamma, log, log1p, sqrt

import numpy as np

from engine.drift.kernels.binomial import HALF_LOG_2PI, stirling_error

TERMS_ACCURACY = 1e-17
"""A series ends with the first term below this share of its sum."""

FRACTION_ACCURACY = 1e-15
"""A continued fraction ends with the first factor that differs from 1 by less than this; some rounding errors are
allowed, because a factor may never become exactly 1."""

TINY = 1e-300
"""Replaces a denominator of 0 (Lentz's method)."""


def chi_squared_tail(statistic: float, degrees: float) -> float:
    """Return P(X >= statistic) of a chi-squared distribution with `degrees` > 0 degrees of freedom."""
    return gamma_tail(degrees / 2, statistic / 2)


@lru_cache(maxsize=1_000)
def find_noncentrality(degrees: int, level: float, power: float) -> float:
    """Return the noncentrality with which a chi-squared test at `level` finds a difference with probability `power`.

    The statistic is then a mixture of chi-squared distributions with degrees + 2 j degrees of freedom, where j has a
    Poisson distribution with half of the noncentrality as its mean.

    Parameters
    ----------
    level, power
        Between 0 and 1. With a power up to the level, no noncentrality is needed: 0, but for rounding.
    Between 0 and 1. If the power is not above the level, the noncentrality is 0, up to rounding.
    """
    critical = _find_crossing(lambda x: level - gamma_tail(degrees / 2, x))
    first = exp(_log_factor(degrees / 2, critical))

    def exceed(mean: float) -> float:
        j = np.arange(1, mean + 12 * sqrt(mean) + 40)
        # the tail grows by one term of the gamma series for each j: P(X >= x) of j + 1 is that of j plus
        # x^(a + j) exp(-x) / gamma(a + j + 1), where a is half of the degrees
        growth = first * np.cumprod(np.append(1.0, critical / (degrees / 2 + j[:-1])))
        weights = np.exp(j * log(mean) - mean - np.cumsum(np.log(j)))
        return level * exp(-mean) + float(weights @ (level + np.cumsum(growth)))

    return 2 * _find_crossing(lambda mean: exceed(mean) - power)


def _find_crossing(increasing: Callable[[float], float]) -> float:
    """Return the x > 0 at which an increasing function becomes positive."""
    low, high = 0.0, 1.0
    while increasing(high) < 0:
        low, high = high, 2 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (low, middle) if increasing(middle) >= 0 else (middle, high)
    return high


def gamma_tail(shape: float, x: float) -> float:
    """Return P(X >= x) of a gamma distribution with scale 1: the regularized upper incomplete gamma function Q(a, x).

    The power series (DLMF 8.11.4) up to x = a + 1, the continued fraction (DLMF 8.9.2) by Lentz's method beyond. Their
    common factor has the deviance form of Loader (2000), which stays accurate for any shape. Relative error below
    1e-13 for tails down to 1e-100 and shapes up to a million.

    Parameters
    ----------
    shape
        The shape a, above 0.
    """
    if x <= 0:
        return 1.0
    if x == inf:
        return 0.0
    if x <= shape + 1:
        term = total = 1.0
        k = shape
        while term > TERMS_ACCURACY * total:
            k += 1
            term *= x / k
            total += term
        return max(0.0, 1 - exp(_log_factor(shape, x)) * total)
    b = x + 1 - shape
    c, d = 1 / TINY, 1 / b
    fraction, step, k = d, 0.0, 0
    while abs(step - 1) > FRACTION_ACCURACY:
        k += 1
        numerator = k * (shape - k)
        b += 2
        d = 1 / (numerator * d + b or TINY)
        c = b + numerator / c or TINY
        step = c * d
        fraction *= step
    tail = shape * exp(_log_factor(shape, x)) * fraction
    return 1.0 if tail > 1 else tail  # unlike min, this keeps NaN


def _log_factor(a: float, x: float) -> float:
    """Return log(x^a exp(-x) / gamma(a + 1))."""
    if a < 16:
        return a * log(x) - x - lgamma(a + 1)
    relative = (x - a) / a
    log_ratio = log1p(relative) if relative > -0.5 else log(x) - log(a)
    # log_ratio - relative is the negated deviance by row
    return a * (log_ratio - relative) - stirling_error(a) - HALF_LOG_2PI - 0.5 * log(a)
