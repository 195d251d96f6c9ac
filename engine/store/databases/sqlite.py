"""The database of a state as an SQLite file, state.db in the state folder.

It runs in WAL mode, so readers never wait for a writer. Writing transactions begin with BEGIN IMMEDIATE: otherwise a
transaction that first reads and then writes fails at once when another process has written in between. Commits are
synced to disk, so a reported result survives a loss of power.
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
"""The write-ahead log is truncated to this size when it is reused: a long transaction may have made it larger."""


class SqliteDatabase(Database):
    """An SQLite file in a folder: state.db, or `file`."""

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
        """Return an engine that waits up to `patience` for a locked database."""
        url = URL.create("sqlite", database=str(self.path))
        engine = create_engine(url, connect_args={"timeout": self.patience}, json_serializer=serialize_json)

        @event.listens_for(engine, "connect")
        def set_up(connection: sqlite3.Connection, entry: ConnectionPoolEntry) -> None:
            connection.isolation_level = None  # sqlite3 would begin transactions too late, and not before DDL
            # A migration drops and rebuilds tables; enforced foreign keys would delete the rows that refer to them.
            connection.execute(f"PRAGMA foreign_keys = {'OFF' if migrating else 'ON'}")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
            if migrating:
                connection.execute("PRAGMA journal_mode = WAL")  # the database file keeps this setting

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            writes = connection.get_execution_options().get("writes", False)
            # without SQLAlchemy, which would spend more time on this statement than SQLite
            connection.connection.cursor().execute("BEGIN IMMEDIATE" if writes else "BEGIN")

        replace_texts(engine, make_encodable)  # a text that cannot be encoded must not make the whole row fail
        return engine

    def translate_errors(self) -> AbstractContextManager[None]:
        """Return a context manager that raises errors of SQLite and the file system as StoreError."""
        return translate_errors(self.folder)

    def check_place(self) -> None:
        """Check that state.db is a file or can be created, and that the rows are not on a server; raise StoreError."""
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
        """Return whether the file exists and is not empty.

        An empty file is being created by another process, and reading it would disturb the change to WAL mode.
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
        """Copy the file, unless it is a temporary copy itself; must be called in the migrating transaction."""
        return "" if is_temporary_copy(self.folder) else str(keep_copy(self.path, revision, known))

    def describe_way_back(self, known: Collection[str]) -> str:
        """Return instructions for going back to the newest copy of a `known` revision; empty without one."""
        return describe_way_back(self.path, known)

    def begin_migration(self, connection: Connection) -> None:
        """Prepare nothing: SQLite creates the file with the first table."""

    def end_migration(self, connection: Connection) -> None:
        """Check all foreign keys, since they were not enforced during the migration."""
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            raise build_store_error(
                self.folder, f"migrating would leave rows of {broken[0]} without an owner", "report this as a bug"
            )

    def identify(self) -> object:
        """Return device and inode of the file at the path; open connections keep using the file that they opened."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def prove_writable(self) -> None:
        """Write without changing anything.

        Raises
        ------
        StoreError
            The file cannot be written, for example because the disk is full or the folder is read-only.
        """
        with self.begin_write() as connection:
            version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
            connection.exec_driver_sql(f"PRAGMA user_version = {int(version)}")

    def prove_usable(self) -> None:
        """Prove that the database can be written if it exists; the folder is not tested."""
        self.check_place()
        if self.exists():
            self.prove_writable()

    def merge_log(self, *, whole: bool) -> None:
        """Move the content of the write-ahead log into the database; see `Database.merge_log`."""
        self._execute_alone(f"PRAGMA wal_checkpoint({'TRUNCATE' if whole else 'PASSIVE'})")

    def vacuum(self) -> None:
        """Rewrite the database without free pages; nobody can write meanwhile."""
        self._execute_alone("VACUUM")
        self.merge_log(whole=True)

    def measure_bytes(self) -> int:
        """Return the size in bytes of the file and its write-ahead log."""
        with self.translate_errors():
            files = [Path(f"{self.path}{part}") for part in ("", "-wal")]
            return sum(path.stat().st_size for path in files if path.exists())

    def count_free_bytes(self) -> int:
        """Return the size in bytes of the free pages, which new rows will use."""
        with self.begin_read() as connection:
            pages = connection.exec_driver_sql("PRAGMA freelist_count").scalar_one()
            return int(pages) * int(connection.exec_driver_sql("PRAGMA page_size").scalar_one())

    def _execute_alone(self, statement: str) -> None:
        """Execute a statement that SQLite accepts only outside of a transaction."""
        with self.translate_errors(), closing(self._readers.raw_connection()) as connection:
            connection.cursor().execute(statement)
