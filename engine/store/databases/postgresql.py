"""The database of a state as a schema of a PostgreSQL database; files and locks stay in the state folder.

It gives the same guarantees as SQLite. A writer holds a lock of the schema during its transaction, so there is one at a
time; a reader has one snapshot and waits for nobody. Texts are compared by their bytes, as in SQLite. All settings are
local to a transaction, and no statement is prepared, so PgBouncer's transaction pooling can be used.

JSON is stored as the text that was written: JSONB would sort keys, make 1e16 an integer, and refuse some characters.
"""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, text, update
from sqlalchemy.exc import DBAPIError

from engine.acting_user import describe_acting_user
from engine.connections.database_errors import DatabaseError, require_package
from engine.connections.postgresql import complete_url, describe_place
from engine.connections.table_names import quote_name
from engine.errors import StoreError
from engine.formatting.moments import format_minute
from engine.store.clock import utc_now
from engine.store.databases.database import Database
from engine.store.databases.errors import build_store_error, translate_errors
from engine.store.databases.ownership import (
    ID_FILE,
    StateOwner,
    identify_folder,
    read_owner,
    read_state_id,
    record_place,
    state_owner,
    write_owner,
)
from engine.store.databases.postgresql_engine import create_postgresql_engine
from engine.store.databases.postgresql_errors import COMMIT_LOST, explain_state_error, is_over_soon

RECONNECT_SECONDS = 5.0
"""Seconds to retry the begin of a transaction while the server restarts or has no connection left."""


