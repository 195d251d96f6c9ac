"""Connections to PostgreSQL over ADBC, which reads and writes rows as streams of Arrow batches.

The driver is called without its DB-API layer, which would load pyarrow wherever that is installed.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from math import ceil
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

from engine.connections.database_errors import DatabaseError, require_package
from engine.connections.postgresql_errors import check_postgresql_url, explain_postgresql_error, explain_stream_error
from engine.connections.table_names import quote_name

if TYPE_CHECKING:
    from adbc_driver_manager import AdbcConnection, AdbcDatabase

_SETTINGS = {
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "standard_conforming_strings": "on",
    "client_encoding": "UTF8",
    "lock_timeout": "60s",
}
"""Settings of a session that make texts independent of the server's defaults and limit waits for locks."""

_KEEPALIVES = {
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
    "application_name": "engine",
}
"""Parameters of the connection that detect a server that vanished within a minute.

A keepalive is sent only while nothing else is: whoever sends a request to a server that has vanished would wait for a
quarter of an hour without `tcp_user_timeout`.
"""


class ArrowStream(Protocol):
    """A stream of batches of rows, as read by polars, pyarrow and others."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


class PostgresqlSession:
    """An open connection, in a transaction that ends with `commit`, or is rolled back at exit.

    Attributes
    ----------
    place
        The server and the database, for messages.
    """

    def __init__(self, database: "AdbcDatabase", connection: "AdbcConnection", place: str) -> None:
        self._database, self._connection, self.place = database, connection, place

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        from adbc_driver_manager import Error

        for close in (self._connection.rollback, self._connection.close, self._database.close):
            try:
                close()
            except Error:  # the connection was lost, which has been reported
                continue

    @contextmanager
    def stream_rows(self, query: str) -> Iterator[ArrowStream]:
        """Yield the rows of a query as a stream, which can be read once, inside the `with`.

        Raises
        ------
        DatabaseError
            The server refuses the query.
        """
        from adbc_driver_manager import AdbcStatement

        with AdbcStatement(self._connection) as statement:
            with self._explain_errors():
                statement.set_sql_query(query)
                stream, _ = statement.execute_query()
            yield stream

    def fetch_rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query with a small result of text, integer or boolean columns.

        Raises
        ------
        DatabaseError
            The server refuses the query, or the connection was lost.
        """
        import nanoarrow

        with self.stream_rows(query) as stream:
            try:
                return list(nanoarrow.ArrayStream(stream).iter_tuples())
            except RuntimeError as error:  # the base of nanoarrow's error, which has no public name
                raise explain_stream_error(str(error), self.place) from error

    def execute(self, statement: str) -> int:
        """Execute one statement without a result; return how many rows it changed, -1 if unknown.

        Raises
        ------
        DatabaseError
            The server refuses the statement, or the connection was lost.
        """
        from adbc_driver_manager import AdbcStatement

        with AdbcStatement(self._connection) as prepared, self._explain_errors():
            prepared.set_sql_query(statement)
            return int(prepared.execute_update())

    def ingest(self, table: str, stream: ArrowStream, schema: str | None = None) -> int:
        """Append the rows of a stream to an existing table; return how many.

        Raises
        ------
        DatabaseError
            The server refuses the rows, or the connection was lost.
        """
        from adbc_driver_manager import AdbcStatement

        options = {"adbc.ingest.target_table": table, "adbc.ingest.mode": "adbc.ingest.mode.append"}
        if schema is not None:
            options["adbc.ingest.target_db_schema"] = schema
        with AdbcStatement(self._connection) as statement, self._explain_errors():
            statement.set_options(**options)
            statement.bind_stream(stream)
            return int(statement.execute_update())

    def commit(self) -> None:
        """Commit the transaction and begin another one."""
        with self._explain_errors():
            self._connection.commit()

    def rollback(self) -> None:
        """Roll back the transaction and begin another one."""
        with self._explain_errors():
            self._connection.rollback()

    @contextmanager
    def _explain_errors(self) -> Iterator[None]:
        from adbc_driver_manager import Error

        try:
            yield
        except Error as error:
            raise explain_postgresql_error(str(error), error.sqlstate, self.place) from None


