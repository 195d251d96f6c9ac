"""The database of a state as a schema of a PostgreSQL database; files and locks stay in the state folder.

It keeps the promises of SQLite. A writer takes a lock of the schema for its transaction, so there is one at a time; a
reader has one snapshot and waits for nobody. Texts are compared by their bytes, which SQLite does too. All settings are
those of a transaction, none of a session, and no statement is prepared: so a proxy may give each transaction another
connection to the server (PgBouncer's transaction pooling).

JSON is kept as the text that was written: JSONB would sort keys, make 1e16 an integer, and refuse some characters.
"""

import hashlib
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakSet

from sqlalchemy import Connection, Engine, create_engine, event, text, update
from sqlalchemy.exc import DBAPIError

from engine.acting_user import describe_acting_user
from engine.connections.database_errors import DatabaseError, require_package
from engine.connections.postgresql import complete_url, describe_place
from engine.connections.postgresql_errors import NO_CONNECTION_LEFT, explain_postgresql_error
from engine.connections.table_names import quote_name
from engine.errors import StoreError
from engine.formatting.control_characters import make_encodable
from engine.formatting.moments import format_minute
from engine.store.database import Database, replace_texts
from engine.store.errors import RECORD_EXISTS, build_store_error, translate_errors
from engine.store.ownership import (
    ID_FILE,
    StateOwner,
    identify_folder,
    read_owner,
    read_state_id,
    record_place,
    state_owner,
    write_owner,
)
from engine.store.records import utc_now
from engine.store.tables import serialize_json

IDLE_CONNECTIONS = 1
MOST_CONNECTIONS = 10
"""Connections that an open state keeps while it is not used, and has at most: threads share it."""

RECONNECT_SECONDS = 5.0
"""How long a server that was lost, restarts, or has no connection left is tried again before a transaction begins."""

_ABSENT = ("42P01", "3F000")
_LOCKED = ("55P03", "40P01")
_PASSING_CODES = ("08", "53300", "57P")
_PASSING = re.compile(NO_CONNECTION_LEFT + "|the database system is")
"""SQLSTATEs and messages of what is over soon; a server that refuses connections has given no SQLSTATE yet."""

_NOTHING_WRITTEN = "nothing of this step was written; run again when the server is back: what was written is reused"
_COMMIT_LOST = (
    "the connection was lost at a commit, so it is not known whether the last change was kept",
    "run again when the server is back: what was kept is reused",
)


class _Remedy(NamedTuple):
    codes: tuple[str, ...]
    cause: str
    remedy: str


_REMEDIES = (
    _Remedy(_LOCKED, "another process is writing, and does not end", "wait for it to end, or end it; then run again"),
    _Remedy(("23505",), *RECORD_EXISTS),
    _Remedy(
        _ABSENT,
        "tables of the state are gone",
        "restore them from a backup, or remove the schema to start with an empty state (without history)",
    ),
    _Remedy(
        ("53100",),
        "the disk of the server is full",
        "free some space there, then run again: nothing of this step was written, and what was before is reused",
    ),
    _Remedy(("53200",), "the server has not enough memory", "give it more, then run again"),
    _Remedy(("53300",), "the server has no connection left", "end some, or raise its max_connections; then run again"),
    _Remedy(("2BP01",), "something else in the database uses its tables", "remove that first, or let the rows stay"),
    _Remedy(("25006",), "nothing can be written there", "use the url of the server that can be written to"),
    _Remedy(("57014",), "the server has cancelled the statement", "raise its statement_timeout, then run again"),
    _Remedy(("08", "57P"), "the connection was lost", _NOTHING_WRITTEN),
)

_engines: WeakSet[Engine] = WeakSet()


def _leave_connections() -> None:
    """Forget, in a forked process, the connections of its parent: to use or to close them would disturb it."""
    for engine in _engines:
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_leave_connections)


