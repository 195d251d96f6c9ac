"""The smallest detectable drift against simulated comparisons: a drift of that size is found about 4 times in 5."""

from math import log2, sqrt

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from engine import drift
from engine.drift.power import smallest_detectable_drift


def shares_with_drift(effect: float, categories: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares of two sides at the Jensen-Shannon distance `effect`: half of the categories lose what the rest gains."""

    def distance(p, q) -> float:
        middle = (p + q) / 2
        return sqrt(sum(float(a * log2(a / m)) for s in (p, q) for a, m in zip(s, middle, strict=True) if a) / 2)

    low, high = 0.0, 1.0
    side = np.where(np.arange(categories) % 2 == 0, 1, -1)
    for _ in range(50):
        d = (low + high) / 2
        p, q = (1 + d * side) / categories, (1 - d * side) / categories
        low, high = (d, high) if distance(p, q) < effect else (low, d)
    return p, q


@pytest.mark.parametrize(
    ("n", "m", "categories"), [(1000, 1000, 2), (1000, 1000, 10), (10_000, 60, 10), (60, 60, 20), (500, 30, 6)]
)
def test_a_drift_of_the_smallest_detectable_size_is_found_4_times_in_5(n: int, m: int, categories: int) -> None:
    effect = smallest_detectable_drift(n, m, categories, 0.05)
    assert effect is not None
    p, q = shares_with_drift(effect, categories)
    random, runs = np.random.default_rng(0), 150
    names = np.array([f"c{i}" for i in range(categories)])
    found = 0
    for _ in range(runs):
        sides = [pl.DataFrame({"x": names[random.choice(categories, k, p=s)]}) for k, s in ((n, p), (m, q))]
        found += drift.compare(*sides).columns["x"].significant
    # fails if the power is between 0.72 and 0.92 only once in a million
    assert stats.binom.cdf(found, runs, 0.72) > 1e-6
    assert stats.binom.sf(found - 1, runs, 0.92) > 1e-6


@given(st.integers(20, 10**6), st.integers(20, 10**6), st.integers(2, 100))
def test_more_rows_show_smaller_drifts_and_more_bins_larger_ones(n: int, m: int, bins: int) -> None:
    def smallest(*of: int) -> float:
        found = smallest_detectable_drift(*of, 0.05)
        return 2.0 if found is None else found

    assert 0 < smallest(2 * n, 2 * m, bins) < smallest(n, m, bins) or smallest(n, m, bins) == 2
    assert smallest(n, m, bins) < smallest(n, m, bins + 5) or smallest(n, m, bins + 5) == 2
    assert smallest(n, m, bins) == pytest.approx(smallest(m, n, bins))


def test_a_handful_of_rows_shows_no_drift_however_large() -> None:
    assert smallest_detectable_drift(5, 5, 10, 0.05) is None
    assert smallest_detectable_drift(0, 100, 10, 0.05) is None
    assert smallest_detectable_drift(100, 100, 1, 0.05) is None


def test_profiles_count_entities_bins_and_columns() -> None:
    random = np.random.default_rng(1)
    frame = pl.DataFrame(
        {"x": random.normal(size=400), "c": random.choice(["a", "b", "c"], 400), "card": np.arange(400) % 50}
    )
    roles = {"x": drift.Role.NUMERICAL, "c": drift.Role.CATEGORICAL}
    rows, by_card = drift.profile(frame, roles), drift.profile(frame, roles, entity="card")
    found = drift.detectable_drifts(rows, rows, 0.95)
    assert found == pytest.approx(
        {
            "x": smallest_detectable_drift(400, 400, 10, 0.05 / 4),
            "c": smallest_detectable_drift(400, 400, 3, 0.05 / 2),
        }
    )
    assert drift.detectable_drifts(by_card, by_card, 0.95)["c"] == pytest.approx(
        smallest_detectable_drift(50, 50, 3, 0.05 / 2)
    )


def test_a_column_of_one_value_or_of_none_drifts_by_another_value_so_that_is_what_can_be_found() -> None:
    reference = pl.DataFrame({"same": [7] * 400, "none": pl.Series([None] * 400, dtype=pl.String)})
    other = pl.DataFrame({"same": [7] * 360 + [8] * 40, "none": [None] * 360 + ["a"] * 40})
    roles = {"same": drift.Role.NUMERICAL, "none": drift.Role.CATEGORICAL}
    usual = drift.profile(reference, roles)
    found = drift.detectable_drifts(usual, usual, 0.95)
    assert found == pytest.approx(
        {
            "same": smallest_detectable_drift(400, 400, 2, 0.05 / 4),
            "none": smallest_detectable_drift(400, 400, 2, 0.05 / 2),
        }
    )
    measured = drift.compare(usual, drift.profile(other, roles)).columns
    for name, least in found.items():
        assert least is not None
        assert measured[name].drift > least  # so large a drift is indeed found
