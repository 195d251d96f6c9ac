"""Convert a pandas DataFrame to a polars DataFrame, column by column, through numpy.

polars' own conversion needs pyarrow (170 MB), and its result types depend on whether pyarrow is installed. pandas is
not imported here: a caller that has a pandas frame has imported it. This module is imported for the first such frame,
because opening any other table does not need numpy.
"""

from typing import Any
from uuid import UUID

import numpy as np
import polars as pl

from engine.drift.reading.normalization import normalize_categories
from engine.errors import DataError


def from_pandas(frame: Any) -> pl.DataFrame:
    """Return the columns of a pandas DataFrame, without its index; NaN, NaT, None and NA become null.

    Periods become the datetimes of their start. Objects of several types, such as texts among numbers, become text, and
    so do intervals and UUIDs. Any other object is kept, and not compared.

    Raises
    ------
    DataError
        Two columns have the same name.
    """
    names = [str(name) for name in frame.columns]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(
            f"several columns of the pandas DataFrame are named {', '.join(map(repr, repeated))}; "
            "give every column another name"
        )
    return pl.DataFrame([_convert_series(name, frame.iloc[:, i]) for i, name in enumerate(names)])


def _convert_series(name: str, column: Any) -> pl.Series:
    """Return a pandas Series, in any of the storage forms of pandas, as a polars Series."""
    dtype = column.dtype
    if hasattr(dtype, "pyarrow_dtype") or getattr(dtype, "storage", "") == "pyarrow":
        return pl.Series(name, column.array.__arrow_array__())
    if hasattr(column, "cat"):
        codes = pl.Series(name, column.cat.codes.to_numpy())
        labels = normalize_categories(_convert_series(name, column.cat.categories.to_series()))
        return codes.set(codes < 0, None).cat.to(pl.Enum(labels))
    if (zone := getattr(dtype, "tz", None)) is not None:
        utc = _convert_series(name, column.dt.tz_convert("UTC").dt.tz_localize(None))
        return utc.dt.replace_time_zone("UTC").dt.convert_time_zone(str(zone))
    if str(dtype).startswith("period["):
        return _convert_series(name, column.dt.to_timestamp())
    missing = column.isna().to_numpy(dtype=bool)
    of_pairs = str(dtype).startswith("interval[")  # an interval is two numbers, although its subtype is one
    plain = None if of_pairs else getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype))
    if isinstance(plain, np.dtype) and plain.kind in "biuf":
        # a nullable column has values and a mask: 0 stands for missing values, which the mask then makes null
        values = column.to_numpy(plain, na_value=0) if hasattr(dtype, "numpy_dtype") else np.asarray(column)
        return pl.Series(name, values).set(pl.Series(missing), None)
    if isinstance(plain, np.dtype) and plain.kind in "mM":
        values = column.to_numpy()
        return pl.Series(name, values.astype(f"{plain.kind}8[ms]") if np.datetime_data(plain)[0] == "s" else values)
    objects = column.to_numpy(dtype=object, copy=True)
    objects[missing] = None
    return _convert_objects(name, objects.tolist(), text=str(dtype).startswith("str"))


def _convert_objects(name: str, objects: list[Any], *, text: bool) -> pl.Series:
    """Return Python objects, None where missing, as a polars Series; mixed integers and floats become floats."""
    kinds = {type(value) for value in objects} - {type(None)}
    numbers = len(kinds) > 1 and all(issubclass(kind, int | float | np.number) for kind in kinds)
    try:
        series = pl.Series(name, objects, dtype=pl.String if text else pl.Float64 if numbers else None)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        series = pl.Series(name, [], dtype=pl.Object)
    if series.dtype != pl.Object:
        return series
    if all(issubclass(kind, _WRITTEN_AS_TEXT) or kind.__name__ == "Interval" for kind in kinds):
        return pl.Series(name, [None if value is None else _write_text(value) for value in objects], dtype=pl.String)
    return pl.Series(name, objects, dtype=pl.Object)


_WRITTEN_AS_TEXT = (str, int, float, np.number, np.bool_, UUID)


def _write_text(value: Any) -> str:
    """Return a value as text, as categories are written: `true`, and `3` for 3.0."""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if whole else str(value)
