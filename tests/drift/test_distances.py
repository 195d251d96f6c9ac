"""Distances of counts against scipy, whole fractions and closed forms."""

from fractions import Fraction
from math import log, sqrt

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from engine.drift.kernels.count_distances import divergence_gain, log_ratio
from engine.drift.statistics.binned_distances import measure_binned_distances

counts = st.one_of(st.integers(0, 5), st.integers(0, 10**6))
tables = st.integers(1, 12).flatmap(
    lambda k: st.tuples(*(st.lists(counts, min_size=k, max_size=k).filter(any) for _ in range(2)))
)


def found(r, b):
    return measure_binned_distances(np.array(r), np.array(b))


@given(tables)
def test_distances_are_their_textbook_formulas(table):
    r, b = (np.array(side) for side in table)
    p, q = r / r.sum(), b / b.sum()
    d = found(r, b)
    assert d["js"] == pytest.approx(jensenshannon(p, q, base=2), rel=1e-9, abs=1e-7)
    assert d["hellinger"] == pytest.approx(np.linalg.norm(np.sqrt(p) - np.sqrt(q)) / sqrt(2), rel=1e-12, abs=1e-12)
    assert d["total_variation"] == pytest.approx(np.abs(p - q).sum() / 2, rel=1e-12, abs=1e-15)
    assert d["l_infinity"] == pytest.approx(np.abs(p - q).max(), rel=1e-12, abs=1e-15)


@given(tables)
def test_psi_fills_what_is_empty_on_one_side(table):
    r, b = (np.array(side, float) for side in table)
    either = (r + b) > 0
    r, b = np.where(r == 0, 0.5, r)[either], np.where(b == 0, 0.5, b)[either]
    p, q = r / r.sum(), b / b.sum()
    assert found(*table)["psi"] == pytest.approx(((q - p) * np.log(q / p)).sum(), rel=1e-12, abs=1e-15)


@given(tables)
def test_chi2_is_scipys(table):
    both = np.array(table)[:, np.sum(table, axis=0) > 0]
    assume(both.shape[1] > 1)
    expected = stats.chi2_contingency(both, correction=False)
    d = found(*table)
    # scipy subtracts expected counts: where they nearly equal the counts, it is scipy that loses digits
    assert d["chi2"] == pytest.approx(expected.statistic, rel=1e-12, abs=1e-9)
    assert d["chi2_p"] == pytest.approx(expected.pvalue, rel=1e-9)


@given(tables)
def test_chi2_of_whole_numbers_loses_no_digit(table):
    n, m = (sum(side) for side in table)
    exact = sum(Fraction((x * m - y * n) ** 2, (x + y) * n * m) for x, y in zip(*table, strict=True) if x + y)
    assert found(*table)["chi2"] == pytest.approx(float(exact), rel=1e-14)


@given(st.integers(100, 10**9), st.integers(1, 5))
def test_the_divergence_of_nearly_equal_shares_keeps_its_digits(n, moved):
    """Shares (1 + x)/2 and (1 - x)/2 on one side, the reverse on the other: x^2/2 + x^4/12 + x^6/30 + ... nats."""
    x = moved / n
    nats = x**2 / 2 + x**4 / 12 + x**6 / 30 + x**8 / 56
    sides = [n + moved, n - moved], [n - moved, n + moved]
    assert found(*sides)["js"] == pytest.approx(sqrt(nats / log(2)), rel=1e-13)


@given(st.floats(-1, 1))
def test_gain_is_its_formula(d):
    exact = sum(x * log(x) for x in (1 + d, 1 - d) if x > 0)
    assert divergence_gain(d) == pytest.approx(exact, rel=1e-12, abs=2e-16)


@pytest.mark.parametrize("d", [1e-9, 1e-4, 0.03, 0.0999, 0.1001, 0.3])
def test_gain_has_all_digits_of_its_series(d):
    series = sum(Fraction(d) ** (2 * k) / (k * (2 * k - 1)) for k in range(1, 60))
    assert divergence_gain(d) == pytest.approx(float(series), rel=1e-14 if d < 0.1 else 1e-13)
    assert divergence_gain(-d) == divergence_gain(d)


@pytest.mark.parametrize("d", [1e-9, 1e-4, 0.03, 0.0999, 0.1001, 0.3])
def test_log_ratio_has_all_digits_of_its_series(d):
    series = 2 * sum(Fraction(d) ** k / k for k in range(1, 120, 2))
    assert log_ratio(1 + d, 1 - d, 2 * d) == pytest.approx(float(series), rel=1e-14 if d < 0.1 else 1e-13)


@given(tables, st.randoms(use_true_random=False))
def test_neither_order_nor_sides_matter(table, random):
    r, b = table
    order = random.sample(range(len(r)), len(r))
    once = found(r, b)
    assert found([r[i] for i in order], [b[i] for i in order]) == pytest.approx(once, rel=1e-12)
    assert found(b, r) == pytest.approx(once, rel=1e-12)


def test_the_ends_of_the_scale():
    same, disjoint = found([3, 0, 9], [1, 0, 3]), found([5, 0], [0, 7])
    assert [same[x] for x in ("psi", "js", "hellinger", "total_variation", "l_infinity", "chi2")] == [0] * 6
    assert (same["chi2_p"], same["cramers_v"]) == (1, 0)
    assert [disjoint[x] for x in ("js", "hellinger", "total_variation", "l_infinity")] == [1] * 4
    assert disjoint["chi2"] == pytest.approx(12)
    assert found([4], [9])["chi2_p"] == 1


def test_cramers_v_of_a_known_table():
    """Bergsma's correction worked out by hand."""
    d = found([30, 10, 5], [10, 20, 25])
    phi2 = d["chi2"] / 100 - 2 / 99
    assert d["cramers_v"] == pytest.approx(sqrt(phi2 / (min(2 - 1 / 99, 3 - 4 / 99) - 1)))
