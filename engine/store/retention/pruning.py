"""Removes the rows and files of a state that its retention does not keep.

A transaction removes a few hundred rows, so that runs do not wait long. The rows are removed first, in a transaction
that records their folders; then the folders. If the process is killed in between, the next opening removes them.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, select, update

from engine.formatting.moments import format_minute
from engine.spec import ProjectSpec
from engine.spec.resources.checks import PastWindow, find_past_window
from engine.spec.resources.project import Retention, RetentionLimits
from engine.store.databases.database import split_rows
from engine.store.databases.errors import translate_errors
from engine.store.folders import safe_name
from engine.store.locks import LockBusy
from engine.store.measurements import read_content
from engine.store.records.messages import MessageState
from engine.store.retention.expired_rows import (
    ExpiredEvaluation,
    find_expired_attachments,
    find_expired_evaluations,
    find_expired_fires,
    find_expired_run_ends,
    find_expired_runs,
)
from engine.store.retention.needed_evaluations import find_needed_evaluations
from engine.store.state.size import measure_folder
from engine.store.store import Store
from engine.store.tables import (
    attachments,
    check_results,
    dataset_measurements,
    fires,
    outbox,
    run_ends,
    runs,
)

RETENTION = "retention"
"""The name for retention as the author of a removal."""

EVALUATIONS_AT_ONCE = 100
"""Most evaluations that one transaction removes: each may have hundreds of metrics, and other writers must wait."""

SETTLED = (MessageState.SENT, MessageState.DROPPED)
"""The states of messages that will not be sent again."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """The numbers of removed items and their sizes in bytes; for a dry run, of those that would be removed.

    Attributes
    ----------
    file_bytes
        The size of the removed files.
    free_bytes
        The size of the free pages of the database, which new rows use and VACUUM returns to the system.
    busy
        The evaluation stores that a run was writing to, so that not all was removed.
    """

    runs: int = 0
    evaluations: int = 0
    evaluation_files: int = 0
    attachments: int = 0
    fires: int = 0
    file_bytes: int = 0
    attachment_bytes: int = 0
    free_bytes: int = 0
    busy: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was removed."""
        return not (self.runs or self.evaluations or self.evaluation_files or self.attachments or self.fires)


def prune_state(
    store: Store,
    project: ProjectSpec,
    now: datetime,
    *,
    dry: bool = False,
    may_continue: Callable[[], bool] = lambda: True,
) -> Pruned:
    """Remove everything that the retention of the project does not keep, and the leftovers of killed processes.

    Never removed: running runs and those with unsent messages, open fires and those of the last 8 days, evaluations
    that later ones are compared with, the newest of everything, model versions, mutes and pauses.

    Parameters
    ----------
    dry
        Remove nothing, and return what would be removed.
    may_continue
        Called before each transaction; if it returns False, the rest is removed the next time.
    """
    if not dry:
        store.folders.remove_leftovers()
    with store.database.begin_read() as connection:
        expired = _find_expired(connection, project, now)
    pruning = _Pruning(store, dry, may_continue)
    for name, some in _group_by_store(expired.evaluations):
        pruning.remove_evaluations(name, some)
    for name, some in _group_by_store(expired.files):
        pruning.remove_evaluation_files(name, some)
    for ids in split_rows(expired.runs):
        pruning.remove_runs(ids, expired.kept_measurements)
    for numbers in split_rows(expired.run_ends):
        pruning.remove_run_ends(numbers)
    for numbers in split_rows(expired.fires):
        pruning.remove_fires(numbers)
    for numbers in split_rows(expired.attachments):
        pruning.remove_attachments(numbers, now)
    return Pruned(**pruning.counts, free_bytes=store.database.count_free_bytes(), busy=tuple(sorted(pruning.busy)))


@dataclass(frozen=True, slots=True)
class _Expired:
    """The rows to remove, and the measurements of removed runs that must stay."""

    runs: Sequence[str]
    evaluations: Sequence[ExpiredEvaluation]
    files: Sequence[ExpiredEvaluation]
    attachments: Sequence[int]
    fires: Sequence[int]
    run_ends: Sequence[int]
    kept_measurements: Collection[int]


def _find_expired(connection: Connection, project: ProjectSpec, now: datetime) -> _Expired:
    declared, unlimited = project.resources.retention or Retention(), RetentionLimits()
    needed = find_needed_evaluations(connection, project)
    old = find_expired_evaluations(connection, declared.evaluations or unlimited, now, needed.rows)
    kept = {*needed.files, *(one.id for one in old)}
    old_runs = find_expired_runs(connection, declared.runs or unlimited, now)
    return _Expired(
        runs=old_runs,
        evaluations=old,
        files=find_expired_evaluations(connection, declared.evaluation_files or unlimited, now, kept, files=True),
        attachments=find_expired_attachments(connection, declared.attachments or unlimited, now),
        fires=find_expired_fires(connection, declared.runs, now, set(old_runs)) if declared.runs else [],
        run_ends=find_expired_run_ends(connection, set(old_runs)) if declared.runs else [],
        kept_measurements=_find_needed_measurements(connection, project),
    )


def _find_needed_measurements(connection: Connection, project: ProjectSpec) -> set[int]:
    """Return the numbers of the measurements that checks of datasets use, and of the newest one of each dataset."""
    of = dataset_measurements.c
    needed: set[int] = set()
    for dataset in connection.scalars(select(of.dataset).distinct()).all():
        declared = project.datasets.get(dataset)
        window = find_past_window(declared.checks.values()) if declared else PastWindow()
        columns = (of.number, of.created, read_content(dataset).label("content"))
        query = select(*columns).where(of.dataset == dataset).order_by(of.number.desc())
        once = declared is not None and not declared.metrics  # measurements of unchanged data count once
        place, newest, newer = 0, None, None
        for row in connection.execute(query):
            newest = newest or row.created
            place += newer is not None and not (once and row.content and row.content == newer.content)
            if place and not window.includes(place - 1, newest - row.created):
                break
            needed.add(row.number)
            newer = row
    return needed


