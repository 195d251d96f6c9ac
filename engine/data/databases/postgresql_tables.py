"""Tables of PostgreSQL: their columns, and how values of each type are read.

The driver's own conversions can be wrong without an error: infinite dates arrive as another date, decimals as texts,
UUIDs as bytes, intervals not at all. So the server is asked to convert to types that mean the same here.
"""

import polars as pl

from engine.connections.postgresql import PostgresqlSession
from engine.connections.table_names import quote_name, quote_text
from engine.data.databases.column_readings import AS_TEXT_NOTED, Cast, ColumnReading

_OUTSIDE = "values outside the years 1 to 9999, or infinite ones, are read as missing"
_TEXT = Cast("{c}::text", family="text")
_DATES = "BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'"
_TIMES = "BETWEEN TIMESTAMP '0001-01-01' AND TIMESTAMP '9999-12-31 23:59:59.999999'"
_ZONED_TIMES = "BETWEEN TIMESTAMPTZ '0001-01-01 00:00:00+00' AND TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"

_CASTS = {
    "bool": Cast(family="boolean"),
    "int2": Cast(family="integer"),
    "int4": Cast(family="integer"),
    "int8": Cast(family="integer"),
    "oid": Cast("{c}::int8", family="integer"),
    "float4": Cast(),
    "float8": Cast(family="number"),
    "money": Cast("{c}::numeric::float8", family="number"),
    "text": Cast(family="text"),
    "varchar": Cast("{c}::text", family="text"),
    **dict.fromkeys(("bpchar", "name", "char", "uuid", "json", "jsonb", "xml", "inet", "cidr", "macaddr", "macaddr8",
                     "bit", "varbit", "enum"), _TEXT),
    "date": Cast(f"CASE WHEN {{c}} {_DATES} THEN {{c}} END", None, ((f"{{c}} NOT {_DATES}", _OUTSIDE),), family="date"),
    "timestamp": Cast(
        f"CASE WHEN {{c}} {_TIMES} THEN {{c}} END", None, ((f"{{c}} NOT {_TIMES}", _OUTSIDE),)
    ),
    "timestamptz": Cast(
        f"CASE WHEN {{c}} {_ZONED_TIMES} THEN {{c}} END", None, ((f"{{c}} NOT {_ZONED_TIMES}", _OUTSIDE),)
    ),
    "time": Cast(
        "CASE WHEN {c} < TIME '24:00' THEN {c} END",
        None,
        (("{c} = TIME '24:00'", "24:00, which is not a time of day, is read as missing"),),
    ),
    "interval": Cast(
        "CASE WHEN isfinite({c}) THEN (extract(epoch FROM {c}) * 1000000)::int8 END",
        pl.Duration("us"),
        (
            (
                "isfinite({c}) AND (extract(year FROM {c}) <> 0 OR extract(month FROM {c}) <> 0)",
                "months and years have no length, and count as 30 and 365.25 days",
            ),
            ("NOT isfinite({c})", "infinite values are read as missing"),
        ),
    ),
    "bytea": Cast(),
}  # fmt: skip
"""How values are read, by the name of the type in pg_type."""

_LISTS = {
    **{name: f"{name}[]" for name in ("bool", "int2", "int4", "int8", "float4", "float8", "text")},
    "numeric": "float8[]",
}
"""The list types as which arrays are read, by the type of their values; any other array is a list of texts."""

_NESTED = (("array_ndims({c}) > 1", "values of several dimensions are read as one list"),)

_DESCRIBE = """
WITH RECURSIVE resolved AS (
  SELECT attnum, attname::text AS name, format_type(atttypid, atttypmod) AS declared, atttypid AS type,
    atttypmod AS modifier
  FROM pg_attribute WHERE attrelid = to_regclass({table}) AND attnum > 0 AND NOT attisdropped
  UNION ALL
  SELECT r.attnum, r.name, r.declared, t.typbasetype, CASE WHEN t.typtypmod < 0 THEN r.modifier ELSE t.typtypmod END
  FROM resolved r JOIN pg_type t ON t.oid = r.type WHERE t.typtype = 'd'
)
SELECT r.name, r.declared, CASE WHEN t.typtype = 'e' THEN 'enum'
    WHEN t.typnamespace = 'pg_catalog'::regnamespace THEN t.typname::text ELSE '' END, r.modifier, e.typname::text
FROM resolved r JOIN pg_type t ON t.oid = r.type LEFT JOIN pg_type e ON e.oid = t.typelem AND t.typcategory = 'A'
WHERE t.typtype <> 'd' ORDER BY r.attnum
"""

_LIST = """
SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname::text ELSE n.nspname || '.' || c.relname END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'v', 'm', 'f', 'p') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND n.nspname !~ '^pg_' AND has_schema_privilege(n.oid, 'USAGE')
ORDER BY 1 LIMIT 1000
"""


def describe_postgresql_columns(session: PostgresqlSession, schema: str | None, name: str) -> list[ColumnReading]:
    """Return how the columns of a table or view are read, in order; empty if there is no such table."""
    rows = session.fetch_rows(_DESCRIBE.format(table=quote_text(quote_name(schema, name))))
    return [
        ColumnReading(column, declared, _choose_postgresql_cast(type_, modifier, element))
        for column, declared, type_, modifier, element in rows
    ]


def list_postgresql_tables(session: PostgresqlSession) -> list[str]:
    """Return the names of the tables and views that are visible to the user, in the form used by datasets."""
    return [name for (name,) in session.fetch_rows(_LIST)]


def _choose_postgresql_cast(type_: str, modifier: int, element: str | None) -> Cast:
    if element is not None:
        return Cast(f"{{c}}::{_LISTS.get(element, 'text[]')}", exceptions=_NESTED)
    if type_ == "numeric":
        return _choose_numeric_cast(modifier)
    return _CASTS.get(type_, Cast("{c}::text", note=AS_TEXT_NOTED))


def _choose_numeric_cast(modifier: int) -> Cast:
    """Return how decimals are read: as integers if they are declared without a fraction, else as floats."""
    precision, scale = ((modifier - 4) >> 16, (modifier - 4) & 0x7FF) if modifier >= 4 else (1000, 1000)
    if scale == 0 and precision <= 18:
        return Cast("CASE WHEN {c} <> 'NaN' THEN {c}::int8 END", None, (("{c} = 'NaN'", "NaN is read as missing"),))
    if precision <= 15:
        return Cast("{c}::float8", family="number")
    # Values of up to three groups of four digits, which is quick to check, are not rounded.
    rounded = "pg_column_size({c}) > 9 AND {c}::float8::numeric <> {c}"
    return Cast("{c}::float8", None, ((rounded, "values with more than 15 digits are rounded"),), family="number")
