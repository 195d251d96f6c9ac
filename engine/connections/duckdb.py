"""Connections to DuckDB files. Only one process at a time can open a file, unless all of them only read."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from engine.connections.database_errors import DatabaseError, require_package

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

LOCK_SECONDS = 10.0
"""How long to wait for another process that has the file open."""


class DuckdbSession:
    """An open file, in a transaction that ends with `commit`, or is rolled back at exit.

    Attributes
    ----------
    connection
        DuckDB's own connection.
    place
        The name of the file in messages.
    """

    def __init__(self, connection: "DuckDBPyConnection", place: str) -> None:
        self.connection, self.place = connection, place

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.connection.close()  # rolls back

    @contextmanager
    def stream_rows(self, query: str) -> Iterator["_QueryRows"]:
        """Yield the rows of a query as a stream of Arrow batches, which can be read once, inside the `with`.

        Raises
        ------
        DatabaseError
            DuckDB refuses the query.
        """
        with self.explain_errors():
            relation = self.connection.sql(query)
        yield _QueryRows(self, relation)

    def fetch_rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query; raise DatabaseError if DuckDB refuses it."""
        with self.explain_errors():
            return self.connection.execute(query).fetchall()

    def execute(self, statement: str) -> int:
        """Execute one statement; return how many rows it changed, -1 if unknown; raise DatabaseError if refused."""
        with self.explain_errors():
            answer = self.connection.execute(statement)
            names = [column[0] for column in answer.description or ()]
            found = answer.fetchone() if names == ["Count"] else None
            return int(found[0]) if found else -1

    def insert_rows(self, table: str, rows: object) -> None:
        """Append rows to a table, whose name is quoted; raise DatabaseError if they are refused.

        Parameters
        ----------
        rows
            An object with `__arrow_c_stream__`, which gives a stream of Arrow batches.
        """
        with self.explain_errors():
            self.connection.register("sent rows", _ArrowRows(rows))
            try:
                self.connection.execute(f'INSERT INTO {table} SELECT * FROM "sent rows"')  # noqa: S608 - quoted
            finally:
                self.connection.unregister("sent rows")

    def commit(self) -> None:
        """Commit the transaction and begin another one."""
        self.execute("COMMIT")
        self.execute("BEGIN TRANSACTION")

    def rollback(self) -> None:
        """Roll back the transaction and begin another one."""
        self.execute("ROLLBACK")
        self.execute("BEGIN TRANSACTION")

    @contextmanager
    def explain_errors(self) -> Iterator[None]:
        """Raise a DatabaseError for each error of DuckDB."""
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            raise DatabaseError(f"{self.place}: {_explain_error(error)}") from None


class _QueryRows:
    """The rows of a query as a stream: DuckDB runs a query only when its stream is requested."""

    def __init__(self, session: DuckdbSession, relation: "DuckDBPyRelation") -> None:
        self._session, self._relation = session, relation

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        with self._session.explain_errors():
            return self._relation.__arrow_c_stream__(requested_schema)


class _ArrowRows:
    """Rows as a plain stream: DuckDB reads frames of known types through other packages, which may be absent."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._rows.__arrow_c_stream__(requested_schema)


def open_duckdb(path: Path, *, read_only: bool = False, timeout: float = LOCK_SECONDS) -> DuckdbSession:
    """Open a DuckDB file.

    Parameters
    ----------
    path
        The file. If it does not exist, it is created, unless `read_only`.
    read_only
        Whether nothing may be written. Several processes may then have it open.
    timeout
        Seconds to wait for another process that has the file open.

    Raises
    ------
    DatabaseError
        The package is not installed; the file does not exist, is not a DuckDB file, or has the format of a newer
        version; or another process has it open.
    """
    require_package("duckdb", "duckdb", "a connection to a DuckDB file")
    import duckdb

    place = f"DuckDB file {path}"
    try:
        if read_only and not path.exists():
            raise DatabaseError(f"{place}: it does not exist")
        if path.is_dir() or not path.parent.is_dir():
            raise DatabaseError(
                f"{place}: {'it' if path.is_dir() else path.parent} is {'a' if path.is_dir() else 'no'} folder"
            )
    except OSError as error:
        raise DatabaseError(f"{place}: it cannot be opened: {error.strerror}") from None
    config: dict[str, str | bool | int | float | list[str]] = {
        "enable_external_access": False,  # a view must not read other files
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    until = time.monotonic() + timeout
    while True:
        try:
            session = DuckdbSession(duckdb.connect(str(path), read_only=read_only, config=config), place)
            session.execute("SET TimeZone TO 'UTC'")
            session.execute("SET lock_configuration TO true")
            session.execute("BEGIN TRANSACTION")
        except duckdb.Error as error:
            locked = "Could not set lock" in str(error)
            if locked and time.monotonic() < until:
                time.sleep(0.2)
                continue
            reason = "another process has it open" if locked else _explain_error(error)
            if "Loading external extensions is disabled" in reason:  # DuckDB's answer to a file of SQLite
                reason = "it is not a DuckDB file, but one of SQLite"
            with suppress(IndexError):
                reason += f" ({str(error).split('Conflicting lock is held in ')[1].split(' See also')[0].strip('. ')})"
            raise DatabaseError(f"{place}: {reason}", transient=locked) from None
        return session


_DAMAGES = {
    r"not a valid DuckDB database file": "it is not a DuckDB file; restore it, or correct path: of the connection",
    r"Could not read enough bytes": "its end is missing, because it was cut or is being replaced; restore it or write "
    "it again",
    r"Corrupt database file|checksum": "it is damaged; restore it or write it again",
}
"""Explanations by pattern of DuckDB's message, for files that cannot be read."""


def explain_damage(text: str) -> str:
    """Return what a message of DuckDB says about a damaged file; empty if it is about something else."""
    return next((meaning for pattern, meaning in _DAMAGES.items() if re.search(pattern, text)), "")


def _explain_error(error: Exception) -> str:
    """Return the explanation of an error of DuckDB, or its message on one line without the query."""
    text = str(error).split("\n\nLINE ")[0].strip()
    line = "; ".join(line.strip() for line in text.splitlines() if line.strip())
    damage = explain_damage(line)
    return f"{damage} ({line})" if damage else line
