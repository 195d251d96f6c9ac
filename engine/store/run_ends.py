"""The ends of runs in the order of recording; each is written in the transaction that ends its run."""

from sqlalchemy import Connection, func, insert, select

from engine.outcome import Outcome
from engine.store.databases.database import Database
from engine.store.records.runs import RunEnd
from engine.store.tables import run_ends, runs


class RunEnds:
    """The ends of the runs of a project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self) -> int:
        """Return the number of the newest end; 0 if no run has ended."""
        with self._database.begin_read() as connection:
            return int(connection.scalars(select(func.coalesce(func.max(run_ends.c.number), 0))).one())

    def list_after(self, number: int) -> list[RunEnd]:
        """Return the ends with a number greater than `number`, in order."""
        joined = run_ends.outerjoin(runs, run_ends.c.run == runs.c.id)
        query = select(run_ends, runs.c.as_of).select_from(joined).where(run_ends.c.number > number)
        with self._database.begin_read() as connection:
            rows = connection.execute(query.order_by(run_ends.c.number)).all()
        return [RunEnd(row.number, row.run, row.scenario, Outcome(row.outcome), row.as_of) for row in rows]


def insert_run_end(connection: Connection, run: str, scenario: str, outcome: Outcome) -> None:
    """Record the end of a run in the caller's transaction."""
    connection.execute(insert(run_ends).values(run=run, scenario=scenario, outcome=outcome))
