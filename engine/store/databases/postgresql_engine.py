"""The SQLAlchemy engine of a state in PostgreSQL: its connections, and how transactions begin."""

import hashlib
import os
from collections.abc import Callable
from enum import StrEnum
from typing import Any
from weakref import WeakSet

from sqlalchemy import Connection, Engine, create_engine, event

from engine.connections.table_names import quote_name
from engine.formatting.control_characters import make_encodable
from engine.store.databases.database import replace_texts
from engine.store.tables.json_text import serialize_json

IDLE_CONNECTIONS = 1
MOST_CONNECTIONS = 10
"""The connections of an open state: those kept while it is idle, and the most for all its threads."""

_engines: WeakSet[Engine] = WeakSet()


def _leave_connections() -> None:
    """Drop the parent's connections in a forked process, without closing them, which would disturb the parent."""
    for engine in _engines:
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_leave_connections)


def create_postgresql_engine(
    url: str, schema: str, patience: float, check_owner: Callable[[Connection], None] | None
) -> Engine:
    """Return an engine with few connections, whose transactions give the guarantees of a state's database.

    Parameters
    ----------
    patience
        Seconds that a statement waits for a lock.
    check_owner
        Called at the begin of a writing transaction, unless it adopts the rows; None for no check.
    """
    engine = create_engine(
        "postgresql+psycopg://",
        pool_size=IDLE_CONNECTIONS,
        max_overflow=MOST_CONNECTIONS - IDLE_CONNECTIONS,
        hide_parameters=True,
        json_serializer=serialize_json,
    )
    engine.dialect.use_insertmanyvalues_wo_returning = True  # else each row is inserted by its own statement
    number = int.from_bytes(hashlib.blake2b(schema.encode(), digest_size=8).digest(), signed=True)
    settings = f"SET LOCAL search_path TO {quote_name(schema)}; SET LOCAL TimeZone TO 'UTC'"
    limit = f"SET LOCAL lock_timeout TO {max(1, int(patience * 1000))}"
    reading = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {settings}"
    # READ COMMITTED: after the lock is acquired, reads see the commit of the previous writer
    writing = f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {settings}; {limit}"

    @event.listens_for(engine, "do_connect")
    def connect(_dialect: object, _record: object, _arguments: object, given: dict[str, Any]) -> object:
        import psycopg

        # autocommit: transactions are begun by `begin`. The URL is passed directly to libpq, so that no object of
        # SQLAlchemy contains the password; `given` has the adapters of values.
        return psycopg.connect(url, autocommit=True, prepare_threshold=None, **given)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        if not connection.get_execution_options().get("writes", False):
            connection.exec_driver_sql(reading)
            return
        connection.exec_driver_sql(f"{writing}; SELECT pg_advisory_xact_lock({number})")
        if check_owner is not None and not connection.get_execution_options().get("adopting", False):
            check_owner(connection)

    replace_texts(engine, _make_text_storable)
    _engines.add(engine)
    return engine


def _make_text_storable(text: str) -> str:
    r"""Return a text that PostgreSQL accepts: without lone surrogates, and with NUL replaced by `\x00`."""
    plain = text.value if isinstance(text, StrEnum) else text
    return make_encodable(plain).replace("\0", r"\x00")
