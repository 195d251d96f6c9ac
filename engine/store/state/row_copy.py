"""Copies the rows of a state from a server into a file, or from a file to a server.

The tables are reflected from the databases, so that rows of an earlier revision can be copied too.
"""

from pathlib import Path

from sqlalchemy import JSON, Connection, MetaData, Table, func, insert, select, text

from engine.connections.table_names import quote_name
from engine.store.databases.ownership import state_owner
from engine.store.location import StateLocation
from engine.store.schema import find_revision, prepare_schema

ROWS_AT_ONCE = 2_000


def copy_server_rows(location: StateLocation, folder: Path) -> None:
    """Copy the rows of a state on a server, if it has any, as one snapshot into a new file in `folder`.

    Raises
    ------
    StoreError
        The rows cannot be read.
    """
    source = location.open_database()
    target = StateLocation(folder).open_database()
    try:
        revision = find_revision(source)
        if revision is None:
            return
        (folder / "locks").mkdir(parents=True, exist_ok=True)
        prepare_schema(target, target=revision)
        with source.begin_read() as rows, target.begin_write() as copy:
            copy_rows(rows, copy)
    finally:
        source.close()
        target.close()


def copy_rows(source: Connection, target: Connection) -> int:
    """Copy all rows into the same, empty tables of another database; return the number of rows.

    Sequences of row numbers continue after the copied numbers.
    """
    found, count = _read_tables(source), 0
    for table in _read_tables(target).values():
        rows = source.execute(select(found[table.name]).execution_options(yield_per=ROWS_AT_ONCE))
        for some in rows.mappings().partitions():
            target.execute(insert(table), [dict(row) for row in some])
            count += len(some)
        if target.dialect.name == "postgresql" and "number" in table.c:
            _continue_numbers(target, table)
    return count


def _read_tables(connection: Connection) -> dict[str, Table]:
    """Return the tables of a state by name, each after the tables that its foreign keys refer to."""
    tables = MetaData()
    schema = None if connection.dialect.name == "sqlite" else connection.scalar(select(func.current_schema()))
    tables.reflect(connection, schema=schema)
    found = {}
    for table in tables.sorted_tables:
        if table.name in ("alembic_version", state_owner.name):
            continue
        for column in table.c:
            if isinstance(column.type, JSON):
                column.type.none_as_null = True
        found[table.name] = table
    return found


def _continue_numbers(connection: Connection, table: Table) -> None:
    newest = connection.scalar(select(func.max(table.c.number)))
    name = quote_name(table.schema, table.name)
    sequence = connection.scalar(select(func.pg_get_serial_sequence(name, "number")))
    if newest is not None and sequence is not None:
        set_sequence = text("SELECT setval(CAST(:sequence AS regclass), :newest)")
        connection.execute(set_sequence, {"sequence": sequence, "newest": newest})
