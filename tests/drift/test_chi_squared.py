"""The tails of the chi-squared and the gamma distribution, beside scipy's and beside exact sums."""

from fractions import Fraction
from math import exp, inf, isnan, nan, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import chdtrc, chdtri, chndtrinc, gammaincc

from engine.drift.significance.chi_squared import chi_squared_tail, find_noncentrality, gamma_tail


@given(st.floats(-0.3, 6), st.floats(-2, 1.2), st.sampled_from([-1, 1]))
def test_gamma_tail_is_that_of_scipy(log_shape, log_deviations, sign):
    shape = 10**log_shape
    x = shape + sign * sqrt(shape) * 10**log_deviations
    expected = float(gammaincc(shape, max(0.0, x)))
    # scipy's own error reaches 1e-11 in far tails
    assert gamma_tail(shape, x) == pytest.approx(expected, rel=1e-11 if expected > 1e-100 else 1e-7, abs=1e-300)


@given(st.integers(1, 5_000), st.floats(0, 10_000))
def test_chi_squared_tail_is_that_of_scipy(degrees, statistic):
    assert chi_squared_tail(statistic, degrees) == pytest.approx(
        float(chdtrc(degrees, statistic)), rel=1e-7, abs=1e-100
    )


@pytest.mark.parametrize("shape", [1, 2, 7, 16, 50, 400])
@pytest.mark.parametrize("deviations", [-2.0, -0.1, 0.0, 0.5, 3.0, 12.0])
def test_gamma_tail_of_a_whole_shape_is_a_finite_sum(shape, deviations):
    x = shape + deviations * sqrt(shape)
    if x <= 0:
        assert gamma_tail(shape, x) == 1.0
        return
    term, total = Fraction(1), Fraction(0)
    for k in range(shape):
        total += term
        term *= Fraction(x) / (k + 1)
    assert gamma_tail(shape, x) == pytest.approx(float(total * Fraction(exp(-x))), rel=2e-13)


def test_the_tails_at_the_ends_are_0_and_1():
    assert (gamma_tail(3.5, 0.0), gamma_tail(3.5, -1.0), gamma_tail(3.5, inf)) == (1.0, 1.0, 0.0)
    assert chi_squared_tail(1e9, 3) == 0.0
    assert isnan(gamma_tail(3.5, nan))
    assert isnan(gamma_tail(nan, 3.5))


@given(st.integers(1, 2_000), st.floats(1e-9, 0.4), st.sampled_from([0.5, 0.8, 0.99]))
def test_the_noncentrality_of_a_power_is_that_of_scipy(degrees, level, power):
    expected = float(chndtrinc(chdtri(degrees, level), degrees, 1 - power))
    assert find_noncentrality(degrees, level, power) == pytest.approx(expected, rel=1e-9)


def test_a_test_that_rejects_so_often_anyway_needs_no_difference():
    assert find_noncentrality(5, 0.9, 0.8) == pytest.approx(0.0, abs=1e-300)
