"""Mutes: checks that a person has muted for a time, with the reason. Mutes are never removed, so there is a history."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime

from sqlalchemy import ColumnElement, insert, select, update

from engine.store.databases.database import Database
from engine.store.records.evaluations import Mute
from engine.store.tables import mutes

FIELDS = tuple(field.name for field in fields(Mute))


class Mutes:
    """The mutes of a project, past and present."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, mute: Mute) -> None:
        """Record a mute, and end an earlier one of the same check that is in force."""
        with self._database.begin_write() as connection:
            ends = {"ended": mute.created, "ended_by": mute.by}
            connection.execute(update(mutes).where(_is_of(mute.target, mute.check, mute.created)).values(ends))
            connection.execute(insert(mutes).values(asdict(mute)))

    def end(self, target: str, check: str, by: str) -> bool:
        """End the mute of a check that is in force; return whether there was one."""
        now = self._database.now()
        with self._database.begin_write() as connection:
            ends = {"ended": now, "ended_by": by}
            return connection.execute(update(mutes).where(_is_of(target, check, now)).values(ends)).rowcount > 0

    def list_active(self) -> list[Mute]:
        """Return the mutes in force, oldest first."""
        now = self._database.now()
        return [mute for mute in self.history() if mute.ended is None and mute.until > now]

    def history(self, targets: Sequence[str] | None = None) -> list[Mute]:
        """Return all mutes, or those of the checks of `targets`, oldest first."""
        query = select(mutes).order_by(mutes.c.number)
        if targets is not None:
            query = query.where(mutes.c.target.in_(targets))
        with self._database.begin_read() as connection:
            return [Mute(**{name: getattr(row, name) for name in FIELDS}) for row in connection.execute(query)]


def _is_of(target: str, check: str, now: datetime) -> ColumnElement[bool]:
    """Return the condition for the mutes of a check that are in force."""
    in_force = mutes.c.ended.is_(None) & (mutes.c.until > now)
    return (mutes.c.target == target) & (mutes.c.check == check) & in_force
