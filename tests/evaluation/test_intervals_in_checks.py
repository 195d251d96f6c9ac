"""Changes with intervals, `certain: true`, and what an OK could have found."""

import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from engine.errors import Position
from engine.evaluation.changes import Estimate, average_metrics, change_between, difference_interval
from engine.evaluation.checks.application import apply_check
from engine.evaluation.checks.detectable import summarize_weak_checks
from engine.evaluation.checks.target import CheckTarget, PastMetrics
from engine.evaluation.record import CheckResult, MetricValue
from engine.models.metrics.intervals import wilson_interval
from engine.outcome import CheckOutcome
from engine.spec.resources.checks import RangeCheck

OK, WARNING, ERROR = CheckOutcome.OK, CheckOutcome.WARNING, CheckOutcome.ERROR
HERE = Position("spec.yaml", 3, 5, 4)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Metrics = dict[str, MetricValue]


def check(metrics: Metrics, *past: Metrics, drifts: dict[str, float | None] | None = None, **of: object):
    declared = RangeCheck.model_validate({"metric": next(iter(metrics)), **of})
    earlier = [PastMetrics(NOW, one) for one in past]
    target = CheckTarget(
        "store",
        NOW,
        metrics,
        earlier,
        Path(),
        str,
        "e1",
        rows=(60, 2000),
        confidence=0.95,
        detectable_drifts=drifts or {},
    )
    return apply_check("the check", declared, target, HERE)


def one(metrics: Metrics, *past: Metrics, **of: object) -> CheckResult:
    (result,) = check(metrics, *past, **of)
    return result


def test_the_difference_of_two_shares_has_newcombes_interval() -> None:
    # Newcombe 1998, table II, method 10: 56/70 against 48/80 gives 0.0524 to 0.3339
    first, second = ((k / n, *wilson_interval(k / n, n, stats.norm.ppf(0.975))) for k, n in ((56, 70), (48, 80)))
    found = difference_interval(Estimate(*first), Estimate(*second))
    assert found == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_a_relative_change_has_the_interval_of_the_ratio() -> None:
    found = change_between(MetricValue(2.0, 1.0, 4.0), MetricValue(1.0, 0.5, 2.0), "relative")
    factor = math.exp(math.hypot(math.log(2), math.log(2)))
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 2 / factor - 1, 2 * factor - 1))
    for old in (MetricValue(1.0, -0.1, 2.0), MetricValue(1.0, 0.0, 2.0), MetricValue(-1.0, -2.0, -0.5)):
        without = change_between(MetricValue(2.0, 1.0, 4.0), old, "relative")
        assert without.low is None
        assert str(without.reason).startswith("no interval: ")
    assert change_between(MetricValue(1.0, 0.0, 2.0), MetricValue(1.0, 0.5, 2.0), "relative").low == -1


def test_independent_changes_hold_the_true_change_about_as_often_as_they_say() -> None:
    random, z, hits = np.random.default_rng(0), stats.norm.ppf(0.975), 0
    for _ in range(2000):
        a, b = random.binomial(80, 0.9) / 80, random.binomial(300, 0.8) / 300
        low, high = difference_interval(
            Estimate(a, *wilson_interval(a, 80, z)), Estimate(b, *wilson_interval(b, 300, z))
        )
        hits += low <= 0.1 <= high
    assert 0.93 < hits / 2000 < 0.97


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.5), st.integers(1, 1000)), min_size=1, max_size=5))
def test_the_mean_of_independent_values_weighs_them_and_their_variances(parts) -> None:
    metrics = [MetricValue(value, value - half, value + half) for value, half, _ in parts]
    weights = [float(rows) for *_, rows in parts]
    found = average_metrics(metrics, weights)
    assert found.value == pytest.approx(np.average([value for value, *_ in parts], weights=weights))
    half = math.sqrt(sum((w * h) ** 2 for w, (_, h, _) in zip(weights, parts, strict=True))) / sum(weights)
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=1e-12)


