"""What is said when a PostgreSQL server does not do what is asked: in words, and never with a password."""

import os
import re
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from engine.connections.database_errors import DatabaseError
from engine.data.databases.writing import retry_transient
from engine.errors import DataError, SpecError

from .conftest import OpenDatasets
from .postgres_server import OWNER, PASSWORD, Database, PostgresServer

WAREHOUSE = r"^dataset '\w+': connection 'warehouse': database '\w+' at 127.0.0.1:\d+: "


def fail(datasets: OpenDatasets, table: str = "rows", **options: str) -> DataError:
    """Open a table, which fails; return the error, in which no part of the password is."""
    with pytest.raises(DataError) as caught:
        datasets(table, **options).open(table.replace(".", "_"))
    said = repr(caught.value) + repr(caught.value.__cause__) + repr(caught.value.__context__)
    assert PASSWORD not in said
    assert "w%3An%40er" not in said
    return caught.value


def test_a_server_that_is_stopped(own_postgres: PostgresServer, open_tables: OpenDatasets) -> None:
    database = own_postgres.create_database()
    database.execute("CREATE TABLE rows (a int)")
    url = database.url()
    assert open_tables("rows", url=url).open("rows").frame.collect().height == 0
    own_postgres.stop()
    error = fail(open_tables, url=url)
    assert re.search(WAREHOUSE + "the server cannot be reached: connection refused", str(error))
    own_postgres.start()
    assert open_tables("rows", url=url).open("rows").frame.collect().height == 0


def test_a_wrong_password(open_tables: OpenDatasets, database: Database) -> None:
    with pytest.raises(DataError) as caught:
        open_tables("rows", url=database.url(password="Tr0ub4dor")).open("rows")
    assert re.search(WAREHOUSE + f"the server does not accept the password of user '{OWNER}'$", str(caught.value))
    assert "Tr0ub4dor" not in repr(caught.value)


def test_a_failure_that_another_try_would_not_change_is_tried_once(database: Database) -> None:
    from engine.connections.postgresql import PostgresqlSession, open_postgresql

    tries: list[str] = []

    def open_session(url: str) -> PostgresqlSession:
        tries.append(url)
        return open_postgresql(url)

    wrong = (
        database.url(password="Tr0ub4dor"),
        database.url(database="missing"),
        f"{database.url()}?sslmode=require",
        f"postgresql://{OWNER}@127.0.0.1:{database.server.port}/{database.name}",
    )
    for url in wrong:
        with pytest.raises(DatabaseError) as caught:
            retry_transient(lambda url=url: open_session(url), seconds=3)
        assert not caught.value.transient
    assert tuple(tries) == wrong  # many servers lock out whoever gives a wrong password several times


def test_a_missing_password(open_tables: OpenDatasets, database: Database) -> None:
    url = f"postgresql://{OWNER}@127.0.0.1:{database.server.port}/{database.name}"
    assert str(fail(open_tables, url=url)).endswith("the server asks for a password, and the url has none")


def test_a_missing_user_database_and_host(open_tables: OpenDatasets, database: Database) -> None:
    # a server tells nobody that a user is missing
    assert "does not accept the password of user 'nobody'" in str(fail(open_tables, url=database.url(user="nobody")))
    assert "there is no database 'missing' on this server" in str(
        fail(open_tables, url=database.url(database="missing"))
    )
    url = database.url().replace("127.0.0.1", "no-such-host.invalid")
    assert "there is no host 'no-such-host.invalid'" in str(fail(open_tables, url=url))


def test_a_server_that_requires_no_encryption_is_reported(open_tables: OpenDatasets, database: Database) -> None:
    error = fail(open_tables, url=database.url() + "?sslmode=require")
    assert "the server offers no encryption, and the url asks for it (sslmode)" in str(error)


def test_a_password_that_is_not_encoded_is_not_taken_for_a_host(open_tables: OpenDatasets, database: Database) -> None:
    url = f"postgresql://{OWNER}:{PASSWORD}@127.0.0.1:{database.server.port}/{database.name}"
    assert "such as %40 for @" in str(fail(open_tables, url=url))


