"""Dataset metrics, check results and file hashes, run after run."""

import time
from dataclasses import replace
from datetime import UTC, datetime

from engine.errors import Position
from engine.evaluation.bounds import bounds_from_json
from engine.evaluation.record import CheckResult, MetricValue
from engine.file_identity import FileIdentity
from engine.outcome import CheckOutcome
from engine.store import CheckPoint, Store


def test_dataset_metrics_by_fingerprint_and_over_time(store: Store) -> None:
    first = {"row_count": MetricValue(10.0), "mean.x": MetricValue(float("nan"))}
    store.measurements.add("t", "f1", first, "run 1")
    store.measurements.add("t", "f2", {"row_count": MetricValue(20.0)}, "run 2")
    store.measurements.add("t", "f1", {"row_count": MetricValue(11.0)}, "run 3")
    store.measurements.add("u", "f1", {"row_count": MetricValue(99.0)}, "run 3")
    found = store.measurements.find("t", "f1")
    assert found is not None
    assert found[0] == {"row_count": MetricValue(11.0)}
    assert store.measurements.find("t", "f9") is None
    earlier = store.measurements.list_earlier("t", "run 3")
    assert [one.metrics["row_count"].value for one in earlier] == [10.0, 20.0]
    assert earlier[0].metrics["mean.x"] == MetricValue(None, reason="not a number")
    assert [one.metrics["row_count"].value for one in store.measurements.list_earlier("t", None, last=1)] == [11.0]


def test_the_first_of_the_latest_measurements_of_the_same_content(store: Store) -> None:
    name = "sales $[0] é.of"
    assert store.measurements.find_first(name, "a") is None
    for place, content in enumerate("abaa"):
        facts = {"datasets": {name: {"fingerprint": content}, "input": {"fingerprint": "a"}}}
        store.measurements.add(name, str(place), {"row_count": MetricValue(float(place))}, f"run {place}", facts)
    store.measurements.add("other", "b", {}, None, {"datasets": {"other": {"fingerprint": "b"}}})
    first = store.measurements.find_first(name, "a")
    assert first is not None
    earlier = store.measurements.list_earlier(name, "run 3", before=first[0])
    assert [one.metrics["row_count"].value for one in earlier] == [0, 1]
    assert store.measurements.find_first(name, "b") is None
    store.measurements.add(name, "4", {}, None)  # of a version that kept no facts
    assert store.measurements.find_first(name, "a") is None


def test_measurements_of_unchanged_data_are_one_if_that_is_asked(store: Store) -> None:
    for place, (content, metrics) in enumerate(
        [("a", "x"), ("b", "x"), ("b", "xy"), ("b", "y"), ("a", "x"), ("c", "x")]
    ):
        values = {metric: MetricValue(float(place)) for metric in metrics}
        facts = {"datasets": {"t": {"fingerprint": content}}}
        store.measurements.add("t", str(place), values, None, facts, datetime(2026, 1, 1 + place, tzinfo=UTC))
    found = store.measurements.history("t", same_data_once=True)
    values = [{metric: value.value for metric, value in one.metrics.items()} for one in found]
    assert values == [{"x": 0}, {"x": 1, "y": 2}, {"x": 4}, {"x": 5}]  # as it was measured first
    assert [one.created.day for one in found] == [1, 2, 5, 6]
    assert store.measurements.list_earlier("t", "run", 3, same_data_once=True) == found[1:]
    since = store.measurements.list_earlier("t", "run", 0, since=found[2].created, same_data_once=True)
    assert since == found[2:]
    assert len(store.measurements.history("t")) == 6


def test_a_dataset_without_metrics_was_measured_nevertheless(store: Store) -> None:
    store.measurements.add("t", "f", {}, None)
    found = store.measurements.find("t", "f")
    assert found is not None
    assert found[0] == {}


def test_check_results_are_read_as_they_were_written(store: Store) -> None:
    result = CheckResult(
        target="the_MES",
        check="data drift < 0.45",
        metric="data_drift",
        outcome=CheckOutcome.WARNING,
        counts_as=CheckOutcome.WARNING,
        value=0.71,
        bounds=bounds_from_json({"soft_max": 0.45}),
        reason="0.71 is above soft_max 0.45",
        position=Position("spec.yaml", 63, 7, 17),
        evaluation="an id",
    )
    empty = replace(result, outcome=CheckOutcome.EMPTY, value=None, position=None, evaluation=None)
    store.checks.add("run 1", [result, replace(result, check="another")])
    store.checks.add("run 2", [empty])
    store.checks.add("run 3", [])
    assert store.checks.history("the_MES", "data drift < 0.45") == [
        CheckPoint("run 1", store.database.now(), result),
        CheckPoint("run 2", store.database.now(), empty),
    ]
    assert [point.run for point in store.checks.history("the_MES", "data drift < 0.45", last=1)] == ["run 2"]


LONG_AGO = time.time_ns() - 10**10
FILE = FileIdentity(inode=2**64 - 1, size=10, mtime_ns=LONG_AGO, ctime_ns=LONG_AGO + 5)


def test_a_file_hash_holds_for_exactly_that_file(store: Store) -> None:
    hashes = store.file_hashes
    hashes.put("/data/a.csv", FILE, "h1", settled=True)
    assert hashes.get("/data/a.csv", FILE) == "h1"
    for field in FileIdentity._fields:
        assert hashes.get("/data/a.csv", FILE._replace(**{field: getattr(FILE, field) - 1})) is None
    assert hashes.get("/data/b.csv", FILE) is None
    longer = FILE._replace(size=11)
    hashes.put("/data/a.csv", longer, "h2", settled=True)
    assert hashes.get("/data/a.csv", longer) == "h2"
    assert hashes.get("/data/a.csv", FILE) is None


def test_a_file_whose_changes_may_go_unnoticed_is_hashed_again(store: Store) -> None:
    without_ctime = FILE._replace(mtime_ns=1_700_000_000_000_000_000, ctime_ns=1_700_000_000_000_000_000)
    for identity, settled in ((FILE, False), (without_ctime, True)):
        store.file_hashes.put("/data/a.csv", identity, "h", settled=settled)
        assert store.file_hashes.get("/data/a.csv", identity) is None
        assert not store.file_hashes.was_touched("/data/a.csv", identity, "h")
        assert store.file_hashes.was_touched("/data/a.csv", identity._replace(mtime_ns=5), "h")


def test_a_file_is_settled_when_the_tick_of_its_last_change_is_over() -> None:
    for identity in (FILE, FILE._replace(ctime_ns=3), FILE._replace(mtime_ns=3)):
        last = max(identity.mtime_ns, identity.ctime_ns)
        assert identity.is_settled(last + 2 * 10**9)
        assert not identity.is_settled(last + 2 * 10**9 - 1)
        assert not identity.is_settled(last - 10**12)  # a clock that is behind
