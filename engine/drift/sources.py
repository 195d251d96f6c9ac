"""Whatever holds a table becomes a lazy frame: polars, pandas, Arrow in any form, files.

Nobody has to convert first, and neither pandas nor pyarrow is imported: what the caller has is asked for what it
holds. A list of the types that are known would always lack one; what speaks Arrow's capsule protocol is a table.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import polars as pl

from engine.errors import DataError

ALLOWED = (
    "a polars or pandas DataFrame, a LazyFrame, an Arrow table, record batches, or the path of a Parquet, CSV or "
    "Arrow file or of a folder of Parquet files"
)


def scan(data: Any) -> pl.LazyFrame:
    """Return the rows of `data` as a lazy frame.

    Parameters
    ----------
    data
        A polars LazyFrame or DataFrame; a pandas DataFrame (its index is not a column); anything that offers an Arrow
        stream or struct array of columns, or an iterable of such; a path, str or Path: `.parquet`, `.pq`, `.csv`,
        `.csv.gz`, `.arrow`, `.ipc`, `.feather`, a glob of these, or a folder, of which all Parquet files are read in
        the order of their paths, with the columns that folders named `column=value` add. Files are read when the
        frame is; the rest is held in memory, since a stream can be read but once.

    Raises
    ------
    DataError
        It is none of these, a file is missing, or a pandas column holds what no single type does.
    """
    if isinstance(data, pl.LazyFrame):
        return data
    if isinstance(data, str | Path):
        return _files(Path(data))
    if _is_table(data):
        return _table(data).lazy()
    parts = list(data) if isinstance(data, Iterable) and not isinstance(data, Mapping | bytes) else []
    if not parts or not all(map(_is_table, parts)):
        raise DataError(f"{_kind(data)} is no table; give {ALLOWED}")
    try:
        return pl.concat([_table(part) for part in parts], rechunk=False).lazy()
    except pl.exceptions.PolarsError as problem:
        raise DataError(f"the record batches differ in their columns: {problem}") from problem


@contextmanager
def readable(what: object = "the data") -> Iterator[None]:
    """Say what cannot be read, in which polars fails as late as the faulty row is reached.

    Raises
    ------
    DataError
        Reading fails in the block, or in what the function does that this decorates.
    """
    try:
        yield
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as problem:
        reason, _, _ = str(problem).strip().partition("\n")
        raise DataError(f"{what} cannot be read: {reason}") from problem


def _is_table(data: Any) -> bool:
    if isinstance(data, pl.DataFrame) or _is_pandas(data):
        return True
    # a pandas Series offers a stream too, and then misses pyarrow
    other = type(data).__module__.partition(".")[0] != "pandas"
    return other and (hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"))


def _is_pandas(data: Any) -> bool:
    return any(cls.__name__ == "DataFrame" and cls.__module__.split(".")[0] == "pandas" for cls in type(data).__mro__)


def _kind(data: Any) -> str:
    return f"{type(data).__module__}.{type(data).__qualname__}".removeprefix("builtins.")


def _table(data: Any) -> pl.DataFrame:
    if isinstance(data, pl.DataFrame):
        return data
    if _is_pandas(data):
        from engine.drift.from_pandas import from_pandas

        return from_pandas(data)
    try:
        return pl.DataFrame(data)
    except pl.exceptions.PolarsError as problem:
        raise DataError(f"the {_kind(data)} is no table: {problem}") from problem


def _files(path: Path) -> pl.LazyFrame:
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in (".parquet", ".pq"))
    elif path.exists() or not has_magic(str(path)):
        found = [path]
    else:
        found = sorted(map(Path, glob(str(path), recursive=True)))  # noqa: PTH207  Path.glob wants a folder to start from
    if not found:
        raise DataError(f"the folder {path} holds no Parquet file" if path.is_dir() else f"no file matches {path}")
    readers = {_reader(file) for file in found}
    if len(readers) > 1:
        raise DataError(f"{path} matches files of several formats; give one")
    if absent := [file for file in found if not file.exists()]:
        raise DataError(f"there is no file {absent[0]}")
    with readable(path):
        frame = readers.pop()(found, path.is_dir())
        frame.collect_schema()  # the first moment at which polars looks at a file
    return frame


def _reader(file: Path) -> Callable[[list[Path], bool], pl.LazyFrame]:
    for endings, reader in _READERS.items():
        if file.name.lower().endswith(endings):
            return reader
    known = ", ".join(ending for endings in _READERS for ending in endings)
    raise DataError(f"{file} has none of the endings {known}")


def _parquet(files: list[Path], folder: bool) -> pl.LazyFrame:
    return pl.scan_parquet(files, glob=False, hive_partitioning=folder)


def _csv(files: list[Path], _: bool) -> pl.LazyFrame:
    return pl.scan_csv(files, glob=False, infer_schema_length=10_000, try_parse_dates=True)


def _arrow(files: list[Path], _: bool) -> pl.LazyFrame:
    return pl.scan_ipc(files, glob=False, hive_partitioning=False)


_READERS = {(".parquet", ".pq"): _parquet, (".csv", ".csv.gz"): _csv, (".arrow", ".ipc", ".feather"): _arrow}
