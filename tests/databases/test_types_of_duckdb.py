"""What each type of DuckDB is read as: the values that are right, or a note that names the column."""

import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from engine.connections.database_errors import DatabaseError
from engine.connections.duckdb import open_duckdb
from engine.data.fingerprints import hash_frame

from .conftest import OpenDatasets

FAR = "values outside the years 1 to 9999, or infinite ones, are read as missing: 1"
ROUNDED = "values with more than 15 digits are rounded: 1"
MONTHS = "months and years have no length, and count as 30 and 365.25 days: 1"
US = pl.Datetime("us")
LAKE = {"kind": "duckdb", "path": "lake.duckdb"}

TYPES: list[tuple[str, str, pl.DataType | type[pl.DataType], Any, str]] = [
    ("BOOLEAN", "true", pl.Boolean, True, ""),
    ("TINYINT", "-1", pl.Int8, -1, ""),
    ("UBIGINT", "18446744073709551615", pl.UInt64, 18446744073709551615, ""),
    ("HUGEINT", "7", pl.Float64, 7.0, ""),
    ("HUGEINT", "170141183460469231731687303715884105727", pl.Float64, 2.0**127, ROUNDED),
    ("DECIMAL(10, 2)", "1.5", pl.Float64, 1.5, ""),
    ("DECIMAL(18, 0)", "123456789012345678", pl.Int64, 123456789012345678, ""),
    ("DECIMAL(38, 10)", "1234567890123456789.0000000001", pl.Float64, 1234567890123456789.0, ROUNDED),
    ("FLOAT", "1.5", pl.Float32, 1.5, ""),
    ("DOUBLE", "'-inf'", pl.Float64, float("-inf"), ""),
    ("VARCHAR", "'Zoë'", pl.String, "Zoë", ""),
    ("ENUM('sad', 'glad')", "'glad'", pl.String, "glad", ""),
    ("UUID", "'00000000-0000-0000-0000-00000000000a'", pl.String, "00000000-0000-0000-0000-00000000000a", ""),
    ("JSON", """'{"a":1}'""", pl.String, '{"a":1}', ""),
    ("BIT", "'101'", pl.String, "101", ""),
    ("BLOB", r"'\xFF'::BLOB", pl.Binary, b"\xff", ""),
    ("DATE", "'2026-02-28'", pl.Date, date(2026, 2, 28), ""),
    ("DATE", "'infinity'", pl.Date, None, FAR),
    ("TIMESTAMP", "'2026-02-28 12:30:00.000001'", US, datetime(2026, 2, 28, 12, 30, 0, 1), ""),
    ("TIMESTAMP", "'-infinity'", US, None, FAR),
    ("TIMESTAMP_S", "'2026-02-28'", US, datetime(2026, 2, 28), ""),
    (
        "TIMESTAMPTZ",
        "'2026-02-28 12:30:00+02'",
        pl.Datetime("us", "UTC"),
        datetime(2026, 2, 28, 10, 30, tzinfo=UTC),
        "",
    ),
    ("TIME", "'10:00'", pl.Time, time(10), ""),
    ("TIME", "'24:00'", pl.Time, None, "24:00, which is not a time of day, is read as missing: 1"),
    ("INTERVAL", "INTERVAL '1 day 2 hours'", pl.Duration("us"), timedelta(days=1, hours=2), ""),
    ("INTERVAL", "INTERVAL '1 month'", pl.Duration("us"), timedelta(days=30), MONTHS),
    ("INTEGER[]", "[1, NULL, 3]", pl.List(pl.Int32), [1, None, 3], ""),
    ("INTEGER[2]", "[1, 2]", pl.List(pl.Int32), [1, 2], ""),
    ("STRUCT(a INTEGER)", "{'a': 1}", pl.String, "{'a': 1}", "has the type STRUCT(a INTEGER), which is read as text"),
]


def test_each_type_is_read_as_what_it_means_or_is_reported(open_datasets: OpenDatasets, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "lake.duckdb")) as lake:
        lake.execute(f"CREATE TABLE types ({', '.join(f'c{i} {one[0]}' for i, one in enumerate(TYPES))})")
        lake.execute(f"INSERT INTO types VALUES ({', '.join(one[1] for one in TYPES)})")
        lake.execute("CREATE TABLE absent AS SELECT * FROM types LIMIT 0")
        lake.execute("INSERT INTO absent DEFAULT VALUES")
    datasets = open_datasets(LAKE, "types", "absent")
    table = datasets.open("types")
    rows = table.frame.collect()
    schema = {f"c{i}": dtype for i, (_, _, dtype, *_) in enumerate(TYPES)}
    assert dict(rows.schema) == schema
    assert rows.row(0) == tuple(expected for *_, expected, _ in TYPES)
    assert table.fingerprint == hash_frame(rows)
    told = [
        f"column 'c{i}' {said}" if said.startswith("has") else f"column 'c{i}': {said}"
        for i, (*_, said) in enumerate(TYPES)
        if said
    ]
    assert sorted(table.notes) == sorted(told)
    absent = datasets.open("absent").frame.collect()
    assert dict(absent.schema) == schema
    assert set(absent.row(0)) == {None}


def test_a_missing_table_is_reported_with_the_likely_one(open_datasets: OpenDatasets, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "lake.duckdb")) as lake:
        lake.execute("CREATE TABLE orders (a INTEGER); CREATE SCHEMA s; CREATE VIEW s.seen AS SELECT * FROM orders")
    datasets = open_datasets(LAKE, "order", "s.seen")
    assert datasets.open("s_seen").frame.collect().height == 0
    with pytest.raises(
        DatabaseError, match=r"connection 'warehouse': .*there is no table 'order'; did you mean 'orders'"
    ):
        datasets.open("order")


def test_a_file_that_is_missing_or_none_of_duckdb(open_datasets: OpenDatasets, tmp_path: Path) -> None:
    datasets = open_datasets(LAKE, "rows")
    with pytest.raises(DatabaseError, match=r"lake\.duckdb: it does not exist"):
        datasets.open("rows")
    assert not (tmp_path / "lake.duckdb").exists()
    (tmp_path / "lake.duckdb").write_text("no database")
    with pytest.raises(DatabaseError, match="not a valid DuckDB database file"):
        datasets.open("rows")


def test_a_view_that_reads_another_file_is_refused(open_datasets: OpenDatasets, tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "lake.duckdb")) as lake:
        (tmp_path / "other.csv").write_text("a\n1\n")
        lake.execute(f"CREATE VIEW peek AS SELECT * FROM read_csv('{tmp_path}/other.csv')")
    with pytest.raises(DatabaseError, match="disabled"):
        open_datasets(LAKE, "peek").open("peek")


def test_a_file_that_another_process_has_open_is_reported_with_that_process(tmp_path: Path) -> None:
    path = tmp_path / "lake.duckdb"
    script = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()"
    holder = subprocess.Popen([sys.executable, "-c", script, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdin is not None
    try:
        holder.stdout.readline()
        with pytest.raises(DatabaseError, match=f"another process has it open .*PID {holder.pid}") as caught:
            open_duckdb(path, read_only=True, timeout=0.5)
        assert caught.value.transient
    finally:
        holder.stdin.close()
        holder.wait()
        holder.stdout.close()
    open_duckdb(path, read_only=True).connection.close()
