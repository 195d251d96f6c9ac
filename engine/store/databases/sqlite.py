"""The database of a state as a file of SQLite, state.db in the state folder.

It runs in WAL mode, so readers never wait for a writer. Writing transactions begin with BEGIN IMMEDIATE: otherwise a
transaction that first reads and then writes fails at once when another process has written in between. Commits are
synced to disk, so a result that was reported survives a loss of power.
"""

import sqlite3
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, closing
from datetime import datetime
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect
from sqlalchemy.pool import ConnectionPoolEntry

from engine.errors import StoreError
from engine.formatting.control_characters import make_encodable
from engine.store.clock import utc_now
from engine.store.databases.database import Database, replace_texts
from engine.store.databases.errors import build_store_error, check_database_file, is_temporary_copy, translate_errors
from engine.store.databases.migration_copies import describe_way_back, keep_copy
from engine.store.databases.ownership import ID_FILE, read_state_id
from engine.store.tables.json_text import serialize_json

LOG_BYTES = 64 * 1024**2
"""To so much the write-ahead log is cut when it begins anew: a long transaction may have made it larger."""


class SqliteDatabase(Database):
    """A file of SQLite in a folder: state.db, unless it has another name."""

    name = "state.db"

    def __init__(
        self,
        folder: Path,
        *,
        file: str = "state.db",
        now: Callable[[], datetime] = utc_now,
        patience: float = 10.0,
        read_only: bool = False,
    ) -> None:
        self.path = folder / file
        super().__init__(folder, now=now, patience=patience, read_only=read_only)

    def create_engine(self, *, migrating: bool = False) -> Engine:
        """Return an engine that waits for a locked database as long as the patience is."""
        url = URL.create("sqlite", database=str(self.path))
        engine = create_engine(url, connect_args={"timeout": self.patience}, json_serializer=serialize_json)

        @event.listens_for(engine, "connect")
        def set_up(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
            connection.isolation_level = None  # Python's sqlite3 would begin too late, and not before DDL
            # A migration rebuilds a table by dropping it: enforced foreign keys would delete the rows that refer to it.
            connection.execute(f"PRAGMA foreign_keys = {'OFF' if migrating else 'ON'}")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
            if migrating:
                connection.execute("PRAGMA journal_mode = WAL")  # the database file keeps this setting

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            writes = connection.get_execution_options().get("writes", False)
            connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

        replace_texts(engine, make_encodable)  # one that cannot be encoded must not lose the other values
        return engine

    def translate_errors(self) -> AbstractContextManager[None]:
        """Raise the errors of SQLite and of the file system as StoreError, in a `with`."""
        return translate_errors(self.folder)

    def check_place(self) -> None:
        """Check that the file is one or can become one; raises StoreError."""
        check_database_file(self.folder)
        elsewhere = read_state_id(self.folder)
        if elsewhere is not None:
            left = "go on with what is in state.db" if self.path.exists() else "start with an empty state"
            raise build_store_error(
                self.folder,
                f"its rows are in {elsewhere['rows']}, but `state:` names no connection",
                f"put `connection:` back, or remove the file {ID_FILE} to {left}",
            )

    def exists(self) -> bool:
        """Return whether there is a database: an empty file is being made into one by another process just now.

        To read that would disturb the change to WAL mode.
        """
        return self.path.exists() and bool(self.path.stat().st_size)

    def list_tables(self, connection: Connection) -> list[str]:
        """Return the names of the tables."""
        return inspect(connection).get_table_names()

    def build_foreign_error(self) -> StoreError:
        """Return the error for a database of another program."""
        return build_store_error(
            self.folder,
            "state.db is a database, but not the state of a project",
            "choose another folder with `state: {path: …}`",
        )

    def keep_copy(self, revision: str, known: Collection[str]) -> str:
        """Copy the file; to be called in the transaction that migrates. A temporary copy of a state is not copied."""
        return "" if is_temporary_copy(self.folder) else str(keep_copy(self.path, revision, known))

    def describe_way_back(self, known: Collection[str]) -> str:
        """Return what to do to go back to the newest copy with tables of a `known` revision; empty without one."""
        return describe_way_back(self.path, known)

    def begin_migration(self, connection: Connection) -> None:
        """Prepare nothing: the file is made by the first table."""

    def end_migration(self, connection: Connection) -> None:
        """Check that each row has its owner, since foreign keys were not enforced."""
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise build_store_error(
                self.folder, f"migrating would leave rows of {broken[0]} without an owner", "report this as a bug"
            )

    def identify(self) -> object:
        """Return which file is at the path; a connection that is open stays with the one that it has opened."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def prove_writable(self) -> None:
        """Write something that changes nothing.

        Raises
        ------
        StoreError
            Nothing can be written: the disk is full, or the folder is read-only, for instance.
        """
        with self.begin_write() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            connection.exec_driver_sql(f"PRAGMA user_version = {int(version)}")

    def prove_usable(self) -> None:
        """Prove that the database can be written, if it is there; whether its folder can be is another question."""
        self.check_place()
        if self.exists():
            self.prove_writable()

    def merge_log(self, *, whole: bool) -> None:
        """Write what the write-ahead log holds into the database, as far as no reader needs it there."""
        self._execute_alone(f"PRAGMA wal_checkpoint({'TRUNCATE' if whole else 'PASSIVE'})")

    def vacuum(self) -> None:
        """Write the database anew, without the pages that hold nothing; nobody can write meanwhile."""
        self._execute_alone("VACUUM")
        self.merge_log(whole=True)

    def measure_bytes(self) -> int:
        """Return the size of the file, with the log of what was written last."""
        with self.translate_errors():
            files = [Path(f"{self.path}{part}") for part in ("", "-wal")]
            return sum(path.stat().st_size for path in files if path.exists())

    def count_free_bytes(self) -> int:
        """Return the size of the pages that hold nothing: new rows fill them."""
        with self.begin_read() as connection:
            pages = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
            return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())

    def _execute_alone(self, statement: str) -> None:
        """Execute a statement that SQLite takes only outside of a transaction."""
        with self.translate_errors(), closing(self._readers.raw_connection()) as connection:
            connection.cursor().execute(statement)
