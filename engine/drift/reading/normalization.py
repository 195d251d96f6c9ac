"""Normalize column values of any type, so that equal values compare equal on both sides.

Numbers become int64 if the column holds integers (exact beyond 2**53) and float64 otherwise; durations, dates and
datetimes become seconds; a time of day becomes an integer number of nanoseconds; categories become text, where 1.0 and
1 are the same category. NaN is missing, and -0.0 is 0.0. Without this, an integer column would differ from itself after
a null turned it into floats. Normalization consists of polars expressions, so casts run in polars' threads. Only facts
about all values (do they fit int64?) need a pass over the data.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import polars as pl
import polars.selectors as cs

from engine.drift.reading.column_families import holds_values
from engine.errors import DataError


class Role(StrEnum):
    """How a column is compared, which also determines how its values are read."""

    NUMERICAL = "numerical"
    CATEGORICAL = "categorical"
    IDENTIFIER = "identifier"
    IGNORE = "ignore"


_TICKS_PER_SECOND = {"ns": 1_000_000_000, "us": 1_000_000, "ms": 1_000}
_WIDE_INTEGERS = (pl.UInt64, pl.Int128, pl.UInt128)


def column_named(name: str) -> pl.Expr:
    """Return an expression for the column of exactly this name; `pl.col` would take `*` and `^...$` as patterns."""
    pattern = name == "*" or (name.startswith("^") and name.endswith("$"))
    return cs.by_name(name).as_expr() if pattern else pl.col(name)


def as_numbers(name: str, dtype: pl.DataType, *, wide: bool = False) -> pl.Expr:
    """Return an expression for the column's values as Int64 or Float64; missing values are null.

    Parameters
    ----------
    dtype
        The column's type: numeric, boolean, temporal or null.
    wide
        True if the column holds integers outside the range of int64: they become floats.
    """
    column = column_named(name)
    if isinstance(dtype, pl.Duration | pl.Datetime):
        return _ticks_to_seconds(column.to_physical(), _TICKS_PER_SECOND[dtype.time_unit or "us"])
    if dtype == pl.Date:
        return column.to_physical().cast(pl.Int64) * 86_400  # pandas and some files store dates as datetimes
    if not wide and (dtype.is_integer() or dtype in (pl.Boolean, pl.Time)):
        return column.to_physical().cast(pl.Int64)
    if not wide and _is_whole_decimal(dtype):
        return column.cast(pl.Int64)
    column = column.cast(pl.Float64)
    # turns -0.0 into 0.0 and NaN into null; `column + 0.0` would do the former, but polars optimizes it away
    return pl.when(column == 0).then(0.0).when(column.is_not_nan()).then(column).alias(name)


def as_categories(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return an expression for the column's values as text; missing values are null.

    `dtype` is the column's type: any type except nested ones, bytes and Python objects. Equal values of any types have
    equal texts: a whole number is written without a fraction, a datetime at midnight like its date, and a datetime with
    a time zone in UTC.
    """
    column = column_named(name)
    if dtype.is_decimal():
        return _label_decimals(column, dtype).alias(name)
    if isinstance(dtype, pl.Datetime):
        return _label_datetimes(column, dtype).alias(name)
    if dtype == pl.Duration:
        return column.dt.to_string("iso")
    if not dtype.is_float():
        return column.cast(pl.String)
    # polars does not round half floats, so 1.5 would count as an integer
    return label_numbers(column.cast(pl.Float32) if dtype == pl.Float16 else column).alias(name)


def label_numbers(number: pl.Expr) -> pl.Expr:
    """Return floats as text; whole numbers are written like integers, "1" and not "1.0"; NaN becomes null."""
    whole = number.is_finite() & (number == number.floor()) & (number.abs() < 2**126)
    return (
        pl.when(whole)
        .then(pl.when(whole).then(number).cast(pl.Int128).cast(pl.String))
        .when(number.is_not_nan())
        .then(number.cast(pl.String))
    )


