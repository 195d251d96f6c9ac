"""The fires of triggers and their states.

A fire is inserted in the transaction that advances the state of its trigger, so nothing is due twice and nothing is
lost. Its key is unique, so a clock that is set back inserts nothing twice. It gets the id of its run before the run's
process is started, so that the run can be found even if a process dies in between.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from engine.store.databases.database import Database
from engine.store.records.triggers import OPEN_STATES, Fire, FireState, TriggerState
from engine.store.tables import fires, trigger_states

FIRE_FIELDS = tuple(field.name for field in fields(Fire))
STATE_FIELDS = tuple(field.name for field in fields(TriggerState))


class Fires:
    """The fires of a project, and the states of its triggers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_states(self) -> list[TriggerState]:
        """Return the states of all triggers, including those that are not in the spec any more."""
        query = select(trigger_states).order_by(trigger_states.c.scenario, trigger_states.c.trigger)
        with self._database.begin_read() as connection:
            rows = connection.execute(query).all()
        return [TriggerState(**{name: getattr(row, name) for name in STATE_FIELDS}) for row in rows]

    def advance(self, states: Sequence[TriggerState], new: Sequence[Fire] = ()) -> list[Fire]:
        """Write the states of triggers, and insert their fires, in one transaction.

        Returns
        -------
        The inserted fires, with their numbers; a fire whose key exists already is left out.
        """
        with self._database.begin_write() as connection:
            for state in states:
                _write_state(connection, state)
            return [added for one in new if (added := _insert_fire(connection, one))]

    def list_open(self) -> list[Fire]:
        """Return the fires that wait for a run or whose run has not ended, by scheduled time."""
        query = select(fires).where(fires.c.state.in_(OPEN_STATES)).order_by(fires.c.scheduled, fires.c.number)
        with self._database.begin_read() as connection:
            return [_fire_from_row(row) for row in connection.execute(query)]

    def change(self, fire: int, states: Collection[FireState] = OPEN_STATES, **values: Any) -> bool:
        """Set fields of a fire if it is in one of these states; return whether it was."""
        with self._database.begin_write() as connection:
            return _change_fire(connection, fire, states, values)

    def change_several(self, changes: Mapping[int, Mapping[str, Any]]) -> None:
        """Set fields of the fires with these numbers that are still open, in one transaction."""
        with self._database.begin_write() as connection:
            for fire, values in changes.items():
                _change_fire(connection, fire, OPEN_STATES, values)

    def get(self, number: int) -> Fire | None:
        """Return the fire with this number; None if there is none."""
        with self._database.begin_read() as connection:
            row = connection.execute(select(fires).where(fires.c.number == number)).first()
        return None if row is None else _fire_from_row(row)

    def find(self, scenario: str, trigger: str, key: str) -> Fire | None:
        """Return the fire of a trigger with this key; None if there is none."""
        wanted = (fires.c.scenario == scenario) & (fires.c.trigger == trigger) & (fires.c.key == key)
        with self._database.begin_read() as connection:
            row = connection.execute(select(fires).where(wanted)).first()
        return None if row is None else _fire_from_row(row)

    def history(self, scenario: str | None = None, last: int | None = None) -> list[Fire]:
        """Return the fires (of a scenario; the `last` of them), oldest first."""
        query = select(fires).order_by(fires.c.number.desc()).limit(last)
        if scenario is not None:
            query = query.where(fires.c.scenario == scenario)
        with self._database.begin_read() as connection:
            return [_fire_from_row(row) for row in connection.execute(query)][::-1]

    def count(self) -> int:
        """Return the number of fires."""
        with self._database.begin_read() as connection:
            return connection.scalars(select(func.count()).select_from(fires)).one()

    def list_newest(self) -> list[Fire]:
        """Return the newest fire of each trigger, in the order in which they were recorded."""
        newest = select(func.max(fires.c.number)).group_by(fires.c.scenario, fires.c.trigger)
        query = select(fires).where(fires.c.number.in_(newest)).order_by(fires.c.number)
        with self._database.begin_read() as connection:
            return [_fire_from_row(row) for row in connection.execute(query)]


def _write_state(connection: Connection, state: TriggerState) -> None:
    of_trigger = (trigger_states.c.scenario == state.scenario) & (trigger_states.c.trigger == state.trigger)
    connection.execute(delete(trigger_states).where(of_trigger))
    connection.execute(insert(trigger_states).values({name: getattr(state, name) for name in STATE_FIELDS}))


def _insert_fire(connection: Connection, fire: Fire) -> Fire | None:
    same = (fires.c.scenario == fire.scenario) & (fires.c.trigger == fire.trigger) & (fires.c.key == fire.key)
    if connection.execute(select(fires.c.number).where(same)).first() is not None:
        return None
    row = {name: value for name, value in asdict(fire).items() if name != "number"} | {"changed": list(fire.changed)}
    return replace(fire, number=connection.scalars(insert(fires).values(row).returning(fires.c.number)).one())


def _change_fire(connection: Connection, fire: int, states: Collection[FireState], values: Mapping[str, Any]) -> bool:
    wanted = (fires.c.number == fire) & fires.c.state.in_(states)
    return connection.execute(update(fires).where(wanted).values(dict(values))).rowcount > 0


def _fire_from_row(row: Row[Any]) -> Fire:
    found = {name: getattr(row, name) for name in FIRE_FIELDS if name not in ("changed", "state", "values")}
    values = row._mapping[fires.c["values"]]
    return Fire(**found, changed=tuple(row.changed), state=FireState(row.state), values=values)