FILE_PARAMETERS = frozenset(
    {"passfile", "service", "servicefile", "sslcert", "sslkey", "sslrootcert", "sslcrl", "sslcrldir", "sslkeylogfile"}
)
"""The parameters of a URL that contain the path or the content of a file."""


def open_postgresql(
    url: str,
    *,
    schema: str | None = None,
    timeout: float = 10,
    read_only: bool = False,
) -> PostgresqlSession:
    """Open a connection to a PostgreSQL server.

    Parameters
    ----------
    url
        postgresql://user:password@host:port/database?parameters
    schema
        The schema of unqualified table names; by default that of the server.
    timeout
        Seconds to wait for the server.
    read_only
        Whether writes are forbidden; all queries then see the same state of the database.

    Raises
    ------
    DatabaseError
        The package is not installed, the URL is not one of PostgreSQL, the server does not answer, or it refuses the
        login. No message contains the password.
    """
    for package in ("adbc_driver_postgresql", "nanoarrow"):
        require_package(package, "postgresql", "a connection to PostgreSQL")
    import adbc_driver_manager as adbc
    import adbc_driver_postgresql as driver

    check_postgresql_url(url)
    place = describe_place(url)
    given = {} if schema is None else {"search_path": quote_name(schema)}
    try:
        database = driver.connect(complete_url(url, timeout))
        try:
            connection = adbc.AdbcConnection(database)
        except adbc.Error:
            database.close()
            raise
        session = PostgresqlSession(database, connection, place)
    except adbc.Error as error:
        raise explain_postgresql_error(str(error), error.sqlstate, place) from None
    try:
        for key, value in {**_SETTINGS, **given}.items():
            session.execute(f"SET {key} TO {value if key == 'search_path' else repr(value)}")
        connection.set_autocommit(False)
        if read_only:
            session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    except BaseException:
        session.__exit__()
        raise
    return session


def describe_place(url: str) -> str:
    """Return the server and the database of a URL without its login, for messages."""
    parts = urlsplit(url)
    given = {key: values[-1] for key, values in parse_qs(parts.query).items()}
    host = parts.netloc.rpartition("@")[2] or given.get("host", "this machine")
    name = parts.path.strip("/") or given.get("dbname", "")
    return f"database {name!r} at {host}" if name else f"the server at {host}"


def complete_url(url: str, timeout: float) -> str:
    """Return a URL with the timeouts of a connection, unless it sets them itself."""
    return _add_parameters(url, {"connect_timeout": max(2, ceil(timeout)), **_KEEPALIVES})


def confine_postgresql_url(url: str) -> str:
    """Return the URL with parameters that keep the client from using logins and files of its user.

    Raises
    ------
    DatabaseError
        The URL names a file, a service or a socket of this machine.
    """
    parts = urlsplit(url)
    given = parse_qs(parts.query, keep_blank_values=True)
    named = sorted(FILE_PARAMETERS & given.keys())
    hosts = [parts.netloc.rpartition("@")[2], *given.get("host", ())]
    local = not any(hosts) or any(unquote(one).lstrip().startswith(("/", "@")) for host in hosts
                                  for one in host.split(",") if one)  # fmt: skip
    if named or local:
        what = f"{named[0]}= of its url names what is on this machine" if named else "its url names no server"
        raise DatabaseError(f"{what}: let the owner of the node give the whole url in a secret, or the connection")
    login = parts.netloc.rpartition("@")[0]
    return _add_parameters(url, {"passfile": os.devnull, **({} if ":" in login else {"password": ""})})


def _add_parameters(url: str, parameters: Mapping[str, object]) -> str:
    """Return the URL with further parameters; existing ones are kept."""
    given = parse_qs(urlsplit(url).query)
    added = "&".join(f"{key}={quote(str(value))}" for key, value in parameters.items() if key not in given)
    return f"{url}{'&' if urlsplit(url).query else '?'}{added}" if added else url
