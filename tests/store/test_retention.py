"""What retention removes of a state, and what it never does."""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from engine import spec
from engine.evaluation.record import CheckResult, Evaluation, EvaluationTime, Fingerprints, MetricValue
from engine.outcome import CheckOutcome, Outcome
from engine.store import (
    Attachment,
    Fire,
    FireState,
    MessageState,
    OutboxMessage,
    RunRecord,
    StepRecord,
    Store,
    TriggerState,
    generate_id,
)
from engine.store.location import StateLocation
from engine.store.outbox import JOINED
from engine.store.retention.pruning import Pruned, prune_state
from engine.store.state.size import describe_size
from engine.store.tables import check_results, evaluation_metrics, outbox, removals, run_ends, run_steps

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SPEC = """
version: 1
project: p
{retention}
datasets: {{t: {{path: t.csv}}}}
evaluation_stores:
  x:
    dataset: t
    evaluation: {evaluation}
    reference: {reference}
    across_models: {across}
    checks: {checks}
"""


@cache
def load_spec(
    retention: str,
    reference: str = "{kind: dataset, dataset: t}",
    evaluation: str = "{}",
    across: str = "false",
    checks: str = "{}",
) -> spec.ProjectSpec:
    with TemporaryDirectory() as folder:
        path = Path(folder, "p.yaml")
        line = f"retention: {retention}" if retention else ""
        text = SPEC.format(retention=line, reference=reference, evaluation=evaluation, across=across, checks=checks)
        path.write_text(text)
        return spec.load(path, {}, {})


@dataclass
class Moment:
    """A clock that the test sets."""

    time: datetime = NOW

    def __call__(self) -> datetime:
        return self.time


@dataclass
class State:
    """A store whose records are made at any time before now."""

    store: Store
    clock: Moment
    count: int = 0

    def make_id(self, days: float) -> str:
        self.count += 1
        self.clock.time = NOW - timedelta(days=days) + timedelta(microseconds=self.count)
        return generate_id(self.clock.time)

    def run(self, scenario: str = "s", days: float = 0, *, ends: bool = True, **other: Any) -> str:
        id_ = self.make_id(days)
        run = RunRecord(id=id_, project="p", scenario=scenario, started=self.clock(), who="ada@host", **other)
        self.store.runs.start(run)
        (self.store.runs.folder_of(id_) / "log.jsonl").write_text("{}\n")
        if ends:
            self.end(run)
        self.clock.time = NOW
        return id_

    def end(self, run: RunRecord) -> None:
        step = StepRecord("build", "build", Outcome.SUCCESS, run.started, run.started)
        self.store.runs.finish(replace(run, ended=run.started, outcome=Outcome.SUCCESS, steps=(step,)))

    def message(self, run: str, state: MessageState, days: float = 0, *, files: bool = True, error: str = "") -> str:
        id_ = self.make_id(days)
        attached = (Attachment("a.html", "text/html", b"12345"),) if files else ()
        message = OutboxMessage(
            id_,
            run,
            "tell",
            "box",
            ("a@b",),
            "subject",
            "text",
            self.clock(),
            attached,
            state,
            last_error=error or None,
        )
        self.store.outbox.add(message)
        self.clock.time = NOW
        return id_

    def evaluation(
        self,
        days: float = 0,
        *,
        store: str = "x",
        model: str = "m",
        data: str = "",
        supersedes: str | None = None,
        **other: Any,
    ) -> str:
        id_ = self.make_id(days)
        made = Evaluation(
            id=id_,
            store=store,
            name=other.pop("name", id_),
            labels={},
            created=self.clock(),
            fingerprints=Fingerprints(model, data or id_, "r", "p"),
            engine_version="1",
            kernel_version="1",
            rows_read=other.pop("rows", 10),
            rows_used=10,
            reference_rows=10,
            metrics={"row_count": MetricValue(10.0), "data_drift": MetricValue(0.5)},
            **other,
        )
        self.store.evaluations.add(made, supersedes=supersedes)
        folder = self.store.evaluations.folder_of(id_)
        folder.mkdir()
        (folder / "columns.profile").write_text("12345678")
        result = CheckResult(store, "c", "row_count", CheckOutcome.OK, CheckOutcome.OK, 10.0, evaluation=id_)
        self.store.checks.add(other.get("run"), [result])
        self.clock.time = NOW
        return id_

    def fire(self, days: float, state: FireState, run: str | None = None, trigger: str = "t") -> int:
        at = NOW - timedelta(days=days)
        self.count += 1
        fire = Fire("s", trigger, f"cron:{self.count}", at, at, state=state, run=run)
        return self.store.fires.advance([], [fire])[0].number

    def prune(self, retention: str, **other: str) -> Pruned:
        project = load_spec(retention, **other)
        planned = prune_state(self.store, project, NOW, dry=True)
        done = prune_state(self.store, project, NOW)
        assert replace(done, free_bytes=0) == replace(planned, free_bytes=0)
        assert prune_state(self.store, project, NOW).is_empty
        assert list_orphans(self.store) == []
        return done

    def runs(self) -> list[str]:
        return [run.id for run in self.store.runs.history(whole=False)]

    def evaluations(self, store: str = "x") -> list[str]:
        with self.store.database.begin_read() as connection:
            from engine.store.tables import evaluations

            of_store = select(evaluations.c.id).where(evaluations.c.store == store).order_by(evaluations.c.number)
            return list(connection.scalars(of_store))

    def with_files(self) -> set[str]:
        return {path.name for path in (self.store.folder / "evaluations").iterdir()}

    def count_rows(self, table: Any) -> int:
        with self.store.database.begin_read() as connection:
            return connection.scalars(select(func.count()).select_from(table)).one()


