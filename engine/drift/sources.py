"""Open a table of any form as a polars LazyFrame: polars, pandas, Arrow data, files.

Neither pandas nor pyarrow is imported: the caller's object is asked for its data. Any object that implements Arrow's
PyCapsule interface is accepted as a table; a list of types would never be complete.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import polars as pl

from engine.drift.column_families import read_storage
from engine.errors import DataError

ACCEPTED_FORMS = (
    "a polars or pandas DataFrame, a LazyFrame, an Arrow table, record batches, or the path of a Parquet, CSV or "
    "Arrow file or of a folder of Parquet files"
)


def scan_table(data: Any) -> pl.LazyFrame:
    """Return the rows of `data` as a lazy frame.

    Parameters
    ----------
    data
        One of

        - a polars LazyFrame or DataFrame, or a pandas DataFrame (its index is ignored);
        - an object that provides an Arrow stream or struct array of columns, or an iterable of such objects;
        - a path to a file (`.parquet`, `.pq`, `.csv`, `.csv.gz`, `.arrow`, `.ipc`, `.feather`) or a glob of files;
        - a path to a folder: all its Parquet files are read in the order of their paths, and folders named
          `column=value` add columns.

        Files are read when the frame is collected. Other data is kept in memory, since a stream can be read only once.

    Raises
    ------
    DataError
        `data` is none of these, a file is missing, or a pandas column holds objects of no single type.

    Notes
    -----
    Columns of extension types have the type that stores their values (see `read_storage`).
    """
    with translate_read_errors():
        return read_storage(_open_table(data))


def _open_table(data: Any) -> pl.LazyFrame:
    if isinstance(data, pl.LazyFrame):
        return data
    if isinstance(data, str | Path):
        return _scan_path(Path(data))
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
    """Raise a `DataError` that names `what` if reading fails in the block, or in the decorated function.

    It surrounds the whole work on a frame, because polars fails only when it reaches the faulty row.

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
    # a pandas Series provides a stream as well, but only with pyarrow installed, and is not a table
    outside_pandas = type(data).__module__.partition(".")[0] != "pandas"
    return outside_pandas and (hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"))


def _is_pandas(data: Any) -> bool:
    return any(cls.__name__ == "DataFrame" and cls.__module__.split(".")[0] == "pandas" for cls in type(data).__mro__)


def _qualified_type_name(data: Any) -> str:
    return f"{type(data).__module__}.{type(data).__qualname__}".removeprefix("builtins.")


def _to_polars(data: Any) -> pl.DataFrame:
    if isinstance(data, pl.DataFrame):
        return data
    if _is_pandas(data):
        from engine.drift.from_pandas import from_pandas

        return from_pandas(data)
    try:
        return pl.DataFrame(data)
    except pl.exceptions.PolarsError as problem:
        raise DataError(f"{_qualified_type_name(data)} is not a table: {problem}") from problem


def _scan_path(path: Path) -> pl.LazyFrame:
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.suffix.lower() in (".parquet", ".pq"))
    elif path.exists() or not has_magic(str(path)):
        files = [path]
    else:
        files = sorted(map(Path, glob(str(path), recursive=True)))  # noqa: PTH207  Path.glob wants a folder to start from
    if not files:
        raise DataError(f"the folder {path} holds no Parquet file" if path.is_dir() else f"no file matches {path}")
    readers = {_choose_scanner(file) for file in files}
    if len(readers) > 1:
        raise DataError(f"{path} matches files of several formats; give a path that matches only one")
    if absent := [file for file in files if not file.exists()]:
        raise DataError(f"there is no file {absent[0]}")
    with translate_read_errors(path):
        frame = readers.pop()(files, path.is_dir())
        frame.collect_schema()  # polars opens the files here for the first time
    return frame


def _choose_scanner(file: Path) -> Callable[[list[Path], bool], pl.LazyFrame]:
    for endings, reader in _SCANNERS.items():
        if file.name.lower().endswith(endings):
            return reader
    endings_text = ", ".join(ending for endings in _SCANNERS for ending in endings)
    raise DataError(f"{file} has an unknown ending; known endings are {endings_text}")


def _scan_parquet_files(files: list[Path], folder: bool) -> pl.LazyFrame:
    return pl.scan_parquet(files, glob=False, hive_partitioning=folder)


def _scan_csv_files(files: list[Path], _: bool) -> pl.LazyFrame:
    return pl.scan_csv(files, glob=False, infer_schema_length=10_000, try_parse_dates=True)


def _scan_arrow_files(files: list[Path], _: bool) -> pl.LazyFrame:
    return pl.scan_ipc(files, glob=False, hive_partitioning=False)


_SCANNERS = {
    (".parquet", ".pq"): _scan_parquet_files,
    (".csv", ".csv.gz"): _scan_csv_files,
    (".arrow", ".ipc", ".feather"): _scan_arrow_files,
}
