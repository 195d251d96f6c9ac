"""The database of a state: its URL, its clock, the folder of files and locks; reading and writing as transactions.

All that depends on the kind of database, which is SQLite, stands here, in `schema`, `errors` and `database_files`. It
runs in WAL mode, so readers never wait for a writer. Writing transactions begin with BEGIN IMMEDIATE: otherwise a
transaction that first reads and then writes fails at once when another process has written in between. Commits are
synced to disk, so a result that was reported survives a loss of power. A forked process must open the state again.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, ColumnElement, Connection, Engine, Row, Table, create_engine, event, select
from sqlalchemy.pool import ConnectionPoolEntry

from engine.formatting.control_characters import make_encodable
from engine.store.errors import UNWRITABLE, build_store_error, translate_errors
from engine.store.records import utc_now
from engine.store.tables import serialize_json

T = TypeVar("T")

LOG_BYTES = 64 * 1024**2
"""To so much the write-ahead log is cut when it begins anew: a long transaction may have made it larger."""

ROWS_PER_STATEMENT = 500
"""Rows that one statement asks for: databases limit the number of parameters."""


def locate_database(folder: Path) -> URL:
    """Return the URL of the database in a state folder that names no other one."""
    return URL.create("sqlite", database=str(folder / "state.db"))


def create_database_engine(url: URL, patience: float, *, migrating: bool = False) -> Engine:
    """Return an engine for a URL; wait `patience` seconds for a locked database."""
    engine = create_engine(url, connect_args={"timeout": patience}, json_serializer=serialize_json)

    @event.listens_for(engine, "connect")
    def set_up(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # Python's sqlite3 would begin too late, and not before DDL
        # A migration rebuilds a table by dropping it: enforced foreign keys would delete the rows that refer to it.
        connection.execute(f"PRAGMA foreign_keys = {'OFF' if migrating else 'ON'}")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        if migrating:
            connection.execute("PRAGMA journal_mode = WAL")  # the database file keeps this setting

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def make_encodable_parameters(
        _connection: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool
    ) -> tuple[str, Any]:
        return statement, [_make_encodable(row) for row in parameters] if many else _make_encodable(parameters)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _make_encodable(row: Sequence[Any]) -> Sequence[Any]:
    """Return the parameters of a statement; one text that cannot be encoded must not lose the other values."""
    if all(not isinstance(value, str) or value.isascii() for value in row):
        return row
    return tuple(make_encodable(value) if isinstance(value, str) else value for value in row)


class Database:
    """An open database, from which every part of the store is derived.

    Parameters
    ----------
    url
        Where the rows are.
    folder
        The state folder, where files and locks are, whatever the URL.
    now
        The clock, giving aware datetimes.
    patience
        Seconds to wait for a database that another process has locked.
    read_only
        Whether nothing may be written, because the state is opened for a plan.
    """

    def __init__(
        self,
        url: URL,
        folder: Path,
        *,
        now: Callable[[], datetime] = utc_now,
        patience: float = 10.0,
        read_only: bool = False,
    ) -> None:
        self.url = url
        self.folder = folder
        self.patience = patience
        self.read_only = read_only
        self.unwritable: Path | None = None
        """The state that may only be read, if this is a temporary copy of it for that reason."""
        self.migration = ""
        """What to tell if its tables have been migrated now, and where the copy from before is; else empty."""
        self.now = now
        self._readers = create_database_engine(url, patience)
        self._writers = self._readers.execution_options(writes=True)

    def close(self) -> None:
        """Close the connections."""
        self._readers.dispose()

    @contextmanager
    def begin_read(self) -> Iterator[Connection]:
        """Open a transaction with one consistent view, which never waits for a writer."""
        with translate_errors(self.folder), self._readers.begin() as connection:
            yield connection

    @contextmanager
    def begin_write(self) -> Iterator[Connection]:
        """Open a transaction that is committed whole or not at all."""
        if self.read_only:
            raise RuntimeError("a plan must not write to the state")
        if self.unwritable is not None:
            raise build_store_error(self.unwritable, *UNWRITABLE)
        with translate_errors(self.folder), self._writers.begin() as connection:
            yield connection

    def merge_log(self, *, whole: bool) -> None:
        """Write what the write-ahead log holds into the database, as far as no reader needs it there.

        With `whole`, wait for readers and writers as long as the patience is, and empty the log.
        """
        self._execute_alone(f"PRAGMA wal_checkpoint({'TRUNCATE' if whole else 'PASSIVE'})")

    def vacuum(self) -> None:
        """Write the database anew, without the pages that hold nothing; nobody can write meanwhile."""
        self._execute_alone("VACUUM")
        self.merge_log(whole=True)

    def _execute_alone(self, statement: str) -> None:
        """Execute a statement that SQLite takes only outside of a transaction."""
        with translate_errors(self.folder), closing(self._readers.raw_connection()) as connection:
            connection.cursor().execute(statement)

    def prove_writable(self) -> None:
        """Write something that changes nothing.

        Raises
        ------
        StoreError
            Nothing can be written: the disk is full, or the folder is read-only, for instance.
        """
        with self.begin_write() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            connection.exec_driver_sql(f"PRAGMA user_version = {int(version)}")


def child_rows(
    connection: Connection, table: Table, owner: str, numbers: Sequence[int], *conditions: ColumnElement[bool]
) -> dict[int, list[Row[Any]]]:
    """Return, for each row number of the `owner` table, the rows of `table` that belong to it, ordered by place."""
    found: dict[int, list[Row[Any]]] = {number: [] for number in numbers}
    for some in split_rows(numbers):
        query = select(table).where(table.c[owner].in_(some), *conditions)
        for row in connection.execute(query.order_by(table.c[owner], table.c.place)):
            found[row._mapping[owner]].append(row)
    return found


def split_rows(keys: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the keys of rows in parts that one statement can ask for."""
    for first in range(0, len(keys), ROWS_PER_STATEMENT):
        yield keys[first : first + ROWS_PER_STATEMENT]