def _label_decimals(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Return decimals as text: whole numbers exactly, like integers; all others like the nearest float."""
    text = column.cast(pl.String)
    if not getattr(dtype, "scale", 0):
        return text
    digits = text.str.strip_chars_end("0")
    whole = digits.str.ends_with(".")
    return pl.when(whole).then(digits.str.strip_chars_end(".")).otherwise(column.cast(pl.Float64).cast(pl.String))


def _label_datetimes(column: pl.Expr, dtype: pl.Datetime) -> pl.Expr:
    """Return datetimes as text, in UTC and without zeros that depend on the unit; midnight is written as the date."""
    if dtype.time_zone is not None:
        column = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
    midnight = column == column.dt.truncate("1d")
    return (
        pl.when(midnight).then(column.dt.to_string("%Y-%m-%d")).otherwise(column.dt.to_string("%Y-%m-%d %H:%M:%S%.f"))
    )


def plan_normalization(frame: pl.LazyFrame, roles: Mapping[str, Role]) -> dict[str, pl.Expr]:
    """Return, for each column in `roles`, the expression that normalizes it for its role.

    Where types do not suffice, one streaming pass reads the columns concerned: whether the integers of an unsigned
    64-bit or a 128-bit column fit int64, and whether a column whose type does not fit its role has any value.

    Categorical columns are not cast: converting every value to text takes longer than reading it, and `CategoryCounter`
    converts only the distinct values.

    Raises
    ------
    DataError
        A column does not exist, or holds values that cannot be used in its role.
    """
    schema = frame.collect_schema()
    if absent := [name for name in roles if name not in schema]:
        raise DataError(f"the data lacks {', '.join(map(repr, absent))}; it has {', '.join(map(repr, schema))}")
    facts = _inspect_values(frame, schema, roles)
    reading = {}
    for name, role in roles.items():
        dtype = schema[name]
        if not _fits_role(dtype, role):
            if (example := facts[name]) is not None:
                raise DataError(explain_unfit_values(name, dtype, role, example))
            nothing = pl.lit(None, pl.Float64 if role is Role.NUMERICAL else pl.String)
            reading[name] = pl.when(column_named(name).is_null()).then(nothing).alias(name)
        elif role is Role.NUMERICAL:
            reading[name] = as_numbers(name, dtype, wide=facts.get(name, False))
        else:
            reading[name] = column_named(name)
    return reading


def normalize_categories(column: pl.Series) -> pl.Series:
    """Return the values of a categorical column as text; missing values are null.

    Raises
    ------
    DataError
        The column holds lists, structures, bytes or Python objects, which are not categories.
    """
    frame = column.to_frame()
    read = frame.select(plan_normalization(frame.lazy(), {column.name: Role.CATEGORICAL})[column.name])
    return read.select(as_categories(column.name, read.schema[column.name])).to_series()


def _ticks_to_seconds(ticks: pl.Expr, per_second: int) -> pl.Expr:
    """Return ticks as seconds, so that equal times in any unit give the same float.

    Full seconds and the remainder are converted separately, because a count of nanoseconds exceeds 2**53 after 105
    days. Both are taken from the absolute value, so that no digits are lost by cancellation.
    """
    size = ticks.abs()
    rest = (size % per_second).cast(pl.Float64)
    # the divisor is an expression of column length: polars would replace division by a constant with multiplication by
    # its reciprocal, which rounds differently for each unit
    return ticks.sign() * ((size // per_second).cast(pl.Float64) + rest / (rest * 0.0 + per_second))


def _fits_role(dtype: pl.DataType, role: Role) -> bool:
    if role is Role.NUMERICAL:
        return dtype.is_numeric() or dtype.is_temporal() or dtype in (pl.Boolean, pl.Null)
    return holds_values(dtype)


def _is_whole_decimal(dtype: pl.DataType) -> bool:
    """Return whether the type is a decimal without a fraction, which databases use for identifiers beyond 2**53."""
    return dtype.is_decimal() and getattr(dtype, "scale", 0) == 0


def list_examined_columns(schema: Mapping[str, pl.DataType], roles: Mapping[str, Role]) -> tuple[list[str], list[str]]:
    """Return the columns whose type does not fit their role, and those whose integers may exceed 64 bits."""
    ranged = [
        name
        for name, role in roles.items()
        if role is Role.NUMERICAL and (schema[name] in _WIDE_INTEGERS or _is_whole_decimal(schema[name]))
    ]
    return [name for name, role in roles.items() if not _fits_role(schema[name], role)], ranged


def _inspect_values(frame: pl.LazyFrame, schema: pl.Schema, roles: Mapping[str, Role]) -> dict[str, Any]:
    """Read the facts that do not follow from the types, in one pass.

    Returns
    -------
    dict
        For a column whose type does not fit its role, a row number and the value there, or None if all values are
        missing: the first text that is not a number if there is one, else the first value. For a numerical column of
        wide integers or whole decimals, whether a value is outside the range of int64.
    """
    examples, ranged = list_examined_columns(schema, roles)
    if not examples and not ranged:
        return {}
    firsts = [
        expression.alias(f"{part} {i}")
        for i, name in enumerate(examples)
        for part, expression in zip(("row", "value"), first_unfit_value(name, schema[name]), strict=True)
    ]
    ranges = [
        pl.struct(column_named(name).min().alias("low"), column_named(name).max().alias("high")).alias(f"range {i}")
        for i, name in enumerate(ranged)
    ]
    found = frame.select(*firsts, *ranges).collect(engine="streaming").row(0, named=True)
    facts: dict[str, Any] = {}
    for i, name in enumerate(examples):
        row, value = found[f"row {i}"], found[f"value {i}"]
        facts[name] = None if row is None else (row + 1, value)
    for i, name in enumerate(ranged):
        low, high = found[f"range {i}"].values()
        facts[name] = low is not None and not -(2**63) <= low <= high < 2**63
    return facts


def first_unfit_value(name: str, dtype: pl.DataType) -> tuple[pl.Expr, pl.Expr]:
    """Return expressions for the index (from 0) and the value of the first text that is not a number.

    Without such a text, and in a column of another type, they give the first value.
    """
    column = column_named(name)
    present = column.is_not_null()
    row, value = present.arg_true().first(), column.drop_nulls().first()
    if dtype != pl.String:
        return row, value
    wrong = present & column.cast(pl.Float64, strict=False).is_null()
    return pl.coalesce(wrong.arg_true().first(), row), pl.coalesce(column.filter(wrong).first(), value)


def explain_unfit_values(name: str, dtype: pl.DataType, role: Role, example: tuple[int | None, Any]) -> str:
    """Return the message for a column whose values cannot be used in its role.

    `example` is a row number, or None, and the value there.
    """
    number, value = example
    if role is not Role.NUMERICAL:
        return f"column {name!r} is compared as {role}, but holds {_describe_dtype(dtype)}"
    row = "a row" if number is None else f"row {number:,}"
    message = f"column {name!r} is compared as numerical, but {row} holds {_describe_dtype(dtype)}: {value!r}"
    if dtype != pl.String:
        return message
    try:
        float(value)
    except ValueError:
        return f"{message}; correct it, or declare what it means if it stands for a missing value (csv: null_values)"
    return f"{message}; declare the column as numbers where the data are read"


def _describe_dtype(dtype: pl.DataType) -> str:
    """Return the content of a column of this type, in words for a message."""
    if dtype == pl.Binary:
        return "bytes"
    return "lists or structures" if dtype.is_nested() else "text" if dtype == pl.String else str(dtype).lower()
