"""Queries that PostgreSQL runs give what polars gives from the whole tables, value by value; others are not pushed."""

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.data import Datasets
from engine.data.databases.postgresql_tables import describe_postgresql_columns
from engine.data.databases.pushdown import StoredInput, translate_query

from .conftest import OpenDatasets
from .postgres_server import Database, PostgresServer

SETUP = """
CREATE TABLE a (key int, i bigint, f double precision, t text, c char(4), b boolean, d date, n numeric(12, 2));
INSERT INTO a
SELECT (ARRAY[1, 2, 3, NULL])[1 + g % 4], (ARRAY[0, -1, 5, 9007199254740993, NULL])[1 + g % 5],
  (ARRAY[0.0, '-0'::float8, 'NaN', 'Infinity', '-Infinity', 0.1, 5, NULL])[1 + g % 8],
  (ARRAY['', 'a', 'B', 'ä', 'a ', 'A', 'Zoë', 'z''q', '{flags}', NULL])[1 + g % 10],
  (ARRAY['a', 'b  ', NULL])[1 + g % 3], (ARRAY[true, false, NULL])[1 + g % 3],
  (ARRAY['2020-01-01'::date, '2021-06-30', 'infinity', '-infinity', NULL])[1 + g % 5],
  (ARRAY[0.1, 5, -3.25, 'NaN', NULL])[1 + g % 5]
FROM generate_series(0, 239) g;
CREATE TABLE b (key int, w text, v double precision);
INSERT INTO b VALUES (1, 'a', 1), (1, 'ä', 'NaN'), (3, NULL, 0), (NULL, 'B', 2), (7, 'A', 3);
"""
COLUMNS = {"i": "integer", "key": "integer", "f": "number", "n": "number", "t": "text", "c": "text", "b": "boolean",
           "d": "date"}  # fmt: skip
LITERALS = {
    "integer": ["0", "-1", "5", "(-1)", "9007199254740992"],
    "number": ["0", "5", "0.1e0", "1e-1", "-3.25e0", "(-3)"],
    "text": ["''", "'a'", "'B'", "'ä'", "'a '", "'z''q'", "'{flags}'", "'M'"],
    "boolean": ["TRUE", "FALSE"],
    "date": ["DATE '2020-01-01'", "DATE '2021-01-01'"],
}


@st.composite
def comparisons(draw: st.DrawFn) -> str:
    """Write a comparison of a column with literals."""
    column = draw(st.sampled_from(sorted(COLUMNS)))
    literal = st.sampled_from(LITERALS[COLUMNS[column]])
    form = draw(st.sampled_from(["sign", "turned", "in", "between", "null", "not null"]))
    sign = draw(st.sampled_from(["=", "<>", "<", "<=", ">", ">="])) if COLUMNS[column] != "boolean" else "="
    return {
        "sign": f"x.{column} {sign} {draw(literal)}",
        "turned": f"{draw(literal)} {sign} x.{column}",
        "in": f"x.{column} IN ({draw(literal)}, {draw(literal)})",
        "between": f"x.{column} BETWEEN {draw(literal)} AND {draw(literal)}"
        if COLUMNS[column] != "boolean"
        else f"x.{column} IS NULL",
        "null": f"x.{column} IS NULL",
        "not null": f"x.{column} IS NOT NULL",
    }[form]


conditions = st.recursive(
    comparisons(),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda parts: f"({' '.join(parts)})"),
        inner.map(lambda one: f"NOT ({one})"),
    ),
    max_leaves=4,
)
selections = st.sampled_from(["x.*", "x.t, x.f AS number, x.d", "x.n, x.c, x.i AS t"])
joins = st.sampled_from(["", "JOIN b ON x.key = b.key", "LEFT JOIN b ON b.key = x.key", "JOIN b ON x.t = b.w",
                         "LEFT JOIN b ON x.key = b.key AND x.t = b.w"])  # fmt: skip


@pytest.fixture(scope="module")
def filled(postgres: PostgresServer) -> Database:
    """Give a database with values that servers and libraries may compare in different ways."""
    database = postgres.create_database()
    database.execute(SETUP)
    return database


