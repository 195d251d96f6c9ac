"""Classes of a target, whatever their type: one canonical text decides which value is which class.

A label is 1 in Parquet, "1" in a badly read CSV, 1.0 where a null made an integer a float, true where a database
knows booleans. Comparing native values would call these four classes; comparing their canonical text does not.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.drift.canonical import categories
from engine.errors import ModelError

Class = bool | int | float | str

MAX_CLASSES = 1_000


def canonical(values: pl.Series) -> pl.Series:
    """Return the canonical text of the values, null where one is missing."""
    return categories(values.cast(pl.Int8) if values.dtype == pl.Boolean else values)


def text(value: Class) -> str:
    """Return the canonical text of one class."""
    if isinstance(value, str):
        return value
    return str(int(value)) if math.isfinite(value) and value == int(value) else str(float(value))


def codes(values: pl.Series, classes: Sequence[Class]) -> npt.NDArray[np.int64]:
    """Return each value's place in `classes`, shape (n,); -1 where it is missing, -2 where it is no class."""
    texts = canonical(values)
    places = texts.cast(pl.Enum([text(c) for c in classes]), strict=False).to_physical().cast(pl.Int64).fill_null(-2)
    return np.where(texts.is_null().to_numpy(), -1, places.to_numpy())


def observed(values: pl.Series) -> tuple[Class, ...]:
    """Return the distinct values, sorted, as plain Python values: whole floats as integers, categories as text."""
    if isinstance(values.dtype, pl.Categorical | pl.Enum):
        values = values.cast(pl.String)
    elif values.dtype.is_float() or values.dtype.is_decimal():
        values = values.cast(pl.Float64).fill_nan(None)
    distinct = values.drop_nulls().unique().sort().to_list()
    return tuple(int(v) if isinstance(v, float) and v.is_integer() else v for v in distinct)


def positive_of(classes: Sequence[Class], declared: Class | None, where: str) -> Class:
    """Return the positive one of two classes: the declared one, else the larger.

    Raises
    ------
    ModelError
        The declared one is not among them.
    """
    if declared is None:
        return classes[-1]
    for one in classes:
        if text(one) == text(declared):
            return one
    raise ModelError(
        f"{where}: positive is {declared!r}, but the classes are {listed(classes)}; say one of these as positive"
    )


def listed(names: Sequence[object], most: int = 10) -> str:
    """Return the names for a message, at most `most` of them."""
    shown = ", ".join(str(name) for name in names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown
