"""Every kernel against a naive, obviously right twin."""

import subprocess
import sys
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from itertools import product
from math import comb, factorial, log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from engine.drift.distributions.quantile_grid import QuantileGrid
from engine.drift.kernels.binomial import log_binomial, stirling_error
from engine.drift.kernels.grid_positions import find_buckets, to_images
from engine.drift.kernels.hypergeometric import (
    divergence_term,
    expected_divergence_term,
    expected_divergence_terms,
    fisher_exact_p,
)
from engine.drift.kernels.label_permutations import draw_permutations
from engine.drift.kernels.value_tables import count_distinct_sorted, merge_tables


def test_kernels_run_and_leave_nothing_if_nothing_can_be_cached(tmp_path):
    """An account without a home directory, as containers have: HOME is a file."""
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.touch()
    temporary.mkdir()
    code = "from engine.drift.kernels.text_merge import merge_texts; merge_texts.compile(0); "
    code += "import numba, pathlib; print(pathlib.Path(numba.config.CACHE_DIR).is_dir())"
    environment = {"HOME": str(home), "TMPDIR": str(temporary), "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    assert list(temporary.iterdir()) == []


floats = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, np.inf, -np.inf, 5e-324, 1e308]), st.floats(allow_nan=False, allow_subnormal=True)
)
integers = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**53, 2**53 + 1])


def arrays(values):
    return st.one_of(
        st.lists(values[0], max_size=30).map(lambda x: np.sort(np.array(x, np.float64) + 0.0)),
        st.lists(values[1], max_size=30).map(lambda x: np.sort(np.array(x, np.int64))),
    )


@given(arrays((floats, integers)))
def test_runs_counts_distinct_values(ordered):
    values, counts = count_distinct_sorted(ordered)
    expected = np.unique(ordered, return_counts=True)
    np.testing.assert_array_equal(values, expected[0])
    np.testing.assert_array_equal(counts, expected[1])


@given(st.lists(floats, max_size=30), st.lists(floats, max_size=30))
def test_align_lays_two_tables_side_by_side(a, b):
    tables = [count_distinct_sorted(np.sort(np.array(x, np.float64) + 0.0)) for x in (a, b)]
    values, of_a, of_b = merge_tables(*tables[0], *tables[1])
    assert values.tolist() == sorted(set(tables[0][0]) | set(tables[1][0]))
    assert of_a.tolist() == [a.count(v) for v in values]
    assert of_b.tolist() == [b.count(v) for v in values]


@given(st.integers(1, 30), st.integers(1, 30), st.data())
def test_expected_divergence_term_is_the_mean_over_permutations(n, m, data):
    t = data.draw(st.integers(1, n + m))
    support = range(max(0, t - m), min(t, n) + 1)
    ways = comb(n + m, n)
    mean = sum(comb(t, k) * comb(n + m - t, n - k) / ways * divergence_term(k, t, n, m) for k in support)
    assert expected_divergence_term(t, n, m) == pytest.approx(mean, rel=1e-11, abs=1e-15)


@pytest.mark.parametrize(
    ("t", "n", "m"), [(200_000, 300_000, 900_000), (5_000, 1_000_000, 1_000), (999_990, 10**6, 10)]
)
def test_expected_divergence_term_of_wide_supports(t, n, m):
    k = np.arange(max(0, t - m), min(t, n) + 1)
    p, q = k / n, (t - k) / m
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.nan_to_num(p * np.log2(2 * p / (p + q))) + np.nan_to_num(q * np.log2(2 * q / (p + q)))
    mean = (stats.hypergeom.pmf(k, n + m, t, n) * terms / 2).sum()
    assert expected_divergence_term(t, n, m) == pytest.approx(mean, rel=1e-8)


def test_divergence_term_of_disjoint_counts():
    assert divergence_term(3, 3, 3, 5) == pytest.approx(0.5 * log2(2))


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_two_category_p_is_fishers(n, m, data):
    t = data.draw(st.integers(0, n + m))
    k = data.draw(st.integers(max(0, t - m), min(t, n)))
    expected = stats.fisher_exact([[k, n - k], [t - k, m - t + k]]).pvalue
    assert fisher_exact_p(k, t, n, m) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("k", "t", "n", "m"), [(500, 40_000, 100_000, 9_000_000), (20_300, 40_000, 500_000, 500_000)])
