"""Binomial probabilities to full relative accuracy for any number of rows.

With a billion rows, a difference of log factorials (`lgamma`) has five correct digits left. The deviance form of
Loader, Fast and Accurate Computation of Binomial Probabilities (2000), has fourteen.
"""

from math import log, log1p

from engine.drift.kernels.lazy import helper

HALF_LOG_2PI = 0.9189385332046727

LOG_FACTORIALS = (
    0.0,
    0.0,
    0.6931471805599453,
    1.791759469228055,
    3.1780538303479458,
    4.787491742782046,
    6.579251212010101,
    8.525161361065413,
    10.60460290274525,
    12.80182748008147,
    15.104412573075518,
    17.502307845873887,
    19.98721449566189,
    22.55216385312342,
    25.19122118273868,
    27.89927138384089,
)
"""Logs of the factorials of 0 to 15, as glibc computes them: the last digits of `lgamma` differ between Python and
numba."""


@helper("f8(f8)")
def stirling_error(k: float) -> float:
    """Return log(k!) minus Stirling's approximation (k + 1/2) log k - k + log(2 pi) / 2, for whole numbers k >= 1."""
    if k < 16:
        return LOG_FACTORIALS[int(k)] - (k + 0.5) * log(k) + k - HALF_LOG_2PI
    # the asymptotic series 1/(12 k) - 1/(360 k^3) + 1/(1260 k^5) - 1/(1680 k^7), by Horner's rule
    k2 = k * k
    return (1 / 12 - (1 / 360 - (1 / 1260 - 1 / 1680 / k2) / k2) / k2) / k


@helper("f8(f8, f8, f8)")
def log_binomial(k: float, t: float, excess: float) -> float:
    """Return log P(X = k) of a binomial X of t > 0 trials with probability k/t + `excess`, which is not 0 or 1.

    The probability is given by its difference from the observed fraction k/t, because the caller can compute this
    difference with more digits than the sum has.
    """
    if k == 0:
        return t * log1p(-excess)
    if k == t:
        return t * log1p(excess)
    # with x = k/t and p = x + excess: t * (x log(p/x) + (1 - x) log((1 - p)/(1 - x))), the negated binomial deviance
    x = k / t
    deviance = t * (x * log1p(excess / x) + (1 - x) * log1p(-excess / (1 - x)))
    corrections = stirling_error(t) - stirling_error(k) - stirling_error(t - k)
    return corrections + deviance - HALF_LOG_2PI - 0.5 * log(k * (1 - x))
