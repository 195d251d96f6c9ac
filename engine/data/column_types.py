"""Column types as a spec names them (`type: number`), and the polars types that belong to each."""

import polars as pl

_DTYPE_CLASSES: dict[str, tuple[type[pl.DataType], ...]] = {
    "boolean": (pl.Boolean,),
    "date": (pl.Date,),
    "datetime": (pl.Datetime,),
    "duration": (pl.Duration,),
    "text": (pl.String, pl.Categorical, pl.Enum),
}

POLARS_DTYPES: dict[str, pl.DataType] = {
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "text": pl.String(),
    "boolean": pl.Boolean(),
    "date": pl.Date(),
    "datetime": pl.Datetime("us"),
}
"""The polars type that a column type is read as where the file format has no types, as in CSV.

`duration` is missing: polars parses no text as a duration.
"""


def column_type(dtype: pl.DataType) -> str:
    """Return the column type of a polars type, or polars' name for it in lower case where a spec has no word for it.

    Integers of any width are `integer`, floats and decimals `number`, categories and enums `text`. A column without
    any value may have the type `null`.
    """
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    return next((name for name, types in _DTYPE_CLASSES.items() if isinstance(dtype, types)), str(dtype).lower())