def test_two_category_p_of_large_tables(k, t, n, m):
    expected = stats.fisher_exact([[k, n - k], [t - k, m - t + k]]).pvalue
    assert fisher_exact_p(k, t, n, m) == pytest.approx(expected, rel=1e-6)


def test_two_category_p_of_a_billion_rows():
    half = 500_000_000
    # the normal approximation is as good as exact here
    z = 40_000 / np.sqrt(half * 0.5 * 0.5)
    assert fisher_exact_p(half // 2 + 40_000, half, half, half) == pytest.approx(
        2 * stats.norm.sf(z * np.sqrt(2)), rel=1e-3
    )
    assert fisher_exact_p(half - 1, half, half, half) == 0.0


@settings(max_examples=20)
@given(st.lists(st.integers(1, 4), min_size=2, max_size=3), st.integers(0, 2**32))
def test_permutations_are_drawn_as_often_as_they_should_be(pooled, seed):
    pooled = np.array(pooled)
    size, draws = int(pooled.sum()) // 2, 4_000
    labels = np.repeat(np.arange(len(pooled)), pooled)
    sums = draw_permutations(labels, 1 / pooled, size, draws, np.uint64(seed))
    chances: dict[float, float] = {}
    for counts in product(*(range(t + 1) for t in pooled)):
        if sum(counts) == size:
            value = round(sum(c * c / t for c, t in zip(counts, pooled, strict=True)), 9)
            ways = np.prod([comb(t, c) for t, c in zip(pooled, counts, strict=True)])
            chances[value] = chances.get(value, 0) + ways / comb(int(pooled.sum()), size)
    for value, chance in chances.items():
        seen = int((np.abs(sums - value) < 1e-8).sum())
        assert abs(seen - draws * chance) <= 6 * np.sqrt(draws * chance * (1 - chance)) + 1e-9
    assert sorted(labels) == sorted(np.repeat(np.arange(len(pooled)), pooled))


def ln(x: Fraction) -> Decimal:
    return (Decimal(x.numerator) / x.denominator).ln()


@given(st.integers(1, 400), st.data())
def test_log_binomial_is_the_log_of_the_binomial_probability(t, data):
    k = data.draw(st.integers(0, t))
    p = data.draw(st.floats(1e-6, 1 - 1e-6))
    excess = Fraction(p - k / t)
    p = Fraction(k, t) + excess
    with localcontext(Context(prec=60)):
        exact = ln(Fraction(comb(t, k))) + k * ln(p) + (t - k) * ln(1 - p)
        error = float(abs(Decimal(log_binomial(k, t, float(excess))) - exact))
    # the rounding of `excess` alone is as much, where the probability is near 0 or 1
    assert error <= 1e-15 * t / float(min(p, 1 - p)) + 1e-13


@pytest.mark.parametrize("k", [1, 2, 15, 16, 17, 100, 3_000])  # below 16 it is a difference of logarithms
def test_stirling_error_is_what_stirlings_formula_lacks(k):
    pi = Decimal("3.14159265358979323846264338327950288419716939937510582")
    with localcontext(Context(prec=50)):
        exact = ln(Fraction(factorial(k))) - (k + Decimal("0.5")) * Decimal(k).ln() + k - (2 * pi).ln() / 2
    assert stirling_error(k) == pytest.approx(float(exact), abs=1e-13)


def test_expected_divergence_has_a_term_per_category():
    pooled = np.array([1, 9, 4, 1])
    terms = [expected_divergence_term(t, 10, 5) for t in pooled.tolist()]
    assert expected_divergence_terms(pooled, 10, 5).tolist() == terms


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=50), st.lists(st.floats(), max_size=50), st.booleans())
def test_buckets_are_in_the_order_of_the_values_and_none_is_outside(base, values, bits):
    ladder = QuantileGrid.from_counts(*np.unique(np.array(base) + 0.0, return_counts=True), 16)
    scale = (ladder.low, ladder.scale) if bits == ladder.by_bits else (0.0, 1e300)
    for some in (values, *([value] for value in values), [np.nan]):  # those that fill no vector register too
        assert (find_buckets(np.array(some, np.float64), bits, *scale, ladder.cells) < 16).all()
    ordered = np.sort(np.array([value for value in values if not np.isnan(value)], np.float64))
    assert (np.diff(to_images(ordered, bits)) >= 0).all()
    if bits == ladder.by_bits:
        assert (np.diff(find_buckets(ordered, bits, *scale, ladder.cells).astype(int)) >= 0).all()
