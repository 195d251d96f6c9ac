"""Whether a difference is more than chance, and how large it is beyond what chance explains.

The asymptotic chi-squared alarms in up to 40 of 100 drift-free evaluations where categories are rare, and pooling
rare ones only moves the fault. So the p-value here is conditional on the pooled counts: exact for two categories,
else found by exchanging the labels "reference" and "batch" at random, as often as the question needs.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

from engine.drift.kernels.counting import Counts
from engine.drift.kernels.distances import distances
from engine.drift.kernels.hypergeometric import expected_divergence, two_category_p
from engine.drift.kernels.relabelling import relabelled

EXCEEDANCES = 50
"""Relabellings at least as extreme as the data after which drawing stops (Besag and Clifford 1991)."""

MOST_DRAWS = 500_000
"""Relabellings of one column at most: no p is drawn that is finer than 2e-6, whatever the confidence asked for."""


def effect(r: Counts, b: Counts) -> float:
    """Return the excess divergence: sqrt(max(0, (J - E)/(1 - E))), E the mean of J over all labellings; 0 to 1."""
    n, m = int(r.sum()), int(b.sum())
    pooled, times = np.unique((r + b)[(r + b) > 0], return_counts=True)
    chance = expected_divergence(pooled, times, n, m)
    if chance > 1 - 1e-9:  # every labelling is as different as can be
        return 0.0
    return float(np.sqrt(max(0.0, (distances(r, b)[2] - chance) / (1 - chance))))


def permutation_moments(pooled: Counts, n: int) -> tuple[float, float]:
    """Return the exact mean and variance of chi-squared over all labellings (Haldane 1940, Dawson 1954)."""
    total, k = int(pooled.sum()), len(pooled)
    m = total - n
    mean = total / (total - 1) * (k - 1)
    if total < 4:
        return mean, 0.0
    v1, v2 = (k - 1) * (total - k) / (total - 1), (total - 2) / (total - 1)
    w1 = (float((total / pooled).sum()) - k * k) / (total - 2)
    w2 = (total / n + total / m - 4) / (total - 2)
    variance = 2 * total / (total - 3) * (v1 - w1) * (v2 - w2) + total * total / (total - 1) * w1 * w2
    return mean, max(0.0, variance)


def homogeneity_p(r: Counts, b: Counts, *, level: float, tests: int, seed: int, name: str) -> float:
    """Return the p-value of "both sides have the same shares", conditional on the pooled counts.

    Exact for two categories. For more, the share of labellings with as large a chi-squared, found by drawing them;
    where the level is far off on one side, the fitted gamma's p, on the other, a certain upper bound.

    Parameters
    ----------
    r, b
        Counts by category of the two sides, neither empty.
    level, tests
        The p is to be judged at `level` after Holm's correction over `tests` columns: enough labellings are drawn
        that it can pass, and none where it clearly cannot, or must.
    seed, name
        Of the draws, which do not depend on the other columns.
    """
    either = (r + b) > 0
    r, b = r[either], b[either]
    n, m = int(r.sum()), int(b.sum())
    if len(r) < 2:
        return 1.0
    if len(r) == 2:
        return float(two_category_p(int(r[0]), int(r[0] + b[0]), n, m))
    statistic = distances(r, b)[6]
    mean, variance = permutation_moments(r + b, n)
    if variance <= 1e-12 * mean * mean:
        return 1.0
    # a gamma with the exact mean and variance: good enough to see that the level is far off
    guess = float(gammaincc(mean * mean / variance, statistic * mean / variance))
    if guess > min(1.0, 4 * level):
        return guess
    draws = int(min(max(2_000, np.ceil(10 * tests / level)), MOST_DRAWS))
    excess = statistic - mean
    bound = variance / (variance + excess * excess) if excess > 0 else 1.0  # Cantelli's inequality
    if bound < 1 / draws:
        return bound
    return _drawn_p(r, b, draws, seed, name)


def _drawn_p(r: Counts, b: Counts, draws: int, seed: int, name: str) -> float:
    """Besag and Clifford's sequential p: exceedances over draws, stopped early; never below 1/(draws + 1)."""
    pooled = r + b
    small = r if r.sum() <= b.sum() else b
    size = int(small.sum())
    weights = 1 / pooled
    # given the pooled counts, chi-squared grows with sum(count^2 / pooled count) of either side
    observed = float((small * small * weights).sum()) * (1 - 1e-12)
    state = int.from_bytes(blake2b(f"{seed} {name}".encode(), digest_size=8).digest())
    rng = np.random.default_rng(state)
    few_rows = size < 10 * len(pooled)
    labels = np.repeat(np.arange(len(pooled), dtype=np.int64), pooled) if few_rows else np.empty(0, np.int64)
    exceeding = done = 0
    block = 200
    while done < draws:
        block = min(block, draws - done)
        if few_rows:
            sums = relabelled(labels, weights, size, block, np.uint64(rng.integers(1 << 63)))
        else:
            counts = rng.multivariate_hypergeometric(pooled, size, size=block, method="marginals")
            sums = (counts * counts) @ weights
        hits = np.flatnonzero(sums >= observed)
        if exceeding + len(hits) >= EXCEEDANCES:
            return EXCEEDANCES / (done + int(hits[EXCEEDANCES - exceeding - 1]) + 1)
        exceeding += len(hits)
        done += block
        block = min(2 * block, max(1, 4_000_000 // len(pooled)))
    return (exceeding + 1) / (draws + 1)


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Return the p-values adjusted for their number (Holm 1979): reject where the result is below the level."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    result = np.empty_like(p)
    result[order] = adjusted
    return result
