"""Tables of DuckDB files: their columns, and how values of each type are read."""

import re

import polars as pl

from engine.connections.duckdb import DuckdbSession
from engine.connections.table_names import quote_name, quote_text
from engine.data.databases.column_readings import AS_TEXT_NOTED, Cast, ColumnReading

_OUTSIDE = "values outside the years 1 to 9999, or infinite ones, are read as missing"
_ROUNDED = "values with more than 15 digits are rounded"
_TEXT = Cast("CAST({c} AS VARCHAR)")


def _limit_years(type_: str, last: str, value: str = "{c}") -> Cast:
    within = f"BETWEEN {type_} '0001-01-01' AND {type_} '{last}'"
    return Cast(
        f"CASE WHEN {value} {within} THEN {value} END",
        None,
        ((f"{value} NOT {within}", _OUTSIDE),),
    )


_LAST = "9999-12-31 23:59:59.999999"
_PLAIN = ("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "DOUBLE")
_CASTS = {
    **dict.fromkeys(_PLAIN, Cast()),
    "VARCHAR": Cast(),
    **dict.fromkeys(("UBIGINT", "FLOAT", "BLOB"), Cast()),
    **dict.fromkeys(("UUID", "JSON", "BIT", '"NULL"'), _TEXT),
    **{
        name: Cast(
            "CAST({c} AS DOUBLE)",
            None,
            ((f"TRY_CAST(CAST({{c}} AS DOUBLE) AS {name}) IS DISTINCT FROM {{c}}", _ROUNDED),),
        )
        for name in ("HUGEINT", "UHUGEINT")
    },
    "DATE": _limit_years("DATE", "9999-12-31"),
    "TIMESTAMP": _limit_years("TIMESTAMP", _LAST),
    **dict.fromkeys(("TIMESTAMP_S", "TIMESTAMP_MS"), _limit_years("TIMESTAMP", _LAST, "CAST({c} AS TIMESTAMP)")),
    "TIMESTAMP_NS": Cast(
        "CASE WHEN isfinite({c}) THEN {c} END", None, (("NOT isfinite({c})", "infinite values are read as missing"),)
    ),
    "TIMESTAMP WITH TIME ZONE": _limit_years("TIMESTAMPTZ", f"{_LAST}+00"),
    "TIME": Cast(
        "CASE WHEN {c} < TIME '24:00:00' THEN {c} END",
        None,
        (("{c} = TIME '24:00:00'", "24:00, which is not a time of day, is read as missing"),),
    ),
    "INTERVAL": Cast(
        "CAST(datepart('epoch', {c}) * 1000000 AS BIGINT)",
        pl.Duration("us"),
        (
            (
                "datepart('year', {c}) <> 0 OR datepart('month', {c}) <> 0",
                "months and years have no length, and count as 30 and 365.25 days",
            ),
        ),
    ),
}
"""How values are read, by type name."""


def describe_duckdb_columns(session: DuckdbSession, schema: str | None, name: str) -> list[ColumnReading]:
    """Return how the columns of a table or view are read, in order; empty if there is no such table."""
    named = f"table_name = {quote_text(name)} AND schema_name = {quote_text(schema or 'main')}"
    if not session.fetch_rows(f"SELECT 1 FROM duckdb_columns() WHERE {named} LIMIT 1"):  # noqa: S608 - quoted
        return []
    rows = session.fetch_rows(f"DESCRIBE {quote_name(schema or 'main', name)}")
    return [ColumnReading(column, type_, _choose_duckdb_cast(type_)) for column, type_, *_ in rows]


def list_duckdb_tables(session: DuckdbSession) -> list[str]:
    """Return the names of the tables and views, in the form used by datasets."""
    rows = session.fetch_rows(
        "SELECT DISTINCT CASE schema_name WHEN 'main' THEN table_name ELSE schema_name || '.' || table_name END "
        "FROM duckdb_columns() WHERE NOT internal ORDER BY 1 LIMIT 1000"
    )
    return [name for (name,) in rows]


def _choose_duckdb_cast(type_: str) -> Cast:
    if found := re.fullmatch(r"DECIMAL\((\d+),(\d+)\)", type_):
        precision, scale = int(found[1]), int(found[2])
        if scale == 0 and precision <= 18:
            return Cast("CAST({c} AS BIGINT)")
        rounded = (f"TRY_CAST(CAST({{c}} AS DOUBLE) AS {type_}) IS DISTINCT FROM {{c}}", _ROUNDED)
        return Cast("CAST({c} AS DOUBLE)", None, (rounded,) if precision > 15 else ())
    if type_.startswith("ENUM("):
        return _TEXT
    if (found := re.fullmatch(r"(\w+)\[\d*\]", type_)) and found[1] in {*_PLAIN, "VARCHAR", "FLOAT"}:
        return Cast(f"CAST({{c}} AS {found[1]}[])")
    return _CASTS.get(type_, Cast("CAST({c} AS VARCHAR)", note=AS_TEXT_NOTED))
