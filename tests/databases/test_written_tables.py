"""What is written into tables of real databases reads back as it was, or the column is named and nothing is changed."""

import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.data.databases import writing
from engine.data.databases.reading import DatabaseRows
from engine.data.databases.writing import write_table
from engine.data.table import Table
from engine.errors import DataError
from engine.spec.opened_connections import DatabaseSession

from ..small_disks import mount_small_disk
from .postgres_server import Database, PostgresServer

Open = Callable[[], DatabaseSession]


@pytest.fixture(params=["postgresql", "duckdb"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Open the same database each time."""
    if request.param == "duckdb":
        pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
        from engine.connections.duckdb import open_duckdb

        return lambda: open_duckdb(tmp_path / "data.duckdb")
    from engine.connections.postgresql import open_postgresql

    url = request.getfixturevalue("database").url()
    return lambda: open_postgresql(url)


@pytest.fixture
def write(opened: Open, tmp_path: Path) -> Callable[[pl.DataFrame], DatabaseRows]:
    numbers = iter(range(10_000))

    def write(frame: pl.DataFrame) -> DatabaseRows:
        folder = tmp_path / f"read {next(numbers)}"
        folder.mkdir()
        with opened() as session:
            return write_table(session, "kept", Table("made", frame.lazy(), "", rereadable=True), "test", folder)

    return write


def texts(session: DatabaseSession) -> list[tuple[Any, ...]]:
    return session.fetch_rows("SELECT CAST(n AS VARCHAR(99)) FROM kept ORDER BY 1")


# the first and the last year have times that in another zone are in none
INSTANTS = st.datetimes(timezones=st.just(UTC)).filter(lambda one: 1 < one.year < 9999)

COLUMNS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "boolean": (pl.Boolean(), st.booleans()),
    **{str(one): (one, st.integers(low, high)) for one, low, high in [
        (pl.Int8(), -(2**7), 2**7 - 1), (pl.Int16(), -(2**15), 2**15 - 1), (pl.Int32(), -(2**31), 2**31 - 1),
        (pl.Int64(), -(2**63), 2**63 - 1), (pl.UInt8(), 0, 2**8 - 1), (pl.UInt16(), 0, 2**16 - 1),
        (pl.UInt32(), 0, 2**32 - 1), (pl.UInt64(), 0, 2**63 - 1)]},
    "float": (pl.Float64(), st.floats()),
    "small float": (pl.Float32(), st.floats(width=32)),
    "text": (pl.String(), st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))),
    "category": (pl.Categorical(), st.sampled_from(["a", "b", "ä", ""])),
    "enum": (pl.Enum(["a", "b"]), st.sampled_from(["a", "b"])),
    "bytes": (pl.Binary(), st.binary()),
    "date": (pl.Date(), st.dates()),
    "time": (pl.Datetime("us"), st.datetimes()),
    "milliseconds": (pl.Datetime("ms"), st.datetimes().map(lambda one: one.replace(microsecond=0))),
    "zoned": (pl.Datetime("us", "Europe/Berlin"), INSTANTS),
    "time of day": (pl.Time(), st.times()),
    "duration": (pl.Duration("us"), st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000))),
    "whole decimal": (pl.Decimal(9, 0), st.integers(-(10**8), 10**8).map(Decimal)),
    "decimal": (pl.Decimal(12, 3), st.integers(-(10**11), 10**11).map(lambda one: Decimal(one).scaleb(-3))),
    "nothing": (pl.Null(), st.none()),
}  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_whatever_is_written_reads_back_equal(
    write: Callable[[pl.DataFrame], DatabaseRows], data: st.DataObject
) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(COLUMNS)), min_size=1, max_size=8, unique=True))
    rows = data.draw(st.integers(0, 6))
    frame = pl.DataFrame({name: _draw_column(data, name, rows) for name in names})
    written = write(frame)
    found = written.frame.collect()
    assert written.count == found.height == rows
    for name in names:
        expected = [_plain(one) for one in frame[name].to_list()]
        assert [_plain(one) for one in found[name].to_list()] == expected, name


def _draw_column(data: st.DataObject, name: str, rows: int) -> pl.Series:
    dtype, values = COLUMNS[name]
    return pl.Series(data.draw(st.lists(st.none() | values, min_size=rows, max_size=rows)), dtype=dtype)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC)
    return float(value) if isinstance(value, Decimal) else value


LOST = {
    "a list": (pl.DataFrame({"n": [[1]]}), "column 'n' is of type list"),
    "a struct": (pl.DataFrame({"n": [{"a": 1}]}), "column 'n' is of type struct"),
    "an object": (pl.DataFrame({"n": pl.Series([object()], dtype=pl.Object)}), "column 'n' is of type object"),
    "nanoseconds": (
        pl.DataFrame({"n": pl.Series([1], dtype=pl.Datetime("ns"))}),
        "in column 'n', 1 value is more precise than microseconds",
    ),
    "a time of nanoseconds": (
        pl.DataFrame({"n": pl.Series([1], dtype=pl.Int64).cast(pl.Time)}),
        "in column 'n', 1 value is more precise than microseconds",
    ),
    "a late year": (
        pl.DataFrame({"n": pl.Series([4_000_000], dtype=pl.Int32).cast(pl.Date)}),
        "in column 'n', 1 value is outside of the years 1 to 9999",
    ),
    "no name": (pl.DataFrame({"": [1]}), "column '' has a name"),
    "no columns": (pl.DataFrame(), "there are no columns"),
}
LOST_IN_POSTGRESQL = {
    "a large number": (
        pl.DataFrame({"n": pl.Series([2**63, 1], dtype=pl.UInt64)}),
        "in column 'n', 1 value is larger than the integers of PostgreSQL",
    ),
    "NUL": (pl.DataFrame({"n": ["a\0b", "c"]}), "in column 'n', 1 value is with the character NUL"),
    "a long name": (pl.DataFrame({"ä" * 32: [1]}), "is longer than the 63 bytes"),
}


@pytest.mark.parametrize("case", LOST)
def test_what_cannot_be_kept_is_named_before_anything_is_written(
    write: Callable[[pl.DataFrame], DatabaseRows], opened: Open, case: str
) -> None:
    _expect_refusal(write, opened, *LOST[case])


@pytest.mark.parametrize("case", LOST_IN_POSTGRESQL)
@pytest.mark.parametrize("opened", ["postgresql"], indirect=True)
def test_what_postgresql_cannot_keep_is_named_before_anything_is_written(
    write: Callable[[pl.DataFrame], DatabaseRows], opened: Open, case: str
) -> None:
    _expect_refusal(write, opened, *LOST_IN_POSTGRESQL[case])


def _expect_refusal(
    write: Callable[[pl.DataFrame], DatabaseRows], opened: Open, frame: pl.DataFrame, message: str
) -> None:
    write(pl.DataFrame({"n": [1, 2]}))
    with pytest.raises(DataError, match=message.replace("(", "\\(")):
        write(frame)
    with opened() as session:
        assert texts(session) == [("1",), ("2",)]


@pytest.mark.parametrize("opened", ["duckdb"], indirect=True)
def test_names_that_differ_in_case_alone_are_refused_for_duckdb(write: Callable[[pl.DataFrame], DatabaseRows]) -> None:
    with pytest.raises(DataError, match="'N' have the same name for DuckDB"):
        write(pl.DataFrame({"n": [1], "N": [2]}))


def test_other_columns_take_the_place_of_the_old_ones(
    write: Callable[[pl.DataFrame], DatabaseRows], opened: Open
) -> None:
    write(pl.DataFrame({"a": [1]}))
    write(pl.DataFrame({"n": ["x"], "b": [date(2026, 1, 1)]}))
    with opened() as session:
        assert texts(session) == [("x",)]


def test_a_table_or_view_of_others_is_not_replaced(write: Callable[[pl.DataFrame], DatabaseRows], opened: Open) -> None:
    for made in ("TABLE kept AS SELECT 1 AS n", "VIEW kept AS SELECT 1 AS n"):
        with opened() as session:
            session.execute(f"CREATE {made}")
            session.commit()
        with pytest.raises(DataError, match="was not written by engine, so it is not replaced"):
            write(pl.DataFrame({"n": [2]}))
        with opened() as session:
            assert texts(session) == [("1",)]
            session.execute(f"DROP {made.split()[0]} kept")
            session.commit()


def test_permissions_and_views_on_a_table_outlive_new_rows(database: Database, tmp_path: Path) -> None:
    from engine.connections.postgresql import open_postgresql

    database.execute("CREATE ROLE reader LOGIN PASSWORD 'r'") if not database.execute(
        "SELECT 1 FROM pg_roles WHERE rolname = 'reader'"
    ) else None
    for turn, number in enumerate((1, 2)):
        (tmp_path / str(turn)).mkdir()
        with open_postgresql(database.url()) as session:
            write_table(session, "kept", Table("made", pl.LazyFrame({"n": [number]}), ""), "test", tmp_path / str(turn))
        if turn == 0:
            database.execute("GRANT SELECT ON kept TO reader; CREATE VIEW seen AS SELECT n FROM kept")
    with open_postgresql(database.url("reader", "r")) as session:
        assert texts(session) == [("2",)]
    assert database.execute("SELECT n FROM seen") == "2"


def test_a_user_without_permission_is_reported_and_nothing_is_changed(database: Database, tmp_path: Path) -> None:
    from engine.connections.postgresql import open_postgresql

    name = f"nobody_{database.name}"
    database.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'p'; REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with (
        open_postgresql(database.url(name, "p")) as session,
        pytest.raises(DataError, match="has no permission"),
    ):
        write_table(session, "kept", Table("made", pl.LazyFrame({"n": [1]}), ""), "test", tmp_path)
    assert database.execute("SELECT count(*) FROM pg_class WHERE relname = 'kept'") == "0"


LONG = pl.LazyFrame({"n": range(3_000_000), "t": "a text of some length"})
LONG_WRITER = Path(__file__).with_name("long_writer.py")


@pytest.mark.slow
def test_a_connection_that_is_ended_midway_leaves_the_old_rows(database: Database, tmp_path: Path) -> None:
    from engine.connections.postgresql import open_postgresql

    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with open_postgresql(database.url()) as session:
        write_table(
            session, "kept", Table("made", pl.LazyFrame({"n": [1], "t": ["a"]}), ""), "test", tmp_path / "first"
        )
    killer = threading.Thread(target=_end_sessions, args=(database,))
    with open_postgresql(database.url()) as session:
        killer.start()
        with pytest.raises(DataError, match=r"connection was lost|terminating connection"):
            write_table(session, "kept", Table("made", LONG, "", rereadable=True), "test", tmp_path / "second")
    killer.join()
    assert database.execute("SELECT n FROM kept") == "1"


def _end_sessions(database: Database) -> None:
    """End the session that sends rows, as soon as there is one."""
    copying = (
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        "WHERE query LIKE 'COPY%' AND datname = current_database()"
    )
    until = time.monotonic() + 60
    while database.execute(copying) == "0" and time.monotonic() < until:
        time.sleep(0.02)


def _kill_writer(kind: str, place: str, folder: Path, seconds: float) -> None:
    """Write a long table in a process of its own, and kill that some time after it has opened the database."""
    started = folder / "started"
    with subprocess.Popen([sys.executable, LONG_WRITER, kind, place, folder / "second", started]) as process:
        while not started.exists():
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(seconds)
        assert process.poll() is None, "it had ended before it was killed"
        process.kill()


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.3, 0.8, 1.5])
def test_a_writer_that_is_killed_leaves_the_old_rows_and_nothing_else(
    database: Database, tmp_path: Path, seconds: float
) -> None:
    from engine.connections.postgresql import open_postgresql

    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    with open_postgresql(database.url()) as session:
        write_table(
            session, "kept", Table("made", pl.LazyFrame({"n": [1], "t": ["a"]}), ""), "test", tmp_path / "first"
        )
    _kill_writer("postgresql", database.url(), tmp_path, seconds)
    until = time.monotonic() + 30
    while database.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'engine'") != "0":
        assert time.monotonic() < until
        time.sleep(0.1)
    assert database.execute("SELECT n FROM kept") == "1"
    assert (
        database.execute("SELECT count(*) FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace")
        == "1"
    )


@pytest.mark.slow
def test_a_server_that_restarts_is_waited_for(own_postgres: PostgresServer) -> None:
    from engine.connections.postgresql import PostgresqlSession, open_postgresql

    url = own_postgres.create_database().url()
    own_postgres.stop()
    starting = threading.Timer(3, own_postgres.start)
    starting.start()

    def open_session() -> PostgresqlSession:
        return open_postgresql(url)

    try:
        with writing.retry_transient(open_session) as session:
            assert session.fetch_rows("SELECT 1") == [(1,)]
    finally:
        starting.join()


@pytest.fixture
def small_disk(open_folder: Path) -> Iterator[Path]:
    with mount_small_disk(open_folder, "size=8m,mode=777") as folder:
        yield folder


LARGE = pl.LazyFrame({"n": range(600_000)}).with_columns(
    t=pl.col("n").hash(1).cast(pl.String) + pl.col("n").hash(2).cast(pl.String)
)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["postgresql", "duckdb"])
def test_a_full_disk_leaves_the_old_rows(
    request: pytest.FixtureRequest, small_disk: Path, tmp_path: Path, place: str
) -> None:
    if place == "duckdb":
        from engine.connections.duckdb import open_duckdb

        def opened() -> DatabaseSession:
            return open_duckdb(small_disk / "data.duckdb")
    else:
        from engine.connections.postgresql import open_postgresql

        server = request.getfixturevalue("own_postgres")
        database = server.create_database()
        (small_disk / "tables").mkdir()
        os.chown(small_disk / "tables", 65534, 65534)
        database.execute(f"CREATE TABLESPACE small LOCATION '{small_disk / 'tables'}'")
        database.execute(f"ALTER DATABASE {database.name} SET default_tablespace = small")

        def opened() -> DatabaseSession:
            return open_postgresql(database.url())

    for turn, rows in enumerate((pl.LazyFrame({"n": [1], "t": ["a"]}), LARGE)):
        (tmp_path / str(turn)).mkdir()
        with opened() as session:
            if turn == 0:
                write_table(session, "kept", Table("made", rows, ""), "test", tmp_path / "0")
                continue
            with pytest.raises(DataError, match=r"(?i)disk.*full|no space left"):
                write_table(session, "kept", Table("made", rows, "", rereadable=True), "test", tmp_path / "1")
    with opened() as session:
        assert texts(session) == [("1",)]


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.2, 0.6, 1.2])
def test_a_writer_into_duckdb_that_is_killed_leaves_the_old_rows(tmp_path: Path, seconds: float) -> None:
    pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    from engine.connections.duckdb import open_duckdb

    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    path = tmp_path / "data.duckdb"
    with open_duckdb(path) as session:
        write_table(
            session, "kept", Table("made", pl.LazyFrame({"n": [1], "t": ["a"]}), ""), "test", tmp_path / "first"
        )
    _kill_writer("duckdb", str(path), tmp_path, seconds)
    with open_duckdb(path) as session:
        assert texts(session) == [("1",)]
        assert session.fetch_rows("SELECT count(*) FROM duckdb_tables()") == [(1,)]
