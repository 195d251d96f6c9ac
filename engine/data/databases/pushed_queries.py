"""Read the result of a query dataset from the database with all of its tables, if that changes no value."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from engine.connections.postgresql import PostgresqlSession
from engine.connections.table_names import quote_name, split_table_name
from engine.data.database_rows import DatabaseRows
from engine.data.databases.column_readings import ColumnReading, describe_exceptions
from engine.data.databases.pushdown import StoredInput, translate_query
from engine.data.databases.reading import describe_columns, read_query
from engine.spec import ProjectSpec
from engine.spec.opened_connections import open_connection
from engine.spec.secrets.values import Secrets


def read_pushed_query(
    project: ProjectSpec, query: str, inputs: Sequence[str], secrets: Secrets, make_folder: Callable[[], Path]
) -> DatabaseRows | None:
    """Return the rows of a query run by its database; None if it must be computed in this process.

    Parameters
    ----------
    query
        SQL with its variables inserted.
    inputs
        The datasets that it reads, all from the connection found by `find_query_connection`.

    Raises
    ------
    DatabaseError
        A table is missing, the user may not read it, or the connection was lost.
    """
    tables = {name: table for name in inputs if (table := project.find_table(name))}
    connection = tables[inputs[0]][0]
    with open_connection(project, connection, secrets, read_only=True) as session:
        if not isinstance(session, PostgresqlSession):
            return None
        if session.fetch_rows("SELECT current_setting('server_encoding')") != [("UTF8",)]:
            return None  # texts would be in another order
        stored = {name: _describe_input(session, table) for name, (_, table) in tables.items()}
        pushed = translate_query(query, stored)
        if pushed is None:
            return None
        rows = read_query(session, pushed.select, pushed.rest, pushed.columns, pushed.flags, make_folder())
        notes = [note for table, columns in pushed.filtered for note in _count_exceptions(session, table, columns)]
        return replace(rows, notes=(*rows.notes, *(note for note in notes if note not in rows.notes)))


def _describe_input(session: PostgresqlSession, table: str) -> StoredInput:
    columns = tuple(describe_columns(session, table))
    return StoredInput(quote_name(*(split_table_name(table) or (None, table))), columns)


def _count_exceptions(session: PostgresqlSession, table: str, columns: Sequence[ColumnReading]) -> list[str]:
    counts = ", ".join(f"count(*) FILTER (WHERE {flag})" for one in columns for flag in one.flags)
    (found,) = session.fetch_rows(f"SELECT {counts} FROM {table}")  # noqa: S608 - all names are quoted
    return [f"{note} (in the whole table {table})" for note in describe_exceptions(columns, found)]
