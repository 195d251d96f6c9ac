"""The families of column types that the language speaks of, and what polars calls them."""

import polars as pl

_FAMILIES: dict[str, tuple[type[pl.DataType], ...]] = {
    "boolean": (pl.Boolean,),
    "date": (pl.Date,),
    "datetime": (pl.Datetime,),
    "duration": (pl.Duration,),
    "text": (pl.String, pl.Categorical, pl.Enum),
}

IMPOSED: dict[str, pl.DataType] = {
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "datetime": pl.Datetime("us"),
}
"""The type as which a family is read from a format that has no types. No text reads as a duration."""


def family(dtype: pl.DataType) -> str:
    """Return the family of a polars type, or polars' own word where the language has none.

    Integers of any width are `integer`; floats and decimals `number`; categories and enums `text`; `null` is the type
    of a column without any value.
    """
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    return next((name for name, types in _FAMILIES.items() if isinstance(dtype, types)), str(dtype).lower())
