"""The database of a state, whatever its kind: its clock, the folder of files and locks; reading and writing.

All that depends on the kind stands in `sqlite` and `postgresql`, which keep the same promises: a reader has one
consistent view and waits for no writer; there is one writer at a time, so that what it has read stays true until it
commits; a commit is whole or not at all, and survives a loss of power. Numbers, places and versions are therefore
counted without locks on rows. A forked process must open the state again.
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
"""Rows that one statement asks for: databases limit the number of parameters."""


class Database(ABC):
    """An open database, from which every part of the store is derived.

    Parameters
    ----------
    folder
        The state folder, where files and locks are.
    now
        The clock, giving aware datetimes.
    patience
        Seconds to wait for a database that another process has locked.
    read_only
        Whether nothing may be written, because the state is opened for a plan.

    Attributes
    ----------
    name
        What holds the rows, for messages: `state.db`, or a schema of a server.
    has_live_locks
        Whether the locks in the folder tell which runs are alive: not where only a copy of the rows is here, or the
        runs have their locks in a folder elsewhere.
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
        """The state that may only be read, if this is opened in a temporary folder for that reason."""
        self.migration = ""
        """What to tell if its tables have been migrated now, and where the copy from before is; else empty."""
        self.has_live_locks = True
        self.now = now
        self._readers = self.create_engine()
        self._writers = self._readers.execution_options(writes=True)

    @abstractmethod
    def create_engine(self, *, migrating: bool = False) -> Engine:
        """Return an engine; one that is `migrating` may change tables that other tables refer to."""

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
        """Open a transaction that is committed whole or not at all."""
        if self.read_only:
            raise RuntimeError("a plan must not write to the state")
        if self.unwritable is not None:
            raise self.refuse_writing(self.unwritable)
        with self.translate_errors(), self.open_transaction(self._writers) as connection:
            yield connection

    def refuse_writing(self, original: Path) -> StoreError:
        """Return the error of writing to a state that may only be read, whose folder is `original`."""
        return build_store_error(original, *UNWRITABLE)

    @contextmanager
    def open_transaction(self, engine: Engine) -> Iterator[Connection]:
        """Open a transaction of an engine, which ends with the block."""
        with engine.begin() as connection:
            yield connection

    @abstractmethod
    def translate_errors(self) -> AbstractContextManager[None]:
        """Raise the errors of the database and of the file system as StoreError, in a `with`."""

    # --- the schema

    @abstractmethod
    def check_place(self) -> None:
        """Check that what is there is a database or can become one; raises StoreError."""

    def check_new(self) -> None:  # noqa: B027 - a file has no other rows that could be meant
        """Check that a database without tables may get some; raises StoreError."""

    @abstractmethod
    def exists(self) -> bool:
        """Return whether there is a database, with or without tables."""

    @abstractmethod
    def list_tables(self, connection: Connection) -> list[str]:
        """Return the names of the tables of the state."""

    @abstractmethod
    def build_foreign_error(self) -> StoreError:
        """Return the error for tables that are not those of a state."""

    def keep_copy(self, revision: str, known: Collection[str]) -> str:
        """Keep a copy of the tables of a revision before a migration; return where it is, empty if none is kept."""
        return ""

    def describe_way_back(self, known: Collection[str]) -> str:
        """Return what to do to go back to a copy with tables of a `known` revision; empty without one."""
        return ""

    @abstractmethod
    def begin_migration(self, connection: Connection) -> None:
        """Prepare, in the transaction of a migration, what must be there before the first table."""

    @abstractmethod
    def end_migration(self, connection: Connection) -> None:
        """Check, in the transaction of a migration, what it has left, and complete it."""

    def owns(self) -> bool:
        """Return whether the rows belong to this folder, or to nobody; raises StoreError if they cannot be read."""
        return True

    def check_owner(self) -> None:  # noqa: B027 - a database in the folder belongs to it
        """Check that the rows belong to this folder, so that they can be written; raises StoreError."""

    # --- care

    def identify(self) -> object:
        """Return what differs when another database is in the place of this one; None where nobody can exchange it."""
        return None

    @abstractmethod
    def prove_writable(self) -> None:
        """Write something that changes nothing; raises StoreError if that fails."""

    @abstractmethod
    def prove_usable(self) -> None:
        """Prove that the state can be opened for writing, and leave nothing behind; raises StoreError if not."""

    @abstractmethod
    def merge_log(self, *, whole: bool) -> None:
        """Write what a write-ahead log of ours holds into the database, as far as no reader needs it there.

        With `whole`, wait for readers and writers as long as the patience is, and empty the log.
        """

    @abstractmethod
    def vacuum(self) -> None:
        """Write the database anew, without the room of removed rows; nobody can write meanwhile."""

    @abstractmethod
    def measure_bytes(self) -> int:
        """Return the size of the database."""

    @abstractmethod
    def count_free_bytes(self) -> int:
        """Return the size of what holds nothing in the database, and which new rows fill; 0 where nobody counts it."""


def replace_texts(engine: Engine, replace: Callable[[str], str]) -> None:
    """Replace each text that a statement of an engine is given; `replace` acts on each character by itself."""

    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def replace_all(
        _connection: Connection, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool
    ) -> tuple[str, Any]:
        several = many and isinstance(parameters, list)  # else they are one row for a statement with all values
        rows = parameters if several else [parameters]
        if rows and isinstance(rows[0], Mapping):
            replaced: list[Any] = [dict(zip(row, replace_values(row.values()), strict=True)) for row in rows]
        else:
            # of many rows, hardly any has a text to replace: to look for one in all of them together takes less time
            together = "".join([value for row in rows for value in row if isinstance(value, str)])
            replaced = rows if replace(together) == together else [tuple(replace_values(row)) for row in rows]
        return statement, replaced if several else replaced[0]

    def replace_values(values: Iterable[Any]) -> list[Any]:
        return [replace(value) if isinstance(value, str) else value for value in values]


def insert_rows(connection: Connection, table: Table, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    """Insert many rows, whose values the driver takes as they are: numbers, texts, truth values and None.

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
