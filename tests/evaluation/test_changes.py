"""Changes and means of values with intervals."""

from math import inf, isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.evaluation.changes import (
    Estimate,
    average_metrics,
    change_between,
    difference_interval,
    mean_estimate,
    ratio_interval,
)
from engine.evaluation.record import MetricValue

reaches = st.floats(0, 10)
estimates = st.builds(
    lambda value, below, above: Estimate(value, value - below, value + above), st.floats(-100, 100), reaches, reaches
)
positive = st.builds(
    lambda value, below, above: Estimate(value, value * below, value * above),
    st.floats(0.01, 100),
    st.floats(0.1, 1),
    st.floats(1, 10),
)


def as_metric(one: Estimate) -> MetricValue:
    return MetricValue(one.value, one.low, one.high)


@given(estimates, estimates)
def test_the_interval_of_a_difference_is_around_it_and_turns_with_its_sign(a: Estimate, b: Estimate) -> None:
    low, high = difference_interval(a, b)
    assert low <= a.value - b.value <= high
    back = difference_interval(b, a)
    assert (-back[1], -back[0]) == pytest.approx((low, high))
    # wider than either alone, narrower than both end to end
    assert high - low >= max(a.high - a.low, b.high - b.low) - 1e-9
    assert high - low <= (a.high - a.low) + (b.high - b.low) + 1e-9


@given(estimates, st.floats(-100, 100))
def test_a_difference_from_a_known_value_has_the_interval_of_the_value_moved(a: Estimate, known: float) -> None:
    low, high = difference_interval(a, Estimate(known, known, known))
    assert (low, high) == pytest.approx((a.low - known, a.high - known), abs=1e-9)


@given(positive, positive)
def test_the_interval_of_a_ratio_is_around_it_and_its_reciprocal_is_the_other_ratio(a: Estimate, b: Estimate) -> None:
    found, back = ratio_interval(a, b), ratio_interval(b, a)
    assert found is not None
    assert back is not None
    assert found[0] <= a.value / b.value * (1 + 1e-9)
    assert a.value / b.value <= found[1] * (1 + 1e-9)
    assert found == pytest.approx((1 / back[1], 1 / back[0]))


@given(st.lists(estimates, min_size=1, max_size=5))
def test_a_mean_of_equal_weights_has_the_variance_of_a_mean_of_independent_values(parts: list[Estimate]) -> None:
    found = mean_estimate(parts, [2.0] * len(parts))
    assert found.value == pytest.approx(np.mean([part.value for part in parts]), abs=1e-9)
    assert found.high - found.value == pytest.approx(
        np.sqrt(sum((part.high - part.value) ** 2 for part in parts)) / len(parts), abs=1e-9
    )
    assert found.value - found.low == pytest.approx(
        np.sqrt(sum((part.value - part.low) ** 2 for part in parts)) / len(parts), abs=1e-9
    )
    assert found.low <= found.value <= found.high


@given(st.lists(estimates, min_size=1, max_size=5), st.data())
def test_the_order_of_parts_and_a_common_factor_of_weights_change_no_mean(parts: list[Estimate], data) -> None:
    weights = data.draw(st.lists(st.floats(0.5, 100), min_size=len(parts), max_size=len(parts)))
    usual = mean_estimate(parts, weights)
    assert mean_estimate(parts[::-1], weights[::-1]) == pytest.approx(usual)
    assert mean_estimate(parts, [3 * one for one in weights]) == pytest.approx(usual)


def test_a_mean_has_an_interval_only_if_every_part_has_one() -> None:
    reason = "no interval: there are 5 rows, at least 20 are needed"
    found = average_metrics([MetricValue(1.0, 0.5, 1.5), MetricValue(3.0, reason=reason)], [1, 3])
    assert found == MetricValue(2.5, reason=reason)
    assert average_metrics([MetricValue(1.0), MetricValue(3.0)]) == MetricValue(2.0)


@given(estimates, estimates)
def test_a_change_forth_and_back_is_none(a: Estimate, b: Estimate) -> None:
    there, back = (
        change_between(as_metric(a), as_metric(b), "absolute"),
        change_between(as_metric(b), as_metric(a), "absolute"),
    )
    assert there.value == -(back.value or 0.0)
    assert there.low == pytest.approx(-(back.high or 0.0), abs=1e-9)


@given(st.floats(allow_nan=False), st.floats(allow_nan=False), st.sampled_from(["absolute", "relative"]))
def test_a_change_is_never_nan_and_without_a_value_has_a_reason(now: float, before: float, change) -> None:
    with np.errstate(all="ignore"):
        found = change_between(MetricValue(now), MetricValue(before), change)
    if found.value is None:
        assert found.reason
    else:
        assert not isnan(found.value)


@pytest.mark.parametrize(
    ("now", "before", "change", "reason"),
    [
        (inf, inf, "absolute", "a change from inf to inf is not defined"),
        (1.0, inf, "relative", "a change from inf to 1 is not defined"),
        (1.0, 0.0, "relative", "a relative change from 0 is not defined"),
    ],
)
def test_a_change_that_is_not_defined_says_so(now: float, before: float, change, reason: str) -> None:
    assert change_between(MetricValue(now), MetricValue(before), change) == MetricValue(None, reason=reason)


def test_a_change_of_unknown_values_is_a_mistake_of_the_caller() -> None:
    for now, before in ((None, 1.0), (1.0, None)):
        with pytest.raises(ValueError, match="both values must be known"):
            change_between(MetricValue(now), MetricValue(before), "absolute")
