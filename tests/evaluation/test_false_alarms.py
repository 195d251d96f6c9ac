"""The false alarms that a plan tells: their share, as far as theory says it, and how often evaluations are made."""

from datetime import UTC, datetime, timedelta
from math import comb

import pytest

from engine.evaluation.checks.false_alarms import (
    describe_false_alarms,
    estimate_evaluations_a_year,
    expect_false_alarms,
)
from engine.evaluation.record import MetricValue
from engine.spec.resources.checks import Check, PythonCheck, Range, RangeCheck, ValuesCheck

START = datetime(2026, 1, 1, tzinfo=UTC)
WEEKLY = [START + timedelta(days=7 * week) for week in range(10)]
WILSON_90_OF_160 = MetricValue(0.5625, 0.48503, 0.63698)  # statsmodels: proportion_confint(90, 160, method="wilson")


def test_the_verdicts_of_a_store_alarm_together_at_its_level() -> None:
    checks: dict[str, Check] = {
        "columns": RangeCheck(metric="drift.*", soft_max=0.1),
        "together": ValuesCheck(metric="data_drift_significant", allowed=[0, 1], soft_allowed=[0]),
    }
    (found,) = expect_false_alarms(checks, 0.95, None)
    assert (list(found.checks), found.at_most) == (["columns", "together"], True)
    assert found.share == pytest.approx(0.05)
    told = describe_false_alarms(checks, 0.95, None, WEEKLY)
    assert told == (
        "expected false alarms without drift: at most 2.6 a year (columns, together: level 0.05 together); "
        "evaluated every 7 days so far"
    )
    assert "at most 1.0 in 100 evaluations" in describe_false_alarms(checks, 0.99, None, WEEKLY[:2])


def test_the_share_of_an_accuracy_is_that_of_a_fair_coin() -> None:
    checks: dict[str, Check] = {"accuracy": RangeCheck(metric="data_drift", soft_max=0.5625)}
    (found,) = expect_false_alarms(checks, 0.95, WILSON_90_OF_160)
    exactly = sum(comb(160, hits) for hits in range(91, 161)) / 2**160  # more than 90 of 160
    half = comb(160, 90) / 2**160 / 2  # the normal distribution counts half of the bound itself
    assert found.share == pytest.approx(exactly + half, abs=0.002)
    assert not found.at_most
    assert expect_false_alarms(checks, 0.95, None) == []


@pytest.mark.parametrize(
    "check",
    [
        RangeCheck(metric="psi.*", soft_max=0.2),
        RangeCheck(metric="roc_auc", soft_min=0.7),
        RangeCheck(metric="drift.*", soft_max=0.1, compare="previous"),
        RangeCheck(metric="drift.a", min=0.1, max=0.2),
        RangeCheck(metric="data_drift_low", soft_max=0.4),
        RangeCheck(metric="drift.*", soft_max=0.1, **{"except": {"drift.a": Range(min=0.1)}}),
        RangeCheck(metric="drifted_columns", soft_max=2),
        PythonCheck(function="own:judge"),
    ],
    ids=lambda check: getattr(check, "metric", "python"),
)
def test_nothing_is_said_of_what_has_no_such_figure(check: Check) -> None:
    assert describe_false_alarms({"one": check}, 0.95, WILSON_90_OF_160, WEEKLY) == ""


def test_a_past_that_is_caught_up_in_one_call_says_nothing_of_how_often() -> None:
    caught_up = [START + timedelta(seconds=9 * turn) for turn in range(50)]
    assert estimate_evaluations_a_year(caught_up) is None
    twice_a_day = [START + timedelta(hours=12 * turn) for turn in range(1, 9)]
    found = estimate_evaluations_a_year([*caught_up, *twice_a_day])
    assert found is not None
    assert found[0] == pytest.approx(730.5)
    # three stores of a region each, every week
    of_regions = [week + timedelta(seconds=20 * region) for week in WEEKLY for region in range(3)]
    found = estimate_evaluations_a_year(of_regions)
    assert found is not None
    assert found[0] == pytest.approx(3 * 365.25 / 7)
