"""Tails of the binomial and the hypergeometric distribution: the probability of at least so many hits by chance.

They are exact sums, from the largest term outwards, by the ratio of neighbouring probabilities. scipy.special has the
same, but its import takes .16 s.
"""

from math import exp, lgamma, log, log1p

import numpy as np


def hypergeometric_tail(hits: int, rows: int, marked: int, drawn: int) -> float:
    """Return the probability of at least `hits` marked rows among `drawn`, if `marked` of all `rows` are marked."""
    if hits > min(marked, drawn):
        return 0.0
    if hits <= marked * drawn / rows:
        return 1 - hypergeometric_tail(drawn - hits + 1, rows, rows - marked, drawn)
    j = np.arange(hits, min(marked, drawn), dtype=np.float64)
    ratios = (marked - j) * (drawn - j) / ((j + 1) * (rows - marked - drawn + j + 1))
    log_first = log_ways(marked, hits) + log_ways(rows - marked, drawn - hits) - log_ways(rows, drawn)
    return min(1.0, exp(log_first) * (1 + float(np.cumprod(ratios).sum())))


def log_ways(n: int, k: int) -> float:
    """Return the logarithm of the binomial coefficient "n choose k"."""
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def binomial_tail(hits: int, rows: int, share: float) -> float:
    """Return the probability of at least `hits` > 0 hits in `rows` rows, each one with probability 0 < `share` < 1."""
    if share > hits / rows:
        return 1 - binomial_tail(rows - hits + 1, rows, 1 - share)
    j = np.arange(hits, rows, dtype=np.float64)
    ratios = (rows - j) / (j + 1) * (share / (1 - share))
    log_first = log_ways(rows, hits) + hits * log(share) + (rows - hits) * log1p(-share)
    return exp(log_first) * (1 + float(np.cumprod(ratios).sum()))


def lower_bound(hits: int, rows: int, confidence: float) -> float:
    """Return the one-sided lower bound of the share of hits by Clopper & Pearson 1934.

    It is the share for which at least this many hits have the probability 1 - confidence; 0 without a hit.
    """
    low, high = 0.0, float(hits > 0)
    while low < (middle := (low + high) / 2) < high:
        if binomial_tail(hits, rows, middle) < 1 - confidence:
            low = middle
        else:
            high = middle
    return high
