"""Families of column types: what a column holds, apart from width, unit, encoding or precision.

A reference and a batch rarely hold a column in the same type: in pandas a missing value turns integers into floats,
databases have decimals, CSV files have no types. Such differences within a family do not matter; a change of family
does.
"""

from collections.abc import Mapping

import polars as pl

_CLASSES: dict[str, tuple[type[pl.DataType], ...]] = {
    "boolean": (pl.Boolean,),
    "date": (pl.Date,),
    "datetime": (pl.Datetime,),
    "duration": (pl.Duration,),
    "text": (pl.String, pl.Categorical, pl.Enum),
}


FAMILY_DTYPES: dict[str, pl.DataType] = {
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "datetime": pl.Datetime("us"),
    "duration": pl.Duration("us"),
}
"""The polars type that represents each column type, for any width or unit."""


def column_type(dtype: pl.DataType) -> str:
    """Return the column type of a polars type, or polars' name in lower case if the spec language has no word for it.

    Integers of any width are `integer`, floats and decimals `number`, categories and enums `text`. A column without
    any value may have the type `null`.
    """
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    return next((name for name, types in _CLASSES.items() if isinstance(dtype, types)), str(dtype).lower())


def known_type(dtype: pl.DataType) -> str:
    """Return the column type as a reference stores it: `float32` for floats of fewer than 64 bits.

    A number rounded to 32 bits equals another number only if that one is rounded too.
    """
    return "float32" if dtype in (pl.Float32, pl.Float16) else column_type(dtype)


def unite_known_types(a: Mapping[str, str], b: Mapping[str, str]) -> dict[str, str]:
    """Return the column types of two samples together: different number types become `number`, else the first wins."""
    numbers = {"integer", "number", "float32"}
    both = {name: "number" for name in a if a[name] != b.get(name, a[name]) and {a[name], b[name]} <= numbers}
    return {**b, **a, **both}


def holds_values(dtype: pl.DataType) -> bool:
    """Return whether values of this type can be compared: lists, structures, bytes and Python objects cannot."""
    return not (dtype.is_nested() or dtype in (pl.Object, pl.Binary) or isinstance(dtype, pl.BaseExtension))


def name_type(dtype: pl.DataType) -> str:
    """Return the name of a type for messages: its column type, or polars' name if the spec has no word for it."""
    if isinstance(dtype, pl.BaseExtension):
        return dtype.ext_name()
    return column_type(dtype) if holds_values(dtype) else str(dtype)


def read_storage(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Return the frame with every extension type replaced by the type that stores its values.

    A pandas period keeps its type and is not compared: its storage counts months or days, so it would look like a
    number although it is a time.
    """
    schema = frame.collect_schema()
    stored = [name for name, dtype in schema.items() if storage_type(dtype) != dtype]
    return frame.with_columns(pl.col(name).ext.storage() for name in stored) if stored else frame


def storage_type(dtype: pl.DataType) -> pl.DataType:
    """Return the type that stores the values of an extension type; any other type, and a period, as it is."""
    if isinstance(dtype, pl.BaseExtension) and dtype.ext_name() != "pandas.period":
        storage: pl.DataType = pl.Series([], dtype=dtype.ext_storage()).dtype  # an instance, whatever was registered
        return storage
    return dtype
