"""One way to read a column's values, whatever type holds them, so that equal values compare equal on both sides.

Numbers become float64, or int64 where the column holds whole numbers (exact beyond 2**53); durations and dates become
seconds; categories become text, with 1.0 and 1 the same category. NaN is missing, -0.0 is 0.0. Comparing the raw types
would make a column of integers differ from itself once a null has turned it into floats. They are expressions: the
reading of a frame casts in its own threads, and only what depends on all values (do they fit int64?) costs a pass of
its own.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import polars as pl
import polars.selectors as cs

from engine.errors import DataError


class Role(StrEnum):
    """The part that a column plays, and so as what it is read."""

    NUMERICAL = "numerical"
    CATEGORICAL = "categorical"
    IDENTIFIER = "identifier"
    IGNORE = "ignore"


_PER_SECOND = {"ns": 1_000_000_000, "us": 1_000_000, "ms": 1_000}
_WIDE = (pl.UInt64, pl.Int128, pl.UInt128)


def named(name: str) -> pl.Expr:
    """Return the column of this name, whatever the name: `pl.col` takes * and ^...$ for patterns."""
    pattern = name == "*" or (name.startswith("^") and name.endswith("$"))
    return cs.by_name(name).as_expr() if pattern else pl.col(name)


def as_ordered(name: str, dtype: pl.DataType, *, wide: bool = False) -> pl.Expr:
    """Return the column's values as Int64 or Float64; missing values are null.

    Parameters
    ----------
    dtype
        The column's type: numeric, boolean, temporal or null.
    wide
        The column holds whole numbers that int64 does not: they become floats.
    """
    column = named(name)
    if isinstance(dtype, pl.Duration | pl.Datetime):
        return _seconds(column.to_physical(), _PER_SECOND[dtype.time_unit or "us"])
    if dtype == pl.Date:
        return column.to_physical().cast(pl.Int64) * 86_400  # pandas, and some files, hold dates as datetimes
    if not wide and (dtype.is_integer() or dtype in (pl.Boolean, pl.Time)):
        return column.to_physical().cast(pl.Int64)
    column = column.cast(pl.Float64)
    # adding 0.0 would do for -0.0, had polars not optimised it away
    return pl.when(column == 0).then(0.0).when(column.is_not_nan()).then(column).alias(name)


def as_categories(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return the column's values as text; missing values are null.

    `dtype` is the column's type: anything that is neither nested nor bytes nor Python objects.
    """
    column = named(name)
    if dtype.is_decimal():
        column = column.cast(pl.Float64)
    elif dtype == pl.Duration:
        return column.dt.to_string("iso")
    elif dtype == pl.Float16:
        column = column.cast(pl.Float32)  # polars rounds no half floats: 1.5 would be whole
    elif not dtype.is_float():
        return column.cast(pl.String)
    whole = column.is_finite() & (column == column.floor()) & (column.abs() < 2**53)
    return (
        pl.when(whole)
        .then(pl.when(whole).then(column).cast(pl.Int64).cast(pl.String))
        .when(column.is_not_nan())
        .then(column.cast(pl.String))
        .alias(name)
    )


def plan(frame: pl.LazyFrame, roles: Mapping[str, Role]) -> dict[str, pl.Expr]:
    """Return, for each column in `roles`, the expression that reads it in its role.

    What the types alone do not tell is told by one streaming pass over just the columns concerned: whether whole
    numbers of 64 bits without sign, or of 128, fit int64, and whether a column whose type does not fit its role holds
    anything at all.

    Categorical columns come as they are: to turn each value into text costs more than to read it, and what counts
    them turns only the distinct ones.

    Raises
    ------
    DataError
        A column is not there, or holds what cannot be read in its role.
    """
    schema = frame.collect_schema()
    if absent := [name for name in roles if name not in schema]:
        raise DataError(f"the data lacks {', '.join(map(repr, absent))}; it has {', '.join(map(repr, schema))}")
    facts = _facts(frame, schema, roles)
    reading = {}
    for name, role in roles.items():
        dtype = schema[name]
        if not _fits(dtype, role):
            if (example := facts[name]) is not None:
                what = f"{_held(dtype)}: {example!r}" if role is Role.NUMERICAL else _held(dtype)
                raise DataError(f"column {name!r} is compared as {role}, but holds {what}")
            nothing = pl.lit(None, pl.Float64 if role is Role.NUMERICAL else pl.String)
            reading[name] = pl.when(named(name).is_null()).then(nothing).alias(name)
        elif role is Role.NUMERICAL:
            reading[name] = as_ordered(name, dtype, wide=facts.get(name, False))
        else:
            reading[name] = named(name)
    return reading


def ordered(column: pl.Series) -> pl.Series:
    """Return the values as Int64 or Float64; missing values are null.

    Raises
    ------
    DataError
        The column holds what has no order as numbers.
    """
    frame = column.to_frame()
    return frame.select(plan(frame.lazy(), {column.name: Role.NUMERICAL})[column.name]).to_series()


def categories(column: pl.Series) -> pl.Series:
    """Return the values as text; missing values are null.

    Raises
    ------
    DataError
        The column holds what is no single value, such as lists.
    """
    frame = column.to_frame()
    read = frame.select(plan(frame.lazy(), {column.name: Role.CATEGORICAL})[column.name])
    return read.select(as_categories(column.name, read.schema[column.name])).to_series()


def _seconds(ticks: pl.Expr, per_second: int) -> pl.Expr:
    """Return ticks as seconds: the same float for the same time in any unit.

    Whole seconds and the rest apart, since nanoseconds reach 2**53 within 105 days; both of the absolute value, where
    no digits are lost to cancellation. The divisor is a column, because polars multiplies by the reciprocal of a
    number, which rounds differently for each unit.
    """
    size = ticks.abs()
    rest = (size % per_second).cast(pl.Float64)
    return ticks.sign() * ((size // per_second).cast(pl.Float64) + rest / (rest * 0.0 + per_second))


def _fits(dtype: pl.DataType, role: Role) -> bool:
    if role is Role.NUMERICAL:
        return dtype.is_numeric() or dtype.is_temporal() or dtype in (pl.Boolean, pl.Null)
    return not (dtype.is_nested() or dtype in (pl.Object, pl.Binary))


def _facts(frame: pl.LazyFrame, schema: pl.Schema, roles: Mapping[str, Role]) -> dict[str, Any]:
    """Return an example of each column that does not fit its role (None: it is empty), and which integers are wide."""
    examples = [name for name, role in roles.items() if not _fits(schema[name], role)]
    ranged = [name for name, role in roles.items() if role is Role.NUMERICAL and schema[name] in _WIDE]
    if not examples and not ranged:
        return {}
    held = [named(name).drop_nulls().first().alias(name) for name in examples]
    ends = [pl.struct(named(name).min().alias("low"), named(name).max().alias("high")).alias(name) for name in ranged]
    found = frame.select(*held, *ends).collect(engine="streaming").row(0, named=True)
    for name in ranged:
        low, high = found[name].values()
        found[name] = low is not None and not -(2**63) <= low <= high < 2**63
    return found


def _held(dtype: pl.DataType) -> str:
    """Return what a column holds in people's words."""
    if dtype == pl.Binary:
        return "bytes"
    return "lists or structures" if dtype.is_nested() else "text" if dtype == pl.String else str(dtype).lower()
