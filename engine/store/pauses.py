"""Pauses: scenarios whose triggers a person has paused, with the reason. Pauses are never removed."""

from dataclasses import asdict, fields
from datetime import datetime

from sqlalchemy import ColumnElement, insert, or_, select, update

from engine.store.databases.database import Database
from engine.store.records.triggers import Pause
from engine.store.tables import pauses

FIELDS = tuple(field.name for field in fields(Pause))


class Pauses:
    """The pauses of the scenarios of a project, past and present."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, pause: Pause) -> None:
        """Record a pause, and end an earlier one of the same scenario that is in force."""
        with self._database.begin_write() as connection:
            ends = {"ended": pause.created, "ended_by": pause.by}
            connection.execute(update(pauses).where(_is_paused(pause.scenario, pause.created)).values(ends))
            connection.execute(insert(pauses).values(asdict(pause)))

    def end(self, scenario: str, by: str) -> bool:
        """End the pause of a scenario that is in force; return whether there was one."""
        now = self._database.now()
        with self._database.begin_write() as connection:
            ends = {"ended": now, "ended_by": by}
            return connection.execute(update(pauses).where(_is_paused(scenario, now)).values(ends)).rowcount > 0

    def list_active(self) -> list[Pause]:
        """Return the pauses in force, oldest first."""
        now = self._database.now()
        return [one for one in self.history() if one.is_in_force(now)]

    def list_scenarios(self) -> list[str]:
        """Return the names of the scenarios that are paused now, or were once."""
        with self._database.begin_read() as connection:
            return list(connection.scalars(select(pauses.c.scenario).distinct()))

    def history(self) -> list[Pause]:
        """Return all pauses, oldest first."""
        with self._database.begin_read() as connection:
            rows = connection.execute(select(pauses).order_by(pauses.c.number)).all()
        return [Pause(**{name: getattr(row, name) for name in FIELDS}) for row in rows]


def _is_paused(scenario: str, now: datetime) -> ColumnElement[bool]:
    """Return the condition for the pauses of a scenario that are in force."""
    lasts = or_(pauses.c.until.is_(None), pauses.c.until > now)
    return (pauses.c.scenario == scenario) & pauses.c.ended.is_(None) & lasts