def list_orphans(store: Store) -> list[str]:
    """Return the folders of runs and evaluations without a row, and the rows that own others which are not there."""
    from engine.store.tables import evaluations, runs, unfinished_folders

    found = []
    with store.database.begin_read() as connection:
        for table, part in ((runs, "runs"), (evaluations, "evaluations")):
            ids = {id_.lower() for id_ in connection.scalars(select(table.c.id))}
            found += [str(path) for path in (store.folder / part).iterdir() if path.name not in ids]
        found += list(connection.scalars(select(unfinished_folders.c.path)))
        if store.location.rows is None:
            found += [str(row) for row in connection.exec_driver_sql("PRAGMA foreign_key_check")]
    return found


@pytest.fixture(scope="session")
def empty_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty") / "state"
    Store.open(folder).close()
    return folder


@pytest.fixture
def state(empty_state: Path, location: StateLocation) -> Iterator[State]:
    if location.rows is None:
        shutil.copytree(empty_state, location.folder)
    clock = Moment()
    with Store.open(location, now=clock) as store:
        yield State(store, clock)


def test_without_a_retention_nothing_is_removed(state: State) -> None:
    state.run(days=900)
    state.run(days=900)
    state.evaluation(900)
    state.evaluation(900)
    assert state.prune("") == Pruned(free_bytes=0)
    assert (len(state.runs()), len(state.evaluations())) == (2, 2)


def test_runs_that_exceed_one_of_the_limits_go_with_all_that_is_theirs(state: State) -> None:
    by_scenario = [[state.run(name, days) for days in (50, 40, 9, 2, 1)] for name in ("a", "b")]
    assert state.prune("{runs: {keep: 3, days: 5}}").runs == 6
    assert state.runs() == [id_ for runs in by_scenario for id_ in runs[3:]]
    assert {path.name for path in (state.store.folder / "runs").iterdir()} == set(state.runs())
    assert state.count_rows(run_steps) == 4
    assert state.count_rows(run_ends) == 4


def test_the_newest_run_of_a_scenario_stays_however_old_it_is(state: State) -> None:
    old = [state.run(name, 500) for name in ("a", "b", "b")]
    state.run("b", 400, ends=False)
    state.prune("{runs: {days: 1}}")
    assert state.runs()[:2] == [old[0], old[2]]


def test_a_run_that_has_not_ended_stays_with_the_runs_that_it_has_started(state: State) -> None:
    running = state.run("parent", 90, ends=False)
    child = state.run("child", 90, parent=running)
    grandchild = state.run("child", 90, parent=child)
    state.run("child", 90)
    state.run("child", 1)
    state.prune("{runs: {keep: 1}}")
    assert state.runs()[:3] == [running, child, grandchild]
    assert len(state.runs()) == 4


