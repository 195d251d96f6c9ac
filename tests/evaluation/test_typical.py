"""Checks of kind typical: the fences of earlier values, and how often they alarm although nothing has changed."""

from datetime import UTC, datetime, timedelta
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.evaluation.checks.false_alarms import describe_false_alarms, expect_false_alarms
from engine.evaluation.checks.typical import compute_fences, estimate_false_alarm_rate, select_typical_values
from engine.evaluation.record import MetricValue
from engine.spec.resources.checks import TypicalCheck, find_past_window

START = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = [START + timedelta(days=day) for day in range(40)]

numbers = st.floats(-1e9, 1e9)


@given(st.lists(numbers, min_size=2, max_size=50), st.floats(0.1, 10))
def test_fences_are_those_of_numpys_quartiles(values: list[float], factor: float) -> None:
    low, high = np.quantile(values, [0.25, 0.75])
    reach = factor * (high - low)
    scale = max(1.0, *map(abs, values)) * (1 + factor)
    assert compute_fences(values, factor) == pytest.approx((low - reach, high + reach), abs=1e-12 * scale)


def test_what_is_typical_are_the_latest_numbers_or_those_of_a_time() -> None:
    earlier = [
        (timedelta(days=day), None if day == 2 else MetricValue(None if day == 3 else float(day)))
        for day in range(1, 20)
    ]
    assert select_typical_values(earlier, TypicalCheck(metric="row_count", last=8)) == [1, 4, 5, 6, 7, 8, 9, 10]
    within = TypicalCheck(metric="row_count", within=timedelta(days=5))
    assert select_typical_values(earlier, within) == [1, 4, 5]
    infinite = [(timedelta(0), MetricValue(float("inf"))), (timedelta(0), MetricValue(2.0))]
    assert select_typical_values(infinite, within) == [2]
    window = find_past_window([within, TypicalCheck(metric="row_count", last=12)])
    assert [window.includes(place, timedelta(days=place)) for place in (0, 11, 12)] == [True, True, False]
    assert window.includes(40, timedelta(days=5))


@pytest.mark.parametrize(("count", "factor"), [(8, 1.5), (12, 1.0), (30, 1.5), (100, 2.0)])
def test_the_rate_of_false_alarms_is_that_of_a_simulation(count: int, factor: float) -> None:
    rng = np.random.default_rng(7)
    values = rng.standard_normal((40_000, count + 1))
    low, high = np.quantile(values[:, :-1], [0.25, 0.75], axis=1)
    reach, new = factor * (high - low), values[:, -1]
    share = float(np.mean((new < low - reach) | (new > high + reach)))
    error = (share * (1 - share) / 40_000) ** 0.5
    assert estimate_false_alarm_rate(count, factor) == pytest.approx(share, abs=5 * error)


def test_with_many_values_the_rate_is_that_of_tukey() -> None:
    normal = NormalDist()
    beyond = 2 * (1 - normal.cdf(normal.inv_cdf(0.75) + 1.5 * 2 * normal.inv_cdf(0.75)))
    assert beyond == pytest.approx(0.00698, abs=1e-5)  # the share of normal values beyond Tukey's fences
    assert estimate_false_alarm_rate(5000, 1.5) == pytest.approx(beyond, rel=0.05)


def test_a_plan_tells_the_false_alarms_at_the_number_of_values_that_there_are() -> None:
    check = TypicalCheck(metric="row_count", soft_factor=1.5, factor=3)
    assert expect_false_alarms({"rows": check}, 0.95, None, DAYS[:7]) == []
    (few,) = expect_false_alarms({"rows": check}, 0.95, None, DAYS[:8])
    (many,) = expect_false_alarms({"rows": check}, 0.95, None, DAYS)
    assert (few.share, many.share) == (estimate_false_alarm_rate(8, 1.5), estimate_false_alarm_rate(30, 1.5))
    within = TypicalCheck(metric="mean.*", within=timedelta(days=9), factor=2)
    told = describe_false_alarms({"means": within}, 0.95, None, DAYS)
    share = estimate_false_alarm_rate(10, 2.0)
    assert told == (
        f"expected false alarms without drift: about {share * 365.25:.1f} a year (means: probability {share:.2g} of "
        "each metric, with 10 earlier values, if these are independent and normal); evaluated every 24 hours so far"
    )
