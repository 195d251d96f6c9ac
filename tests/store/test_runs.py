"""Runs: what is remembered of them, step by step, and what becomes of those whose process died."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from engine.errors import Position, StoreError
from engine.evaluation.bounds import AppliedRange
from engine.outcome import Outcome
from engine.spec.resources.checks import build_bounds
from engine.store import Event, LockBusy, OutboxMessage, RunRecord, StepRecord, Store

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
RUN = RunRecord(
    "run 1",
    "card_fraud",
    "Data drift monitor",
    NOON,
    "ann@host",
    variables={"quarter": "Q4 2017", "share": 0.5, "n": None},
)
BUILD = StepRecord("Build MES", "build", Outcome.SUCCESS, NOON, NOON + timedelta(seconds=2), True, "nothing changed")
CHECKS = StepRecord("MES_Warn", "run_checks", Outcome.WARNING, NOON, NOON, turn={"quarter": "Q4 2017"})
RANGE = AppliedRange(build_bounds({"soft_max": 0.45}))
DRIFTED = Event(
    "check",
    "warning",
    "data drift < 0.45",
    NOON,
    0.71,
    RANGE,
    "the_MES",
    Position("spec.yaml", 3, 4, 5),
)
MESSAGE = OutboxMessage("m", "run 1", "Data drift warning", "ops_mail", ("a@b.c",), "s", "t", NOON)


def finished(run: RunRecord, **other: object) -> RunRecord:
    ended = {"outcome": Outcome.WARNING, "ended": NOON + timedelta(seconds=3), "steps": (BUILD, CHECKS)}
    return replace(run, **ended | {"events": (DRIFTED,)} | other)


def test_a_run_from_start_to_end(store: Store) -> None:
    store.runs.start(RUN)
    assert store.runs.get("run 1") == RUN
    assert store.runs.get("run 1").state == "RUNNING"
    store.runs.add_step("run 1", BUILD)
    store.runs.add_step("run 1", CHECKS)
    assert store.runs.get("run 1") == replace(RUN, steps=(BUILD, CHECKS))
    store.runs.finish(finished(RUN), [MESSAGE])
    assert store.runs.get("run 1") == finished(RUN)
    assert store.runs.get("run 1").state == "WARNING"
    assert store.outbox.list_undelivered() == [MESSAGE]


def test_outcome_events_and_messages_are_one_transaction(store: Store) -> None:
    store.runs.start(RUN)
    store.runs.add_step("run 1", BUILD)
    with pytest.raises(StoreError, match="already exists"):
        store.runs.finish(finished(RUN), [MESSAGE, MESSAGE])
    assert store.runs.get("run 1") == replace(RUN, steps=(BUILD,))
    assert store.outbox.list_undelivered() == []


def test_a_run_without_an_end_is_not_finished(store: Store) -> None:
    store.runs.start(RUN)
    with pytest.raises(ValueError, match="no outcome or no end"):
        store.runs.finish(RUN)


def test_messages_of_the_start_are_queued_with_it(store: Store) -> None:
    store.runs.start(RUN, [MESSAGE])
    assert store.outbox.list_undelivered("run 1") == [MESSAGE]


def test_runs_by_scenario_oldest_first(store: Store) -> None:
    for number, scenario in enumerate(["a", "b", "a", "a"]):
        store.runs.start(replace(RUN, id=f"run {number}", scenario=scenario, parent="run 0" if number else None))
    assert [run.id for run in store.runs.history()] == ["run 0", "run 1", "run 2", "run 3"]
    assert [run.id for run in store.runs.history("a", last=2)] == ["run 2", "run 3"]
    assert [run.parent for run in store.runs.history(last=1)] == ["run 0"]


def test_dates_among_the_variables_come_back_as_text(store: Store) -> None:
    store.runs.start(replace(RUN, variables={"period_start": date(2017, 10, 1)}))
    assert store.runs.get("run 1").variables == {"period_start": "2017-10-01"}


def test_unknown_runs(store: Store) -> None:
    for ask in (store.runs.get, lambda run: store.runs.add_step(run, BUILD)):
        with pytest.raises(StoreError, match="there is no run nope"):
            ask("nope")


def test_an_id_is_taken_once(store: Store) -> None:
    store.runs.start(RUN)
    with pytest.raises(LockBusy):
        store.runs.start(RUN)
    store.runs.finish(finished(RUN))
    with pytest.raises(StoreError, match="already exists"):
        store.runs.start(RUN)


def test_a_living_run_is_not_aborted_a_dead_one_is(store: Store) -> None:
    store.runs.start(RUN)
    with Store.open(store.location) as other:
        other.runs.start(replace(RUN, id="run 2"))
        assert store.runs.abort_dead() == []
        assert other.runs.abort_dead() == []
    (dead,) = store.runs.abort_dead()
    assert dead == store.runs.get("run 2")
    assert (dead.id, dead.outcome, dead.ended) == ("run 2", Outcome.ABORTED, store.database.now())
    assert [event.what for event in dead.events] == ["run run 2 was aborted: its process has died"]
    assert store.runs.abort_dead() == []
    assert store.runs.get("run 1").outcome is None


def test_finished_runs_leave_no_lock_files(store: Store) -> None:
    before = sorted((store.folder / "locks").iterdir())
    store.runs.start(RUN)
    assert sorted((store.folder / "locks").iterdir()) != before
    store.runs.finish(finished(RUN))
    assert sorted((store.folder / "locks").iterdir()) == before


def test_a_run_has_a_folder(store: Store) -> None:
    (store.runs.folder_of("run 1") / "log.txt").write_text("x")
    assert (store.runs.folder_of("run 1") / "log.txt").read_text() == "x"
