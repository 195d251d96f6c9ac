"""Cheap queries on a state that a server repeats often: what runs, and what has ended since the last query."""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, or_, select

from engine.outcome import Outcome
from engine.store.databases.database import Database, split_rows
from engine.store.records.triggers import OPEN_STATES, FireState
from engine.store.tables import fires, run_ends, runs


class RunningRun(NamedTuple):
    """A run whose end is not recorded."""

    id: str
    scenario: str
    started: datetime
    trigger: str
    who: str
    fire: int | None


class TimedEnd(NamedTuple):
    """The end of a run, with its number, its time and the duration of the run in seconds."""

    number: int
    scenario: str
    outcome: Outcome
    ended: datetime
    seconds: float


class FireStep(NamedTuple):
    """The state of a fire."""

    number: int
    scenario: str
    trigger: str
    state: FireState


class SkippedFire(NamedTuple):
    """A fire that started no run, with the reason."""

    number: int
    scenario: str
    trigger: str
    scheduled: datetime
    reason: str


class Operation:
    """Summaries of a state, each read by one query without the large columns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_running(self) -> list[RunningRun]:
        """Return the runs that have not ended, oldest first."""
        columns = (runs.c.id, runs.c.scenario, runs.c.started, runs.c.trigger, runs.c.who, runs.c.fire)
        query = select(*columns).where(runs.c.outcome.is_(None)).order_by(runs.c.number)
        with self._database.begin_read() as connection:
            return [RunningRun(*row) for row in connection.execute(query)]

    def list_ends_after(self, number: int) -> list[TimedEnd]:
        """Return the ends of runs with a number greater than `number`, in order."""
        columns = (run_ends.c.number, run_ends.c.scenario, run_ends.c.outcome, runs.c.started, runs.c.ended)
        query = select(*columns).join(runs, runs.c.id == run_ends.c.run).where(run_ends.c.number > number)
        with self._database.begin_read() as connection:
            rows = connection.execute(query.order_by(run_ends.c.number)).all()
        return [
            TimedEnd(
                row.number, row.scenario, Outcome(row.outcome), row.ended, (row.ended - row.started).total_seconds()
            )
            for row in rows
        ]

    def find_last_ends(self) -> dict[tuple[str, Outcome], datetime]:
        """Return, per scenario and outcome, when a run last ended. This reads all runs."""
        columns = (runs.c.scenario, runs.c.outcome, func.max(runs.c.ended))
        query = select(*columns).where(runs.c.outcome.is_not(None)).group_by(runs.c.scenario, runs.c.outcome)
        with self._database.begin_read() as connection:
            return {(scenario, Outcome(outcome)): ended for scenario, outcome, ended in connection.execute(query)}

    def find_last_end(self, before: datetime) -> int:
        """Return the number of the last end of a run that ended before a moment; 0 if there is none."""
        last = select(func.coalesce(func.max(run_ends.c.number), 0)).join(runs, runs.c.id == run_ends.c.run)
        with self._database.begin_read() as connection:
            return int(connection.scalars(last.where(runs.c.ended < before)).one())

    def find_last_fire(self, before: datetime) -> int:
        """Return the number of the last fire that was recorded before a moment; 0 if there is none."""
        last = select(func.coalesce(func.max(fires.c.number), 0)).where(fires.c.seen_at < before)
        with self._database.begin_read() as connection:
            return int(connection.scalars(last).one())

    def list_open_at(self, moment: datetime) -> list[int]:
        """Return the numbers of the fires recorded before a moment that are open or whose run ended since.

        Fires that were skipped since then are missing, because the time of that is not recorded.
        """
        ended = fires.c.run.in_(select(runs.c.id).where(runs.c.ended >= moment))
        wanted = (fires.c.seen_at < moment) & or_(fires.c.state.in_(OPEN_STATES), ended)
        with self._database.begin_read() as connection:
            return list(connection.scalars(select(fires.c.number).where(wanted)))

    def list_fires_after(self, number: int, also: Collection[int]) -> list[FireStep]:
        """Return the fires with a number greater than `number`, and those with the numbers `also`, in order."""
        wanted: list[ColumnElement[bool]] = [fires.c.number > number]
        wanted += [fires.c.number.in_(some) for some in split_rows(sorted(also))]
        query = select(fires.c.number, fires.c.scenario, fires.c.trigger, fires.c.state)
        with self._database.begin_read() as connection:
            rows = connection.execute(query.where(or_(*wanted)).order_by(fires.c.number)).all()
        return [FireStep(*row[:3], FireState(row.state)) for row in rows]

    def list_skipped(self, since: datetime, last: int) -> list[SkippedFire]:
        """Return the `last` fires since a moment that were skipped, newest first."""
        columns = (fires.c.number, fires.c.scenario, fires.c.trigger, fires.c.scheduled, fires.c.reason)
        skipped = (fires.c.state == FireState.SKIPPED) & (fires.c.seen_at >= since)
        query = select(*columns).where(skipped).order_by(fires.c.number.desc()).limit(last)
        with self._database.begin_read() as connection:
            return [SkippedFire(*row) for row in connection.execute(query)]
