"""Finds runs that are started by changes that the previous run has made itself, which would go on endlessly.

A file that changes only during runs is changed by the runs. Another program would also change it at other times, so
after two such runs the next one waits for a while to see that.
"""

from collections.abc import Callable, Collection
from pathlib import Path

from engine.errors import EngineError
from engine.service.sources.file_set import ChangedFile

MOST_RUNS = 5
"""Most runs in a row that may be started by changes made during the previous one."""

RUNS_BEFORE_PAUSE = 2

SHORTEST_PAUSE_SECONDS = 1.0


def describe_self_made(paths: Collection[Path]) -> str:
    """Return the error message for files that only the runs themselves change."""
    files = ", ".join(sorted(map(str, paths))[:3])
    return (
        f"{MOST_RUNS} runs in a row were started by a file that changed only during the previous run: {files}. So "
        "the runs write what they read, and would start again forever. Let them write another file"
    )


def compute_pause(length: float) -> float:
    """Return the pause in seconds after a run of this length, in which changes by other programs would be seen."""
    return max(SHORTEST_PAUSE_SECONDS, length)


class SelfMadeRuns:
    """Counts the runs in a row that were started by changes made during the previous one."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = self._ended = clock()
        self._count = 0
        self._made: set[Path] = set()

    def begin(self, changed: Collection[ChangedFile]) -> None:
        """Record that a run begins because of these changes.

        Raises
        ------
        EngineError
            More than MOST_RUNS runs in a row were started by changes of the previous one.
        """
        self_made = bool(changed) and all(map(self.is_made, changed))
        self._count = self._count + 1 if self_made else 0
        if self._count > MOST_RUNS:
            raise EngineError(describe_self_made([one.path for one in changed]))
        self._began = self._clock()

    def end(self, changed: Collection[ChangedFile], *, ran: bool) -> None:
        """Record that a run has ended, and the changes during it; `ran` is False if there was nothing to run."""
        self._ended = self._clock()
        self._made = {one.path for one in changed}
        if not ran:
            self._count = 0

    def is_made(self, change: ChangedFile) -> bool:
        """Return whether the last run has made a change, and nobody has changed the file since."""
        return change.path in self._made and change.since <= self._ended

    def pause_seconds(self) -> float:
        """Return the seconds that the next run must still wait, to see whether another program changes its files."""
        if self._count < RUNS_BEFORE_PAUSE:
            return 0.0
        return self._ended + compute_pause(self._ended - self._began) - self._clock()