def sort_rows(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.sort(pl.all(), nulls_last=True)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(condition=conditions, selection=selections, join=joins)
def test_the_database_gives_the_rows_that_polars_gives(
    condition: str, selection: str, join: str, filled: Database, open_tables: OpenDatasets
) -> None:
    shown = f"{selection}, b.v AS other" if join else selection
    query = {"kind": "query", "sql": f"SELECT {shown} FROM a x {join} WHERE {condition}"}
    pushed = open_tables(datasets={**declare("a", "b"), "q": query}, url=filled.url()).open("q")
    assert pushed.place.startswith("its SQL runs in connection warehouse, on table a")
    here = open_tables(datasets={**declare("a", "b", metric=True), "q": query}, url=filled.url()).open("q")
    assert here.place == ""
    found, expected = (sort_rows(one.frame.collect()) for one in (pushed, here))
    assert found.schema == expected.schema
    assert found.equals(expected), query["sql"]


def declare(*tables: str, metric: bool = False) -> dict[str, dict[str, object]]:
    """Declare the tables; with a check, so that they are read as a whole."""
    checks = {"rows": {"metric": "row_count", "min": 0}} if metric else {}
    return {name: {"kind": "stored", "connection": "warehouse", "table": name, "checks": checks} for name in tables}


def open_query(open_tables: OpenDatasets, database: Database, sql: str) -> Datasets:
    query = {"kind": "query", "sql": sql}
    return open_tables(datasets={**declare("a", "b"), "q": query}, url=database.url())


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM a",
        "SELECT DISTINCT key FROM a",
        "SELECT key, COUNT(*) AS n FROM a GROUP BY key",
        "SELECT key FROM a ORDER BY key LIMIT 1",
        "SELECT key + 1 AS more FROM a WHERE key = 1",
        "SELECT key FROM a WHERE f > 0.5",
        "SELECT key FROM a WHERE i > 1e3",
        "SELECT key FROM a WHERE f > i",
        "SELECT key FROM a WHERE t LIKE 'a%'",
        "SELECT key FROM a WHERE t = 5",
        "SELECT key FROM a WHERE i > 9007199254740993",
        "SELECT key FROM a WHERE i IN (SELECT key FROM b)",
        "SELECT key FROM a WHERE d > '2020-01-01'",
        "SELECT a.key FROM a JOIN b ON a.f = b.v",
        "SELECT a.key FROM a JOIN b ON a.key = b.key AND b.v > 1",
        "SELECT a.key FROM a FULL JOIN b ON a.key = b.key",
        "SELECT a.key FROM a, b",
        "SELECT a.*, b.* FROM a JOIN b ON a.key = b.key",
        "SELECT key FROM a UNION ALL SELECT key FROM b",
        "WITH x AS (SELECT key FROM a) SELECT key FROM x",
        "SELECT ROW_NUMBER() OVER (ORDER BY key) AS n FROM a",
    ],
)
def test_what_may_mean_something_else_is_computed_here(sql: str, filled: Database) -> None:
    from engine.connections.postgresql import open_postgresql

    with open_postgresql(filled.url(), read_only=True) as session:
        inputs = {name: StoredInput(name, tuple(describe_postgresql_columns(session, None, name))) for name in "ab"}
    assert translate_query(sql, inputs) is None
    assert translate_query("SELECT key FROM a WHERE i = 5", inputs) is not None


def test_rows_that_a_condition_leaves_out_for_a_value_that_is_not_read_are_reported(
    open_tables: OpenDatasets, filled: Database
) -> None:
    table = open_query(open_tables, filled, "SELECT t FROM a WHERE d >= DATE '2020-01-01'").open("q")
    assert len(table.notes) == 1
    assert "column 'd': values outside the years 1 to 9999, or infinite ones, are read as missing: 96" in table.notes[0]


def test_a_plan_says_what_runs_in_the_database(open_tables: OpenDatasets, filled: Database) -> None:
    datasets = open_query(open_tables, filled, "SELECT t FROM a WHERE key = 1")
    assert datasets.open("q").place == "its SQL runs in connection warehouse, on table a"
    assert datasets.open("a").place == "table a of connection warehouse"
    assert datasets.open("q").fingerprint == datasets.open("q").fingerprint