@given(
    value=st.floats(0, 1),
    reach=st.tuples(st.floats(0, 0.3), st.floats(0, 0.3)),
    bounds=st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=4, max_size=4),
)
def test_certain_leaves_ok_only_if_the_whole_interval_is_outside(value, reach, bounds) -> None:
    low, high = value - reach[0], value + reach[1]
    limits = dict(zip(("min", "soft_min", "soft_max", "max"), bounds, strict=True))
    metrics = {"m": MetricValue(value, low, high)}
    minimum, soft_minimum, soft_maximum, maximum = bounds
    hard = (minimum is not None and high < minimum) or (maximum is not None and low > maximum)
    soft = (soft_minimum is not None and high < soft_minimum) or (soft_maximum is not None and low > soft_maximum)
    result = one(metrics, **limits, certain=True)
    assert result.outcome is (ERROR if hard else WARNING if soft else OK)
    assert result.value == value


def test_a_hard_bound_that_is_only_possibly_broken_leaves_the_soft_one_to_decide() -> None:
    result = one({"m": MetricValue(0.55, 0.45, 0.65)}, min=0.6, soft_min=0.7, certain=True)
    assert (result.outcome, result.reason) == (WARNING, "0.55 (0.45 to 0.65) is below soft_min 0.7")


def test_certain_tells_what_it_forgives_and_when_there_is_no_interval() -> None:
    forgiven = one({"m": MetricValue(0.55, 0.45, 0.65)}, min=0.6, certain=True)
    assert forgiven.outcome is OK
    assert forgiven.reason == (
        "0.55 (0.45 to 0.65) is below min 0.6, but its interval reaches the bound, so chance may explain it"
    )
    few = MetricValue(0.55, reason="no interval: there are 5 rows, at least 20 are needed")
    uncertain = one({"m": few}, min=0.6, certain=True)
    assert uncertain.outcome is OK
    assert uncertain.reason == (
        "0.55 (no interval this time: there are 5 rows, at least 20 are needed) is below min 0.6, but it is not certain"
    )
    assert one({"m": few}, min=0.6).outcome is ERROR
    passed = one({"m": few}, min=0.5, certain=True)
    assert passed.outcome is OK
    assert "no interval this time" in passed.reason
    assert one({"m": MetricValue(0.55, 0.45, 0.65)}, min=0.6).outcome is ERROR


def test_certain_looks_at_the_interval_of_a_change() -> None:
    now, before = {"m": MetricValue(0.7, 0.65, 0.75)}, {"m": MetricValue(0.8, 0.75, 0.85)}
    possible = one(now, before, compare="previous", soft_min=-0.05, certain=True)
    assert possible.outcome is OK
    assert possible.reason.startswith("changed by -0.1 (-0.170711 to -0.0292893), which is below soft_min -0.05, but")
    sure = one(now, before, compare="previous", soft_min=-0.02, certain=True)
    assert sure.outcome is WARNING
    relative = one(now, before, compare="previous", change="relative", soft_min=-0.02, certain=True)
    assert relative.outcome is WARNING
    reference = {"m": MetricValue(0.7, 0.65, 0.75), "performance_change.m": MetricValue(-0.1, -0.15, -0.06)}
    assert one(reference, compare="reference", soft_min=-0.05, certain=True).outcome is WARNING
    assert one(reference, compare="reference", soft_min=-0.07, certain=True).outcome is OK
    mean = one(now, before, before, compare={"mean_of_last": 2}, soft_min=-0.03, certain=True)
    assert mean.outcome is WARNING  # the mean of two is known better than one of them


