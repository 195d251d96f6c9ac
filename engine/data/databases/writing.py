"""Write rows into a database table: all of them, in one transaction, replacing the existing rows.

Before the transaction is committed, the table is read back as datasets read it, and must give the same rows. So nothing
that a database would silently change is ever kept. A table that engine has not written for this project, as recorded in
a comment on it, is never replaced.

If the columns of a table stay the same, its rows are replaced within it: permissions, indexes and views remain, and
others see the old rows until the end.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import polars as pl

from engine.connections.database_errors import DatabaseError
from engine.connections.duckdb import DuckdbSession
from engine.connections.table_names import quote_name, quote_text
from engine.data.database_rows import DatabaseRows
from engine.data.databases.reading import describe_columns, read_table, split_table
from engine.data.databases.stored_types import LONGEST_NAME, StoredColumn, choose_stored_columns, find_lost_values
from engine.data.fingerprints import hash_frame
from engine.data.table import Table, explain_read_errors
from engine.errors import DataError
from engine.spec.opened_connections import DatabaseSession

T = TypeVar("T")

BATCH_ROWS = 100_000
"""Number of rows sent at once."""

RETRY_SECONDS = 20.0
"""How long to wait for a server that restarts or is busy, in seconds."""

_PAUSE_SECONDS = 1.0


def retry_transient(work: Callable[[], T], seconds: float = RETRY_SECONDS) -> T:
    """Return the result of `work`; call it again for some time if a connection is lost or cannot be made.

    Parameters
    ----------
    work
        A whole transaction, which can safely be repeated.
    seconds
        How long to continue after the first failure.

    Raises
    ------
    DatabaseError
        The last failure, or one that a retry would not change.
    """
    until = time.monotonic() + seconds
    while True:
        try:
            return work()
        except DatabaseError as error:
            if not error.transient or time.monotonic() + _PAUSE_SECONDS > until:
                raise
            time.sleep(_PAUSE_SECONDS)


def find_table_owner(session: DatabaseSession, table: str) -> str | None:
    """Return the project for which engine wrote a table; an empty text for any other table; None if there is none."""
    schema, name = split_table(table)
    if isinstance(session, DuckdbSession):
        rows = session.fetch_rows(
            "SELECT comment FROM (SELECT schema_name, table_name AS name, comment FROM duckdb_tables() UNION ALL "  # noqa: S608 - quoted
            "SELECT schema_name, view_name, NULL FROM duckdb_views()) "
            f"WHERE name = {quote_text(name)} AND schema_name = {quote_text(schema or 'main')}"
        )
    else:
        rows = session.fetch_rows(
            "SELECT obj_description(oid, 'pg_class') FROM pg_class "  # noqa: S608 - quoted
            f"WHERE oid = to_regclass({quote_text(quote_name(schema, name))})"
        )
    if not rows:
        return None
    return str(rows[0][0] or "").partition(_MARK)[2]


_MARK = "written by engine for the project "


def check_column_types(table: Table, *, duckdb: bool) -> list[StoredColumn]:
    """Return how the columns of a table are stored; no row is read.

    Raises
    ------
    DataError
        The name or the type of a column cannot be stored; the message names it.
    """
    with explain_read_errors(table):
        schema = table.frame.collect_schema()
    try:
        return choose_stored_columns(schema, table.columns, duckdb=duckdb)
    except DataError as error:
        raise DataError(f"dataset {table.name!r}: {error}") from None


def check_table_rows(table: Table, *, duckdb: bool) -> list[StoredColumn]:
    """Return how the columns of a table are stored.

    Raises
    ------
    DataError
        A column or some of its values cannot be stored; the message names it.
    """
    columns = check_column_types(table, duckdb=duckdb)
    schema = table.frame.collect_schema()
    tests = list(find_lost_values(schema, columns, duckdb=duckdb))
    if not tests:
        return columns
    with explain_read_errors(table):
        counts = table.frame.select(test.sum().alias(str(place)) for place, (_, test, _) in enumerate(tests)).collect(
            engine="streaming"
        )
    for (name, _, what), count in zip(tests, counts.row(0), strict=True):
        if count:
            values = "1 value is" if count == 1 else f"{count:,} values are"
            raise DataError(
                f"dataset {table.name!r}: in column {name!r}, {values} {what}: convert the column in a query"
            )
    return columns


def write_table(
    session: DatabaseSession,
    name: str,
    table: Table,
    project: str,
    folder: Path,
    verify: Callable[[], None] = lambda: None,
) -> DatabaseRows:
    """Replace the rows of a database table by those of a local table, and commit.

    Parameters
    ----------
    session
        An unused session.
    name
        `table` or `schema.table`; it is created if it does not exist.
    table
        The rows, which are read several times.
    project
        The name of the project for which the table is written.
    folder
        An empty folder for the rows that are read back.
    verify
        Called before the transaction is committed; if it raises, the old rows are kept.

    Returns
    -------
    The rows, as they are read from the database.

    Raises
    ------
    DataError
        The table was not written by engine for this project, it has values that cannot be stored, or the rows that are
        read back differ.
    DatabaseError
        The server rejects something, its disk is full, or the connection was lost.
    """
    duckdb = isinstance(session, DuckdbSession)
    check_table_owner(session, name, project)
    columns = check_table_rows(table, duckdb=duckdb)
    _prepare_table(session, name, columns, project)
    _send_rows(session, name, table, columns)
    written = read_table(session, name, folder)
    expected = table.frame.select(pl.col(one.name).cast(one.sent).cast(one.read) for one in columns if one.exact)
    exact = [one.name for one in columns if one.exact]
    if hash_frame(expected) != hash_frame(written.frame.select(exact)):
        raise DataError(
            f"{session.place}: table {name!r} does not give back {_name_differences(expected, written.frame, exact)} "
            f"of dataset {table.name!r} as it was written, so nothing was changed: convert it in a query"
        )
    verify()
    session.commit()
    return written


def check_table_owner(session: DatabaseSession, name: str, project: str) -> None:
    """Raise a DataError if there is a table that engine has not written for this project."""
    schema, last = split_table(name)
    too_long = [part for part in (schema, last) if part and len(part.encode()) > LONGEST_NAME]
    if too_long and not isinstance(session, DuckdbSession):
        raise DataError(f"the name {too_long[0]!r} is longer than the {LONGEST_NAME} bytes that PostgreSQL keeps")
    owner = find_table_owner(session, name)
    if owner not in (None, project):
        whose = f"was written for the project {owner!r}" if owner else "was not written by engine"
        raise DataError(
            f"{session.place}: {name!r} exists and {whose}, so it is not replaced: remove it, or name another table"
        )


def _prepare_table(session: DatabaseSession, name: str, columns: Sequence[StoredColumn], project: str) -> None:
    """Empty a table with these columns, or create a new one."""
    quoted = quote_name(*split_table(name))
    if find_table_owner(session, name) is not None:
        present = [(one.name, one.type) for one in describe_columns(session, name)]
        if present == [(one.name, one.sql) for one in columns] and not isinstance(session, DuckdbSession):
            session.execute(f"DELETE FROM {quoted}")  # noqa: S608 - quoted
            return
        session.execute(f"DROP TABLE {quoted}")
    declared = ", ".join(f"{quote_name(one.name)} {one.sql}" for one in columns)
    session.execute(f"CREATE TABLE {quoted} ({declared})")
    session.execute(f"COMMENT ON TABLE {quoted} IS {quote_text(_MARK + project)}")


def _send_rows(session: DatabaseSession, name: str, table: Table, columns: Sequence[StoredColumn]) -> None:
    frame = table.frame.select(pl.col(one.name).cast(one.sent) for one in columns)
    schema, last = split_table(name)
    for batch in _read_batches(table, frame):
        if isinstance(session, DuckdbSession):
            session.insert_rows(quote_name(schema, last), batch)
        else:
            session.ingest(last, batch, schema)


def _read_batches(table: Table, frame: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    batches = frame.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True)
    while True:
        with explain_read_errors(table):
            batch = next(batches, None)
        if batch is None:
            return
        if batch.height:
            yield batch


def _name_differences(expected: pl.LazyFrame, found: pl.LazyFrame, names: Sequence[str]) -> str:
    """Return which columns differ; all of them if they differ only in combination."""
    wrong = [name for name in names if hash_frame(expected.select(name)) != hash_frame(found.select(name))]
    return f"column {wrong[0]!r}" if wrong else "the rows"
