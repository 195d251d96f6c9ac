"""The tails of the binomial and the hypergeometric distribution, beside scipy's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.special import betaincinv

from engine.drift.significance.discrete_tails import binomial_tail, hypergeometric_tail, lower_bound

ROWS = st.integers(1, 20_000)


@given(ROWS, st.data())
def test_hypergeometric_tail_is_that_of_scipy(rows, data):
    marked, drawn = data.draw(st.integers(0, rows)), data.draw(st.integers(0, rows))
    hits = data.draw(st.integers(max(0, marked + drawn - rows), min(marked, drawn)))
    expected = stats.hypergeom.sf(hits - 1, rows, marked, drawn)
    assert hypergeometric_tail(hits, rows, marked, drawn) == pytest.approx(expected, rel=1e-9, abs=1e-100)


@given(ROWS, st.floats(1e-9, 1 - 1e-9), st.data())
def test_binomial_tail_is_that_of_scipy(rows, share, data):
    hits = data.draw(st.integers(1, rows))
    assert binomial_tail(hits, rows, share) == pytest.approx(
        stats.binom.sf(hits - 1, rows, share), rel=1e-9, abs=1e-100
    )


@given(ROWS, st.floats(0.01, 0.9999), st.data())
def test_lower_bound_is_that_of_clopper_and_pearson(rows, confidence, data):
    hits = data.draw(st.integers(0, rows))
    expected = betaincinv(hits, rows - hits + 1, 1 - confidence) if hits else 0.0
    assert lower_bound(hits, rows, confidence) == pytest.approx(expected, rel=1e-11)
