"""What a plan says of alarms by chance, and whether that is true of data without drift."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from engine import drift
from engine.evaluation.false_alarms import describe_false_alarms
from engine.spec.resources.checks import Check, Range, RangeCheck

NOW = datetime(2026, 3, 1, tzinfo=UTC)
WEEKLY = [NOW + timedelta(days=7 * week) for week in range(5)]
MOVED = RangeCheck(metric="drift.*", soft_max=0.1)


def test_the_checks_of_one_family_share_its_level() -> None:
    checks: dict[str, Check] = {"moved": MOVED, "many": RangeCheck(metric="drifted_share", max=0.2)}
    told = "without drift, chance alarms in at most 5 of 100 evaluations: moved, many"
    assert describe_false_alarms(checks, 0.95, []) == told
    assert describe_false_alarms(checks, 0.95, WEEKLY) == f"{told}; 2.609 a year with one every 7d"


def test_the_bound_of_data_drift_has_a_level_of_its_own() -> None:
    checks: dict[str, Check] = {"moved": MOVED, "sure": RangeCheck(metric="data_drift_low", soft_max=0.6)}
    told = "without drift, chance alarms in at most 2 of 100 evaluations: moved, sure"
    assert describe_false_alarms(checks, 0.99, []) == told


@pytest.mark.parametrize(
    "check",
    [
        RangeCheck(metric="psi.*", soft_max=0.2),
        RangeCheck(metric="roc_auc", soft_min=0.7),
        RangeCheck(metric="data_drift", soft_max=0.6),
        RangeCheck(metric="drift.age", soft_min=0.01),
        RangeCheck(metric="drift.age", soft_max=0.1, compare="previous"),
        RangeCheck(metric="data_drift_low", soft_max=0.4),
        RangeCheck.model_validate({"metric": "drift.*", "soft_max": 0.1, "except": {"drift.a": Range(soft_max=-1)}}),
    ],
)
def test_nothing_is_said_of_checks_whose_level_is_not_known(check: Check) -> None:
    assert describe_false_alarms({"one": check}, 0.95, WEEKLY) is None


def test_evaluations_of_the_past_do_not_tell_how_often_there_is_one() -> None:
    backfilled = [NOW + timedelta(seconds=second) for second in range(9)]
    assert "a year" not in (describe_false_alarms({"moved": MOVED}, 0.95, backfilled) or "")
    assert "a year" not in (describe_false_alarms({"moved": MOVED}, 0.95, WEEKLY[:2]) or "")


def test_chance_alarms_no_more_often_than_is_told() -> None:
    random = np.random.default_rng(3)

    def table(rows: int) -> pl.DataFrame:
        numbers = {f"n{i}": random.normal(size=rows) for i in range(8)}
        return pl.DataFrame(numbers | {f"c{i}": random.choice(list("abcd"), rows) for i in range(4)})

    times = 300
    alarms = sum(
        any((column.drift or 0) > 0 for column in drift.compare(table(300), table(200)).columns.values())
        for _ in range(times)
    )
    # 5 in 100, and three standard deviations of a binomial count
    assert alarms <= 0.05 * times + 3 * (0.05 * 0.95 * times) ** 0.5
