"""Finds triggers that fire because of changes by the runs that they start, which would go on endlessly.

A file whose last change was during a run may have been changed by that run. The length of a chain of such runs is the
number of its runs that were started by a change. A run started by a schedule does not count, so one scenario may write
each night the files that start another.
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
"""Tolerance for times of files: the clock of a file system may be a tick behind the system clock."""

MOST_KEPT = 1000
"""Most runs and fires that are kept in memory."""


@dataclass(frozen=True, slots=True)
class _Run:
    depth: int
    started: datetime
    ended: datetime | None = None


class RunChains:
    """The runs of a project with the lengths of their chains."""

    def __init__(self) -> None:
        self._runs: dict[str, _Run] = {}
        self._depths: dict[tuple[str, str, str], int] = {}

    def begin_run(self, run: str, fire: Fire | None, started: datetime) -> None:
        """Record that a run begins, and the fire that started it."""
        depth = 0 if fire is None else self._depths.get((fire.scenario, fire.trigger, fire.key), 0)
        self._runs[run] = _Run(depth, started)
        _drop_oldest(self._runs)

    def end_run(self, run: str, ended: datetime) -> None:
        """Record that a run has ended."""
        if run in self._runs:
            self._runs[run] = replace(self._runs[run], ended=ended)

    def note_fire(self, fire: Fire, depth: int) -> None:
        """Record the length of the chain that a fire continues."""
        self._depths[fire.scenario, fire.trigger, fire.key] = depth
        _drop_oldest(self._depths)

    def measure_chain(self, changed: Mapping[Path, FileIdentity | None]) -> int:
        """Return the length of the chain if these changes started a run; 0 if no single run can have made them all."""
        run = self._find_maker(changed)
        return 0 if run is None else run.depth + 1

    def compute_hold(self, changed: Mapping[Path, FileIdentity | None], now: datetime) -> float:
        """Return the seconds that a fire must wait, to see whether other programs than the run change these files."""
        run = self._find_maker(changed)
        if run is None or run.depth + 1 < RUNS_BEFORE_PAUSE:
            return 0.0
        if run.ended is None:
            return compute_pause(0.0)
        return compute_pause((run.ended - run.started).total_seconds()) - (now - run.ended).total_seconds()

    def _find_maker(self, changed: Mapping[Path, FileIdentity | None]) -> _Run | None:
        """Return the run during which all these files were last changed; of several, that with the longest chain."""
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
