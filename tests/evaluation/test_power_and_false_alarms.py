"""What an OK is worth and what an alarm: told figures against simulation, and their direction."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from math import comb
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from engine.errors import Position
from engine.evaluation.checks.application import apply_check
from engine.evaluation.checks.detectable import HARDLY_FAILED, list_weak_checks, summarize_weak_checks
from engine.evaluation.checks.false_alarms import (
    describe_false_alarms,
    estimate_evaluations_a_year,
    expect_false_alarms,
)
from engine.evaluation.checks.target import CheckTarget
from engine.evaluation.record import CheckResult, Evaluation, MetricValue
from engine.models.metrics.intervals import wilson_interval
from engine.outcome import CheckOutcome
from engine.spec.code_folder import CodeFolder
from engine.spec.resources.checks import Check, PythonCheck, RangeCheck, ValuesCheck

Compare = Callable[..., Evaluation]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Z = float(stats.norm.ppf(0.975))


def share(successes: float, rows: int, z: float = Z) -> MetricValue:
    return MetricValue(successes / rows, *wilson_interval(successes / rows, rows, z))


def check(
    metric: str, metrics: Mapping[str, MetricValue], drifts: dict[str, Any] | None = None, **of: Any
) -> CheckResult:
    target = CheckTarget(
        "mes", NOW, metrics, [], CodeFolder(Path()), str, "e1", rows=(60, 2000), detectable_drifts=drifts or {}
    )
    (found,) = apply_check("it", RangeCheck(metric=metric, **of), target, Position("spec.yaml"))
    return found


@given(st.integers(30, 5000), st.floats(0.55, 0.95), st.booleans())
def test_more_rows_find_a_value_nearer_to_the_bound(rows: int, value: float, certain: bool) -> None:
    few, many = ({"recall": share(value * n, n)} for n in (rows, 4 * rows))
    for key, bound in (("soft_min", 0.5), ("soft_max", 0.99)):
        told = [check("recall", metrics, **{key: bound}, certain=certain).detectable[key] for metrics in (few, many)]
        distances = [abs((one or 0) - bound) for one in told]
        assert 0 < distances[1] < distances[0]
        assert all(one is not None and (one < bound) == (key == "soft_min") for one in told)
    sure, value_alone = (check("recall", few, soft_min=0.5, certain=certain).detectable for certain in (True, False))
    assert (sure["soft_min"] or 0) < (value_alone["soft_min"] or 0)


def test_each_side_of_a_range_has_its_own_figure_at_the_nearer_bound() -> None:
    metrics = {"recall": share(140, 200)}
    found = check("recall", metrics, min=0.3, soft_min=0.5, soft_max=0.9, max=0.95)
    assert list(found.detectable) == ["soft_min", "soft_max"]
    assert (found.detectable["soft_min"] or 0) < 0.5
    assert (found.detectable["soft_max"] or 0) > 0.9
    assert list(check("recall", metrics, min=0.3).detectable) == ["min"]


def test_a_number_of_drifted_columns_is_reported_that_no_drift_could_have_exceeded() -> None:
    metrics = {"drifted_columns": MetricValue(0.0), "drifted_share": MetricValue(0.0)}
    blind: dict[str, float | None] = {"drift.x": None, "drift.y": None, "prediction_drift.drift": 0.2}
    for metric, bound in (("drifted_columns", 0), ("drifted_share", 0.5)):
        told = check(metric, metrics, blind, soft_max=bound)
        assert (told.outcome, told.detectable) == (CheckOutcome.OK, {"soft_max": None})
        assert told.reason.startswith(
            "could hardly have failed: with 60 rows (2,000 in the reference) no drift of more columns, however large"
        )
        assert check(metric, metrics, {**blind, "drift.y": 0.2, "drift.z": 0.4}, soft_max=bound).reason == ""
        assert check(metric, metrics, {}, soft_max=bound).reason == ""
    assert check("drifted_columns", metrics, {**blind, "drift.y": 0.2}, soft_max=1).reason != ""


def test_a_drift_check_tells_the_drift_that_is_found_and_no_lower_bound() -> None:
    metrics = {"drift.x": MetricValue(0.0), "drift_low.x": MetricValue(0.0), "prediction_drift.drift": MetricValue(0.0)}
    drifts = {"drift.x": 0.2, "prediction_drift.drift": 0.3}
    assert check("drift.x", metrics, drifts, soft_max=0.1).detectable == {"soft_max": 0.2}
    assert check("drift_low.x", metrics, drifts, max=0.1).detectable == {"max": 0.2}
    assert check("prediction_drift.drift", metrics, drifts, max=0.4).detectable == {"max": 0.3}
    assert check("prediction_drift.drift", metrics, drifts, max=0.4).reason == ""
    assert check("drift.x", metrics, drifts, min=0).detectable == {}


def test_the_accuracy_of_few_rows_could_hardly_be_above_its_bound() -> None:
    for metric in ("data_drift_low", "data_drift_significant"):
        few = {"data_drift": share(8, 15), metric: MetricValue(0.0)}
        many = {"data_drift": share(10_400, 20_000), metric: MetricValue(0.0)}
        weak, strong = (
            check(metric, metrics, soft_max=0.55 if metric.endswith("low") else 0) for metrics in (few, many)
        )
        assert weak.reason.startswith(HARDLY_FAILED)
        assert "only a data_drift of" in weak.reason
        assert strong.reason == ""
        assert (strong.detectable["soft_max"] or 0) < (weak.detectable["soft_max"] or 0)
    assert check("data_drift_low", {"data_drift_low": MetricValue(0.0)}, soft_max=0.5).detectable == {}


def test_a_change_is_weak_if_twice_its_bound_is_not_seen() -> None:
    wide, narrow = MetricValue(0.0, -0.2, 0.2), MetricValue(0.0, -0.01, 0.01)
    assert check("performance_change.f1", {"performance_change.f1": wide}, soft_min=-0.05).reason.startswith(
        HARDLY_FAILED
    )
    assert check("performance_change.f1", {"performance_change.f1": narrow}, soft_min=-0.05).reason == ""


def test_weak_checks_are_reported_in_one_line_each_and_only_if_they_found_nothing() -> None:
    ok, warning, error = CheckOutcome.OK, CheckOutcome.WARNING, CheckOutcome.ERROR

    def result(name: str, metric: str, outcome: CheckOutcome, reason: str = f"{HARDLY_FAILED}few rows") -> CheckResult:
        return CheckResult("mes", name, metric, outcome, outcome, 0.0, reason=reason)

    found = [
        result("columns", "drift.a", ok),
        result("columns", "drift.b", ok),
        result("columns", "drift.c", ok, ""),
        result("broken", "drift.a", ok),
        result("broken", "drift.b", warning, "0.3 is above soft_max 0.1"),
        result("one", "roc_auc", ok),
        result("said", "f1", ok, "0.5 (0.4 to 0.6) is below min 0.55, but its interval reaches the bound"),
        result("worse", "f1", error),
    ]
    assert {name: len(weak) for name, weak in list_weak_checks(found).items()} == {"columns": 2, "one": 1}
    assert summarize_weak_checks(found) == [
        f"columns is OK, but 2 metrics, such as drift.a, {HARDLY_FAILED}few rows",
        f"one is OK, but {HARDLY_FAILED}few rows",
    ]


def draw(random: np.random.Generator, n: int, chances: list[float]) -> pl.DataFrame:
    return pl.DataFrame({"kind": random.choice(["a", "b", "c", "d"], n, p=chances)})


def detectable_of(watch: Callable[..., Any], rows: int, batch_rows: int) -> float | None:
    random = np.random.default_rng(0)
    sides = (draw(random, n, [0.25] * 4) for n in (rows, batch_rows))
    (found,) = watch(*sides, checks={"it": {"metric": "drift.kind", "soft_max": 0.1}}).project.check("mes")
    return found.detectable["soft_max"]


def test_the_smallest_detectable_drift_falls_with_the_rows_of_either_side(watch: Callable[..., Any]) -> None:
    found = [detectable_of(watch, *rows) or 1.0 for rows in ((200, 50), (200, 200), (2000, 200), (2000, 2000))]
    assert found == sorted(found, reverse=True)
    assert found[0] > 1.5 * found[-1]


@pytest.mark.slow
def test_a_drift_of_the_detectable_size_is_found_about_4_times_in_5(
    watch: Callable[..., Any], compare: Compare
) -> None:
    n, random = 300, np.random.default_rng(1)
    told = detectable_of(watch, n, n)
    assert told is not None

    def shift_of(half: float) -> float:
        """Return the Jensen-Shannon distance of a drift that moves `half` of the mass between two halves."""
        p, q = np.array([0.5 + half / 2, 0.5 - half / 2]), np.array([0.5 - half / 2, 0.5 + half / 2])
        middle = (p + q) / 2
        return float(np.sqrt(((p * np.log2(p / middle)).sum() + (q * np.log2(q / middle)).sum()) / 2))

    low, high = 0.0, 0.99
    for _ in range(40):
        low, high = ((low + high) / 2, high) if shift_of((low + high) / 2) < told else (low, (low + high) / 2)
    chances = [[(0.5 + sign * low / 2) / 2] * 2 + [(0.5 - sign * low / 2) / 2] * 2 for sign in (1, -1)]
    hits = 0
    for _ in range(150):
        found = compare(draw(random, n, chances[0]), draw(random, n, chances[1])).metrics["drift.kind"]
        hits += bool(found.value)
    assert stats.binomtest(hits, 150, 0.8).pvalue > 1e-4


@pytest.mark.slow
def test_verdicts_without_drift_alarm_together_in_at_most_the_stated_share(compare: Compare) -> None:
    random = np.random.default_rng(2)
    checks: dict[str, Check] = {
        "columns": RangeCheck(metric="drift.*", soft_max=0),
        "all": RangeCheck(metric="data_drift_low", soft_max=0.5),
    }
    family, low = expect_false_alarms(checks, 0.95, None)
    alarms, lows, times = 0, 0, 150
    for _ in range(times):
        sides = (
            pl.DataFrame({"x": random.normal(size=n), "k": random.poisson(2, n), "kind": random.choice(list("abc"), n)})
            for n in (400, 200)
        )
        metrics = compare(*sides).metrics
        alarms += any(metric.value for name, metric in metrics.items() if name.startswith("drift."))
        lows += (metrics["data_drift_low"].value or 0) > 0.5
    for found, count in ((family, alarms), (low, lows)):
        assert found.at_most
        assert stats.binomtest(count, times, found.share, alternative="greater").pvalue > 1e-3


def test_the_share_of_an_accuracy_is_that_of_a_coin_for_any_number_of_rows() -> None:
    for rows, bound in ((40, 0.625), (160, 0.55), (1000, 0.53)):
        found = expect_false_alarms({"it": RangeCheck(metric="data_drift", max=bound)}, 0.95, share(0.52 * rows, rows))
        hits = round(bound * rows)
        exactly = sum(comb(rows, k) for k in range(hits + 1, rows + 1)) / 2**rows + comb(rows, hits) / 2 ** (rows + 1)
        assert found[0].share == pytest.approx(exactly, abs=0.003)
        assert not found[0].at_most


@pytest.mark.parametrize(
    "accuracy",
    [None, MetricValue(None), MetricValue(0.5), MetricValue(0.5, 0.5, 0.6), MetricValue(0.0, 0.0, 0.1)],
    ids=["none", "no value", "no interval", "no width", "zero"],
)
def test_an_accuracy_of_unknown_rows_has_no_figure(accuracy: MetricValue | None) -> None:
    assert expect_false_alarms({"it": RangeCheck(metric="data_drift", max=0.6)}, 0.95, accuracy) == []


def test_values_of_a_verdict_have_the_level_if_one_is_not_fine() -> None:
    def expect(**of: Any) -> int:
        check: Check = ValuesCheck(metric="data_drift_significant", **of)
        return len(expect_false_alarms({"it": check}, 0.95, None))

    assert expect(allowed=[0]) == 1
    assert expect(allowed=[0, 1], soft_allowed=[0]) == 1
    assert expect(allowed=[0, 1]) == 0
    assert expect(allowed=[1]) == 0


def test_all_figures_are_reported_in_one_sentence() -> None:
    checks: dict[str, Check] = {
        "columns": RangeCheck(metric="drift.*", soft_max=0.1),
        "low": RangeCheck(metric="data_drift_low", max=0.6),
        "accuracy": RangeCheck(metric="data_drift", max=0.55),
        "mine": PythonCheck(function="own:it"),
    }
    start = datetime(2026, 1, 1, tzinfo=UTC)
    told = describe_false_alarms(
        checks,
        0.9,
        share(80, 160, float(stats.norm.ppf(0.95))),
        [start + timedelta(hours=6 * turn) for turn in range(9)],
    )
    assert told.startswith(
        "expected false alarms without drift: at most 146 a year (columns: level 0.1), at most 146 a year"
    )
    assert "about 150 a year (accuracy: probability 0.1)" in told
    assert told.endswith("; evaluated every 6 hours so far")
    assert describe_false_alarms({"mine": checks["mine"]}, 0.9, None, []) == ""


@given(st.lists(st.integers(5 * 60, 10**6), min_size=2, max_size=20), st.integers(1, 4))
def test_a_rate_is_calls_a_year_times_evaluations_a_call(gaps: list[int], each: int) -> None:
    moments = [datetime(2026, 1, 1, tzinfo=UTC)]
    for gap in gaps:
        moments.append(moments[-1] + timedelta(seconds=gap + 60))
    created = [moment + timedelta(seconds=turn) for moment in moments for turn in range(each)]
    found = estimate_evaluations_a_year(created)
    assert found is not None
    usual = float(np.median([gap + 60 for gap in gaps]))
    assert found[0] == pytest.approx(each * 365.25 * 86_400 / usual)
    assert found[1].total_seconds() == pytest.approx(usual)


@given(st.lists(st.integers(0, 299), max_size=30))
def test_a_single_call_tells_no_rate(gaps: list[int]) -> None:
    moments = [datetime(2026, 1, 1, tzinfo=UTC)]
    for gap in gaps:
        moments.append(moments[-1] + timedelta(seconds=gap))
    assert estimate_evaluations_a_year(moments) is None