def test_a_run_stays_as_long_as_one_of_its_messages_is_not_delivered(state: State) -> None:
    states = (MessageState.PENDING, MessageState.REFUSED, MessageState.SENT, MessageState.DROPPED)
    runs = {name: state.run(days=90) for name in states}
    for name, run in runs.items():
        state.message(run, name)
    joined = state.run(days=90)
    pending = state.message(runs[MessageState.PENDING], MessageState.PENDING)
    state.message(joined, MessageState.DROPPED, error=JOINED + pending)
    newest = state.run()
    state.prune("{runs: {days: 30}}")
    assert state.runs() == [runs[MessageState.PENDING], runs[MessageState.REFUSED], joined, newest]
    assert [message.subject for message in state.store.outbox.list_joined(pending)] == ["subject"]
    assert state.count_rows(outbox) == 4


def test_fires_stay_for_eight_days_and_as_long_as_their_run_and_the_newest_of_each_trigger(state: State) -> None:
    old, newer = state.run(days=60), state.run(days=10)
    done = state.fire(60, FireState.DONE, old)
    of_kept_run = state.fire(10, FireState.DONE, newer)
    waiting = state.fire(300, FireState.WAITING)
    skipped = [state.fire(days, FireState.SKIPPED) for days in (300, 40, 20, 7)]
    coalesced = state.fire(300, FireState.COALESCED)
    newest_of_another = state.fire(300, FireState.SKIPPED, trigger="other")
    newest = state.fire(100, FireState.DONE, "20260101-000000-000000-aaaaaaaa")
    state.prune("{runs: {days: 30}}")
    kept = [fire.number for fire in state.store.fires.history()]
    assert kept == [of_kept_run, waiting, *skipped[2:], newest_of_another, newest]
    assert done not in kept
    assert coalesced not in kept


def test_where_runs_are_counted_fires_without_a_run_stay_for_ninety_days(state: State) -> None:
    numbers = [state.fire(days, FireState.SKIPPED) for days in (100, 80, 1)]
    state.prune("{runs: {keep: 5}}")
    assert [fire.number for fire in state.store.fires.history()] == numbers[1:]


def test_the_run_of_an_open_fire_stays(state: State) -> None:
    run = state.run(days=90)
    state.run()
    state.fire(90, FireState.STARTING, run)
    state.prune("{runs: {days: 30}}")
    assert run in state.runs()


def test_ends_of_runs_that_a_trigger_has_not_seen_stay_and_the_newest_number_is_never_given_again(state: State) -> None:
    for _ in range(5):
        state.run(days=90)
    seen = TriggerState("other", "after", "d", NOW, {"run_end": 2})
    state.store.fires.advance([seen])
    state.prune("{runs: {keep: 1}}")
    assert [end.number for end in state.store.run_ends.list_after(0)] == [3, 4, 5]
    state.store.fires.advance([replace(seen, seen={"run_end": 5})])
    state.prune("{runs: {keep: 1}}")
    assert [end.number for end in state.store.run_ends.list_after(0)] == [5]


def test_evaluations_go_with_their_metrics_checks_and_files_and_it_is_recorded(state: State) -> None:
    ids = [state.evaluation(days) for days in (30, 20, 10, 1)]
    other = state.evaluation(30, store="y")
    done = state.prune("{evaluations: {keep: 2}}")
    assert (done.evaluations, done.file_bytes) == (2, 16)
    assert state.evaluations() == ids[2:]
    assert state.evaluations("y") == [other]
    assert state.with_files() == {*ids[2:], other}
    assert state.count_rows(evaluation_metrics) == 6
    assert state.count_rows(check_results) == 3
    assert [(one.name, one.by) for one in state.store.evaluations.list_removals("x")] == [
        (ids[0], "retention"),
        (ids[1], "retention"),
    ]


def test_files_go_before_their_evaluations_which_tell_when(state: State) -> None:
    ids = [state.evaluation(days) for days in (30, 20, 10)]
    done = state.prune("{evaluation_files: {days: 15}}")
    assert (done.evaluation_files, done.evaluations, done.file_bytes) == (2, 0, 16)
    assert state.with_files() == {ids[2]}
    found = [state.store.evaluations.get(id_) for id_ in ids]
    assert [one.files_removed for one in found] == [NOW, NOW, None]
    assert state.prune("{evaluations: {keep: 1}}").evaluations == 2


def test_a_file_that_another_evaluation_has_too_frees_nothing(state: State) -> None:
    first, second = state.evaluation(30), state.evaluation(1)
    path = state.store.evaluations.folder_of(second) / "columns.profile"
    path.unlink()
    path.hardlink_to(state.store.evaluations.folder_of(first) / "columns.profile")
    assert state.prune("{evaluation_files: {keep: 1}}").file_bytes == 0
    assert path.read_text() == "12345678"


