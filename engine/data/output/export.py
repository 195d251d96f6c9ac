"""Write a table into a data file that reads back as the same values, or raise an error that names the column.

A text format has fewer types than a table. Values that would be read back as something else are rejected before the
file appears: an empty text in CSV, which looks like a missing value; NaN, which JSON cannot represent. A type that only
has to be declared again, such as a date in NDJSON, is written. Times with a zone are written in UTC.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl

from engine.atomic_files import replace_file
from engine.data.polars_errors import READ_ERRORS, describe_error
from engine.data.table import Table, explain_read_errors
from engine.errors import DataError

_BINARY_FORMATS = ("parquet", "arrow")

_USE_PARQUET = "write Parquet or Arrow, or convert the column in a query"


def check_exportable(table: Table, format_: str) -> None:
    """Raise a DataError that names the first column whose type a format cannot store; no row is read."""
    with explain_read_errors(table):
        schema = table.frame.collect_schema()
    for name, dtype in schema.items():
        if not _keeps(format_, dtype):
            raise DataError(
                f"dataset {table.name!r}: column {name!r} is of type {dtype.base_type().__name__.lower()}, "
                f"which a {format_} file cannot keep: "
                f"{_USE_PARQUET}"
            )


def export_table(
    table: Table,
    path: Path,
    format_: str,
    *,
    separator: str = ",",
    null_value: str = "",
    verify: Callable[[], None] = lambda: None,
) -> int:
    """Write a table into a file, in pieces; return the number of bytes.

    Parameters
    ----------
    format_
        csv, parquet, ndjson or arrow.
    separator, null_value
        For CSV: the field separator, and the text for a missing value.
    verify
        Called after all rows are written, before the file gets its name; if it raises, the old file is kept.

    Raises
    ------
    DataError
        The table cannot be read, the file cannot be written, or a value would change.
    """
    check_exportable(table, format_)
    with explain_read_errors(table):
        _check_values(table, format_, null_value)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(path) as part:
            try:
                _write_frame(_write_times_in_utc(table.frame, format_), part, format_, separator, null_value)
            except READ_ERRORS as error:
                raise _explain_failure(table, path, error) from error
            verify()
        return path.stat().st_size
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror or error}") from error


def _write_times_in_utc(frame: pl.LazyFrame, format_: str) -> pl.LazyFrame:
    """Return a frame for a text format with times in UTC: local times lack the seconds in the offsets of old zones."""
    if format_ in _BINARY_FORMATS:
        return frame
    zoned = [name for name, dtype in frame.collect_schema().items() if getattr(dtype, "time_zone", None)]
    return frame.with_columns(pl.col(name).dt.convert_time_zone("UTC") for name in zoned)


def _write_frame(frame: pl.LazyFrame, part: Path, format_: str, separator: str, null_value: str) -> None:
    match format_:
        case "parquet":
            frame.sink_parquet(part, engine="streaming")
        case "arrow":
            frame.sink_ipc(part, engine="streaming")
        case "ndjson":
            frame.sink_ndjson(part, engine="streaming")
        case _:
            frame.sink_csv(part, separator=separator, null_value=null_value, engine="streaming")


def _explain_failure(table: Table, path: Path, error: BaseException) -> DataError:
    """Return the error for a failed write: the fault in the data if they cannot be read, else that of the file."""
    try:
        with explain_read_errors(table):
            for _ in table.frame.collect_batches(maintain_order=False):
                pass  # reading is the test
    except DataError as fault:
        return fault
    return DataError(f"{path} cannot be written: {describe_error(error)}")


def _keeps(format_: str, dtype: pl.DataType) -> bool:
    """Return whether values of a type can be read back from a file of this format."""
    if dtype == pl.Object:
        return False
    if format_ in _BINARY_FORMATS:
        return True
    if format_ == "csv":
        return not (dtype.is_nested() or dtype in (pl.Binary, pl.Duration))
    if isinstance(dtype, pl.List | pl.Array):
        return _keeps(format_, _inner_type(dtype))
    if isinstance(dtype, pl.Struct):
        return bool(dtype.fields) and all(_keeps(format_, _inner_type(field)) for field in dtype.fields)
    return dtype not in (pl.Binary, pl.Duration, pl.Time)


def _inner_type(of: pl.List | pl.Array | pl.Field) -> pl.DataType:
    inner = of.dtype if isinstance(of, pl.Field) else of.inner
    return inner if isinstance(inner, pl.DataType) else inner()


def _check_values(table: Table, format_: str, null_value: str) -> None:
    """Raise a DataError that names the first column with a value that the format would change."""
    schema = table.frame.collect_schema()
    wrong = {
        name: test for name, dtype in schema.items() for test in _find_lost_values(name, dtype, format_, null_value)
    }
    if format_ == "ndjson" and table.frame.limit(1).collect().is_empty():
        raise DataError(
            f"dataset {table.name!r} has no rows, and an NDJSON file without rows has no columns: {_USE_PARQUET}"
        )
    if not wrong:
        return
    counts = table.frame.select(test.sum().alias(name) for name, test in wrong.items()).collect(engine="streaming")
    for name, count in counts.row(0, named=True).items():
        if count:
            what = "NaN or infinite, for which JSON has no word"
            remedy = _USE_PARQUET
            if format_ == "csv":
                what = f"the text {null_value!r}, which stands for a missing value in the file"
                remedy = f"{_USE_PARQUET}, or set csv: {{null_value: …}} to a text that no value is"
            values = "1 value is" if count == 1 else f"{count:,} values are"
            raise DataError(f"dataset {table.name!r}: in column {name!r}, {values} {what}: {remedy}")


def _find_lost_values(name: str, dtype: pl.DataType, format_: str, null_value: str) -> Iterator[pl.Expr]:
    """Yield an expression that is true for values that are lost, if the type has such values."""
    if format_ == "csv" and dtype in (pl.String, pl.Categorical, pl.Enum):
        yield pl.col(name).cast(pl.String) == null_value
    elif format_ == "ndjson" and (test := _find_non_finite(pl.col(name), dtype)) is not None:
        yield test


def _find_non_finite(values: pl.Expr, dtype: pl.DataType) -> pl.Expr | None:
    """Return an expression that is true if a value is, or contains, a number that is not finite."""
    if dtype.is_float():
        return ~values.is_finite()
    if isinstance(dtype, pl.Array):
        return _find_non_finite(values.arr.to_list(), pl.List(dtype.inner))
    if isinstance(dtype, pl.List):
        inside = _find_non_finite(pl.element(), _inner_type(dtype))
        return None if inside is None else values.list.eval(inside).list.any()
    if isinstance(dtype, pl.Struct):
        tests = [_find_non_finite(values.struct.field(one.name), _inner_type(one)) for one in dtype.fields]
        found = [test for test in tests if test is not None]
        return pl.any_horizontal(found) if found else None
    return None
