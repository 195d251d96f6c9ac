"""Removes the rows of a state from a database server."""

from contextlib import closing

from sqlalchemy import text

from engine.connections.table_names import quote_name
from engine.store.databases.ownership import state_owner
from engine.store.location import StateLocation
from engine.store.schema import VERSION_TABLE
from engine.store.tables import metadata


def remove_server_rows(location: StateLocation) -> None:
    """Remove the tables of a state, and their schema if it is then empty and the user may remove it.

    Missing tables are not an error.

    Raises
    ------
    StoreError
        The rows belong to another folder, other objects of the database depend on them, or the server does not answer.
    """
    with closing(location.open_database()) as database:
        with database.begin_read() as connection:
            if connection.scalar(text(f"SELECT to_regclass('{state_owner.name}')")) is None:
                return
        with database.begin_write() as connection:  # fails unless this folder is the owner
            own = {*metadata.tables, VERSION_TABLE, state_owner.name}
            tables = [one for one in database.list_tables(connection) if one in own] + [state_owner.name]
            connection.exec_driver_sql(f"DROP TABLE {', '.join(map(quote_name, tables))}")
            schema = connection.scalar(
                text(
                    "SELECT nspname FROM pg_namespace n WHERE nspname = current_schema() AND nspname <> 'public' "
                    "AND pg_has_role(nspowner, 'USAGE') "
                    "AND NOT EXISTS (SELECT FROM pg_class WHERE relnamespace = n.oid)"
                )
            )
            if schema is not None:
                connection.exec_driver_sql(f"DROP SCHEMA {quote_name(schema)}")
