"""Find a common type for a column that has several types in the files of one dataset.

pandas writes an integer column with a missing value as floats, two writers order the categories of an enum differently,
and a part without values has the type null. Such parts are united if that changes no value. If it might, as for text
among numbers, the dataset is rejected.
"""

from collections.abc import Sequence
from typing import Literal

import polars as pl

from engine.drift.reading.column_families import column_type

_UNITS: tuple[Literal["ms", "us", "ns"], ...] = ("ms", "us", "ns")
_MAX_DIGITS = 38
"""Maximum number of digits of a decimal."""
_INTEGER_DIGITS = 19
"""Number of digits of the largest 64-bit integer."""


def find_common_dtype(dtypes: Sequence[pl.DataType]) -> pl.DataType | None:
    """Return the type that holds the values of all these types unchanged; None if there is none.

    A boolean and a number have none: the types do not show whether the numbers are only 0 and 1.
    """
    distinct = list(dict.fromkeys(dtype for dtype in dtypes if dtype != pl.Null))
    if len(distinct) <= 1:
        return distinct[0] if distinct else pl.Null()
    families = {column_type(dtype) for dtype in distinct}
    if families == {"text"}:
        return pl.String()
    if families <= {"integer", "number"}:
        return _widen_numbers(distinct)
    if families <= {"date", "datetime"}:
        return _widen_datetimes(distinct)
    if families == {"duration"}:
        return pl.Duration(_finest_unit(distinct))
    if len(families) > 1 and not all(dtype.is_nested() for dtype in distinct):
        return None
    return _unite_nested(distinct)


def _widen_numbers(dtypes: Sequence[pl.DataType]) -> pl.DataType:
    """Return the number type that holds all: integers stay exact, and so do decimals if 38 digits suffice.

    Writers declare 38 digits for decimals of any size, so the type does not show the number of digits before the point.
    A number that does not fit is an error when it is read.
    """
    integers = [dtype for dtype in dtypes if dtype.is_integer()]
    if len(integers) == len(dtypes):
        wide = any(dtype in (pl.UInt64, pl.Int128, pl.UInt128) for dtype in integers)
        return pl.Int128() if wide else pl.Int64()
    decimals = [dtype for dtype in dtypes if isinstance(dtype, pl.Decimal)]
    if len(integers) + len(decimals) == len(dtypes):
        scale = max(dtype.scale for dtype in decimals)
        if scale + _INTEGER_DIGITS <= _MAX_DIGITS:
            return pl.Decimal(_MAX_DIGITS, scale)
    return pl.Float64()


def _finest_unit(dtypes: Sequence[pl.DataType]) -> Literal["ms", "us", "ns"]:
    units = {dtype.time_unit for dtype in dtypes if isinstance(dtype, pl.Datetime | pl.Duration)}
    return max(units, key=_UNITS.index)


def _widen_datetimes(dtypes: Sequence[pl.DataType]) -> pl.DataType | None:
    """Return the finest datetime, in UTC if time zones differ; None if only some have a time zone."""
    zones = {dtype.time_zone if isinstance(dtype, pl.Datetime) else None for dtype in dtypes}
    if len(zones) > 1 and None in zones:
        return None
    return pl.Datetime(_finest_unit(dtypes), zones.pop() if len(zones) == 1 else "UTC")


def _unite_nested(dtypes: Sequence[pl.DataType]) -> pl.DataType | None:
    try:
        united = pl.concat([pl.Series("x", [], dtype=dtype).to_frame() for dtype in dtypes], how="vertical_relaxed")
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return None
    return united.schema["x"]


def cast_exactly(name: str, dtype: pl.DataType, common: pl.DataType) -> pl.Expr:
    """Return an expression for a column as the common type.

    A 32-bit float is read as the shortest decimal number that it stands for, as which it was probably written: 0.1 in
    64 bits would otherwise differ from 0.1.
    """
    column = pl.col(name)
    if dtype in (pl.Float16, pl.Float32) and common == pl.Float64:
        return column.cast(pl.Float32).cast(pl.String).cast(pl.Float64)
    return column.cast(common)
