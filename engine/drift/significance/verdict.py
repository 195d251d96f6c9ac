"""Decide whether a difference is significant, and measure the effect size beyond chance.

Pooled counts are those of both sides together, and the p-value is conditional on them. A *permutation of the labels*
assigns the labels "reference" and "batch" to the pooled rows at random, as many of each as before. Without drift all
permutations are equally likely, so the p-value is the share of permutations at least as extreme as the data. It is
exact for two categories. For more, it is computed from the exact moments of chi-squared if counts are large, else by a
saddlepoint approximation, and if neither applies, from random permutations. The asymptotic chi-squared test would not
suffice: with rare categories it alarms in up to 40 of 100 evaluations without drift, and pooling rare categories only
moves the error elsewhere.
"""

from collections.abc import Sequence
from hashlib import blake2b
from math import exp, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.drift.kernels.count_distances import measure_count_distances
from engine.drift.kernels.hypergeometric import expected_divergence_terms, fisher_exact_p
from engine.drift.kernels.label_permutations import draw_permutations
from engine.drift.kernels.saddlepoint import chi2_tail
from engine.drift.kernels.value_tables import Counts
from engine.drift.significance.chi_squared import gamma_tail
from engine.drift.significance.discrete_tails import log_ways

MAX_EXCEEDANCES = 50
"""Number of permutations at least as extreme as the data after which drawing stops (Besag and Clifford 1991)."""

MAX_DRAWS = 500_000
"""Maximum number of permutations per column: a p-value from draws is at least 2e-6, whatever the confidence."""

MAX_DRAWING_SECONDS = 0.1
"""Estimated drawing time per column above which the saddlepoint approximation is used if it applies."""

MAX_SHUFFLED_ROWS = 20_000_000
"""Maximum number of rows for shuffling labels one by one, which takes eight bytes per row."""

MIN_GAMMA_VARIANCE = 100.0
"""If the variance of every count is at least this, the gamma distribution with the exact mean and variance of
chi-squared gives the tail probability of chi-squared to within 3 %."""

MIN_SADDLEPOINT_OUTCOMES = 1e4
"""Fewest likely outcomes for the saddlepoint approximation: chi-squared is then continuous enough."""

TRUNCATION_DEPTHS = 16.0, 25.0
"""Counts less likely than exp(-depth) times the most likely count are left out of the cumulants. If the p-values for
the two depths differ, rare counts matter, and the approximation is used only if drawing permutations would take too
long or even the larger p-value is far below the level."""


def effect_size(r: Counts, b: Counts) -> float:
    """Return the effect size sqrt(max(0, (J - E) / (1 - E))), 0 to 1.

    J is the Jensen-Shannon divergence in bits between the shares of two sides, and E its mean over all permutations of
    the labels: the part explained by chance. E depends only on the pooled counts.

    Parameters
    ----------
    r, b
        Counts by category of the two sides, neither empty.
    """
    n, m = int(r.sum()), int(b.sum())
    pooled, times = np.unique((r + b)[(r + b) > 0], return_counts=True)
    chance = float((times * expected_divergence_terms(pooled, n, m)).sum())
    if chance > 1 - 1e-9:  # every permutation is as different as possible, so J cannot exceed chance
        return 0.0
    # of sides that share no category, 1 up to rounding
    return sqrt(min(1.0, max(0.0, (measure_count_distances(r, b)[2] - chance) / (1 - chance))))


BOUND_STEPS = 12
"""Number of bisections of the interval of possible differences: its width is then below 1/4000 of the observed
difference."""