class PostgresqlDatabase(Database):
    """A schema of a PostgreSQL database.

    Parameters
    ----------
    url
        The address of the database, with its password, which never appears in a message.
    schema
        The schema, which is created with the tables.
    timeout
        Seconds to wait for a connection.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        schema: str,
        *,
        timeout: float = 10.0,
        now: Callable[[], datetime] = utc_now,
        patience: float = 10.0,
        read_only: bool = False,
    ) -> None:
        try:
            require_package("psycopg", "postgresql", "a state in PostgreSQL")
        except DatabaseError as error:
            raise build_store_error(folder, str(error), "install it, or remove `connection:` from `state:`") from None
        self._url = complete_url(url, timeout)
        self._schema = schema
        self._place = describe_place(url)
        self._reached = False
        self.name = f"schema {schema!r} of {self._place}"
        super().__init__(folder, now=now, patience=patience, read_only=read_only)

    # --- connections and transactions

    def create_engine(self, *, migrating: bool = False) -> Engine:
        """Return an engine whose writing transactions check the owner, except with `migrating`."""
        check_owner = None if migrating else self._check_owner
        return create_postgresql_engine(self._url, self._schema, self.patience, check_owner)

    @contextmanager
    def open_transaction(self, engine: Engine) -> Iterator[Connection]:
        """Open a transaction for the duration of the block.

        Only its begin is retried, while the server restarts or has no connection left.
        """
        connection = self._begin(engine)
        try:
            yield connection
            try:
                connection.commit()
            except DBAPIError as error:
                if error.connection_invalidated:
                    raise self._build_error(*COMMIT_LOST) from None
                raise
        finally:
            connection.close()

    def _begin(self, engine: Engine) -> Connection:
        until = time.monotonic() + RECONNECT_SECONDS
        while True:
            connection = None
            try:
                connection = engine.connect()
                connection.begin()
            except BaseException as error:
                if connection is not None:
                    connection.close()
                if not is_over_soon(error, reached=self._reached) or time.monotonic() > until:
                    raise
                time.sleep(0.1)
            else:
                self._reached = True
                return connection

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise the errors of the server and of the file system as StoreError."""
        import psycopg

        with translate_errors(self.folder):
            try:
                yield
            except (DBAPIError, psycopg.Error) as error:
                raise self._build_error(*explain_state_error(error, self._place)) from None

    def _build_error(self, cause: str, remedy: str, found: str = "") -> StoreError:
        return build_store_error(self.unwritable or self.folder, f"{self.name}: {cause}", remedy, found)

    # --- the owner

    def refuse_writing(self, original: Path) -> StoreError:
        """Return the error for writing to a state in the folder `original` that can only be read."""
        with suppress(StoreError), self.begin_read() as connection:
            found = read_owner(connection)
            if found and (found[0].host, found[0].folder) != (socket.gethostname(), str(original.resolve())):
                return self._refuse(*found)
        return super().refuse_writing(original)

    def check_owner(self) -> None:
        """Check that the rows belong to this folder; claim them if they have no owner.

        Raises
        ------
        StoreError
            The rows belong to another folder.
        """
        with self.begin_read() as connection:
            found = read_owner(connection)
        if found is None:
            with self.translate_errors(), self._open_adopting() as connection:
                self.claim(connection)
        elif found[0] != self._identify():
            raise self._refuse(*found)
        record_place(self.folder, self.name)

    def owns(self) -> bool:
        """Return whether the rows belong to this folder or to none; raise StoreError if they cannot be read."""
        with self.begin_read() as connection:
            found = read_owner(connection) if self.list_tables(connection) else None
        if found is None:
            return True
        return read_state_id(self.folder) is not None and found[0] == self._identify()

    def adopt(self) -> StateOwner | None:
        """Make this folder the owner of the rows; return the former owner, None if there was no other one."""
        with self.translate_errors(), self._open_adopting() as connection:
            found = read_owner(connection)
            own = self._identify()
            write_owner(connection, own, self.now(), describe_acting_user())
        record_place(self.folder, self.name)
        return None if found is None or found[0] == own else found[0]

    def claim(self, connection: Connection) -> None:
        """Make this folder the owner of rows without an owner, in the caller's transaction.

        Raises
        ------
        StoreError
            The rows belong to another folder.
        """
        found = read_owner(connection)
        if found is None:
            write_owner(connection, self._identify(), self.now(), describe_acting_user())
        elif found[0] != self._identify():
            raise self._refuse(*found)

    def _open_adopting(self) -> Any:
        return self.open_transaction(self._writers.execution_options(adopting=True))

    def _identify(self) -> StateOwner:
        return identify_folder(self.folder, self.name)

    def _check_owner(self, connection: Connection) -> None:
        found = read_owner(connection)
        if found is None or found[0] != self._identify():
            raise self._refuse(*(found or (None, None)))

    def _refuse(self, owner: StateOwner | None, since: datetime | None) -> StoreError:
        if owner is None or since is None:
            return self._build_error("its owner is not recorded any more", "open the state again")
        return self._build_error(
            f"these rows belong to the folder {owner}, since {format_minute(since)}, and only from there can they be "
            f"written; this host is {socket.gethostname()}",
            "work there; or, if nothing writes there any more, bring the files of that folder here and move the state: "
            "engine state adopt SPEC",
        )

    # --- the schema

    def check_place(self) -> None:
        """Check nothing: a missing schema is created."""

    def check_new(self) -> None:
        """Check that the folder has no rows elsewhere, which would be lost to the user in a new schema.

        Raises
        ------
        StoreError
            The folder has a `state.db`, or its rows are in another schema or database.
        """
        if (self.folder / "state.db").exists():
            raise self._build_error(
                "it has no rows yet, but the folder has a history in state.db",
                "copy it there: engine state adopt SPEC; or move state.db away to start with an empty state",
            )
        elsewhere = read_state_id(self.folder)
        if elsewhere is not None and elsewhere["rows"] != self.name:
            raise self._build_error(
                f"it has no rows yet, but the rows of this folder are in {elsewhere['rows']}",
                f"name that again in `state:`, or copy the rows here first (pg_dump); or remove the file {ID_FILE} "
                f"from {self.folder} to start with an empty state",
            )

    def exists(self) -> bool:
        """Return True: whether there are tables is found by a query."""
        return True

    def list_tables(self, connection: Connection) -> list[str]:
        """Return the names of the tables of the state, without `state_owner`."""
        query = text("SELECT tablename FROM pg_tables WHERE schemaname = :schema")
        return [name for name in connection.scalars(query, {"schema": self._schema}) if name != state_owner.name]

    def build_foreign_error(self) -> StoreError:
        """Return the error for a schema with tables of another program."""
        return self._build_error(
            "it has tables, but not those of a state", "choose another schema: `state: {schema: …}`"
        )

    def begin_migration(self, connection: Connection) -> None:
        """Create the schema if it is missing, and claim it for this folder."""
        known = connection.scalar(text("SELECT 1 FROM pg_namespace WHERE nspname = :name"), {"name": self._schema})
        if known is None:  # IF NOT EXISTS would need the CREATE privilege even for an existing schema
            connection.exec_driver_sql(f"CREATE SCHEMA {quote_name(self._schema)}")
        state_owner.create(connection, checkfirst=True)
        self.claim(connection)

    def end_migration(self, connection: Connection) -> None:
        """Set the collation "C" on all text columns, so that texts are compared by their bytes as in SQLite."""
        query = text(
            "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
            "JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_collation o ON o.oid = a.attcollation "
            "WHERE n.nspname = :schema AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped "
            "AND o.collname <> 'C' ORDER BY 1, 2"
        )
        changes: dict[str, list[str]] = {}
        for table, column in connection.execute(query, {"schema": self._schema}):
            changes.setdefault(table, []).append(f'ALTER COLUMN {quote_name(column)} TYPE VARCHAR COLLATE "C"')
        for table, parts in changes.items():
            connection.exec_driver_sql(f"ALTER TABLE {quote_name(table)} {', '.join(parts)}")

    # --- care

    def prove_writable(self) -> None:
        """Write without changing anything; raise StoreError if that fails."""
        with self.begin_write() as connection:
            connection.execute(update(state_owner).values(state_id=state_owner.c.state_id))

    def prove_usable(self) -> None:
        """Prove, without leaving traces, that the schema can be created, or be written by this folder."""
        with self.begin_read() as connection:
            found = read_owner(connection) if state_owner.name in self._list_all_tables(connection) else None
        if found is not None:
            if read_state_id(self.folder) is None or found[0] != self._identify():
                raise self._refuse(*found)
            self.prove_writable()
            return
        with self.translate_errors():
            connection = self._begin(self._writers.execution_options(adopting=True))
            try:
                known = connection.scalar(text("SELECT 1 FROM pg_namespace WHERE nspname = :n"), {"n": self._schema})
                if known is None:
                    connection.exec_driver_sql(f"CREATE SCHEMA {quote_name(self._schema)}")
                state_owner.create(connection)
            finally:
                connection.close()  # rolls back

    def _list_all_tables(self, connection: Connection) -> list[str]:
        query = text("SELECT tablename FROM pg_tables WHERE schemaname = :schema")
        return list(connection.scalars(query, {"schema": self._schema}))

    def merge_log(self, *, whole: bool) -> None:
        """Do nothing: the server keeps its own log."""

    def vacuum(self) -> None:
        """Rewrite the tables without the space of removed rows; a table cannot be used meanwhile."""
        with self.begin_write() as connection:
            tables = [f"{quote_name(self._schema)}.{quote_name(name)}" for name in self.list_tables(connection)]
        with self.translate_errors(), closing(self._readers.raw_connection()) as alone:  # outside a transaction
            alone.cursor().execute(f"VACUUM (FULL, ANALYZE) {', '.join(tables)}")

    def measure_bytes(self) -> int:
        """Return the size in bytes of the tables on the server, with their indexes."""
        query = text(
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname = :schema"
        )
        with self.begin_read() as connection:
            return int(connection.scalar(query, {"schema": self._schema}) or 0)

    def count_free_bytes(self) -> int:
        """Return 0: the server does not report free space, and reuses it by itself."""
        return 0
