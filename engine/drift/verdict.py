"""Whether a difference is more than chance, and how large it is beyond what chance explains.

The asymptotic chi-squared alarms in up to 40 of 100 drift-free evaluations where categories are rare, and pooling
rare ones only moves the fault. So the p-value here is conditional on the pooled counts: exact for two categories, and
for more the share of exchanges of the labels "reference" and "batch" that are as extreme. Where counts are large that
share follows from its exact moments, elsewhere by a saddlepoint approximation, and where neither holds by drawing.
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
from engine.drift.kernels.saddlepoint import chi2_tail

EXCEEDANCES = 50
"""Relabellings at least as extreme as the data after which drawing stops (Besag and Clifford 1991)."""

MOST_DRAWS = 500_000
"""Relabellings of one column at most: no p is drawn that is finer than 2e-6, whatever the confidence asked for."""

MOST_SECONDS = 0.1
"""Time for which one column's relabellings are drawn at most where the saddlepoint has an answer."""

MOST_SHUFFLED = 20_000_000
"""Rows whose labels are shuffled one by one: eight bytes each."""

LARGE = 100.0
"""Variance of every count from which a gamma with chi-squared's exact mean and variance has its tail, to 3 %."""

OUTCOMES = 1e4
"""Likely counts, all categories together, from which chi-squared is as good as continuous for the saddlepoint."""

DEPTHS = 16.0, 25.0
"""Counts less likely than exp(-depth) are left out of cumulants; where the two p differ, rare counts decide."""


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

    Exact for two categories. For more, the share of labellings with as large a chi-squared: approximated to a few
    hundredths of itself where that can be shown, else found by drawing labellings; where the level is far off on one
    side, the fitted gamma's p, on the other, a certain upper bound.

    Parameters
    ----------
    r, b
        Counts by category of the two sides, neither empty.
    level, tests
        The p is to be judged at `level` after Holm's correction over `tests` columns: enough labellings are drawn
        that it can pass, and none where it clearly cannot, or must.
    seed, name
        Of the draws, which depend neither on the other columns nor on the order of the categories.
    """
    pooled = r + b
    either = pooled > 0
    r, pooled = r[either], pooled[either]
    total, n = int(pooled.sum()), int(r.sum())
    if len(r) < 2:
        return 1.0
    if len(r) == 2:
        return two_category_p(int(r[0]), int(pooled[0]), n, total - n)
    if 2 * n > total:
        r, n = pooled - r, total - n
    share = n / total
    expected = pooled * share
    statistic = float(((r - expected) ** 2 / (expected * (1 - share))).sum())
    mean, variance = permutation_moments(pooled, n)
    if variance <= 1e-12 * mean * mean:
        return 1.0
    guess = float(gammaincc(mean * mean / variance, statistic * mean / variance))
    variances = expected * (1 - share)
    if guess > min(1.0, 4 * level) or variances.min() >= LARGE:
        return guess
    draws = int(min(max(2_000, np.ceil(10 * tests / level)), MOST_DRAWS))
    excess = statistic - mean
    bound = variance / (variance + excess * excess) if excess > 0 else 1.0  # Cantelli's inequality
    if bound < 1 / draws:
        return bound
    # each labelling takes 4 ns a row, or 150 ns a category; numpy draws from less than a billion rows
    seconds = draws * min(n * 4e-9 if total <= MOST_SHUFFLED else np.inf, len(r) * 1.5e-7)
    long = seconds > MOST_SECONDS or total >= 1_000_000_000
    if long or np.log(variances[variances > 1]).sum() / 2 >= np.log(OUTCOMES):
        sizes, times = _by_size(pooled)
        start = (1 - mean / statistic) * mean / variance
        p, deeper = (chi2_tail(sizes, times, share, statistic, start, depth) for depth in DEPTHS)
        wider = float(np.fmax(p, deeper))
        agree = abs(p - deeper) <= 0.05 * p or 100 * wider < level / tests
        if (agree or long) and 0 <= wider <= 1:
            return wider
    return _drawn_p(r, pooled, draws, seed, name) if total < 1_000_000_000 else bound


def _by_size(pooled: Counts) -> tuple[Counts, Counts]:
    """Return how many categories have how many rows; from 64 rows on, those within 5 % of each other count as equal.

    The cumulants of a category's part of chi-squared hardly depend on its size: p changes by 1e-3 of itself at most.
    """
    sizes, times = np.unique(pooled, return_counts=True)
    alike = np.where(sizes < 64, sizes, np.floor(20 * np.log(sizes / 64)) + 64)
    first = np.flatnonzero(np.diff(alike, prepend=-1))
    together = np.add.reduceat(times, first)
    return np.rint(np.add.reduceat(sizes * times, first) / together).astype(np.int64), together


def _drawn_p(r: Counts, pooled: Counts, draws: int, seed: int, name: str) -> float:
    """Besag and Clifford's sequential p: exceedances over draws, stopped early; never below 1/(draws + 1)."""
    size = int(r.sum())
    order = np.argsort(pooled, kind="stable")
    r, pooled = r[order], pooled[order]
    weights = 1 / pooled
    # given the pooled counts, chi-squared grows with sum(count^2 / pooled count) of either side
    observed = float((r * r * weights).sum()) * (1 - 1e-12)
    state = int.from_bytes(blake2b(f"{seed} {name}".encode(), digest_size=8).digest())
    rng = np.random.default_rng(state)
    few_rows = size < 10 * len(pooled) and pooled.sum() <= MOST_SHUFFLED
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
