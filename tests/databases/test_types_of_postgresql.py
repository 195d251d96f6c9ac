"""What each type of PostgreSQL is read as: the values that are right, or a note that names the column."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import polars as pl
import pytest

from engine.data import column_type
from engine.data.fingerprints import hash_frame
from engine.errors import DataError

from .conftest import OpenDatasets
from .postgres_server import Database

SETUP = """
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN amount AS numeric(10, 2);
"""

FAR = "values outside the years 1 to 9999, or infinite ones, are read as missing: 1"
ROUNDED = "values with more than 15 digits are rounded: 1"
MONTHS = "months and years have no length, and count as 30 and 365.25 days: 1"
US, UTC_US = pl.Datetime("us"), pl.Datetime("us", "UTC")
ID = "00000000-0000-0000-0000-00000000000a"

TYPES: list[tuple[str, str, pl.DataType | type[pl.DataType], Any, str]] = [
    ("boolean", "true", pl.Boolean, True, ""),
    ("smallint", "-32768", pl.Int16, -32768, ""),
    ("integer", "2147483647", pl.Int32, 2147483647, ""),
    ("bigint", "9223372036854775807", pl.Int64, 9223372036854775807, ""),
    ("oid", "4000000000", pl.Int64, 4000000000, ""),
    ("positive", "3", pl.Int32, 3, ""),
    ("real", "0.1", pl.Float32, pytest.approx(0.1), ""),
    ("double precision", "0.1", pl.Float64, 0.1, ""),
    ("double precision", "'-Infinity'", pl.Float64, float("-inf"), ""),
    ("numeric", "0.1", pl.Float64, 0.1, ""),
    ("numeric", "'NaN'", pl.Float64, pytest.approx(float("nan"), nan_ok=True), ""),
    ("numeric", "'Infinity'", pl.Float64, float("inf"), ""),
    ("numeric", "123456789012345.6789", pl.Float64, 123456789012345.6789, ROUNDED),
    ("numeric", "9007199254740993", pl.Float64, 9007199254740992.0, ROUNDED),
    ("numeric(10, 2)", "12345678.91", pl.Float64, 12345678.91, ""),
    ("amount", "0.05", pl.Float64, 0.05, ""),
    ("numeric(18)", "123456789012345678", pl.Int64, 123456789012345678, ""),
    ("numeric(5)", "'NaN'", pl.Int64, None, "NaN is read as missing: 1"),
    ("numeric(30)", "100000000000000000001", pl.Float64, 1e20, ROUNDED),
    ("money", "12.34", pl.Float64, 12.34, ""),
    ("text", "'Zoë'", pl.String, "Zoë", ""),
    ("text", "''", pl.String, "", ""),
    ("varchar(10)", "'ab  '", pl.String, "ab  ", ""),
    ("char(5)", "'ab'", pl.String, "ab", ""),
    ("name", "'ab'", pl.String, "ab", ""),
    ('"char"', "'x'", pl.String, "x", ""),
    ("mood", "'glad'", pl.String, "glad", ""),
    ("uuid", f"'{ID}'", pl.String, ID, ""),
    ("json", """'{"a": 1}'""", pl.String, '{"a": 1}', ""),
    ("jsonb", """'{"a":1}'""", pl.String, '{"a": 1}', ""),
    ("inet", "'10.0.0.1'", pl.String, "10.0.0.1/32", ""),
    ("bit(3)", "B'101'", pl.String, "101", ""),
    ("bytea", r"'\xff00'", pl.Binary, b"\xff\x00", ""),
    ("date", "'2026-02-28'", pl.Date, date(2026, 2, 28), ""),
    ("date", "'0001-01-01'", pl.Date, date(1, 1, 1), ""),
    ("date", "'infinity'", pl.Date, None, FAR),
    ("date", "'0044-03-15 BC'", pl.Date, None, FAR),
    ("timestamp", "'2026-02-28 12:30:00.000001'", US, datetime(2026, 2, 28, 12, 30, 0, 1), ""),
    ("timestamp", "'-infinity'", US, None, FAR),
    ("timestamptz", "'2026-02-28 12:30:00+02'", UTC_US, datetime(2026, 2, 28, 10, 30, tzinfo=UTC), ""),
    ("timestamptz", "'infinity'", UTC_US, None, FAR),
    ("time", "'23:59:59.5'", pl.Time, time(23, 59, 59, 500000), ""),
    ("time", "'24:00'", pl.Time, None, "24:00, which is not a time of day, is read as missing: 1"),
    ("timetz", "'10:00+02'", pl.String, "10:00:00+02", "has the type time with time zone, which is read as text"),
    ("interval", "'1 day 02:00:00.5'", pl.Duration("us"), timedelta(days=1, hours=2, milliseconds=500), ""),
    ("interval", "'1 month'", pl.Duration("us"), timedelta(days=30), MONTHS),
    ("integer[]", "'{1,NULL,3}'", pl.List(pl.Int32), [1, None, 3], ""),
    ("integer[]", "'{}'", pl.List(pl.Int32), [], ""),
    ("integer[]", "'{{1,2},{3,4}}'", pl.List(pl.Int32), [1, 2, 3, 4],
     "values of several dimensions are read as one list: 1"),
    ("text[]", "'{a,b}'", pl.List(pl.String), ["a", "b"], ""),
    ("numeric[]", "'{0.1}'", pl.List(pl.Float64), [0.1], ""),
    ("uuid[]", f"'{{{ID}}}'", pl.List(pl.String), [ID], ""),
    ("point", "'(1,2)'", pl.String, "(1,2)", "has the type point, which is read as text"),
    ("int4range", "'[1,3)'", pl.String, "[1,3)", "has the type int4range, which is read as text"),
    ("pair", "'(1,x)'", pl.String, "(1,x)", "has the type pair, which is read as text"),
]  # fmt: skip


def test_each_type_is_read_as_what_it_means_or_is_reported(open_tables: OpenDatasets, database: Database) -> None:
    columns = ", ".join(f"c{i} {declared}" for i, (declared, *_) in enumerate(TYPES))
    values = ", ".join(value for _, value, *_ in TYPES)
    database.execute(f"{SETUP} CREATE TABLE types ({columns}); INSERT INTO types VALUES ({values})")
    table = open_tables("types").open("types")
    rows = table.frame.collect()
    assert dict(rows.schema) == {f"c{i}": dtype for i, (_, _, dtype, *_) in enumerate(TYPES)}
    assert rows.row(0) == tuple(expected for *_, expected, _ in TYPES)
    assert table.fingerprint == hash_frame(rows)
    notes = [note for note in table.notes if note]
    told = [
        f"column 'c{i}' {said}" if said.startswith("has") else f"column 'c{i}': {said}"
        for i, (*_, said) in enumerate(TYPES)
        if said
    ]
    assert sorted(notes) == sorted(told)


def test_a_column_without_values_has_the_type_that_the_table_declares(
    open_tables: OpenDatasets, database: Database
) -> None:
    columns = ", ".join(f"c{i} {declared}" for i, (declared, *_) in enumerate(TYPES))
    database.execute(f"{SETUP} CREATE TABLE absent ({columns}); INSERT INTO absent DEFAULT VALUES")
    table = open_tables("absent").open("absent")
    rows = table.frame.collect()
    assert dict(rows.schema) == {f"c{i}": dtype for i, (_, _, dtype, *_) in enumerate(TYPES)}
    assert set(rows.row(0)) == {None}
    assert not any("missing" in note or "rounded" in note for note in table.notes)


def test_a_table_without_rows_has_its_columns(open_tables: OpenDatasets, database: Database) -> None:
    database.execute("CREATE TABLE nothing (a int, b numeric, c timestamptz, d text[])")
    schema = open_tables("nothing").open("nothing").frame.collect().schema
    assert schema == {"a": pl.Int32, "b": pl.Float64, "c": UTC_US, "d": pl.List(pl.String)}


def test_a_decimal_that_no_number_holds_is_an_error_that_names_its_column(
    open_tables: OpenDatasets, database: Database
) -> None:
    database.execute("CREATE TABLE huge (a int, big numeric); INSERT INTO huge VALUES (1, 1e400)")
    with pytest.raises(DataError, match=r"out of range.*numbers of 64 bits cannot hold a value of 'big'"):
        open_tables("huge").open("huge")


def test_an_enumeration_that_is_made_while_connected_is_text(open_tables: OpenDatasets, database: Database) -> None:
    database.execute("CREATE TYPE late AS ENUM ('x'); CREATE TABLE fresh (a late); INSERT INTO fresh VALUES ('x')")
    assert open_tables("fresh").open("fresh").frame.collect().rows() == [("x",)]


def test_a_text_that_is_declared_as_a_date_is_read_as_one(open_tables: OpenDatasets, database: Database) -> None:
    database.execute("CREATE TABLE days (day text); INSERT INTO days VALUES ('2026-01-31'), (NULL)")
    dataset = {"kind": "stored", "connection": "warehouse", "table": "days", "columns": {"day": {"type": "date"}}}
    table = open_tables(datasets={"declared": dataset}).open("declared")
    assert column_type(table.frame.collect_schema()["day"]) == "date"
    assert table.frame.collect().rows() == [(date(2026, 1, 31),), (None,)]
