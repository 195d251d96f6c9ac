"""Runs that change what they read are stopped; a program that often changes files is not taken for one."""

from pathlib import Path

import pytest

from engine.errors import EngineError
from engine.service.sources.file_set import ChangedFile
from engine.service.sources.self_made_runs import SelfMadeRuns
from engine.service.sources.settling import Settling
from engine.service.sources.watched_sources import WatchedSource

from ..clocks import SecondsClock

SOURCE = WatchedSource("data", Path("d.csv"))


def change(since: float, path: str = "d.csv") -> ChangedFile:
    return ChangedFile(Path(path), SOURCE, None, since, since, Settling(0.3, 5.0))


def run(runs: SelfMadeRuns, clock: SecondsClock, because: list[ChangedFile], meanwhile: list[ChangedFile]) -> None:
    runs.begin(because)
    clock.now += 2.0
    runs.end(meanwhile, ran=True)


def test_the_sixth_run_in_a_row_that_a_run_has_started_is_refused() -> None:
    clock = SecondsClock()
    runs = SelfMadeRuns(clock)
    run(runs, clock, [], [change(clock.now + 2.0)])
    for _ in range(5):
        clock.now += 1.0
        run(runs, clock, [change(clock.now - 1.0)], [change(clock.now + 2.0)])
    clock.now += 1.0
    with pytest.raises(EngineError, match=r"changed only during the previous run: d\.csv"):
        runs.begin([change(clock.now - 1.0)])


def test_after_two_such_runs_the_next_waits_to_see_other_writers() -> None:
    clock = SecondsClock()
    runs = SelfMadeRuns(clock)
    run(runs, clock, [], [change(clock.now + 2.0)])
    for pause in (0.0, 2.0, 2.0):
        clock.now += 1.0
        run(runs, clock, [change(clock.now - 1.0)], [change(clock.now + 2.0)])
        assert runs.pause_seconds() == pytest.approx(pause)
    clock.now += 5.0
    assert runs.pause_seconds() < 0


def test_a_file_that_changes_between_runs_too_is_changed_by_another_program() -> None:
    clock = SecondsClock()
    runs = SelfMadeRuns(clock)
    run(runs, clock, [], [change(clock.now + 2.0)])
    for turn in range(50):
        ended, clock.now = clock.now, clock.now + 3.0
        run(runs, clock, [change(ended + (1.0 if turn % 5 == 4 else 0.0))], [change(clock.now + 2.0)])
        assert (runs.pause_seconds() > 0) == (turn % 5 in (1, 2, 3))


def test_another_file_that_has_changed_too_is_a_reason_of_its_own() -> None:
    clock = SecondsClock()
    runs = SelfMadeRuns(clock)
    for _ in range(20):
        ended, clock.now = clock.now, clock.now + 1.0
        run(runs, clock, [change(ended), change(ended + 0.5, "spec.yaml")], [change(clock.now + 2.0)])
        assert runs.pause_seconds() == 0
