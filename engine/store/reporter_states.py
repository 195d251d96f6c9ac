"""The states of reporters with `only_on_change` or `cooldown`.

A state is written in the transaction that ends its run, even if nothing was sent: otherwise a reporter would miss the
end of a condition, and then not report its next beginning.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from engine.store.databases.database import Database
from engine.store.records.messages import ReporterState
from engine.store.tables import reporter_states

FIELDS = ReporterState._fields


class ReporterStates:
    """The states of the reporters of a project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, scenario: str, reporter: str) -> ReporterState | None:
        """Return the state of a reporter; None if no run has recorded one."""
        found = [one for one in self.list_of(scenario) if one.reporter == reporter]
        return found[0] if found else None

    def list_of(self, scenario: str) -> list[ReporterState]:
        """Return the states of the reporters of a scenario, by name."""
        query = select(reporter_states).where(reporter_states.c.scenario == scenario)
        with self._database.begin_read() as connection:
            rows = connection.execute(query.order_by(reporter_states.c.reporter)).all()
        return [ReporterState(**{name: getattr(row, name) for name in FIELDS}) for row in rows]


def write_reporter_states(connection: Connection, states: Sequence[ReporterState], now: datetime) -> None:
    """Write states in the caller's transaction, unless the stored state is for a later moment.

    A stored moment in the future, written while the clock was wrong, is ignored.
    """
    for state in states:
        row = (reporter_states.c.scenario == state.scenario) & (reporter_states.c.reporter == state.reporter)
        stored = connection.execute(
            select(reporter_states.c.as_of).where(row, reporter_states.c.definition == state.definition)
        ).scalar()
        if stored is None or not state.as_of < stored <= now:
            connection.execute(delete(reporter_states).where(row))
            connection.execute(insert(reporter_states).values(state._asdict()))
