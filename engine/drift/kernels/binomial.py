"""Binomial probabilities to full relative accuracy for any number of rows: no factorials are subtracted.

From lgamma a probability among a billion rows has five digits; by Loader's (2000) deviance form it has fourteen.
"""

from math import lgamma, log, log1p

from numba import njit

HALF_LOG_2PI = 0.9189385332046727


@njit("f8(f8)", cache=True, nogil=True)
def stirling_error(k: float) -> float:
    """Return log(k!) less Stirling's approximation (k + 1/2) log k - k + log(2 pi) / 2."""
    if k < 16:
        return lgamma(k + 1.0) - (k + 0.5) * log(k) + k - HALF_LOG_2PI
    k2 = k * k
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / k2) / k2) / k2) / k


@njit("f8(f8, f8, f8)", cache=True, nogil=True)
def log_binomial(k: float, t: float, excess: float) -> float:
    """Return the log of the binomial probability of k among t > 0, each of probability k/t + `excess`, not 0 nor 1."""
    if k == 0:
        return t * log1p(-excess)
    if k == t:
        return t * log1p(excess)
    x = k / t
    deviance = t * (x * log1p(excess / x) + (1 - x) * log1p(-excess / (1 - x)))
    corrections = stirling_error(t) - stirling_error(k) - stirling_error(t - k)
    return corrections + deviance - HALF_LOG_2PI - 0.5 * log(k * (1 - x))
