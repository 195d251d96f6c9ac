"""How values of each type are stored in a database, and which values it cannot store."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from engine.data.column_types import POLARS_DTYPES
from engine.errors import DataError
from engine.spec.resources.datasets import Column

LONGEST_NAME = 63
"""Maximum length of a name in bytes; PostgreSQL truncates longer names without an error."""

_EXACT_DIGITS = 15
"""Number of decimal digits that a 64-bit float holds exactly."""

_POSTGRESQL: Mapping[Any, tuple[str, pl.DataType]] = {
    pl.Boolean: ("boolean", pl.Boolean()),
    pl.Int8: ("smallint", pl.Int16()),
    pl.UInt8: ("smallint", pl.Int16()),
    pl.Int16: ("smallint", pl.Int16()),
    pl.UInt16: ("integer", pl.Int32()),
    pl.Int32: ("integer", pl.Int32()),
    pl.UInt32: ("bigint", pl.Int64()),
    pl.Int64: ("bigint", pl.Int64()),
    pl.UInt64: ("bigint", pl.Int64()),
    pl.Float32: ("real", pl.Float32()),
    pl.Float64: ("double precision", pl.Float64()),
    pl.String: ("text", pl.String()),
    pl.Binary: ("bytea", pl.Binary()),
    pl.Date: ("date", pl.Date()),
    pl.Datetime: ("timestamp without time zone", pl.Datetime("us")),
    pl.Time: ("time without time zone", pl.Time()),
    pl.Duration: ("interval", pl.Duration("us")),
}
_DUCKDB: Mapping[Any, tuple[str, pl.DataType]] = {
    pl.Boolean: ("BOOLEAN", pl.Boolean()),
    pl.Int8: ("TINYINT", pl.Int8()),
    pl.UInt8: ("UTINYINT", pl.UInt8()),
    pl.Int16: ("SMALLINT", pl.Int16()),
    pl.UInt16: ("USMALLINT", pl.UInt16()),
    pl.Int32: ("INTEGER", pl.Int32()),
    pl.UInt32: ("UINTEGER", pl.UInt32()),
    pl.Int64: ("BIGINT", pl.Int64()),
    pl.UInt64: ("UBIGINT", pl.UInt64()),
    pl.Float32: ("FLOAT", pl.Float32()),
    pl.Float64: ("DOUBLE", pl.Float64()),
    pl.String: ("VARCHAR", pl.String()),
    pl.Binary: ("BLOB", pl.Binary()),
    pl.Date: ("DATE", pl.Date()),
    pl.Datetime: ("TIMESTAMP", pl.Datetime("us")),
    pl.Time: ("TIME", pl.Time()),
    pl.Duration: ("INTERVAL", pl.Duration("us")),
}
_ZONED = {False: "timestamp with time zone", True: "TIMESTAMP WITH TIME ZONE"}


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """How a column is stored.

    Attributes
    ----------
    sql
        The database type.
    sent
        The type in which its values are sent.
    read
        The type in which they are read back.
    exact
        Whether the values are then the same.
    """

    name: str
    sql: str
    sent: pl.DataType
    read: pl.DataType
    exact: bool = True


def choose_stored_columns(
    schema: Mapping[str, pl.DataType], contract: Mapping[str, Column], *, duckdb: bool
) -> list[StoredColumn]:
    """Return how the columns of a table are stored.

    Parameters
    ----------
    contract
        The declared columns of the dataset: a column without values gets its type from there.
    duckdb
        Whether the database is DuckDB; else it is PostgreSQL.

    Raises
    ------
    DataError
        The name or the type of a column cannot be stored; the message names it.
    """
    if not schema:
        raise DataError("there are no columns, so there is nothing to write")
    _check_names(list(schema), duckdb=duckdb)
    return [_choose_column(name, dtype, contract.get(name), duckdb=duckdb) for name, dtype in schema.items()]


def _check_names(names: list[str], *, duckdb: bool) -> None:
    database = "DuckDB" if duckdb else "PostgreSQL"
    seen: dict[str, str] = {}
    for name in names:
        if not name or "\0" in name:
            raise DataError(f"column {name!r} has a name that {database} cannot keep: rename it in a query")
        if not duckdb and len(name.encode()) > LONGEST_NAME:
            raise DataError(
                f"the name of column {name!r} is longer than the {LONGEST_NAME} bytes that PostgreSQL keeps: "
                "rename it in a query"
            )
        if duckdb and (same := seen.setdefault(name.lower(), name)) != name:
            raise DataError(f"columns {same!r} and {name!r} have the same name for DuckDB: rename one in a query")


def _choose_column(name: str, dtype: pl.DataType, declared: Column | None, *, duckdb: bool) -> StoredColumn:
    if dtype == pl.Null:
        dtype = POLARS_DTYPES.get(declared.type if declared and declared.type else "text", pl.String())
    if dtype in (pl.Categorical, pl.Enum):
        dtype = pl.String()
    if isinstance(dtype, pl.Decimal):
        return _choose_decimal(name, dtype)
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        utc = pl.Datetime("us", "UTC")
        return StoredColumn(name, _ZONED[duckdb], utc, utc)
    found = (_DUCKDB if duckdb else _POSTGRESQL).get(dtype.base_type())
    if found is None:
        raise DataError(
            f"column {name!r} is of type {dtype.base_type().__name__.lower()}, which no table keeps: convert it"
        )
    sql, stored = found
    return StoredColumn(name, sql, stored, stored)


def _choose_decimal(name: str, dtype: pl.Decimal) -> StoredColumn:
    """Return how decimals are stored: exactly; they are read back as integers or as floats."""
    digits, scale = dtype.precision or 38, dtype.scale
    integer = scale == 0 and digits <= 18
    read = pl.Int64() if integer else pl.Float64()
    return StoredColumn(name, f"numeric({digits},{scale})", dtype, read, integer or digits <= _EXACT_DIGITS)


def find_lost_values(
    schema: Mapping[str, pl.DataType], columns: list[StoredColumn], *, duckdb: bool
) -> Iterator[tuple[str, pl.Expr, str]]:
    """Yield the name of a column, a condition on its values, and what is wrong with values for which it is true."""
    for column in columns:
        dtype, values = schema[column.name], pl.col(column.name)
        if dtype == pl.UInt64 and not duckdb:
            yield column.name, values > 2**63 - 1, "larger than the integers of PostgreSQL"
        if isinstance(dtype, pl.Time) or getattr(dtype, "time_unit", "") == "ns":
            yield column.name, values.to_physical() % 1000 != 0, "more precise than microseconds"
        if isinstance(dtype, pl.Date | pl.Datetime):
            utc = values.dt.convert_time_zone("UTC") if getattr(dtype, "time_zone", None) else values
            yield column.name, ~utc.dt.year().is_between(1, 9999), "outside of the years 1 to 9999"
        if column.sent == pl.String and not duckdb:
            texts = values.cast(pl.String)
            yield (
                column.name,
                texts.str.contains("\0", literal=True),
                "with the character NUL, which PostgreSQL refuses",
            )
