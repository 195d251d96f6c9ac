"""A pandas DataFrame as a polars one, column by column through numpy.

polars' own conversion needs pyarrow, 170 MB, and gives other types with it than without. pandas is not imported: who
has a frame of it has imported it. Loaded with the first such frame, since nothing else here needs numpy.
"""

from typing import Any

import numpy as np
import polars as pl

from engine.drift.canonical import categories
from engine.errors import DataError


def from_pandas(frame: Any) -> pl.DataFrame:
    """Return the columns of a pandas DataFrame, without its index; NaN, NaT, None and NA are null.

    Raises
    ------
    DataError
        A column holds what no single type does, or two have one name.
    """
    names = [str(name) for name in frame.columns]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"several columns of the pandas DataFrame are named {', '.join(map(repr, repeated))}")
    return pl.DataFrame([_column(name, frame.iloc[:, i]) for i, name in enumerate(names)])


def _column(name: str, column: Any) -> pl.Series:
    """Return a pandas Series, in whatever form pandas holds it, as a polars Series."""
    dtype = column.dtype
    if hasattr(dtype, "pyarrow_dtype") or getattr(dtype, "storage", "") == "pyarrow":
        return pl.Series(name, column.array.__arrow_array__())
    if hasattr(column, "cat"):
        codes = pl.Series(name, column.cat.codes.to_numpy())
        labels = categories(_column(name, column.cat.categories.to_series()))
        return codes.set(codes < 0, None).cat.to(pl.Enum(labels))
    if (zone := getattr(dtype, "tz", None)) is not None:
        utc = _column(name, column.dt.tz_convert("UTC").dt.tz_localize(None))
        return utc.dt.replace_time_zone("UTC").dt.convert_time_zone(str(zone))
    missing = column.isna().to_numpy(dtype=bool)
    plain = getattr(dtype, "numpy_dtype", getattr(dtype, "subtype", dtype))
    if isinstance(plain, np.dtype) and plain.kind in "biuf":
        # a nullable column names its numpy type, and has to be told what to put where nothing is
        values = column.to_numpy(plain, na_value=0) if hasattr(dtype, "numpy_dtype") else np.asarray(column)
        return pl.Series(name, values).set(pl.Series(missing), None)
    if isinstance(plain, np.dtype) and plain.kind in "mM":
        values = column.to_numpy()
        return pl.Series(name, values.astype(f"{plain.kind}8[ms]") if np.datetime_data(plain)[0] == "s" else values)
    objects = column.to_numpy(dtype=object, copy=True)
    objects[missing] = None
    return _from_objects(name, objects.tolist(), text=str(dtype).startswith("str"))


def _from_objects(name: str, objects: list[Any], *, text: bool) -> pl.Series:
    kinds = {type(value) for value in objects} - {type(None)}
    numbers = len(kinds) > 1 and all(issubclass(kind, int | float | np.number) for kind in kinds)
    try:
        found = pl.Series(name, objects, dtype=pl.String if text else pl.Float64 if numbers else None)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        found = pl.Series(name, [], dtype=pl.Object)
    if found.dtype == pl.Object:
        held = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise DataError(f"column {name!r} of the pandas DataFrame holds {held} objects, which are of no one type")
    return found
