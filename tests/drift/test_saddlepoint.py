"""The saddlepoint tail of chi-squared against enumeration and long draws, at the p-values that verdicts turn on."""

from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from engine.drift.kernels.saddlepoint import chi2_tail
from engine.drift.significance.verdict import TRUNCATION_DEPTHS, homogeneity_p, permutation_moments


def tail(pooled, n, statistic, depth=TRUNCATION_DEPTHS[0]):
    sizes, times = np.unique(pooled, return_counts=True)
    mean, variance = permutation_moments(pooled, n)
    start = (1 - mean / statistic) * mean / variance
    return chi2_tail(sizes, times, n / pooled.sum(), statistic, start, depth)


def drawn(pooled, n, draws, seed=0):
    """Chi-squared of many permutations, ascending, and the permutations."""
    rng = np.random.default_rng(seed)
    counts = rng.multivariate_hypergeometric(pooled, n, size=draws, method="marginals")
    expected = pooled * (n / pooled.sum())
    chi2 = ((counts - expected) ** 2 / (expected * (1 - n / pooled.sum()))).sum(axis=1)
    order = np.argsort(chi2)
    return chi2[order], counts[order]


def shares(kind, k):
    weights = {
        "even": np.ones(k),
        "zipf": 1 / np.arange(1, k + 1),
        "flag": np.where(np.arange(k) == 0, 500 * k, 1),
    }[kind]
    return weights / weights.sum()


@pytest.mark.parametrize(("pooled", "n"), [([33, 28, 24, 31], 50), ([13, 12, 14, 15, 17], 26), ([9, 8, 9, 10, 8], 21)])
def test_the_tail_of_small_tables_is_that_of_all_permutations(pooled, n):
    """Near the mid-p, as a continuous approximation of a lattice is; of few categories it is rather too large."""
    pooled = np.array(pooled)
    share = n / pooled.sum()
    expected = pooled * share
    found = {}
    for counts in product(*(range(t + 1) for t in pooled[:-1])):
        last = n - sum(counts)
        if 0 <= last <= pooled[-1]:
            r = np.array([*counts, last])
            ways = 1.0
            for t, c in zip(pooled, r, strict=True):
                ways *= comb(int(t), int(c))
            chi2 = round(float(((r - expected) ** 2 / (expected * (1 - share))).sum()), 9)
            found[chi2] = found.get(chi2, 0) + ways / comb(int(pooled.sum()), n)
    beyond = 0.0
    compared = 0
    for chi2 in sorted(found, reverse=True):
        middle = beyond + found[chi2] / 2
        beyond += found[chi2]
        if 2e-4 < middle < 0.1 and found[chi2] < 0.1 * middle:
            assert 0.93 <= tail(pooled, n, chi2) / middle <= 1.2
            compared += 1
    assert compared > 10


@pytest.mark.parametrize("kind", ["even", "zipf"])
@pytest.mark.parametrize(
    ("k", "n", "times", "draws"),
    [(3, 2_000, 1, 200_000), (11, 1_000, 1, 200_000), (30, 3_000, 100, 60_000), (500, 2_000, 20, 4_000)],
)
def test_the_tail_is_that_of_long_draws(kind, k, n, times, draws):
    rng = np.random.default_rng(k)
    pooled = rng.multinomial(n, shares(kind, k)) + rng.multinomial(n * times, shares(kind, k))
    pooled = pooled[pooled > 0]
    chi2, _ = drawn(pooled, n, draws)
    for p in (0.1, 0.02, 0.002):
        if p * draws >= 80:
            x = chi2[int(draws * (1 - p))]
            exceeding = (chi2 >= x).mean()
            assert tail(pooled, n, x) == pytest.approx(exceeding, rel=0.06 + 4 / np.sqrt(p * draws))


def test_the_tail_of_large_even_counts_is_that_of_chi2_far_out():
    """To the error of the formula itself, which is largest for few degrees of freedom."""
    for k, error in ((3, 0.12), (11, 0.02), (200, 0.001)):
        pooled = np.full(k, 10**8)
        for p in (0.05, 1e-3, 1e-5):
            x = stats.chi2.isf(p, k - 1)
            assert tail(pooled, 10**8 * k // 2, x, depth=40.0) == pytest.approx(p, rel=error)


@given(st.lists(st.integers(5, 400), min_size=4, max_size=12), st.floats(0.2, 0.5), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_the_tail_falls(pooled, share, random):
    pooled = np.array(pooled)
    n = max(1, int(share * pooled.sum()))
    k = len(pooled)
    p = np.array([tail(pooled, n, x) for x in np.linspace(1.5 * k, 3 * k, 5)])
    shuffled = np.array(random.sample(pooled.tolist(), k))
    assert tail(shuffled, n, 1.5 * k) == pytest.approx(p[0], nan_ok=True)
    known = p[np.isfinite(p)]
    assert (np.diff(known[known > 1e-3]) < 0).all()


def test_beyond_the_largest_chi2_there_is_no_answer():
    assert np.isnan(tail(np.array([3, 4, 5]), 6, 500.0))


@pytest.mark.parametrize("kind", ["even", "zipf", "flag"])
@pytest.mark.parametrize(
    ("k", "n", "times"), [(3, 60, 1), (4, 400, 50), (11, 100, 1_000), (12, 5_000, 1), (300, 300, 5)]
)
def test_the_level_is_held_whatever_way_p_was_found(kind, k, n, times):
    """Of the chance tables in the upper tail as many as should have a p at or below the level, or fewer."""
    rng = np.random.default_rng([k, n])
    level, among, looked_at = 0.05, 0.15, 300
    pooled = rng.multinomial(n, shares(kind, k)) + rng.multinomial(n * times, shares(kind, k))
    pooled = pooled[pooled > 0]
    _, counts = drawn(pooled, n, 20_000)
    upper = rng.permutation(counts[-int(20_000 * among) :])[:looked_at]
    rejected = sum(
        homogeneity_p(r, pooled - r, level=level, tests=1, seed=i, name="x") <= level for i, r in enumerate(upper)
    )
    assert rejected <= stats.binom.ppf(0.999, looked_at, 1.05 * level / among)