def test_a_superseded_evaluation_is_not_in_the_history_again_when_its_successor_goes(state: State) -> None:
    time = EvaluationTime(NOW - timedelta(days=300), None, "then")
    old = state.evaluation(5, time=time)  # made by a clock that was set back afterwards
    newer = state.evaluation(90, time=time, supersedes=old)
    newest = state.evaluation(1, time=EvaluationTime(NOW, None, "now"))
    state.prune("{evaluations: {days: 30}}")
    assert state.evaluations() == [newest]
    assert newer != old


def test_where_data_alternate_as_many_other_data_stay_as_a_check_looks_back_at(state: State) -> None:
    made = [state.evaluation(days, data=data) for days, data in zip(range(8, 0, -1), "abababab", strict=True)]
    check = "{c: {metric: row_count, change: absolute, compare: {mean_of_last: 2}, max: 1}}"
    state.prune("{evaluations: {keep: 1}}", checks=check)
    assert state.evaluations() == made[-4:]  # two of `a` for a next batch of `b`, and two of `b` for one of `a`


def test_the_attachments_of_messages_that_wait_stay_and_one_that_was_refused_says_that_it_has_lost_them(
    state: State,
) -> None:
    run = state.run()
    pending = state.message(run, MessageState.PENDING, 90)
    refused = state.message(run, MessageState.REFUSED, 90)
    newer = state.message(run, MessageState.REFUSED, 1)
    done = state.prune("{attachments: {days: 30}}")
    assert (done.attachments, done.attachment_bytes) == (1, 5)
    texts = {message.id: message.text for message in state.store.outbox.list_unsent()}
    assert texts[refused] == "text\n\n(Its attachments were removed by retention on 2026-11-28 12:00 UTC.)"
    assert texts[pending] == texts[newer] == "text"
    claim = state.store.outbox.claim(pending, timedelta(minutes=1))
    assert claim is not None
    assert [one.content for one in claim.message.attachments] == [b"12345"]


def test_what_a_dataset_was_measured_stays_as_far_as_checks_look_back(state: State) -> None:
    for value in range(6):
        run = state.run(days=90, ends=False)
        state.store.measurements.add("t", f"f{value}", {"row_count": MetricValue(float(value))}, run)
        state.end(state.store.runs.get(run))
    state.prune("{runs: {keep: 1}}")
    assert [one.metrics["row_count"].value for one in state.store.measurements.history("t")] == [5.0]


def test_a_store_that_a_run_writes_to_is_left_as_it_is_and_that_is_told(state: State) -> None:
    kept = [state.evaluation(days) for days in (30, 20)]
    state.evaluation(30, store="y")
    state.evaluation(20, store="y")
    project = load_spec("{evaluations: {keep: 1}}")
    with state.store.locks.hold("evaluation store x"), Store.open(state.store.location) as other:
        done = prune_state(other, project, NOW)
    assert (done.evaluations, done.busy) == (1, ("x",))
    assert state.evaluations() == kept
    assert prune_state(state.store, project, NOW).evaluations == 1


def test_it_stops_before_the_next_transaction_and_goes_on_the_next_time(state: State) -> None:
    for days in range(250):
        state.evaluation(days)
    asked: list[int] = []

    def goes_on() -> bool:
        asked.append(1)
        return len(asked) <= 2

    project = load_spec("{evaluations: {keep: 1}}")
    assert prune_state(state.store, project, NOW, goes_on=goes_on).evaluations == 200
    assert list_orphans(state.store) == []
    assert prune_state(state.store, project, NOW).evaluations == 49


def test_the_room_of_what_was_removed_is_free_and_vacuum_gives_it_back(state: State) -> None:
    for days in range(300):
        state.evaluation(days, notes=("x" * 2000,))
    free = state.prune("{evaluations: {keep: 1}}").free_bytes
    assert free > 500_000 if state.store.location.rows is None else free == 0  # a server does not tell
    before = describe_size(state.store).database_bytes
    state.store.database.vacuum()
    assert describe_size(state.store).database_bytes < before - 500_000
    if state.store.location.rows is None:
        assert not (state.store.folder / "state.db-wal").stat().st_size


