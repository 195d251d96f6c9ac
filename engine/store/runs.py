"""Runs: recorded at their start, after each step, and at their end together with the messages about them.

Each run holds a lock while its process is alive. If a run is RUNNING and no process holds its lock, its process was
killed. This needs no heartbeat and no guessed timeout.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Select, delete, func, insert, select, update

from engine.atomic_files import replace_file
from engine.evaluation.bounds import bounds_from_json
from engine.outcome import Outcome
from engine.store.checks import position_from_json
from engine.store.databases.database import Database, child_rows, split_rows
from engine.store.databases.errors import build_store_error, translate_errors
from engine.store.folders import safe_name
from engine.store.ids import read_matching_ids, shorten_id
from engine.store.locks import LockBusy, lock_path, release_lock, try_lock
from engine.store.metrics import nan_to_none
from engine.store.outbox import insert_messages
from engine.store.records.messages import OutboxMessage, ReporterState
from engine.store.records.runs import Event, RunRecord, StepRecord, event_to_json
from engine.store.reporter_states import write_reporter_states
from engine.store.run_ends import insert_run_end
from engine.store.tables import run_events, run_steps, runs

RUN_COLUMNS = (
    "id",
    "project",
    "scenario",
    "started",
    "who",
    "trigger",
    "parent",
    "variables",
    "as_of",
    "ended",
    "outcome",
    "fire",
    "spec",
    "release",
)

ABORT_FILE = "abort"
"""The file in the folder of a run that asks it to end, with the name of the person who asks."""

DIED = "its process has died"
"""The text of the event of a run that another process has marked ABORTED."""


class Runs:
    """The runs of a project."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._alive: dict[str, int] = {}

    def start(self, run: RunRecord, messages: Sequence[OutboxMessage] = ()) -> None:
        """Record that `run` is RUNNING in this process, and queue its start messages."""
        with translate_errors(self._database.folder):
            lock = try_lock(self._run_lock_path(run.id))
        if lock is None:
            raise LockBusy(self._database.folder, f"run {run.id}", None)
        try:
            with self._database.begin_write() as connection:
                connection.execute(insert(runs).values(_run_row(run)))
                insert_messages(connection, messages)
        except BaseException:
            release_lock(lock)
            raise
        self._alive[run.id] = lock

    def add_step(self, run: str, step: StepRecord) -> None:
        """Append a finished step to a run."""
        with self._database.begin_write() as connection:
            number = self._run_number(connection, run)
            place = len(connection.execute(select(run_steps.c.place).where(run_steps.c.run == number)).all())
            connection.execute(insert(run_steps).values(asdict(step) | {"run": number, "place": place}))

    def finish(
        self, run: RunRecord, messages: Sequence[OutboxMessage] = (), states: Sequence[ReporterState] = ()
    ) -> None:
        """Record in one transaction how `run` ended, queue its messages, and write the states of its reporters.

        The steps and events of `run` replace those recorded before.
        """
        if run.outcome is None or run.ended is None:
            raise ValueError(f"run {run.id} has no outcome or no end")
        with self._database.begin_write() as connection:
            number = self._run_number(connection, run.id)
            connection.execute(update(runs).where(runs.c.number == number).values(_run_row(run)))
            connection.execute(delete(run_steps).where(run_steps.c.run == number))
            connection.execute(delete(run_events).where(run_events.c.run == number))
            if run.steps:
                connection.execute(
                    insert(run_steps),
                    [asdict(step) | {"run": number, "place": place} for place, step in enumerate(run.steps)],
                )
            _insert_events(connection, number, run.events)
            insert_messages(connection, messages)
            write_reporter_states(connection, states, self._database.now())
            insert_run_end(connection, run.id, run.scenario, run.outcome)
        self._release_run(run.id)

    def get(self, id: str) -> RunRecord:  # noqa: A002  the field of RunRecord has this name
        """Return one run.

        Raises
        ------
        StoreError
            There is no run with that id.
        """
        found = self.find(id)
        if found is None:
            raise build_store_error(
                self._database.folder, f"there is no run {id}", "list the runs with `engine show SPEC --runs`"
            )
        return found

    def history(
        self, scenario: str | None = None, last: int | None = None, *, whole: bool = True, before: str | None = None
    ) -> list[RunRecord]:
        """Return the `last` runs, of a scenario and before the run with the id `before` if given, oldest first.

        Without `whole`, steps and events are not read.
        """
        query = select(runs).order_by(runs.c.number.desc()).limit(last)
        if before is not None:
            query = query.where(runs.c.number < select(runs.c.number).where(runs.c.id == before).scalar_subquery())
        return self._read_runs(query if scenario is None else query.where(runs.c.scenario == scenario), whole)[::-1]

    def find_all(self, ids: Sequence[str]) -> dict[str, RunRecord]:
        """Return the runs with these ids, without steps and events; those that are not stored are left out."""
        queries = [select(runs).where(runs.c.id.in_(some)) for some in split_rows(ids)]
        return {run.id: run for query in queries for run in self._read_runs(query, whole=False)}

    def list_running(self) -> list[RunRecord]:
        """Return the runs that have not ended, oldest first, without steps and events."""
        return self._read_runs(select(runs).where(runs.c.outcome.is_(None)).order_by(runs.c.number), whole=False)

    def find_outcome(self, id: str | None) -> Outcome | None:  # noqa: A002  the field of RunRecord
        """Return the outcome of a run; None if it has not ended or is not stored."""
        with self._database.begin_read() as connection:
            found = connection.scalar(select(runs.c.outcome).where(runs.c.id == id))
        return None if found is None else Outcome(found)

    def find_ids(self, part: str) -> list[str]:
        """Return the ids of runs that a text can mean: an id, its last part, or the beginning of that."""
        with self._database.begin_read() as connection:
            return read_matching_ids(connection, runs, part)

    def list_short_ids(self) -> list[str]:
        """Return the last parts of the ids of all runs, newest first."""
        with self._database.begin_read() as connection:
            return list(connection.scalars(select(runs.c.short_id).order_by(runs.c.number.desc())))

    def list_descendants(self, id: str) -> list[str]:  # noqa: A002  the field of RunRecord has this name
        """Return the ids of a run and of all its descendants, oldest first."""
        family = select(runs.c.id, runs.c.number).where(runs.c.id == id).cte("family", recursive=True)
        children = select(runs.c.id, runs.c.number).join(family, runs.c.parent == family.c.id)
        whole = family.union(children)
        with self._database.begin_read() as connection:
            return list(connection.scalars(select(whole.c.id).order_by(whole.c.number)))

    def find(self, id: str) -> RunRecord | None:  # noqa: A002  the field of RunRecord has this name
        """Return one run; None if it is not recorded."""
        found = self._read_runs(select(runs).where(runs.c.id == id))
        return found[0] if found else None

    def list_dead(self) -> list[str]:
        """Return the ids of the runs that are recorded as RUNNING but whose process has died, oldest first."""
        return [run.id for run in self.list_running() if not self.is_alive(run.id)]

    def is_alive(self, id: str) -> bool:  # noqa: A002  the field of RunRecord has this name
        """Return whether the process of a run that is recorded as RUNNING is alive.

        A run takes its lock before it is recorded, so this test cannot keep the run's own process from taking it. If
        the locks are in a folder of another host, the run counts as alive.
        """
        if not self._database.has_live_locks:
            return True
        with translate_errors(self._database.folder):
            lock = try_lock(self._run_lock_path(id), shared=True)
        if lock is None:
            return True
        release_lock(lock)
        return False

    def request_abort(self, id: str, by: str) -> bool:  # noqa: A002  the field of RunRecord has this name
        """Ask a run and its descendants to end; return whether any of them is alive.

        A run checks for the request before each step. Runs on another host do not see it.
        """
        alive = [one for one in self.list_descendants(id) if self._database.has_live_locks and self._is_running(one)]
        for run in alive:
            with translate_errors(self._database.folder), replace_file(self.folder_of(run) / ABORT_FILE) as part:
                part.write_text(by, encoding="utf-8")
        return bool(alive)

    def find_abort_request(self, id: str) -> str | None:  # noqa: A002  the field of RunRecord has this name
        """Return who has asked a run to end; None if nobody has."""
        try:
            return (self.path_of(id) / ABORT_FILE).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def _is_running(self, run: str) -> bool:
        return self.find_outcome(run) is None and self.is_alive(run)

    def count(self) -> int:
        """Return the number of runs."""
        with self._database.begin_read() as connection:
            return connection.scalars(select(func.count()).select_from(runs)).one()

    def add_events(self, run: str, events: Sequence[Event]) -> None:
        """Append events to a run."""
        with self._database.begin_write() as connection:
            number = self._run_number(connection, run)
            first = len(connection.execute(select(run_events.c.place).where(run_events.c.run == number)).all())
            _insert_events(connection, number, events, first)

    def abort_dead(
        self,
        compose: Callable[[RunRecord], tuple[Sequence[OutboxMessage], Sequence[ReporterState]]] = lambda _run: ((), ()),
    ) -> list[RunRecord]:
        """Record as ABORTED the runs whose process has died, and return them, oldest first.

        Parameters
        ----------
        compose
            Returns the messages about such a run, and the states of its reporters. They are written in the transaction
            that marks the run, so that a run is never marked without its messages.
        """
        dead = []
        for run in self._read_runs(select(runs).where(runs.c.outcome.is_(None)).order_by(runs.c.number)):
            path = self._run_lock_path(run.id)
            with translate_errors(self._database.folder):
                lock = try_lock(path)
            if lock is None:
                continue
            try:
                ended = self._database.now()
                event = Event("run", "error", f"run {run.id} was aborted: {DIED}", ended)
                died = replace(run, outcome=Outcome.ABORTED, ended=ended, events=(event,))
                # Before the transaction, because composing takes seconds in which others may write. The run's lock is
                # held, so no other process composes the same messages.
                messages, states = compose(died) if self.get(run.id).outcome is None else ((), ())
                with self._database.begin_write() as connection:
                    number = self._run_number(connection, run.id)
                    still = (runs.c.number == number) & runs.c.outcome.is_(None)
                    values = {"outcome": Outcome.ABORTED, "ended": ended}
                    if connection.execute(update(runs).where(still).values(values)).rowcount:
                        _insert_events(connection, number, [event])
                        insert_messages(connection, messages)
                        write_reporter_states(connection, states, ended)
                        insert_run_end(connection, run.id, run.scenario, Outcome.ABORTED)
                        dead.append(died)
                path.unlink(missing_ok=True)
            finally:
                release_lock(lock)
        return dead

    def folder_of(self, id: str) -> Path:  # noqa: A002  the field of RunRecord has this name
        """Return the folder of a run's files (log, run.json); create it if it is missing."""
        folder = self.path_of(id)
        if self._database.unwritable is None:
            with translate_errors(self._database.folder):
                folder.mkdir(parents=True, exist_ok=True)
        return folder

    def path_of(self, id: str) -> Path:  # noqa: A002  the field of RunRecord has this name
        """Return the path of the folder of a run's files without creating it."""
        return (self._database.unwritable or self._database.folder) / "runs" / safe_name(id)

    def _run_lock_path(self, run: str) -> Path:
        return lock_path(self._database.folder, f"run {run}")

    def release_all(self) -> None:
        """Release the locks of the runs of this process; unfinished ones count as dead from now on."""
        for run in list(self._alive):
            release_lock(self._alive.pop(run))

    def _release_run(self, run: str) -> None:
        if (lock := self._alive.pop(run, None)) is not None:
            with translate_errors(self._database.folder):
                self._run_lock_path(run).unlink(missing_ok=True)
                release_lock(lock)

    def _run_number(self, connection: Connection, run: str) -> int:
        number = connection.scalar(select(runs.c.number).where(runs.c.id == run))
        if number is None:
            raise build_store_error(self._database.folder, f"there is no run {run}", "start it first")
        return int(number)

    def _read_runs(self, query: Select[Any], whole: bool = True) -> list[RunRecord]:
        with self._database.begin_read() as connection:
            rows = connection.execute(query).all()
            numbers = [row.number for row in rows] if whole else []
            steps = child_rows(connection, run_steps, "run", numbers)
            events = child_rows(connection, run_events, "run", numbers)
        return [_run_from_row(row, steps.get(row.number, ()), events.get(row.number, ())) for row in rows]


def _run_row(run: RunRecord) -> dict[str, Any]:
    return {name: getattr(run, name) for name in RUN_COLUMNS} | {"short_id": shorten_id(run.id)}


def _insert_events(connection: Connection, run: int, events: Sequence[Event], first: int = 0) -> None:
    if events:
        connection.execute(
            insert(run_events),
            [
                event_to_json(event) | {"run": run, "place": place, "value": nan_to_none(event.value)}
                for place, event in enumerate(events, first)
            ],
        )


def _run_from_row(row: Row[Any], steps: Sequence[Row[Any]], events: Sequence[Row[Any]]) -> RunRecord:
    return RunRecord(
        **{name: getattr(row, name) for name in RUN_COLUMNS} | {"outcome": row.outcome and Outcome(row.outcome)},
        steps=tuple(StepRecord(**_record_fields(step) | {"outcome": Outcome(step.outcome)}) for step in steps),
        events=tuple(
            Event(
                **_record_fields(event)
                | {"range": bounds_from_json(event.range), "position": position_from_json(event.position)}
            )
            for event in events
        ),
    )


def _record_fields(part: Row[Any]) -> dict[str, Any]:
    return {name: value for name, value in part._mapping.items() if name not in ("run", "place")}
