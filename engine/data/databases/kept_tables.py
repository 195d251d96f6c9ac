"""Database tables that keep the rows of a dataset."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from engine.connections.database_errors import DatabaseError
from engine.data.database_rows import DatabaseRows
from engine.data.databases.writing import (
    check_table_owner,
    check_table_rows,
    find_table_owner,
    retry_transient,
    write_table,
)
from engine.data.rereadable_tables import make_rereadable
from engine.data.table import Table
from engine.errors import DataError
from engine.spec import ProjectSpec
from engine.spec.opened_connections import DatabaseSession, locate_duckdb_file, open_connection
from engine.spec.resources.connections import DuckdbConnection
from engine.spec.secrets.values import Secrets


@dataclass(frozen=True, slots=True)
class KeptTable:
    """A table of a database.

    Attributes
    ----------
    project, secrets
        The project that declares the connection, and its secrets.
    connection, table
        The names of the connection and of the table.
    scratch
        Returns a new folder for rows that are read.
    read
        Returns the rows of the table, which can be read once.
    remember
        Called with the written rows after they were read back.
    """

    project: ProjectSpec
    secrets: Secrets
    connection: str
    table: str
    scratch: Callable[[], Path]
    read: Callable[[], DatabaseRows]
    remember: Callable[[DatabaseRows], None]

    @property
    def name(self) -> str:
        """The table and its connection, for messages."""
        return f"{self.table} in {self.connection}"

    @property
    def _duckdb(self) -> bool:
        return isinstance(self.project.connections[self.connection], DuckdbConnection)

    def find_problem(self, content: str) -> str:
        """Return why the table does not have the rows with that digest; an empty text if it does."""
        if not self._is_there():
            return f"{self.name} is not there"
        return "" if self.read().fingerprint == content else f"{self.name} is not as it was written"

    def _is_there(self) -> bool:
        if self._duckdb and not locate_duckdb_file(self.project, self.connection).exists():
            return False
        with self._open(read_only=True) as session:
            return find_table_owner(session, self.table) is not None

    def _open(self, *, read_only: bool) -> DatabaseSession:
        return open_connection(self.project, self.connection, self.secrets, read_only=read_only)

    def read_rows(self) -> tuple[pl.LazyFrame, None]:
        """Return the rows."""
        return self.read().frame, None

    def check_rows(self, table: Table, *, known: bool) -> None:
        """Raise a DataError if a column or a value cannot be kept, or if the table may not be replaced.

        A comment on the table names its owner even if its rows were changed, so `known` is ignored.
        """
        for column in check_table_rows(table, duckdb=self._duckdb):
            if not column.exact:
                raise DataError(
                    f"dataset {table.name!r}: column {column.name!r} holds decimals of more than 15 digits, which come "
                    "back rounded: convert it to a number or a text in a query"
                )
        if not self._duckdb or locate_duckdb_file(self.project, self.connection).exists():
            with self._open(read_only=True) as session:
                check_table_owner(session, self.table, self.project.name)

    def write_rows(self, table: Table, verify: Callable[[], None]) -> tuple[str, int]:
        """Replace the existing rows by those of a table; return their digest and their number.

        Raises
        ------
        DataError
            The rows cannot be read, kept or written. The old rows then still exist.
        """
        with make_rereadable(table, self.scratch()) as cheap:
            written = replace_table_rows(
                self.project, self.secrets, self.connection, self.table, cheap, self.scratch, verify
            )
        self.remember(written)
        return written.fingerprint, written.count


def replace_table_rows(
    project: ProjectSpec,
    secrets: Secrets,
    connection: str,
    name: str,
    table: Table,
    scratch: Callable[[], Path],
    verify: Callable[[], None],
) -> DatabaseRows:
    """Replace the rows of a database table by those of a local table, see `write_table`.

    It is retried for some time if the connection is lost or cannot be made.
    """

    def write() -> DatabaseRows:
        with open_connection(project, connection, secrets) as session:
            return write_table(session, name, table, project.name, scratch(), verify)

    try:
        return retry_transient(write)
    except DatabaseError as error:
        raise DatabaseError(
            f"dataset {table.name!r} cannot be written into {name} in {connection}, which is as it was: {error}",
            error.code,
            transient=error.transient,
        ) from None
