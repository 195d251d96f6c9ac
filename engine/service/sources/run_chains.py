"""Finds triggers that are fired by what the runs that they start have changed: they would fire for ever.

A file that was changed last while a run worked was perhaps changed by that run. A chain of such runs is as long as the
number of runs in it that were started by a change. A run that a schedule has started begins no chain, so one scenario
may write each night what starts another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.file_identity import FileIdentity
from engine.service.sources.self_made_runs import RUNS_BEFORE_PAUSE, compute_pause
from engine.store import Fire

TICK_SECONDS = 0.02
"""The clock of a file system is behind that of the system by up to a tick."""

MOST_KEPT = 1000
"""Runs and fires that are remembered."""


@dataclass(frozen=True, slots=True)
class _Run:
    depth: int
    started: datetime
    ended: datetime | None = None


class RunChains:
    """The runs of a project, and how many in a row, each started by what the one before has changed, led to them."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}
        self._depths: dict[tuple[str, str, str], int] = {}

    def begin_run(self, run: str, fire: Fire | None, started: datetime) -> None:
        """Note that a run begins, and the fire that it answers."""
        depth = 0 if fire is None else self._depths.get((fire.scenario, fire.trigger, fire.key), 0)
        self._runs[run] = _Run(depth, started)
        _drop_oldest(self._runs)

    def end_run(self, run: str, ended: datetime) -> None:
        """Note that a run has ended."""
        if run in self._runs:
            self._runs[run] = replace(self._runs[run], ended=ended)

    def note_fire(self, fire: Fire, depth: int) -> None:
        """Note how long the chain is that a fire continues."""
        self._depths[fire.scenario, fire.trigger, fire.key] = depth
        _drop_oldest(self._depths)

    def measure_chain(self, changed: Mapping[Path, FileIdentity | None]) -> int:
        """Return how many runs in a row there would be if these changes started one; 0 if no run has made them all."""
        run = self._find_maker(changed)
        return 0 if run is None else run.depth + 1

    def compute_hold(self, changed: Mapping[Path, FileIdentity | None], now: datetime) -> float:
        """Return how many seconds a fire must wait, to see whether another program than the run changes these files."""
        run = self._find_maker(changed)
        if run is None or run.depth + 1 < RUNS_BEFORE_PAUSE:
            return 0.0
        if run.ended is None:
            return compute_pause(0.0)
        return compute_pause((run.ended - run.started).total_seconds()) - (now - run.ended).total_seconds()

    def _find_maker(self, changed: Mapping[Path, FileIdentity | None]) -> _Run | None:
        """Return the run of the longest chain during which all these files were changed last."""
        times = [None if state is None else state.ctime_ns / 1e9 for state in changed.values()]
        found = [
            run
            for run in self._runs.values()
            if times and all(time is not None and _covers(run, time) for time in times)
        ]
        return max(found, key=lambda run: run.depth, default=None)


def _covers(run: _Run, time: float) -> bool:
    return run.started.timestamp() - TICK_SECONDS <= time and (run.ended is None or time <= run.ended.timestamp())


def _drop_oldest(kept: dict[Any, Any]) -> None:
    while len(kept) > MOST_KEPT:
        del kept[next(iter(kept))]
