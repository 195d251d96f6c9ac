"""An open state: its folder, its database, its clock; reading and writing as transactions.

SQLite in WAL mode, so that readers never wait for a writer. A write begins IMMEDIATE: a transaction that reads first
and then writes would otherwise fail, not wait, when another process wrote in between. Commits are synced to disk:
what was reported as done stays done. A process that forks opens its own.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import URL, ColumnElement, Connection, Engine, Row, Table, create_engine, event, select
from sqlalchemy.pool import ConnectionPoolEntry

from engine.store.tables import to_json
from engine.store.trouble import in_words

AT_ONCE = 500
"""Rows asked for in one statement: databases bound the number of its parameters."""


def connect(path: Path, patience: float, *, migrating: bool = False) -> Engine:
    """Return an engine on the SQLite file `path`; a locked database is waited for `patience` seconds."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)), connect_args={"timeout": patience}, json_serializer=to_json
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # sqlite3 would begin late and never around DDL; `begin` below does it
        # Rebuilding a table drops it: with foreign keys on, that would delete what refers to it.
        connection.execute(f"PRAGMA foreign_keys = {'OFF' if migrating else 'ON'}")
        connection.execute("PRAGMA synchronous = FULL")
        if migrating:
            connection.execute("PRAGMA journal_mode = WAL")  # the file remembers it

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


class Database:
    """What every part of the store stands on."""

    def __init__(self, folder: Path, now: Callable[[], datetime], patience: float) -> None:
        self.folder = folder
        self.now = now
        self._readers = connect(folder / "state.db", patience)
        self._writers = self._readers.execution_options(writes=True)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view; never waits for a writer."""
        with in_words(self.folder), self._readers.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction: all of it or nothing."""
        with in_words(self.folder), self._writers.begin() as connection:
            yield connection


def parts(
    connection: Connection, table: Table, owner: str, numbers: Sequence[int], *conditions: ColumnElement[bool]
) -> dict[int, list[Row[Any]]]:
    """Return the rows of `table` that belong to each of the rows `numbers` of their `owner`, in their places."""
    found: dict[int, list[Row[Any]]] = {number: [] for number in numbers}
    for first in range(0, len(numbers), AT_ONCE):
        some = table.c[owner].in_(numbers[first : first + AT_ONCE])
        for row in connection.execute(select(table).where(some, *conditions).order_by(table.c[owner], table.c.place)):
            found[row._mapping[owner]].append(row)
    return found