def test_a_parameter_of_the_url_that_does_not_exist(open_tables: OpenDatasets, database: Database) -> None:
    assert "libpq does not support: 'limit'" in str(fail(open_tables, url=database.url() + "?limit=3"))


def test_a_secret_that_is_absent(open_datasets: OpenDatasets, database: Database) -> None:
    connection = {"kind": "postgresql", "url": "${secret.other}"}
    datasets = open_datasets(connection, "rows", secrets={"other": {"env": "NOT_SET_HERE"}})
    with pytest.raises(SpecError, match='secret "other": the environment variable NOT_SET_HERE is not set'):
        datasets.open("rows")
    optional = open_datasets(connection, "rows", secrets={"other": {"env": "NOT_SET_HERE", "optional": True}})
    with pytest.raises(DataError, match="connection 'warehouse': the secret other in its url has no value"):
        optional.open("rows")


def test_a_missing_table_is_reported_with_the_likely_one(open_tables: OpenDatasets, database: Database) -> None:
    database.execute('CREATE TABLE "Orders" (a int); CREATE SCHEMA sales; CREATE TABLE sales.lines (a int)')
    assert re.search(
        WAREHOUSE + "there is no table 'orders'; did you mean 'Orders'\\?$", str(fail(open_tables, "orders"))
    )
    assert "did you mean 'sales.lines'?" in str(fail(open_tables, "sale.lines"))
    assert open_tables("sales.lines").open("sales_lines").frame.collect().height == 0


def test_a_table_that_the_user_may_not_read(open_tables: OpenDatasets, database: Database) -> None:
    database.execute("CREATE TABLE rows (a int); CREATE ROLE guest LOGIN PASSWORD 'guest-word'")
    error = fail(open_tables, url=database.url("guest", "guest-word"))
    assert re.search(
        WAREHOUSE
        + "the user has no permission: permission denied for table rows; the owner of the table can GRANT it$",
        str(error),
    )


def test_a_table_that_another_session_has_locked_is_not_waited_for_for_ever(database: Database) -> None:
    from engine.connections.postgresql import open_postgresql

    database.execute("CREATE TABLE rows (a int)")
    with open_postgresql(database.url()) as writer, open_postgresql(database.url()) as reader:
        writer.execute("LOCK TABLE rows")
        reader.execute("SET lock_timeout TO '100ms'")
        with pytest.raises(DatabaseError, match="another session holds a lock") as caught:
            reader.fetch_rows("SELECT a FROM rows")
        assert caught.value.transient


def test_a_connection_that_is_ended_midway_gives_no_rows(open_tables: OpenDatasets, database: Database) -> None:
    database.execute("CREATE TABLE rows AS SELECT g AS a, repeat('x', 500) AS b FROM generate_series(1, 400000) g")
    reader = "application_name = 'engine' AND query LIKE '%rows%'"
    kill = f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {reader}"
    ended = threading.Event()

    def end() -> None:
        until = time.monotonic() + 20
        while not ended.is_set() and time.monotonic() < until and database.execute(kill) == "0":
            time.sleep(0.01)

    killer = threading.Thread(target=end)
    killer.start()
    try:
        error = fail(open_tables)
    finally:
        ended.set()
        killer.join()
    assert re.search(WAREHOUSE + "(the connection was lost: |terminating connection)", str(error))


def test_a_connection_that_is_ended_while_a_small_result_is_read_is_reported(database: Database) -> None:
    from engine.connections.postgresql import open_postgresql

    slow = "SELECT repeat('x', 9000) AS a FROM generate_series(1, 1000) g WHERE pg_sleep(0.01)::text = ''"
    reader = "application_name = 'engine' AND query LIKE '%pg_sleep%'"
    kill = f"SELECT pg_sleep(1);\nSELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {reader};"
    # a program of its own, started before: nanoarrow holds the interpreter's lock while it waits
    killer = threading.Thread(target=database.execute, args=(kill,))
    killer.start()
    time.sleep(0.3)
    with (
        open_postgresql(database.url(), read_only=True) as session,
        pytest.raises(DatabaseError, match="terminating connection") as caught,
    ):
        session.fetch_rows(slow)
    killer.join()
    assert caught.value.transient