def test_exceptions_of_a_wildcard_are_certain_too() -> None:
    metrics = {
        "performance_change.mae": MetricValue(0.2, 0.05, 0.3),
        "performance_change.mse": MetricValue(0.2, 0.05, 0.3),
    }
    results = check(
        metrics,
        metric="performance_change.*",
        soft_max=0.01,
        certain=True,
        **{"except": {"performance_change.mse": {"soft_max": 0.1}}},
    )
    assert [result.outcome for result in results] == [WARNING, OK]


def test_an_ok_below_the_smallest_detectable_drift_says_so_once_per_check() -> None:
    metrics = {f"drift.c{i}": MetricValue(0.0) for i in range(3)}
    drifts: dict[str, float | None] = {"drift.c0": 0.31, "drift.c1": 0.06, "drift.c2": None}
    results = check(metrics, metric="drift.*", soft_max=0.1, drifts=drifts)
    assert [result.detectable for result in results] == [{"soft_max": 0.31}, {"soft_max": 0.06}, {"soft_max": None}]
    assert results[0].reason == (
        "could hardly have failed: with 60 rows (2,000 in the reference) only a drift of 0.31 or more is found 4 times "
        "in 5 (soft_max is 0.1)"
    )
    assert results[1].reason == ""
    assert "no drift, however large, is found 4 times in 5" in results[2].reason
    assert summarize_weak_checks(results) == [f"the check is OK, but 2 metrics, such as drift.c0, {results[0].reason}"]


def test_a_check_that_found_something_is_not_said_to_be_ok_for_its_other_metrics() -> None:
    metrics = {"drift.c0": MetricValue(0.5), "drift.c1": MetricValue(0.0)}
    results = check(metrics, metric="drift.*", soft_max=0.1, drifts={"drift.c0": 0.2, "drift.c1": 0.2})
    assert [result.outcome for result in results] == [WARNING, OK]
    assert "could hardly have failed" in results[1].reason
    assert summarize_weak_checks(results) == []


def test_what_a_performance_check_finds_is_found_about_4_times_in_5() -> None:
    # min 0.6 on an accuracy of 200 rows: at the accuracy that is told, the check breaks about 4 times in 5. Not
    # exactly: the standard error at 0.5 is a tenth larger than the one at 0.7 that it is computed from.
    z = stats.norm.ppf(0.975)
    for certain in (False, True):
        result = one({"accuracy": MetricValue(0.7, *wilson_interval(0.7, 200, z))}, min=0.6, certain=certain)
        (told,) = result.detectable.values()
        assert told is not None
        broken = [k for k in range(201) if (wilson_interval(k / 200, 200, z)[1] if certain else k / 200) < 0.6]
        assert stats.binom.pmf(broken, 200, told).sum() == pytest.approx(0.8, abs=0.11)


def test_a_performance_check_is_weak_if_twice_the_way_to_its_bound_is_not_seen() -> None:
    change = {"performance_change.roc_auc": MetricValue(-0.01)}
    few = {"roc_auc": MetricValue(0.74, 0.6, 0.86), **change}
    many = {"roc_auc": MetricValue(0.74, 0.73, 0.75), **change}
    assert one(few, min=0.7).reason.startswith("could hardly have failed: ")
    assert one(many, min=0.7).reason == ""
    assert one(many, min=0.7, certain=True).reason == ""
    assert one({"roc_auc": MetricValue(0.74, 0.6, 0.86)}, min=0.7).reason == ""  # what is usual is not known
    assert one({"roc_auc": MetricValue(0.74, 0.3, 0.99)}, min=0.2, certain=True).reason.startswith("could hardly")


def test_a_metric_that_is_not_ok_or_has_no_interval_tells_nothing_of_power() -> None:
    assert one({"m": MetricValue(0.5, 0.4, 0.6)}, min=0.6).detectable == {}
    assert one({"m": MetricValue(0.7)}, min=0.6).detectable == {}
    # the exact bounds of a distance in a column of too many values are no interval
    assert one({"ks.x": MetricValue(0.05, 0.04, 0.06)}, max=0.1).detectable == {}