def effect_lower_bound(r: Counts, b: Counts, level: float) -> float:
    """Return a lower bound of the effect size of the two populations, which holds with probability 1 - level.

    The populations between "no difference" and "as different as the samples" have the shares pooled + x * (observed -
    pooled), with x from 0 to 1. The bound is the effect size of the populations for which a divergence at least as
    large as the observed one has the probability `level` (a tilted test, inverted; Efron 1981). The divergence of
    samples from these populations is assumed to be distributed with these moments:

    - mean: that of the populations plus the part added by chance, which is the exact mean over permutations of each
      category, corrected for the unequal variances of the two sides;
    - variance: that of the linear terms (the delta method) plus that of chance, with the coefficient of variation of
      chi-squared over all permutations;
    - skewness: that of a noncentral chi-squared, by the first term of Cornish and Fisher (1937).

    Simulated with 2 to 200 categories, 50 to 100,000 rows and effects of 0.1 to 0.6, it held in 90 to 100 % of the
    draws (`tests/campaigns/calibration.py --bounds`).

    Parameters
    ----------
    r, b
        Counts by category of the two sides, neither empty.
    """
    either = (r + b) > 0
    r, b = r[either], b[either]
    pooled, n, m = r + b, int(r.sum()), int(b.sum())
    if len(pooled) < 2:
        return 0.0
    observed = measure_count_distances(r, b)[2]
    sizes, inverse = np.unique(pooled, return_inverse=True)
    chance = expected_divergence_terms(sizes, n, m)[inverse]
    mean, variance = permutation_moments(pooled, n)
    z = NormalDist().inv_cdf(1 - level)
    shares = pooled / (n + m)
    r_excess, b_excess = r / n - shares, b / m - shares
    low, high, divergence = 0.0, 1.0, 0.0
    for _ in range(BOUND_STEPS):
        x = (low + high) / 2
        p, q = shares + x * r_excess, shares + x * b_excess
        both = p + q
        # the derivatives of the divergence with respect to p and q, times 2
        p_gain, q_gain = np.log2(2 * p / both), np.log2(2 * q / both)
        p_part, q_part = float(p @ p_gain), float(q @ q_gain)
        linear = (float(p @ (p_gain * p_gain)) - p_part**2) / (4 * n) + (float(q @ (q_gain * q_gain)) - q_part**2) / (
            4 * m
        )
        # without a difference, the factor of every category is 1
        added = float(chance @ (2 * (q / n + p / m) / (both * (1 / n + 1 / m))))
        by_chance = added * added * variance / (mean * mean)
        total = max(by_chance + linear, 1e-300)
        skewness = (2 * by_chance + 3 * linear) * by_chance / max(added, 1e-300) / total**1.5
        quantile = z + (z * z - 1) / 6 * skewness
        if (p_part + q_part) / 2 + added + quantile * sqrt(total) <= observed:
            low, divergence = x, (p_part + q_part) / 2
        else:
            high = x
    return sqrt(max(0.0, divergence))


def smallest_p(pooled: Counts, n: int) -> float:
    """Return a lower bound of every possible p-value of `homogeneity_p`, whatever the labels of the pooled rows.

    A p-value is at least the probability of the observed table, which is smallest if the labels are as uneven as
    possible.

    Parameters
    ----------
    pooled
        Rows per category of both sides together.
    n
        Rows of one side.
    """
    pooled = pooled[pooled > 0]
    total = int(pooled.sum())
    n = min(n, total - n)
    if len(pooled) < 2:
        return 1.0
    # two bounds of the logarithm of the number of permutations that give a table
    fewest, most = int(pooled.min()), int(pooled.max())
    ways = log_ways(fewest, n) if n <= fewest else 0.0
    outside = extreme_counts(pooled, n)
    ways = max(ways, min(log_ways(most, n - k) for k in outside))
    return min(1.0, exp(ways - log_ways(total, n)))


def extreme_counts(pooled: Counts, n: int) -> tuple[int, int]:
    """Return the fewest and the most of `n` rows that may lie outside the largest category."""
    most = int(pooled.max())
    return max(0, n - most), min(int(pooled.sum()) - most, n)


def largest_divergence(pooled: Counts, n: int) -> float:
    """Return the largest Jensen-Shannon divergence, for any labels, between the largest category and all others."""
    total, most = int(pooled.sum()), int(pooled.max())
    n = min(n, total - n)
    divergences = [
        measure_count_distances(np.array([n - k, k]), np.array([most - n + k, total - most - k]))[2]
        for k in extreme_counts(pooled, n)
    ]
    return max(divergences)


