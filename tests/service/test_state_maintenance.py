"""What `engine serve` does with a state beside its runs: when, and what it tells of it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine import spec
from engine.outcome import Outcome
from engine.service.retention import StateMaintenance, describe_pruned, warn_of_size
from engine.store import RunRecord, Store, generate_id
from engine.store.retention.pruning import Pruned
from engine.store.state.size import StateSize

from ..waiting import wait_for

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
SPEC = "version: 1\nproject: p\ndatasets: {t: {path: t.csv}}\n"
Told = list[tuple[str, str]]


def load_project(folder: Path, retention: str = "") -> spec.ProjectSpec:
    path = folder / "p.yaml"
    path.write_text(SPEC + (f"retention: {retention}\n" if retention else ""))
    return spec.load(path, {}, {})


def add_run(store: Store, days: float) -> None:
    started = NOW - timedelta(days=days)
    run = RunRecord(generate_id(started), "p", "s", started, "ada@host")
    store.runs.start(run)
    store.runs.finish(RunRecord(run.id, "p", "s", started, "ada@host", ended=started, outcome=Outcome.SUCCESS))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "state", now=lambda: NOW) as opened:
        yield opened


def test_it_prunes_at_once_and_then_each_hour(store: Store, tmp_path: Path) -> None:
    told: Told = []
    project = load_project(tmp_path, "{runs: {keep: 1}}")
    upkeep = StateMaintenance(store.folder, project, lambda *told_of: told.append(told_of), lambda: NOW)
    for days in (3, 2, 1):
        add_run(store, days)
    upkeep.tick(store, NOW, busy=True)
    assert store.runs.count() == 1
    add_run(store, 0.5)
    upkeep.tick(store, NOW + timedelta(minutes=59), busy=True)
    assert store.runs.count() == 2
    upkeep.tick(store, NOW + timedelta(minutes=60), busy=True)
    assert store.runs.count() == 1
    add_run(store, 0.4)
    upkeep.tick(store, NOW - timedelta(days=300), busy=True)  # the clock is set back: it does not wait for months
    assert store.runs.count() == 1
    assert told == [("info", f"retention has removed {text}") for text in ("2 runs", "1 run", "1 run")]


def test_a_state_without_retention_is_pruned_never_but_with_a_new_spec_it_is(store: Store, tmp_path: Path) -> None:
    upkeep = StateMaintenance(store.folder, load_project(tmp_path), lambda *_: None, lambda: NOW)
    for days in (3, 2, 1):
        add_run(store, days)
    upkeep.tick(store, NOW, busy=False)
    assert store.runs.count() == 3
    upkeep.replace_project(load_project(tmp_path, "{runs: {keep: 1}}"))
    upkeep.tick(store, NOW + timedelta(hours=1), busy=False)
    assert store.runs.count() == 1


def test_the_log_is_emptied_only_while_no_run_is_at_work(store: Store, tmp_path: Path) -> None:
    upkeep = StateMaintenance(store.folder, load_project(tmp_path), lambda *_: None, lambda: NOW)
    add_run(store, 1)
    log = store.folder / "state.db-wal"
    assert log.stat().st_size
    upkeep.tick(store, NOW, busy=True)
    assert log.stat().st_size
    upkeep.tick(store, NOW + timedelta(seconds=59), busy=False)
    assert log.stat().st_size
    upkeep.tick(store, NOW + timedelta(seconds=60), busy=False)
    assert not log.stat().st_size


def test_what_fails_is_reported_and_does_not_end_it(store: Store, tmp_path: Path) -> None:
    told: Told = []
    project = load_project(tmp_path, "{runs: {keep: 1}}")
    upkeep = StateMaintenance(store.folder, project, lambda *told_of: told.append(told_of), lambda: NOW)
    with store.database.begin_write() as connection:
        connection.exec_driver_sql("ALTER TABLE fires RENAME TO other")
    upkeep.tick(store, NOW, busy=False)
    assert [level for level, _ in told] == ["warning"]
    assert told[0][1].startswith("the retention could not be applied: state folder ")


def test_the_thread_does_it_with_a_connection_of_its_own_and_ends_when_asked(store: Store, tmp_path: Path) -> None:
    project = load_project(tmp_path, "{runs: {keep: 1}}")
    upkeep = StateMaintenance(store.folder, project, lambda *_: None, lambda: NOW)
    for days in (3, 2, 1):
        add_run(store, days)
    upkeep.start()
    wait_for(lambda: store.runs.count() == 1, "the removal of the older runs")
    began = time.monotonic()
    upkeep.stop(30)
    assert time.monotonic() - began < 25


def test_what_was_removed_is_reported_in_words() -> None:
    done = Pruned(1, 2, 1200, 1, 3, file_bytes=4_100_000, attachment_bytes=512)
    assert describe_pruned(done) == (
        "1 run, 2 evaluations, the files of 1,200 evaluations, the attachments of 1 message, 3 fires: 4.1 MB of files "
        "and 512 B of attachments"
    )
    assert describe_pruned(Pruned(fires=1)) == "1 fire"


def test_a_large_state_without_retention_is_reported_with_what_to_write() -> None:
    assert not StateSize(5 * 1024**3, 5 * 1024**3, 1_000_000).is_large
    assert StateSize(1, 10 * 1024**3, 5).is_large
    size = StateSize(812_000_000, 3_100_000_000, 1_204_331)
    assert size.is_large
    assert warn_of_size(size) == (
        "the state has 1,204,331 rows, 812 MB in state.db and 3.1 GB of files, and keeps growing: nothing is removed, "
        "because the spec has no `retention:`, such as `retention: {runs: {days: 90}, evaluation_files: {keep: 100}}`"
    )


def test_an_unforeseen_error_is_reported_and_the_rest_goes_on(store: Store, tmp_path: Path) -> None:
    told: Told = []
    project = load_project(tmp_path, "{runs: {keep: 1}}")
    upkeep = StateMaintenance(store.folder, project, lambda *told_of: told.append(told_of), lambda: NOW)
    add_run(store, 1)
    (store.folder / "evaluations").rename(store.folder / "moved")
    upkeep.tick(store, NOW, busy=False)
    assert [level for level, _ in told] == ["warning"]
    assert told[0][1].startswith("the retention could not be applied: ")
    assert not (store.folder / "state.db-wal").stat().st_size


def test_what_works_again_is_reported_once(store: Store, tmp_path: Path) -> None:
    told: Told = []
    project = load_project(tmp_path, "{runs: {keep: 1}}")
    upkeep = StateMaintenance(store.folder, project, lambda *told_of: told.append(told_of), lambda: NOW)
    add_run(store, 1)
    (store.folder / "evaluations").rename(store.folder / "moved")
    upkeep.tick(store, NOW, busy=False)
    (store.folder / "moved").rename(store.folder / "evaluations")
    for hours in (1, 2):
        upkeep.tick(store, NOW + timedelta(hours=hours), busy=False)
    assert [level for level, _ in told] == ["warning", "recovered"]
    assert told[1][1] == "this problem is over: the retention could not be applied"
