"""Read the rows of a table, or of a query run by a database, into a Parquet file.

A database stream can be read once: a second read gives no rows and no error. So the rows are written to a file, batch
by batch, and everything is computed from the file.
"""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from engine.connections.database_errors import DatabaseError
from engine.connections.duckdb import DuckdbSession, explain_damage
from engine.connections.postgresql import PostgresqlSession
from engine.connections.postgresql_errors import explain_stream_error
from engine.connections.table_names import quote_name, split_table_name
from engine.data.contract import refuse_pattern_names
from engine.data.database_rows import DatabaseRows
from engine.data.databases.arrow_batches import ArrowBatches, StreamError
from engine.data.databases.column_readings import ColumnReading, describe_exceptions
from engine.data.databases.duckdb_tables import describe_duckdb_columns, list_duckdb_tables
from engine.data.databases.postgresql_tables import describe_postgresql_columns, list_postgresql_tables
from engine.data.fingerprints import FrameHasher
from engine.data.polars_errors import READ_ERRORS, describe_error
from engine.data.rereadable_tables import ROW_GROUP_SIZE
from engine.formatting.hints import suggest_name
from engine.spec.opened_connections import DatabaseSession

_OUT_OF_RANGE = "22003"


def read_table(session: DatabaseSession, table: str, folder: Path) -> DatabaseRows:
    """Read a table into a file in a folder.

    Parameters
    ----------
    table
        Its name: `table` or `schema.table`.

    Raises
    ------
    DatabaseError
        There is no such table, the user may not read it, or the connection was lost.
    """
    columns = describe_columns(session, table)
    select, rest, flags = select_table(table, columns)
    return read_query(session, select, rest, columns, flags, folder)


def select_table(table: str, columns: Sequence[ColumnReading]) -> tuple[str, str, list[str]]:
    """Return `select`, `rest` and `flags` of `read_query` for all rows of a table."""
    schema, name = split_table(table)
    select = ", ".join(f"{one.value} AS {quote_name(one.name)}" for one in columns)
    return select, f"FROM {quote_name(schema, name)}", [flag for one in columns for flag in one.flags]


def describe_columns(session: DatabaseSession, table: str) -> list[ColumnReading]:
    """Return how the columns of a table are read; raises DatabaseError if there is no such table."""
    schema, name = split_table(table)
    if isinstance(session, PostgresqlSession):
        found = describe_postgresql_columns(session, schema, name)
    else:
        found = describe_duckdb_columns(session, schema, name)
    if not found:
        tables = list_database_tables(session)
        if table in tables:
            raise DatabaseError(f"{session.place}: table {table!r} has no columns")
        raise DatabaseError(f"{session.place}: there is no table {table!r}{suggest_name(table, tables)}")
    refuse_pattern_names((one.name for one in found), f"table {table!r}")
    return found


def list_database_tables(session: DatabaseSession) -> list[str]:
    """Return the names of the tables and views of a database, in the form used by datasets."""
    return list_postgresql_tables(session) if isinstance(session, PostgresqlSession) else list_duckdb_tables(session)


def read_query(
    session: DatabaseSession,
    select: str,
    rest: str,
    columns: Sequence[ColumnReading],
    flags: Sequence[str],
    folder: Path,
) -> DatabaseRows:
    """Read the rows of a query into a file in a folder.

    Parameters
    ----------
    select, rest
        The SQL between SELECT and FROM, which selects the columns, and from FROM on.
    columns
        How the columns are read.
    flags
        SQL conditions for values that are changed by reading: one per exception of the columns, in order.
    """
    query, names = write_query(select, rest, columns, flags)
    path = folder / "rows.parquet"
    casts = [pl.col(one.name).cast(one.cast.dtype) for one in columns if one.cast.dtype is not None]
    try:
        with session.stream_rows(query) as stream:
            frame = ArrowBatches(stream).scan().with_columns(casts)
            # In one pass: hashing the file would read the rows once more after all have arrived.
            hasher = FrameHasher(left_out=names)
            hasher.watch(frame).sink_parquet(path, compression="lz4", row_group_size=ROW_GROUP_SIZE, engine="streaming")
    except DatabaseError as error:
        raise _name_numeric_columns(error, columns) from None
    except (StreamError, *READ_ERRORS) as error:
        raise _name_numeric_columns(_explain_read_error(error, session), columns) from None
    exceptions = pl.scan_parquet(path, glob=False).select(pl.col(names).sum()).collect().row(0) if names else ()
    notes = describe_exceptions(columns, exceptions)
    return DatabaseRows(path, tuple(names), hasher.digest(), hasher.count, tuple(notes))


def write_query(
    select: str, rest: str, columns: Sequence[ColumnReading], flags: Sequence[str]
) -> tuple[str, list[str]]:
    """Return the query of `read_query`, and the names of its columns that mark exceptional values."""
    prefix = "exception"
    while any(one.name.startswith(prefix) for one in columns):
        prefix += "_"
    names = [f"{prefix}{number}" for number in range(len(flags))]
    added = "".join(f", {flag} AS {quote_name(name)}" for flag, name in zip(flags, names, strict=True))
    return f"SELECT {select}{added} {rest}", names


def split_table(table: str) -> tuple[str | None, str]:
    """Return the schema (or None) and the name of a table; raises DatabaseError if the name is invalid."""
    parts = split_table_name(table)
    if parts is None:
        raise DatabaseError(f"{table!r} is not the name of a table: write name, or schema.name")
    return parts


def _name_numeric_columns(error: DatabaseError, columns: Sequence[ColumnReading]) -> DatabaseError:
    """Return the error with the columns that it may concern, if a decimal is too large for a number."""
    named = [repr(one.name) for one in columns if one.type.startswith("numeric")]
    if error.code != _OUT_OF_RANGE or not named:
        return error
    return DatabaseError(f"{error}: numbers of 64 bits cannot hold a value of {', '.join(named)}", error.code)


def _explain_read_error(error: BaseException, session: DatabaseSession) -> DatabaseError:
    if isinstance(session, PostgresqlSession) and isinstance(error, StreamError):
        return explain_stream_error(str(error), session.place)
    found = describe_error(error)
    if isinstance(session, DuckdbSession) and (damage := explain_damage(found)):
        return DatabaseError(f"{session.place}: {damage} ({found})")
    return DatabaseError(f"{session.place}: its rows cannot be read: {found}")