def test_the_size_of_a_state_counts_rows_and_files(state: State) -> None:
    before = describe_size(state.store)
    state.evaluation()
    size = describe_size(state.store)
    assert (size.rows - before.rows, size.folder_bytes - before.folder_bytes) == (5, 8)
    assert not size.is_large


# ---- a twin that decides one by one what must remain of evaluations -------------------------------------------------

MADE = st.fixed_dictionaries(
    {
        "days": st.integers(0, 40),
        "model": st.sampled_from("mno"),
        "data": st.sampled_from("abcd"),
        "rows": st.sampled_from([10, 10, 10, 0]),
        "at": st.integers(0, 40),
        "name": st.sampled_from(["base", "w1", "w2"]),
        "running": st.sampled_from([False, False, False, False, True]),
    }
)
REFERENCES = st.sampled_from(
    [
        ("rolling", "{kind: rolling, last: 2}", 2),
        ("rolling", "{kind: rolling, last: 1}", 1),
        ("named", "{kind: evaluation, name: base}", 0),
        ("same", "{kind: same_period, every: 7d, last: 1}", 7),
        ("dataset", "{kind: dataset, dataset: t}", 0),
    ]
)


@dataclass
class Twin:
    """An evaluation of the twin."""

    id: str
    number: int
    model: str
    data: str
    rows: int
    name: str
    created: datetime
    start: datetime
    running: bool
    superseded: bool = False
    supersedes: list["Twin"] = field(default_factory=list)

    def is_earlier(self, other: "Twin") -> bool:
        return (self.start, self.number) < (other.start, other.number)


def list_needed(
    made: Sequence[Twin], kind: str, last: int, timed: bool, across: bool, past: int
) -> tuple[set[str], set[str]]:
    """Return the ids of the evaluations whose rows are needed, and of those whose files are."""
    current = sorted((one for one in made if not one.superseded), key=lambda one: (one.start, one.number), reverse=True)
    models = list(dict.fromkeys(one.model for one in current))[:2]
    files = {one.id for one in made if one.running}
    files |= {next(one.id for one in current if one.model == model) for model in models}
    rows: set[str] = set()
    for model in [None] if across else models:
        history = [one for one in current if model in (None, one.model)]
        units = [one for at, one in enumerate(history) if timed or not at or one.data != history[at - 1].data]
        rows |= {one.id for one in units[: past + 1 if timed else 1]}
        # every next batch without a time: of known or of new data, also the newest once more
        for data in () if timed else (*"abcd", "new"):
            rows |= {one.id for one in [one for one in units if one.data != data][:past]}
        if kind == "rolling":
            # every next batch: of known or of new data, at a later time or the newest one made anew
            for data in (*"abcd", "new"):
                for earlier in (history, history[1:]) if timed else (history,):
                    usable = [one for one in earlier if one.rows and one.data != data]
                    usable = [one for at, one in enumerate(usable) if one.data not in {o.data for o in usable[:at]}]
                    files |= {one.id for one in usable[:last]}
    if kind == "named":
        files |= {one.id for one in current if one.name == "base"}
    if kind == "same" and timed and current:
        files |= {one.id for one in current if one.start >= current[0].start - timedelta(days=last)}
    return rows | files, files