class _Pruning:
    """Removes expired rows and files part by part, and counts them."""

    def __init__(self, store: Store, dry: bool, may_continue: Callable[[], bool]) -> None:
        self._store = store
        self._dry = dry
        self._may_continue = may_continue
        with translate_errors(store.folder):
            self._with_files = {path.name for path in (store.folder / "evaluations").iterdir()}
        self.counts: Counter[str] = Counter()
        self.busy: set[str] = set()

    def remove_evaluations(self, name: str, ids: Sequence[str]) -> None:
        """Remove evaluations of a store with their check results and files."""
        size = self._measure_evaluations(ids)
        if self._hold_store(name, lambda: self._store.evaluations.remove_ids(name, ids, RETENTION, with_checks=True)):
            self.counts.update(evaluations=len(ids), file_bytes=size)

    def remove_evaluation_files(self, name: str, ids: Sequence[str]) -> None:
        """Remove the files of evaluations of a store; the rows stay."""
        with_files = [id_ for id_ in ids if safe_name(id_) in self._with_files]
        size = self._measure_evaluations(with_files)
        if with_files and self._hold_store(name, lambda: self._store.evaluations.remove_files(with_files)):
            self.counts.update(evaluation_files=len(with_files), file_bytes=size)

    def remove_runs(self, ids: Sequence[str], kept_measurements: Collection[int]) -> None:
        """Remove runs with their steps, events, sent messages, files, and results for datasets."""
        if not self._may_continue():
            return
        folders = [self._store.runs.path_of(id_) for id_ in ids]
        size = sum(map(measure_folder, folders))
        if not self._dry:
            with self._store.folders.remove() as (connection, paths):
                remove_run_rows(connection, ids, kept_measurements)
                paths += [f"runs/{folder.name}" for folder in folders]
        self.counts.update(runs=len(ids), file_bytes=size)

    def remove_run_ends(self, numbers: Sequence[int]) -> None:
        """Remove the ends of removed runs."""
        if self._may_continue() and not self._dry:
            with self._store.database.begin_write() as connection:
                connection.execute(delete(run_ends).where(run_ends.c.number.in_(numbers)))

    def remove_fires(self, numbers: Sequence[int]) -> None:
        """Remove fires."""
        if not self._may_continue():
            return
        if not self._dry:
            with self._store.database.begin_write() as connection:
                connection.execute(delete(fires).where(fires.c.number.in_(numbers)))
        self.counts.update(fires=len(numbers))

    def remove_attachments(self, numbers: Sequence[int], now: datetime) -> None:
        """Remove the attachments of messages; a refused message, which can be sent again, gets a note in its text."""
        if not self._may_continue():
            return
        of_messages = attachments.c.message.in_(numbers)
        with self._store.database.begin_read() as connection:
            size = int(connection.scalar(select(func.sum(func.length(attachments.c.content))).where(of_messages)) or 0)
        if not self._dry:
            note = f"\n\n(Its attachments were removed by retention on {format_minute(now)}.)"
            refused = outbox.c.number.in_(numbers) & (outbox.c.state == MessageState.REFUSED)
            with self._store.database.begin_write() as connection:
                connection.execute(update(outbox).where(refused).values(text=outbox.c.text + note))
                connection.execute(delete(attachments).where(of_messages))
        self.counts.update(attachments=len(numbers), attachment_bytes=size)

    def _hold_store(self, name: str, remove: Callable[[], object]) -> bool:
        """Call `remove` under the lock of an evaluation store; return False if a run is writing to the store."""
        if name in self.busy or not self._may_continue():
            return False
        if self._dry:
            return True
        try:
            with self._store.locks.hold(f"evaluation store {name}", wait=False):
                remove()
        except LockBusy:
            self.busy.add(name)
            return False
        return True

    def _measure_evaluations(self, ids: Sequence[str]) -> int:
        return sum(measure_folder(self._store.evaluations.folder_of(id_)) for id_ in ids)


def remove_run_rows(connection: Connection, ids: Collection[str], kept_measurements: Collection[int] = ()) -> None:
    """Delete the rows of ended runs and everything that belongs only to them, in the caller's transaction.

    Check results of evaluations are kept with their evaluations.
    """
    of_runs = list(ids)
    of_datasets = check_results.c.run.in_(of_runs) & check_results.c.evaluation.is_(None)
    connection.execute(delete(check_results).where(of_datasets))
    measured = select(dataset_measurements.c.number).where(dataset_measurements.c.run.in_(of_runs))
    numbers = [number for number in connection.scalars(measured) if number not in kept_measurements]
    for some in split_rows(numbers):
        connection.execute(delete(dataset_measurements).where(dataset_measurements.c.number.in_(some)))
    connection.execute(delete(outbox).where(outbox.c.run.in_(of_runs), outbox.c.state.in_(SETTLED)))
    connection.execute(delete(runs).where(runs.c.id.in_(of_runs)))


def _group_by_store(found: Sequence[ExpiredEvaluation]) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield the evaluations of each store in their order, in parts of EVALUATIONS_AT_ONCE."""
    by_store: dict[str, list[str]] = {}
    for one in found:
        by_store.setdefault(one.store, []).append(one.id)
    for name, ids in by_store.items():
        for first in range(0, len(ids), EVALUATIONS_AT_ONCE):
            yield name, ids[first : first + EVALUATIONS_AT_ONCE]