@pytest.mark.parametrize("rows", [1, 1_000])
def test_a_query_that_takes_longer_than_the_server_allows(
    open_tables: OpenDatasets, database: Database, rows: int
) -> None:
    slow = f"SELECT repeat('x', 9000) AS a FROM generate_series(1, {rows}) g WHERE pg_sleep({1 / rows})::text = ''"
    database.execute(f"CREATE VIEW rows AS {slow}; ALTER ROLE {OWNER} SET statement_timeout = '300ms'")
    try:
        error = fail(open_tables)
    finally:
        database.execute(f"ALTER ROLE {OWNER} RESET statement_timeout")
    assert re.search(WAREHOUSE + r"the query took longer than the server allows \(statement_timeout\)", str(error))


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux limits how long a request is repeated")
def test_a_server_that_has_vanished_is_noticed_within_a_minute_by_whoever_asks_it(database: Database) -> None:
    from engine.connections.postgresql import open_postgresql

    limits = []
    with open_postgresql(database.url()):
        for path in Path("/proc/self/fd").glob("*"):
            if not os.path.realpath(path).rpartition("/")[2].startswith("socket:"):
                continue
            with suppress(OSError), socket.socket(fileno=os.dup(int(path.name))) as connection:
                if connection.getpeername()[1] == database.server.port:
                    limits.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))
    assert limits == [60_000]


def test_nothing_can_be_written_through_a_connection_that_reads(database: Database) -> None:
    from engine.connections.postgresql import open_postgresql

    refused = pytest.raises(DatabaseError, match="nothing can be written")
    with open_postgresql(database.url(), read_only=True) as session, refused:
        session.execute("CREATE TABLE made (a int)")


def test_two_reads_of_a_table_give_the_same_rows_whatever_happens_to_the_table(
    open_tables: OpenDatasets, database: Database
) -> None:
    database.execute("CREATE TABLE rows AS SELECT g AS a FROM generate_series(1, 1000) g")
    datasets = open_tables("rows")
    table = datasets.open("rows")
    first = table.frame.collect()
    database.execute("DELETE FROM rows WHERE a > 10")
    assert table.frame.collect().equals(first)
    assert datasets.open("rows").frame.collect().equals(first)
    datasets.forget_tables()
    assert datasets.open("rows").frame.collect().height == 10


def test_a_table_in_another_order_has_the_same_fingerprint(open_tables: OpenDatasets, database: Database) -> None:
    database.execute("CREATE TABLE up AS SELECT g AS a, 'x' || g AS b FROM generate_series(1, 1000) g")
    database.execute("CREATE TABLE down AS SELECT * FROM up ORDER BY a DESC")
    database.execute("CREATE VIEW seen AS SELECT * FROM up")
    datasets = open_tables("up", "down", "seen")
    assert datasets.open("up").fingerprint == datasets.open("down").fingerprint == datasets.open("seen").fingerprint
    database.execute("UPDATE down SET b = 'y' WHERE a = 7")
    datasets.forget_tables()
    assert datasets.open("up").fingerprint != datasets.open("down").fingerprint


def test_the_schema_of_a_connection_is_that_of_tables_without_one(
    database: Database, open_datasets: OpenDatasets
) -> None:
    database.execute('CREATE SCHEMA "my sales"; CREATE TABLE "my sales".lines (a int); CREATE TABLE lines (b int)')
    connection = {"kind": "postgresql", "url": "${secret.warehouse}", "schema": "my sales"}
    datasets = open_datasets(connection, "lines", "public.lines", url=database.url())
    assert list(datasets.open("lines").frame.collect_schema()) == ["a"]
    assert list(datasets.open("public_lines").frame.collect_schema()) == ["b"]


def test_the_package_that_is_absent_is_named(tmp_path: Path) -> None:
    from engine.connections.database_errors import require_package

    with pytest.raises(DatabaseError, match=re.escape("pip install 'engine[postgresql]'")):
        require_package("a_package_that_is_not_here", "postgresql", "a connection to PostgreSQL")
