"""The interface of a state's database, and helpers for rows that are common to SQLite and PostgreSQL.

The modules `sqlite` and `postgresql` give the same guarantees: a reader has one consistent view and never waits for a
writer; there is only one writer at a time, so that its reads stay valid until it commits; a commit is atomic and
survives a loss of power. So numbers, places and versions are counted without row locks. A forked process must open the
state again.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Engine, Row, Table, event, insert, select

from engine.errors import StoreError
from engine.store.clock import utc_now
from engine.store.databases.errors import UNWRITABLE, build_store_error

T = TypeVar("T")

ROWS_PER_STATEMENT = 500
"""Most keys in one statement: databases limit the number of parameters."""


class Database(ABC):
    """An open database, which all parts of the store use.

    Parameters
    ----------
    folder
        The state folder, with files and locks.
    now
        The clock, which returns datetimes with a time zone.
    patience
        Seconds to wait for a database that another process has locked.
    read_only
        Whether writing is forbidden, because the state is opened for a plan.

    Attributes
    ----------
    name
        The name for messages: `state.db`, or a schema of a server.
    has_live_locks
        Whether the locks in the folder show which runs are alive. False for a copy of the rows, and if the runs have
        their locks in a folder of another host.
    """

    name: str

    def __init__(
        self,
        folder: Path,
        *,
        now: Callable[[], datetime] = utc_now,
        patience: float = 10.0,
        read_only: bool = False,
    ) -> None:
        self.folder = folder
        self.patience = patience
        self.read_only = read_only
        self.unwritable: Path | None = None
        """The folder of the original state, if this is a temporary copy of a state that cannot be written."""
        self.migration = ""
        """A message about a migration of the tables at this opening, with the path of the copy; else empty."""
        self.has_live_locks = True
        self.now = now
        self._readers = self.create_engine()
        self._writers = self._readers.execution_options(writes=True)

    @abstractmethod
    def create_engine(self, *, migrating: bool = False) -> Engine:
        """Return an SQLAlchemy engine; with `migrating`, it can change tables that foreign keys refer to."""

    def close(self) -> None:
        """Close the connections."""
        self._readers.dispose()

    @contextmanager
    def begin_read(self) -> Iterator[Connection]:
        """Open a transaction with one consistent view, which never waits for a writer."""
        with self.translate_errors(), self.open_transaction(self._readers) as connection:
            yield connection

    @contextmanager
    def begin_write(self) -> Iterator[Connection]:
        """Open a writing transaction, which is atomic."""
        if self.read_only:
            raise RuntimeError("a plan must not write to the state")
        if self.unwritable is not None:
            raise self.refuse_writing(self.unwritable)
        with self.translate_errors(), self.open_transaction(self._writers) as connection:
            yield connection

    def refuse_writing(self, original: Path) -> StoreError:
        """Return the error for writing to a state in the folder `original` that can only be read."""
        return build_store_error(original, *UNWRITABLE)

    @contextmanager
    def open_transaction(self, engine: Engine) -> Iterator[Connection]:
        """Open a transaction of an engine for the duration of the block."""
        with engine.begin() as connection:
            yield connection

    @abstractmethod
    def translate_errors(self) -> AbstractContextManager[None]:
        """Return a context manager that raises errors of the database and the file system as StoreError."""

    # --- the schema

    @abstractmethod
    def check_place(self) -> None:
        """Check that a database exists or can be created; raise StoreError if not."""

    def check_new(self) -> None:  # noqa: B027 - a file has no other rows that could be meant
        """Check that tables may be created in a database without any; raise StoreError if not."""

    @abstractmethod
    def exists(self) -> bool:
        """Return whether there is a database, with or without tables."""

    @abstractmethod
    def list_tables(self, connection: Connection) -> list[str]:
        """Return the names of the tables of the state."""

    @abstractmethod
    def build_foreign_error(self) -> StoreError:
        """Return the error for a database with other tables than those of a state."""

    def keep_copy(self, revision: str, known: Collection[str]) -> str:
        """Keep a copy of the tables before a migration; return its path, empty if no copy is kept."""
        return ""

    def describe_way_back(self, known: Collection[str]) -> str:
        """Return instructions for going back to a copy with tables of a `known` revision; empty without a copy."""
        return ""

    @abstractmethod
    def begin_migration(self, connection: Connection) -> None:
        """Prepare the database for its first table, in the transaction of a migration."""

    @abstractmethod
    def end_migration(self, connection: Connection) -> None:
        """Check and complete the tables at the end of a migration, in its transaction."""

    def owns(self) -> bool:
        """Return whether the rows belong to this folder or to none; raise StoreError if they cannot be read."""
        return True

    def check_owner(self) -> None:  # noqa: B027 - a database in the folder belongs to it
        """Check that the rows belong to this folder, so that it may write them; raise StoreError if not."""

    # --- care
    def identify(self) -> object:
        """Return a value that changes if the database is replaced by another one; None if that cannot happen."""
        return None

    @abstractmethod
    def prove_writable(self) -> None:
        """Write without changing anything; raise StoreError if that fails."""

    @abstractmethod
    def prove_usable(self) -> None:
        """Prove, without leaving traces, that the state can be opened for writing; raise StoreError if not."""

    @abstractmethod
    def merge_log(self, *, whole: bool) -> None:
        """Move the content of a write-ahead log into the database, as far as no reader needs it in the log.

        With `whole`, wait up to `patience` for readers and writers, and empty the log.
        """

    @abstractmethod
    def vacuum(self) -> None:
        """Rewrite the database without the space of removed rows; nobody can write meanwhile."""

    @abstractmethod
    def measure_bytes(self) -> int:
        """Return the size of the database in bytes."""

    @abstractmethod
    def count_free_bytes(self) -> int:
        """Return the bytes of the database that are free for new rows; 0 if they are not counted."""


def replace_texts(engine: Engine, replace: Callable[[str], str]) -> None:
    """Replace each text parameter of an engine's statements; `replace` must treat each character independently."""

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def replace_all(
        _connection: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool
    ) -> tuple[str, Any]:
        several = many and isinstance(parameters, list)  # else they are one row for a statement with all values
        rows = parameters if several else [parameters]
        if rows and isinstance(rows[0], Mapping):
            replaced: list[Any] = [dict(zip(row, replace_values(row.values()), strict=True)) for row in rows]
        else:
            # few rows need a replacement, and one search in the joined text of all rows is faster than one per row
            together = "".join([value for row in rows for value in row if isinstance(value, str)])
            replaced = rows if replace(together) == together else [tuple(replace_values(row)) for row in rows]
        return statement, replaced if several else replaced[0]

    def replace_values(values: Iterable[Any]) -> list[Any]:
        return [replace(value) if isinstance(value, str) else value for value in values]


