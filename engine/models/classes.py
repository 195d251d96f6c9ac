"""Classes of a target, compared by a canonical text (their label) whatever their type.

The same class is 1 in Parquet, "1" in a CSV column read as text, 1.0 where a null made integers floats, and true where
a database has booleans. Compared as they are, these would be four classes; their labels are equal.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from engine.drift.normalization import normalize_categories
from engine.errors import ModelError
from engine.formatting.lists import join_some

ClassValue = bool | int | float | str

MAX_CLASSES = 1_000


def class_labels(values: pl.Series) -> pl.Series:
    """Return the labels of the values: canonical texts, null where a value is missing."""
    return normalize_categories(values.cast(pl.Int8) if values.dtype == pl.Boolean else values)


def label_of(value: ClassValue) -> str:
    """Return the label of one class: 1, 1.0, True and "1" all give "1"."""
    if isinstance(value, str):
        return value
    return str(int(value)) if math.isfinite(value) and value == int(value) else str(float(value))


def encode_classes(values: pl.Series, classes: Sequence[ClassValue]) -> npt.NDArray[np.int64]:
    """Return the index of each value in `classes`, shape (n,): -1 for a missing value, -2 for an unknown class."""
    texts = class_labels(values)
    # An Enum of the labels maps each text to its position in one vectorised step; unknown texts become null.
    places = (
        texts.cast(pl.Enum([label_of(c) for c in classes]), strict=False).to_physical().cast(pl.Int64).fill_null(-2)
    )
    return np.where(texts.is_null().to_numpy(), -1, places.to_numpy())


def distinct_classes(values: pl.Series) -> tuple[ClassValue, ...]:
    """Return the distinct values without missing ones, sorted, as Python values.

    Whole floats become integers; categories and enums become text.
    """
    if isinstance(values.dtype, pl.Categorical | pl.Enum):
        values = values.cast(pl.String)
    elif values.dtype.is_float() or values.dtype.is_decimal():
        values = values.cast(pl.Float64).fill_nan(None)
    distinct = values.drop_nulls().unique().sort().to_list()
    return tuple(int(v) if isinstance(v, float) and v.is_integer() else v for v in distinct)


def find_positive_class(classes: Sequence[ClassValue], declared: ClassValue | None, where: str) -> ClassValue:
    """Return the positive class of two sorted classes: the declared one, else the larger.

    Raises
    ------
    ModelError
        The declared class is not among them.
    """
    if declared is None:
        return classes[-1]
    for one in classes:
        if label_of(one) == label_of(declared):
            return one
    raise ModelError(
        f"{where}: positive is {declared!r}, but the classes are {join_some(classes)}; set positive to one of these"
    )
