"""The p of the Kolmogorov-Smirnov distance against scipy, and its kernels against counting path by path."""

from fractions import Fraction
from itertools import product
from math import comb

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from engine.drift.kernels.ks_distribution import one_sided_p, outer_path_share, outer_path_share_of_square
from engine.drift.significance.ks_test import ks_p_value, one_sample_ks_p


def _share_outside(n, m, gap):
    """Count paths one by one."""
    inside = {(0, 0): 1}
    for x, y in product(range(n + 1), range(m + 1)):
        if (x, y) != (0, 0):
            outside = abs(x * m - y * n) >= gap
            inside[x, y] = 0 if outside else inside.get((x - 1, y), 0) + inside.get((x, y - 1), 0)
    return 1 - Fraction(inside[n, m], comb(n + m, n))


@given(st.integers(1, 14), st.integers(1, 14), st.data())
def test_outer_path_share_counts_paths(n, m, data):
    gap = data.draw(st.integers(1, n * m))
    assert outer_path_share(n, m, gap) == pytest.approx(float(_share_outside(n, m, gap)), rel=1e-12)


@given(st.integers(1, 20), st.data())
def test_the_share_of_a_square_is_that_of_its_paths(n, data):
    steps = data.draw(st.integers(1, n))
    assert outer_path_share_of_square(n, steps) == pytest.approx(float(_share_outside(n, n, steps * n)), rel=1e-12)


def test_small_probabilities_keep_their_digits():
    assert outer_path_share(20, 20, 400) == pytest.approx(2 / comb(40, 20), rel=1e-13)
    assert outer_path_share_of_square(200, 200) == pytest.approx(2 / comb(400, 200), rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 9), (7, 5), (60, 60), (300, 200), (2_000, 70), (901, 900)])
def test_p_is_scipys_exact_one(n, m):
    rng = np.random.default_rng(n)
    for shift in (0, 0.1, 0.3, 1):
        a, b = rng.normal(size=n), rng.normal(shift, 1, m)
        expected = stats.ks_2samp(a, b, method="exact")
        assert ks_p_value(round(expected.statistic * n * m), n, m) == pytest.approx(expected.pvalue, rel=1e-9)


def test_the_line_between_exact_and_approximate_is_scipys():
    rng = np.random.default_rng(0)
    for n in (10_000, 10_001):
        found = stats.ks_2samp(rng.normal(size=400), rng.normal(0.1, 1, n))
        assert ks_p_value(round(found.statistic * 400 * n), 400, n) == pytest.approx(found.pvalue, rel=1e-9)


@pytest.mark.parametrize("m", [9_999, 10_001, 900_000])
def test_p_of_one_row_beyond_all_others_is_exact(m):
    # the one row is the first or the last of m + 1
    assert ks_p_value(m, 1, m) == pytest.approx(2 / (m + 1), rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(1_000_000, 900_000), (2_000_003, 100), (30_000, 29_000_000), (10**9, 10**8)])
@pytest.mark.parametrize("distance", [0.2, 0.7, 1.36, 2.4, 4.5])
def test_p_of_many_rows_is_scipys_approximation(n, m, distance):
    effective = n * m / (n + m)
    gap = int(distance / np.sqrt(effective) * n * m)
    expected = stats.kstwo.sf(gap / (n * m), round(effective))
    assert ks_p_value(gap, n, m) == pytest.approx(expected, rel=1e-5 if effective > 1e7 else 1e-9)


@given(st.integers(1, 20_000), st.floats(0.01, 30))
def test_the_one_sample_distribution_is_scipys(n, squared):
    assume(min(abs(squared - 2.2), abs(squared - 4)) > 1e-9)  # scipy changes formulas there, by a 2e-5th of p
    d = np.sqrt(squared / n)
    assert one_sample_ks_p(n, d) == pytest.approx(stats.kstwo.sf(d, n), rel=1e-9)


@given(st.integers(1, 30_000), st.floats(0.001, 0.999))
def test_the_one_sided_distribution_is_scipys(n, d):
    expected = stats.ksone.sf(d, n)
    assume(n < 8_192 or expected < 0.5)
    assert one_sided_p(n, d) == pytest.approx(expected, rel=1e-9, abs=1e-290)


@settings(max_examples=25)
@given(st.integers(1, 10**9), st.integers(1, 10**9), st.floats(0, 1))
def test_p_is_a_probability_whichever_side_is_which(n, m, distance):
    gap = int(distance * n * m)
    p = ks_p_value(gap, n, m)
    assert 0 <= p <= 1
    assert ks_p_value(gap, m, n) == p


def test_p_falls_as_the_distance_grows():
    for n, m in ((30, 50), (4_000, 4_000), (100, 50_000), (10**6, 10**5)):
        p = [ks_p_value(int(d * n * m), n, m) for d in np.linspace(0, 1, 60)]
        assert (np.diff(p) <= 1e-12).all()
        assert (p[0], p[-1] < 1e-12) == (1, True)


def test_samples_without_a_difference_have_the_p_value_1():
    assert ks_p_value(0, 5, 7) == 1.0