def insert_rows(connection: Connection, table: Table, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert many rows with values that need no conversion: numbers, texts, booleans and None.

    SQLAlchemy would convert each row in Python, which takes longer than SQLite needs to insert it.

    Parameters
    ----------
    names
        The columns, in the order of the values of each row and of the table.
    """
    statement = insert(table).compile(dialect=connection.dialect, column_keys=list(names))
    given = rows if statement.positional else [dict(zip(names, row, strict=True)) for row in rows]
    connection.exec_driver_sql(str(statement), list(given))


def child_rows(
    connection: Connection, table: Table, owner: str, numbers: Sequence[int], *conditions: ColumnElement[bool]
) -> dict[int, list[Row[Any]]]:
    """Return the rows of `table` that belong to each row number of the `owner` table, ordered by place."""
    found: dict[int, list[Row[Any]]] = {number: [] for number in numbers}
    for some in split_rows(numbers):
        query = select(table).where(table.c[owner].in_(some), *conditions)
        for row in connection.execute(query.order_by(table.c[owner], table.c.place)):
            found[row._mapping[owner]].append(row)
    return found


def split_rows(keys: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the keys of rows in parts of at most ROWS_PER_STATEMENT."""
    for first in range(0, len(keys), ROWS_PER_STATEMENT):
        yield keys[first : first + ROWS_PER_STATEMENT]