class PostgresqlDatabase(Database):
    """A schema of a PostgreSQL database.

    Parameters
    ----------
    url
        The address of the database, with its password, which no message contains.
    schema
        The schema, which is made with the tables.
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
        """Return an engine with few connections, whose transactions are those that the promises need."""
        engine = create_engine(
            "postgresql+psycopg://",
            pool_size=IDLE_CONNECTIONS,
            max_overflow=MOST_CONNECTIONS - IDLE_CONNECTIONS,
            hide_parameters=True,
            json_serializer=serialize_json,
        )
        engine.dialect.use_insertmanyvalues_wo_returning = True  # else each row of many is a statement of its own
        number = int.from_bytes(hashlib.blake2b(self._schema.encode(), digest_size=8).digest(), signed=True)
        settings = f"SET LOCAL search_path TO {quote_name(self._schema)}; SET LOCAL TimeZone TO 'UTC'"
        patience = f"SET LOCAL lock_timeout TO {max(1, int(self.patience * 1000))}"
        reading = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {settings}"
        # READ COMMITTED: what is read after the lock was got is what the writer before has left
        writing = f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {settings}; {patience}"

        @event.listens_for(engine, "do_connect")
        def connect(_dialect: object, _record: object, _arguments: object, given: dict[str, Any]) -> object:
            import psycopg

            # autocommit: transactions are begun by `begin`. The address is libpq's own affair, so that no object of
            # SQLAlchemy has the password; `given` says how values are written.
            return psycopg.connect(self._url, autocommit=True, prepare_threshold=None, **given)

        @event.listens_for(engine, "begin")
        def begin(connection: Connection) -> None:
            if not connection.get_execution_options().get("writes", False):
                connection.exec_driver_sql(reading)
                return
            connection.exec_driver_sql(f"{writing}; SELECT pg_advisory_xact_lock({number})")
            if not migrating and not connection.get_execution_options().get("adopting", False):
                self._check_owner(connection)

        replace_texts(engine, _make_text_storable)
        _engines.add(engine)
        return engine

    @contextmanager
    def open_transaction(self, engine: Engine) -> Iterator[Connection]:
        """Open a transaction, which ends with the block.

        To begin is tried again while the server restarts or has no connection left; once something was asked of it,
        nothing is.
        """
        connection = self._begin(engine)
        try:
            yield connection
            try:
                connection.commit()
            except DBAPIError as error:
                if error.connection_invalidated:
                    raise self._build_error(*_COMMIT_LOST) from None
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
                if not self._is_over_soon(error) or time.monotonic() > until:
                    raise
                time.sleep(0.1)
            else:
                self._reached = True
                return connection

    def _is_over_soon(self, error: BaseException) -> bool:
        if not isinstance(error, DBAPIError):
            return False
        code = getattr(error.orig, "sqlstate", None)
        if code is not None:
            return bool(code.startswith(_PASSING_CODES))
        return self._reached or bool(_PASSING.search(str(error.orig)))

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Raise the errors of the server and of the file system as StoreError."""
        import psycopg

        with translate_errors(self.folder):
            try:
                yield
            except (DBAPIError, psycopg.Error) as error:
                raise self._explain(error) from None

    def _explain(self, error: Exception) -> StoreError:
        orig = getattr(error, "orig", error)
        code = getattr(orig, "sqlstate", None) or ""
        said = explain_postgresql_error(str(orig), code, self._place)
        found = str(said).removeprefix(f"{self._place}: ")
        if getattr(error, "connection_invalidated", False) and said.code == "":
            return self._build_error("the connection was lost", _NOTHING_WRITTEN, found)
        for one in _REMEDIES:
            if (code or said.code).startswith(one.codes):
                words = found.removeprefix(one.cause).removeprefix(": ")
                return self._build_error(one.cause, one.remedy, words)
        if code.startswith("42501"):
            return self._build_error(found, "let the owner of the database GRANT it, or let them make the schema")
        return self._build_error(found, "check the connection in the spec and the server, then run again")

    def _build_error(self, cause: str, remedy: str, found: str = "") -> StoreError:
        return build_store_error(self.unwritable or self.folder, f"{self.name}: {cause}", remedy, found)

    # --- the owner

    def refuse_writing(self, original: Path) -> StoreError:
        """Return the error of writing to a state that may only be read, whose folder is `original`."""
        with suppress(StoreError), self.begin_read() as connection:
            found = read_owner(connection)
            if found and (found[0].host, found[0].folder) != (socket.gethostname(), str(original.resolve())):
                return self._refuse(*found)
        return super().refuse_writing(original)

    def check_owner(self) -> None:
        """Check that the rows belong to this folder; claim them if they belong to nobody.

        Raises
        ------
        StoreError
            They belong to another folder.
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
        """Return whether the rows belong to this folder, or to nobody; raises StoreError if they cannot be read."""
        with self.begin_read() as connection:
            found = read_owner(connection) if self.list_tables(connection) else None
        if found is None:
            return True
        return read_state_id(self.folder) is not None and found[0] == self._identify()

    def adopt(self) -> StateOwner | None:
        """Make this folder the owner of the rows; return whose they were, None if they were its own or nobody's."""
        with self.translate_errors(), self._open_adopting() as connection:
            found = read_owner(connection)
            own = self._identify()
            write_owner(connection, own, self.now(), describe_acting_user())
        record_place(self.folder, self.name)
        return None if found is None or found[0] == own else found[0]

    def claim(self, connection: Connection) -> None:
        """Make this folder the owner, in the caller's transaction, of rows that are nobody's; else raise StoreError."""
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
        """Check nothing: a schema that is not there is made."""

    def check_new(self) -> None:
        """Check that the folder has no rows of its own and none elsewhere, which would seem to be lost.

        Raises
        ------
        StoreError
            There is a `state.db` in it, or its rows are in another schema or database.
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
        """Return True: the server is asked for the tables."""
        return True

    def list_tables(self, connection: Connection) -> list[str]:
        """Return the names of the tables of the state, without that of the owner."""
        query = text("SELECT tablename FROM pg_tables WHERE schemaname = :schema")
        return [name for name in connection.scalars(query, {"schema": self._schema}) if name != state_owner.name]

    def build_foreign_error(self) -> StoreError:
        """Return the error for a schema with tables of another program."""
        return self._build_error(
            "it has tables, but not those of a state", "choose another schema: `state: {schema: …}`"
        )

    def begin_migration(self, connection: Connection) -> None:
        """Make the schema, and check whose it is."""
        known = connection.scalar(text("SELECT 1 FROM pg_namespace WHERE nspname = :name"), {"name": self._schema})
        if known is None:  # also IF NOT EXISTS needs the right to make one
            connection.exec_driver_sql(f"CREATE SCHEMA {quote_name(self._schema)}")
        state_owner.create(connection, checkfirst=True)
        self.claim(connection)

    def end_migration(self, connection: Connection) -> None:
        """Let all texts be compared by their bytes, as SQLite compares them, whatever the database does."""
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
        """Write something that changes nothing; raises StoreError if that fails."""
        with self.begin_write() as connection:
            connection.execute(update(state_owner).values(state_id=state_owner.c.state_id))

    def prove_usable(self) -> None:
        """Prove that the schema can be made, or be written by this folder, and leave nothing behind."""
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
        """Write the tables anew, without the room of removed rows; nobody can read or write one meanwhile."""
        with self.begin_write() as connection:
            tables = [f"{quote_name(self._schema)}.{quote_name(name)}" for name in self.list_tables(connection)]
        with self.translate_errors(), closing(self._readers.raw_connection()) as alone:  # not in a transaction
            alone.cursor().execute(f"VACUUM (FULL, ANALYZE) {', '.join(tables)}")

    def measure_bytes(self) -> int:
        """Return the size of the tables on the server, with their indexes."""
        query = text(
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND n.nspname = :schema"
        )
        with self.begin_read() as connection:
            return int(connection.scalar(query, {"schema": self._schema}) or 0)

    def count_free_bytes(self) -> int:
        """Return 0: the server does not tell what of its pages holds nothing, and fills it by itself."""
        return 0


def _make_text_storable(text: str) -> str:
    r"""Return a text as PostgreSQL takes it: no half characters, and no NUL, which becomes `\x00`."""
    plain = text.value if isinstance(text, StrEnum) else text
    return make_encodable(plain).replace("\0", r"\x00")
