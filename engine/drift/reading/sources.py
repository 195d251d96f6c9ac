"""Open a table of any form as a polars LazyFrame: polars, pandas, Arrow data, files.

Neither pandas nor pyarrow is imported; the object itself provides its data. Any object with Arrow's PyCapsule interface
is accepted as a table, because a list of types would never be complete.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from engine.discovery.listing import FoundFiles, KeyValue, list_data_files
from engine.drift.reading.column_families import read_storage
from engine.drift.reading.csv_files import CsvColumns, CsvDialect, needs_conversion, scan_csv_files
from engine.drift.reading.csv_recognition import recognize_csv_columns
from engine.drift.reading.file_scans import ScanFiles, add_key_columns, is_read_alone, scan_typed_files
from engine.errors import DataError

ACCEPTED_FORMS = (
    "a polars or pandas DataFrame, a LazyFrame, an Arrow table, record batches, or the path of a file or folder of "
    "Parquet, CSV, NDJSON or Arrow"
)


def scan_table(data: Any) -> pl.LazyFrame:
    """Return the rows of `data` as a lazy frame.

    Parameters
    ----------
    data
        One of

        - a polars LazyFrame or DataFrame, or a pandas DataFrame (its index is ignored);
        - an object that provides an Arrow stream or struct array of columns, or an iterable of such objects;
        - a path to a file, a glob of files, or a folder of files: Parquet, CSV, NDJSON or Arrow. They are read in the
          order of their paths; folders named `column=value` add columns, and what starts with `_` or `.` is left out.

        Files are read when the frame is collected. Other data is kept in memory, since a stream can be read only once.

    Raises
    ------
    DataError
        `data` is none of these, a file is missing, or a pandas column holds objects of no single type.

    Notes
    -----
    Columns of extension types have the type that stores their values (see `read_storage`).
    """
    return open_table(data).frame


def hold_rows(data: Any) -> pl.DataFrame:
    """Return the rows of `data`, in any form that `scan_table` accepts, as a frame in memory; raises the same."""
    if isinstance(data, pl.DataFrame):
        return data
    with translate_read_errors():
        return scan_table(data).collect()


class OpenedTable(NamedTuple):
    """The rows of a table, notes on how its files are read, and the paths of the files."""

    frame: pl.LazyFrame
    notes: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


def open_table(data: Any) -> OpenedTable:
    """Return the rows of `data` as `scan_table` does, with notes and the paths of its files.

    Raises
    ------
    DataError
        As `scan_table`.
    """
    with translate_read_errors():
        opened = _open_form(data)
        return opened._replace(frame=read_storage(opened.frame))


def _open_form(data: Any) -> OpenedTable:
    if isinstance(data, str | Path):
        return _open_path(Path(data))
    if is_spark_frame(data):
        raise DataError(
            "a Spark DataFrame is read by its executors, which only profile, compare, roles and sample ask for: give "
            "the rows of sample(…), or all of them as data.toArrow()"
        )
    return OpenedTable(data if isinstance(data, pl.LazyFrame) else _hold_table(data))


def _hold_table(data: Any) -> pl.LazyFrame:
    if _is_table(data):
        return _to_polars(data).lazy()
    parts = list(data) if isinstance(data, Iterable) and not isinstance(data, Mapping | bytes) else []
    if not parts or not all(map(_is_table, parts)):
        raise DataError(f"{_qualified_type_name(data)} is not a table; give {ACCEPTED_FORMS}")
    try:
        return pl.concat([_to_polars(part) for part in parts], rechunk=False).lazy()
    except pl.exceptions.PolarsError as problem:
        raise DataError(f"the record batches differ in their columns: {problem}") from problem


@contextmanager
def translate_read_errors(what: object = "the data") -> Iterator[None]:
    """Raise a `DataError` that names `what` if reading fails in the block or in the decorated function.

    The block must contain the whole work on a frame, because polars fails only when it reaches the faulty row.

    Raises
    ------
    DataError
        Reading failed.
    """
    try:
        yield
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as problem:
        reason, _, _ = str(problem).strip().partition("\n")
        raise DataError(f"{what} cannot be read: {reason}") from problem


def _is_table(data: Any) -> bool:
    if isinstance(data, pl.DataFrame) or _is_pandas(data):
        return True
    # a pandas Series provides a stream too, but only if pyarrow is installed; it is not a table
    outside_pandas = type(data).__module__.partition(".")[0] != "pandas"
    return outside_pandas and (hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"))


def _is_pandas(data: Any) -> bool:
    return any(cls.__name__ == "DataFrame" and cls.__module__.split(".")[0] == "pandas" for cls in type(data).__mro__)


def is_spark_frame(data: Any) -> bool:
    """Return whether this is a Spark DataFrame, classic or Connect."""
    classes = type(data).__mro__
    return any(cls.__name__ == "DataFrame" and cls.__module__.startswith("pyspark.sql.") for cls in classes)


def _qualified_type_name(data: Any) -> str:
    return f"{type(data).__module__}.{type(data).__qualname__}".removeprefix("builtins.")


def _to_polars(data: Any) -> pl.DataFrame:
    if isinstance(data, pl.DataFrame):
        return data
    if _is_pandas(data):
        from engine.drift.reading.from_pandas import from_pandas

        return from_pandas(data)
    try:
        return pl.DataFrame(data)
    except pl.exceptions.PolarsError as problem:
        raise DataError(f"{_qualified_type_name(data)} is not a table: {problem}") from problem


def _open_path(path: Path) -> OpenedTable:
    found = list_data_files(path)
    notes, readings = found.notes, CsvColumns()
    with translate_read_errors(path):
        if found.format == "csv":
            dialect = CsvDialect(null_values=(), separator="\t" if found.paths[0].suffix.lower() == ".tsv" else ",")
            readings = recognize_csv_columns(
                found.paths, dialect, {}, {}, (), lambda file, row: f"row {row} of {file.name}"
            )
            notes = (*readings.warnings, *notes, *readings.notes)

            def scan_csv(files: Sequence[Path], column: str | None) -> pl.LazyFrame:
                return scan_csv_files(files, dialect, readings, path_column=column)

            apart = bool(found.keys) and any(needs_conversion(file, dialect) for file in found.paths)
            frame = add_key_columns(found.paths, found.keys, scan_csv, apart=apart)
        else:
            apart = any(is_read_alone(file) for file in found.paths)
            scan = partial(scan_typed_files, found.format, None)
            frame = add_key_columns(found.paths, _leave_out_columns(found, scan), scan, apart=apart)
        frame.collect_schema()  # polars opens the files here for the first time
    return OpenedTable(frame, notes, tuple(found.paths))


def _leave_out_columns(found: FoundFiles, scan: ScanFiles) -> dict[Path, dict[str, KeyValue]]:
    """Return the columns given by folder names, without those that the files have too."""
    inside = scan(found.paths[:1], None).collect_schema() if found.keys else ()
    kept = {path: {name: one for name, one in keys.items() if name not in inside} for path, keys in found.keys.items()}
    return kept if any(kept.values()) else {}