@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(MADE, min_size=1, max_size=12),
    REFERENCES,
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 1, 3]),
    st.tuples(st.sampled_from([None, 1, 3]), st.sampled_from([None, 10, 25])),
    st.tuples(st.sampled_from([None, 1, 2]), st.sampled_from([None, 5])),
)
def test_exactly_what_exceeds_a_limit_and_is_not_needed_goes(
    empty_state: Path,
    wanted: list[dict[str, Any]],
    reference: tuple[str, str, int],
    timed: bool,
    across: bool,
    past: int,
    limits: tuple[int | None, int | None],
    file_limits: tuple[int | None, int | None],
) -> None:
    kind, declared, last = reference
    if kind == "same" and not timed:
        return
    with TemporaryDirectory() as folder:
        shutil.copytree(empty_state, Path(folder, "state"))
        clock = Moment()
        with Store.open(Path(folder, "state"), now=clock) as store:
            state = State(store, clock)
            made: list[Twin] = []
            for one in wanted:
                start = NOW - timedelta(days=one["at"])
                same = [
                    twin
                    for twin in made
                    if timed and not twin.superseded and (twin.start, twin.model) == (start, one["model"])
                ]
                run = state.run(days=1, ends=False) if one["running"] else None
                id_ = state.evaluation(
                    one["days"],
                    model=one["model"],
                    data=one["data"],
                    rows=one["rows"],
                    name=one["name"],
                    run=run,
                    time=EvaluationTime(start, None, f"{start:%Y-%m-%d}") if timed else None,
                    supersedes=same[0].id if same else None,
                )
                created = store.evaluations.get(id_).created
                twin = Twin(
                    id_, len(made), one["model"], one["data"], one["rows"], one["name"], created,
                    start if timed else created, one["running"],
                )  # fmt: skip
                for old in same:
                    old.superseded = True
                    twin.supersedes.append(old)
                made.append(twin)
            rows, files = list_needed(made, kind, last, timed, across, past)

            def exceeds(twin: Twin, keep: int | None, days: int | None) -> bool:
                later = [one for one in made if not one.superseded and twin.is_earlier(one)]
                too_many = keep is not None and len(later) >= keep
                return too_many or (days is not None and twin.created < NOW - timedelta(days=days))

            gone = {one.id for one in made if exceeds(one, *limits) and one.id not in rows}
            for one in reversed(made):  # what is superseded does not come back
                if one.id in gone:
                    gone |= {old.id for old in one.supersedes}
            bare = {one.id for one in made if exceeds(one, *file_limits) and one.id not in files | gone}
            kept = [one.id for one in made if one.id not in gone]
            names = ("keep", "days")
            parts = {"evaluations": limits, "evaluation_files": file_limits}
            texts = {
                part: ", ".join(f"{name}: {value}" for name, value in zip(names, of, strict=True) if value)
                for part, of in parts.items()
            }
            done = state.prune(
                "{" + ", ".join(f"{part}: {{{text}}}" for part, text in texts.items() if text) + "}",
                reference=declared,
                evaluation='{time: "${as_of}"}' if timed else "{}",
                across=str(across).lower(),
                checks=f"{{c: {{metric: row_count, change: absolute, compare: {{mean_of_last: {past}}}, max: 1}}}}"
                if past
                else "{}",
            )
            assert state.evaluations() == kept
            assert state.with_files() == set(kept) - bare
            assert (done.evaluations, done.evaluation_files) == (len(gone), len(bare))


# ---- killed in between -----------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_retention import NOW, load_spec
from engine.store import Store
from engine.store.retention.pruning import prune_state

left = int(sys.argv[2])

def count_down(frame, event, argument):
    global left
    if event == "c_call" and argument.__name__ in ("execute", "commit", "rmdir", "unlink", "executemany"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

with Store.open(Path(sys.argv[1])) as store:
    sys.setprofile(count_down)
    prune_state(store, load_spec("{runs: {keep: 2}, evaluations: {keep: 2}, evaluation_files: {keep: 1}}"), NOW)
    sys.setprofile(None)
print("whole")
"""


@pytest.mark.slow
def test_killed_anywhere_it_leaves_a_state_in_order_and_the_next_one_finishes(
    empty_state: Path, tmp_path: Path
) -> None:
    shutil.copytree(empty_state, tmp_path / "full")
    clock = Moment()
    with Store.open(tmp_path / "full", now=clock) as store:
        state = State(store, clock)
        runs = [state.run(days=days) for days in (50, 40, 30, 20)]
        ids = [state.evaluation(days) for days in (50, 40, 30, 20)]
    deaths = 0
    for left in (0, 3, 7, 12, 18, 24, 29, 33, 36, 39, 42, 45, 49, 55):
        folder = tmp_path / f"killed-{left}"
        shutil.copytree(tmp_path / "full", folder)
        command = [sys.executable, "-c", KILLED, str(folder), str(left), str(Path(__file__).parent)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        deaths += ended.returncode == -9
        assert ended.returncode in (0, -9), ended.stderr
        with Store.open(folder, now=clock) as store:
            assert list_orphans(store) == []
            state = State(store, clock)
            left_over = [store.evaluations.get(id_) for id_ in state.evaluations()]
            assert {one.id for one in left_over if one.files_removed is None} == state.with_files()
            state.prune("{runs: {keep: 2}, evaluations: {keep: 2}, evaluation_files: {keep: 1}}")
            assert (state.runs(), state.evaluations(), state.with_files()) == (runs[2:], ids[2:], {ids[3]})
            assert state.count_rows(removals) == 2
    assert deaths > 8
