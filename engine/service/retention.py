"""Maintenance of a state by `engine serve`: applies the retention, and keeps the database small.

It is done in a thread with its own connection, so that triggers and runs do not wait for it.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from engine.errors import EngineError, StoreError
from engine.formatting.numbers import format_bytes, format_count
from engine.spec import ProjectSpec
from engine.store import Store
from engine.store.location import StateLocation
from engine.store.retention.pruning import Pruned, prune_state
from engine.store.state.size import StateSize, describe_size

MERGE_EVERY = timedelta(minutes=1)
PRUNE_EVERY = timedelta(hours=1)
MEASURE_EVERY = timedelta(days=1)
"""Intervals at which the write-ahead log is merged, the retention applied, and a state without retention measured."""

LOOK_SECONDS = 5.0
"""Seconds between the thread's checks for due work."""

ReportMaintenance = Callable[[Literal["info", "warning", "recovered"], str], None]


class StateMaintenance:
    """Prunes a state each hour, merges its write-ahead log each minute, and warns once a day if it grows large.

    Parameters
    ----------
    place
        The location of the state.
    project
        The project, whose retention is applied.
    report
        Called from the thread with a report of what was done or failed.
    clock
        Returns datetimes with a time zone.
    """

    def __init__(
        self,
        place: Path | StateLocation,
        project: ProjectSpec,
        report: ReportMaintenance,
        clock: Callable[[], datetime],
    ) -> None:
        self._place = place
        self._project = project
        self._report = report
        self._clock = clock
        self._busy = False
        self._stopped = threading.Event()
        self._due: dict[str, datetime] = {}
        self._failing: set[str] = set()
        self._thread = threading.Thread(target=self._work, name="state maintenance", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def replace_project(self, project: ProjectSpec) -> None:
        """Use the retention of another version of the spec."""
        self._project = project

    def set_busy(self, busy: bool) -> None:
        """Record whether a run is running; the write-ahead log is emptied only while none is."""
        self._busy = busy

    def stop(self, seconds: float) -> None:
        """Ask the thread to end after its transaction, and wait for that at most `seconds`."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def tick(self, store: Store, now: datetime, *, busy: bool) -> None:
        """Do all due work; a failure is reported, and the work is tried again at its next time."""
        if self._takes_turn("prune", now, PRUNE_EVERY):
            self._attempt("the retention could not be applied", lambda: self._prune(store, now))
        unlimited = self._project.resources.retention is None
        if unlimited and self._takes_turn("measure", now, MEASURE_EVERY):
            self._attempt("the state could not be measured", lambda: self._measure(store))
        if self._takes_turn("merge", now, MERGE_EVERY):
            self._attempt("the write-ahead log could not be merged", lambda: store.database.merge_log(whole=not busy))

    def _work(self) -> None:
        while not self._stopped.is_set():
            with suppress(StoreError), Store.open(self._place, now=self._clock) as store:
                while not self._stopped.wait(LOOK_SECONDS):
                    self.tick(store, self._clock(), busy=self._busy)
            self._stopped.wait(LOOK_SECONDS)  # the state could not be opened, which the server reports

    def _takes_turn(self, what: str, now: datetime, every: timedelta) -> bool:
        """Return whether a task is due, and set its next time; a clock that is set back does not delay it."""
        planned = self._due.get(what, now)
        if now < planned <= now + every:
            return False
        self._due[what] = now + every
        return True

    def _attempt(self, failure: str, action: Callable[[], None]) -> None:
        try:
            action()
        except EngineError as problem:
            self._note_failure(failure, str(problem))
        except Exception as bug:  # noqa: BLE001 - the boundary: nothing may end the maintenance
            self._note_failure(failure, f"internal error: {type(bug).__name__}: {bug}")
        else:
            if failure in self._failing:
                self._failing.remove(failure)
                self._report("recovered", f"this problem is over: {failure}")

    def _note_failure(self, failure: str, reason: str) -> None:
        self._failing.add(failure)
        self._report("warning", f"{failure}: {reason}")

    def _prune(self, store: Store, now: datetime) -> None:
        if self._project.resources.retention is None:
            return
        pruned = prune_state(store, self._project, now, may_continue=lambda: not self._stopped.is_set())
        if not pruned.is_empty:
            self._report("info", f"retention has removed {describe_pruned(pruned)}")
        for name in pruned.busy:
            self._report("info", f"retention has left evaluation store {name} as it is: a run is writing to it")

    def _measure(self, store: Store) -> None:
        size = describe_size(store)
        if size.is_large:
            self._report("warning", f"{warn_of_size(size)}")


def describe_pruned(pruned: Pruned) -> str:
    """Return a text about what was removed: `12 runs, the files of 3 evaluations: 4.1 MB of files`."""
    parts = [
        _count_things(pruned.runs, "run"),
        _count_things(pruned.evaluations, "evaluation"),
        (files := _count_things(pruned.evaluation_files, "evaluation")) and f"the files of {files}",
        (messages := _count_things(pruned.attachments, "message")) and f"the attachments of {messages}",
        _count_things(pruned.fires, "fire"),
    ]
    sizes = [
        f"{format_bytes(pruned.file_bytes)} of files" * bool(pruned.file_bytes),
        f"{format_bytes(pruned.attachment_bytes)} of attachments" * bool(pruned.attachment_bytes),
    ]
    return ": ".join(filter(None, [", ".join(filter(None, parts)), " and ".join(filter(None, sizes))]))


def describe_state_size(size: StateSize) -> str:
    """Return the size of a state as text: `1,204,331 rows, 812 MB in state.db and 3.1 GB of files`."""
    rows = format_count(size.rows, "row")
    return (
        f"{rows}, {format_bytes(size.database_bytes)} in {size.database} and {format_bytes(size.folder_bytes)} of files"
    )


def warn_of_size(size: StateSize) -> str:
    """Return the warning about a large state without retention."""
    return (
        f"the state has {describe_state_size(size)}, and keeps growing: nothing is removed, because the spec has no "
        "`retention:`, such as `retention: {runs: {days: 90}, evaluation_files: {keep: 100}}`"
    )


def _count_things(count: int, what: str) -> str:
    return format_count(count, what) if count else ""