def permutation_moments(pooled: Counts, n: int) -> tuple[float, float]:
    """Return the exact mean and variance of chi-squared over all permutations (Haldane 1940, Dawson 1954).

    Parameters
    ----------
    pooled
        Rows per category of both sides together, all positive.
    n
        Rows of one side.
    """
    total, k = int(pooled.sum()), len(pooled)
    m = total - n
    mean = total / (total - 1) * (k - 1)
    if total < 4:
        return mean, 0.0
    # Dawson's formula for a table of k categories and two sides of n and m rows
    v1, v2 = (k - 1) * (total - k) / (total - 1), (total - 2) / (total - 1)
    w1 = (float((total / pooled).sum()) - k * k) / (total - 2)
    w2 = (total / n + total / m - 4) / (total - 2)
    variance = 2 * total / (total - 3) * (v1 - w1) * (v2 - w2) + total * total / (total - 1) * w1 * w2
    return mean, max(0.0, variance)


def homogeneity_p(r: Counts, b: Counts, *, level: float, tests: int, seed: int, name: str) -> float:
    """Return the p-value of the hypothesis that both sides have the same shares, conditional on the pooled counts.

    It is exact for two categories. For more, it is the share of permutations with a chi-squared at least as large:
    approximated to a few percent where the accuracy can be verified, otherwise estimated from random permutations. A
    p-value far above the level comes from a fitted gamma distribution; one far below the level is an upper bound.

    Parameters
    ----------
    r, b
        Counts by category of the two sides, neither empty.
    level, tests
        The p-value will be compared with `level` after Holm's adjustment for `tests` columns. Enough permutations are
        drawn to be able to reach that level, and none if the decision is clear without them.
    seed, name
        Seed of the permutations and name of the column. The permutations depend on no other column, and not on the
        order of the categories.
    """
    pooled = r + b
    either = pooled > 0
    r, pooled = r[either], pooled[either]
    total, n = int(pooled.sum()), int(r.sum())
    if len(r) < 2:
        return 1.0
    if len(r) == 2:
        # Fisher's exact test: the hypergeometric distribution
        return fisher_exact_p(int(r[0]), int(pooled[0]), n, total - n)
    # chi-squared is the same for both sides; work with the smaller one
    if 2 * n > total:
        r, n = pooled - r, total - n
    share = n / total
    # for a 2 x k table chi-squared = sum (r - e)^2 / (e (1 - n / total)), where e = pooled * n / total
    expected = pooled * share
    statistic = float(((r - expected) ** 2 / (expected * (1 - share))).sum())
    mean, variance = permutation_moments(pooled, n)
    # chi-squared is the same for every permutation, such as with one row per category
    if variance <= 1e-12 * mean * mean:
        return 1.0
    # From cheap to expensive: the gamma distribution, Cantelli's bound, the saddlepoint approximation, and random
    # permutations. The gamma distribution with this mean and variance has shape mean^2 / variance and rate mean /
    # variance. It is used where it is accurate, or so far above the level (4 times) that its error cannot matter.
    gamma_p = gamma_tail(mean * mean / variance, statistic * mean / variance)
    variances = expected * (1 - share)
    if gamma_p > min(1.0, 4 * level) or variances.min() >= MIN_GAMMA_VARIANCE:
        return gamma_p
    # Holm compares the smallest p with level / tests: draw ten times the permutations needed to get below it
    draws = int(min(max(2_000, np.ceil(10 * tests / level)), MAX_DRAWS))
    excess = statistic - mean
    # Cantelli's inequality: P(X - mean >= excess) <= variance / (variance + excess^2). If the bound is below 1 / draws,
    # random permutations could not be more precise.
    bound = variance / (variance + excess * excess) if excess > 0 else 1.0
    if bound < 1 / draws:
        return bound
    # a permutation takes 4 ns per row (shuffled) or 150 ns per category (drawn); numpy draws from fewer than 1e9 rows
    seconds = draws * min(n * 4e-9 if total <= MAX_SHUFFLED_ROWS else np.inf, len(r) * 1.5e-7)
    too_slow = seconds > MAX_DRAWING_SECONDS or total >= 1_000_000_000
    # a count of variance v > 1 has about sqrt(v) likely values; their product is the number of likely outcomes
    if too_slow or np.log(variances[variances > 1]).sum() / 2 >= np.log(MIN_SADDLEPOINT_OUTCOMES):
        sizes, times = _group_similar_sizes(pooled)
        start = (1 - mean / statistic) * mean / variance
        p, p_deep = (chi2_tail(sizes, times, share, statistic, start, depth) for depth in TRUNCATION_DEPTHS)
        larger_p = float(np.fmax(p, p_deep))
        # the approximation holds if both depths agree, or if even the larger p is far below the level
        agree = abs(p - p_deep) <= 0.05 * p or 100 * larger_p < level / tests
        if (agree or too_slow) and 0 <= larger_p <= 1:
            return larger_p
    return _estimate_permutation_p(r, pooled, draws, seed, name) if total < 1_000_000_000 else bound


