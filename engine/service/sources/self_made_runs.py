"""Finds runs that are started by what the run before has changed itself: they would go on for ever.

A file that changes only while a run works is changed by that run. Another program changes it at other times too: so
after two such runs the next one waits a while, in which that would be seen.
"""

from collections.abc import Callable, Collection
from pathlib import Path

from engine.errors import EngineError
from engine.service.sources.file_set import ChangedFile

MOST_RUNS = 5
"""Runs in a row that may be started by changes made during the one before."""

RUNS_BEFORE_PAUSE = 2

SHORTEST_PAUSE_SECONDS = 1.0


def describe_self_made(paths: Collection[Path]) -> str:
    """Return why no more runs are started by changes of these files."""
    files = ", ".join(sorted(map(str, paths))[:3])
    return (
        f"{MOST_RUNS} runs in a row were started by a file that changed only while the run before worked: {files}. So "
        "the runs write what they read, and would go on for ever. Let them write another file"
    )


def compute_pause(length: float) -> float:
    """Return how many seconds after a run of that length the next one waits, to see whether others change its files."""
    return max(SHORTEST_PAUSE_SECONDS, length)


class SelfMadeRuns:
    """Counts the runs in a row that were started by changes made during the one before."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = self._ended = clock()
        self._count = 0
        self._made: set[Path] = set()

    def begin(self, changed: Collection[ChangedFile]) -> None:
        """Note that a run begins because of these changes.

        Raises
        ------
        EngineError
            It would be one more run of that kind than is allowed.
        """
        self_made = bool(changed) and all(one.path in self._made and one.since <= self._ended for one in changed)
        self._count = self._count + 1 if self_made else 0
        if self._count > MOST_RUNS:
            raise EngineError(describe_self_made([one.path for one in changed]))
        self._began = self._clock()

    def end(self, changed: Collection[ChangedFile], *, ran: bool) -> None:
        """Note that a run has ended, and what has changed during it; `ran` is false if there was nothing to run."""
        self._ended = self._clock()
        self._made = {one.path for one in changed}
        if not ran:
            self._count = 0

    def pause_seconds(self) -> float:
        """Return how long the next run must still wait, to see whether another program changes its files."""
        if self._count < RUNS_BEFORE_PAUSE:
            return 0.0
        return self._ended + compute_pause(self._ended - self._began) - self._clock()
