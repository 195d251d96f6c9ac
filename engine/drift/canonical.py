"""One way to read a column's values, whatever type holds them, so that equal values compare equal on both sides.

Numbers become float64, or int64 where the column holds whole numbers (exact beyond 2**53); durations become seconds;
categories become text, with 1.0 and 1 the same category. NaN is missing, -0.0 is 0.0. Comparing the raw types would
make a column of integers differ from itself once a null has turned it into floats.
"""

import polars as pl

from engine.errors import DataError

_PER_SECOND = {"ns": 1e9, "us": 1e6, "ms": 1e3}


def ordered(column: pl.Series) -> pl.Series:
    """Return the values as Int64 or Float64; missing values are null.

    Raises
    ------
    DataError
        The column holds what has no order as numbers.
    """
    dtype = column.dtype
    if isinstance(dtype, pl.Duration | pl.Datetime):
        # numpy divides; polars multiplies by the reciprocal, and milliseconds would differ from nanoseconds
        ticks = column.to_physical().cast(pl.Float64).to_numpy()
        column = pl.Series(column.name, ticks / _PER_SECOND[dtype.time_unit or "us"])
    elif dtype in (pl.Date, pl.Time):
        column = column.to_physical()
    elif column.null_count() == len(column):
        return column.clear().extend_constant(None, len(column)).cast(pl.Int64 if dtype.is_integer() else pl.Float64)
    elif not (dtype.is_numeric() or dtype == pl.Boolean):
        example = column.drop_nulls()[0]
        raise DataError(f"column {column.name!r} is compared as numerical, but holds {_held(dtype)}: {example!r}")
    if column.dtype.is_integer() or column.dtype == pl.Boolean:
        low, high = column.min(), column.max()
        wide = isinstance(low, int) and isinstance(high, int) and not (-(2**63) <= low <= high < 2**63)
        return column.cast(pl.Float64 if wide else pl.Int64)
    column = column.cast(pl.Float64).fill_nan(None)
    return column + 0.0  # turns -0.0 into 0.0


def categories(column: pl.Series) -> pl.Series:
    """Return the values as text; missing values are null.

    Raises
    ------
    DataError
        The column holds what is no single value, such as lists.
    """
    dtype = column.dtype
    if dtype.is_nested() or dtype in (pl.Object, pl.Binary):
        raise DataError(f"column {column.name!r} is compared as categorical, but holds {_held(dtype)}")
    if dtype.is_decimal():
        column = column.cast(pl.Float64)
    if column.dtype.is_float():
        column = column.fill_nan(None)
        whole = column.is_finite() & (column == column.floor()) & (column.abs() < 2**53)
        frame = column.alias("value").to_frame().with_columns(whole.alias("whole"))
        return frame.select(
            pl.when("whole")
            .then(pl.when("whole").then("value").cast(pl.Int64).cast(pl.String))
            .otherwise(pl.col("value").cast(pl.String))
            .alias(column.name)
        ).to_series()
    return column.cast(pl.String)


def hashable(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return the column as something whose hash depends on its values alone."""
    column = pl.col(name)
    return column.cast(pl.String) if isinstance(dtype, pl.Enum) else column


def _held(dtype: pl.DataType) -> str:
    """Return what a column holds in people's words."""
    if dtype == pl.Binary:
        return "bytes"
    return "lists or structures" if dtype.is_nested() else "text" if dtype == pl.String else str(dtype).lower()