def _group_similar_sizes(pooled: Counts) -> tuple[Counts, Counts]:
    """Return category sizes and the number of categories of each size; sizes of 64 rows or more are grouped within 5 %.

    The size of a group is the mean of its categories. The cumulants of a category's part of chi-squared hardly depend
    on its size, so grouping changes p by at most 1e-3 of its value.
    """
    sizes, times = np.unique(pooled, return_counts=True)
    group = np.where(sizes < 64, sizes, np.floor(20 * np.log(sizes / 64)) + 64)
    first = np.flatnonzero(np.diff(group, prepend=-1))
    group_times = np.add.reduceat(times, first)
    return np.rint(np.add.reduceat(sizes * times, first) / group_times).astype(np.int64), group_times


def _estimate_permutation_p(r: Counts, pooled: Counts, draws: int, seed: int, name: str) -> float:
    """Return the sequential permutation p-value of Besag and Clifford (1991).

    Drawing stops at `MAX_EXCEEDANCES` permutations that are at least as extreme as the data; p is then exceedances
    divided by the draws so far. After all draws p = (exceedances + 1) / (draws + 1), which is never 0.
    """
    size = int(r.sum())
    # sorted, so that the result does not depend on the order of the categories
    order = np.argsort(pooled, kind="stable")
    r, pooled = r[order], pooled[order]
    weights = 1 / pooled
    # for fixed pooled counts chi-squared increases with sum(count^2 / pooled count) of either side; the factor lets
    # permutations with the same sum as the data exceed it in spite of rounding
    observed = float((r * r * weights).sum()) * (1 - 1e-12)
    state = int.from_bytes(blake2b(f"{seed} {name}".encode(), digest_size=8).digest())
    rng = np.random.default_rng(state)
    few_rows = size < 10 * len(pooled) and pooled.sum() <= MAX_SHUFFLED_ROWS
    categories = np.repeat(np.arange(len(pooled), dtype=np.int64), pooled) if few_rows else np.empty(0, np.int64)
    exceeding = done = 0
    block = 200
    while done < draws:
        block = min(block, draws - done)
        if few_rows:
            sums = draw_permutations(categories, weights, size, block, np.uint64(rng.integers(1 << 63)))
        else:
            counts = rng.multivariate_hypergeometric(pooled, size, size=block, method="marginals")
            sums = (counts * counts) @ weights
        hits = np.flatnonzero(sums >= observed)
        if exceeding + len(hits) >= MAX_EXCEEDANCES:
            return MAX_EXCEEDANCES / (done + int(hits[MAX_EXCEEDANCES - exceeding - 1]) + 1)
        exceeding += len(hits)
        done += block
        block = min(2 * block, max(1, 4_000_000 // len(pooled)))
    return (exceeding + 1) / (draws + 1)


class Family(NamedTuple):
    """Tests whose verdicts hold together: their adjusted p-values, and which of them can be significant at all.

    `tests` is the number of tests to which the others are compared: each of their p-values is at least level / tests.
    """

    adjusted: list[float]
    decidable: list[bool]
    tests: int


def select_decidable(smallest: Sequence[float], level: float) -> tuple[NDArray[np.bool_], int]:
    """Return which tests of a family can be significant at all, and the number of tests for which to adjust.

    `smallest` is the smallest possible p-value of each test, given its pooled counts. It does not depend on the labels,
    so tests may be excluded because of it without any adjustment (Tarone 1990): those for which it is not below level /
    k, for the smallest k such that at most k tests remain.
    """
    ordered = np.sort(np.asarray(smallest, np.float64))
    k = np.arange(1, len(ordered) + 1)
    staying = np.searchsorted(ordered, level / k, side="left")
    tests = int(k[np.argmax(staying <= k)]) if len(k) else 0
    return np.asarray(smallest, np.float64) < level / max(1, tests), tests
