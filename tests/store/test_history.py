"""Dataset metrics, check results and file hashes, run after run."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from engine.errors import Position
from engine.evaluation.record import CheckResult, MetricValue
from engine.outcome import CheckOutcome
from engine.store import CheckPoint, Store


def test_dataset_metrics_by_fingerprint_and_over_time(store: Store) -> None:
    first = {"row_count": MetricValue(10.0), "mean.x": MetricValue(float("nan"))}
    store.add_dataset_metrics("t", "f1", first, "run 1")
    store.add_dataset_metrics("t", "f2", {"row_count": MetricValue(20.0)}, "run 2")
    store.add_dataset_metrics("t", "f1", {"row_count": MetricValue(11.0)}, "run 3")
    store.add_dataset_metrics("u", "f1", {"row_count": MetricValue(99.0)}, "run 3")
    found = store.find_dataset_metrics("t", "f1")
    assert found is not None
    assert found[0] == {"row_count": MetricValue(11.0)}
    assert store.find_dataset_metrics("t", "f9") is None
    earlier = store.list_earlier_dataset_metrics("t", "run 3")
    assert [metrics["row_count"].value for metrics in earlier] == [10.0, 20.0]
    assert earlier[0]["mean.x"] == MetricValue(None, reason="not a number")
    assert [metrics["row_count"].value for metrics in store.list_earlier_dataset_metrics("t", None, last=1)] == [11.0]


def test_a_dataset_without_metrics_was_measured_nevertheless(store: Store) -> None:
    store.add_dataset_metrics("t", "f", {}, None)
    found = store.find_dataset_metrics("t", "f")
    assert found is not None
    assert found[0] == {}


def test_check_results_come_back_as_they_were(store: Store) -> None:
    result = CheckResult(
        target="the_MES",
        check="data drift < 0.45",
        metric="data_drift",
        outcome=CheckOutcome.WARNING,
        counts_as=CheckOutcome.WARNING,
        value=0.71,
        bounds={"soft_max": 0.45},
        reason="0.71 is above soft_max 0.45",
        position=Position("spec.yaml", 63, 7, 17),
        evaluation="an id",
    )
    empty = replace(result, outcome=CheckOutcome.EMPTY, value=None, position=None, evaluation=None)
    store.add_check_results("run 1", [result, replace(result, check="another")])
    store.add_check_results("run 2", [empty])
    store.add_check_results("run 3", [])
    assert store.list_check_points("the_MES", "data drift < 0.45") == [
        CheckPoint("run 1", store.now(), result),
        CheckPoint("run 2", store.now(), empty),
    ]
    assert [point.run for point in store.list_check_points("the_MES", "data drift < 0.45", last=1)] == ["run 2"]


def test_a_file_hash_holds_for_exactly_that_file(store: Store) -> None:
    hashes, long_ago = store.file_hashes, time.time_ns() - 10**10
    hashes.put("/data/a.csv", 10, long_ago, "h1")
    assert hashes.get("/data/a.csv", 10, long_ago) == "h1"
    assert hashes.get("/data/a.csv", 11, long_ago) is None
    assert hashes.get("/data/a.csv", 10, long_ago + 1) is None
    assert hashes.get("/data/b.csv", 10, long_ago) is None
    hashes.put("/data/a.csv", 11, long_ago, "h2")
    assert hashes.get("/data/a.csv", 11, long_ago) == "h2"
    assert hashes.get("/data/a.csv", 10, long_ago) is None


def test_a_file_modified_just_now_is_not_trusted(store: Store) -> None:
    for mtime in (time.time_ns() - 10**9, time.time_ns() + 10**12):
        store.file_hashes.put("/data/a.csv", 10, mtime, "h")
        assert store.file_hashes.get("/data/a.csv", 10, mtime) is None


def test_the_outcomes_of_an_evaluation_are_those_of_the_last_time(store: Store, clock: Callable[[], datetime]) -> None:
    def result(check: str, metric: str, outcome: CheckOutcome, evaluation: str = "e1") -> CheckResult:
        return CheckResult("mes", check, metric, outcome, outcome, evaluation=evaluation)

    first = [result("all", "drift.a", CheckOutcome.ERROR), result("one", "row_count", CheckOutcome.WARNING)]
    store.add_check_results("run 1", first)
    clock.forward(seconds=1)  # type: ignore[attr-defined] # the tests' clock
    again = [result("all", f"drift.{name}", CheckOutcome.OK) for name in "abc"]
    store.add_check_results(None, [*again, result("all", "drift.d", CheckOutcome.WARNING)])
    store.add_check_results(None, [result("all", "drift.a", CheckOutcome.EMPTY, "e2")])
    assert store.list_check_outcomes("mes") == {
        "e1": {"all": [CheckOutcome.OK, CheckOutcome.WARNING], "one": [CheckOutcome.WARNING]},
        "e2": {"all": [CheckOutcome.EMPTY]},
    }
    assert [point.result for point in store.list_check_points("mes", evaluation="e1")][:2] == first
    assert len(store.list_check_points("mes")) == 7
    assert [point.result.evaluation for point in store.list_check_points("mes", last=1)] == ["e2"]
