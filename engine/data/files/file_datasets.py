"""Datasets of kind `file`: find the files of a path, folder or pattern, and decide how to read them.

A contract sets the types if the format has none (all columns of CSV, dates in NDJSON), texts may be numbers or dates,
and the files must agree in their columns and types.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from os.path import normpath
from pathlib import Path

import polars as pl

from engine.data.column_types import POLARS_DTYPES
from engine.data.files.common_types import find_common_dtype
from engine.data.files.dataset_files import DatasetFiles
from engine.data.files.read_faults import find_file_fault, find_zeros
from engine.data.files.text_columns import find_doubtful_columns, sample_columns
from engine.data.polars_errors import READ_ERRORS, describe_error
from engine.discovery.file_trees import DISK, FileTree
from engine.discovery.listing import KeyValue, list_data_files, split_folders
from engine.drift.reading.column_families import name_type, storage_type
from engine.drift.reading.csv_recognition import recognize_csv_columns
from engine.drift.reading.text_readings import Notation, TextReading, recognize_texts
from engine.errors import DataError
from engine.spec.resources.datasets import Csv, Dataset, FileDataset

_MAX_FILES_SAMPLED = 5
"""Maximum number of files of a typed format whose texts are examined."""

FoundBefore = dict[tuple[object, ...], DatasetFiles]
"""Cached results of `find_files`, by dataset and state of its files, because examining values takes time."""


def find_files(
    dataset: FileDataset,
    root: Path,
    as_of: datetime,
    known: FoundBefore | None = None,
    watch: Callable[[Path], None] = lambda _: None,
    tree: FileTree = DISK,
) -> DatasetFiles:
    """Return the files of a dataset.

    Parameters
    ----------
    dataset
        The dataset as declared.
    root
        The folder to which its path is relative.
    as_of
        The moment of the run; the newest file is one of its day or earlier.
    known
        Cache of results for unchanged files; new results are added.
    watch
        Called with each file before it is read.
    tree
        The tree in which the files are looked for.

    Raises
    ------
    DataError
        No file exists or matches, a file is empty or cannot be opened or read, or the files have different columns or
        types.
    """
    _check_csv_characters(dataset.csv)
    found = list_data_files(
        Path(normpath(root / dataset.path)) if tree is not DISK else root / dataset.path,
        dataset.format,
        newest_until=as_of if dataset.pick == "newest" else None,
        tree=tree,
        compression=dataset.compression,
    )
    if found.format != "csv" and "csv" in dataset.model_fields_set:
        raise DataError(f"csv settings are only for CSV files, but {found.paths[0]} is a {found.format} file")
    for path in found.paths:
        watch(path)
    states = [(path, path.stat()) for path in found.paths]
    key = (
        dataset.model_dump_json(include={"path", "format", "compression", "csv", "columns"}),
        found.notes,
        *((path, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino) for path, state in states),
    )
    if known is not None and key in known:
        return known[key]
    dialect = dataset.csv
    if found.paths[0].suffix.lower() == ".tsv" and "separator" not in dialect.model_fields_set:
        dialect = dialect.model_copy(update={"separator": "\t"})
    names = _name_columns(dataset, found.keys)
    files = DatasetFiles(
        found.paths,
        found.format,
        dialect,
        {},
        keys=found.keys,
        notes=found.notes,
        names=names,
        compression=dataset.compression,
    )
    declared = {name: rule.type for name, rule in dataset.columns.items() if rule.type in POLARS_DTYPES}
    try:
        files = _leave_out_known_keys(files)
        files = _recognize_columns(files, {name: type_ for name, type_ in declared.items() if type_}, dataset)
    except READ_ERRORS as error:
        fault = find_file_fault(files)
        raise DataError(fault or f"{found.paths[0]} cannot be read: {describe_error(error)}") from error
    files = files if len(files.paths) == 1 else _unite_schemas(files)
    if known is not None:
        known[key] = files
    return files


def _name_columns(dataset: FileDataset, keys: Mapping[Path, Mapping[str, KeyValue]]) -> tuple[str, ...]:
    """Return the names that a spec gives to the columns of files without a header; empty if polars names them."""
    inside = tuple(name for name in dataset.columns if name not in next(iter(keys.values()), {}))
    kept = all(re.fullmatch(r"column_[0-9]+", name) for name in inside)
    return () if dataset.csv.header or kept else inside


def read_declared_texts(path: Path, dataset: Dataset) -> DatasetFiles:
    """Return a Parquet file with the rows of a dataset; texts are read as their declared type.

    Raises
    ------
    DataError
        Texts are declared as numbers or dates, and can be read in several ways.
    """
    declared = {name: rule.type for name, rule in dataset.columns.items() if rule.type in POLARS_DTYPES}
    files = DatasetFiles((path,), "parquet", Csv(), {})
    return _recognize_declared_texts(files, {name: type_ for name, type_ in declared.items() if type_}, dataset)


def _leave_out_known_keys(files: DatasetFiles) -> DatasetFiles:
    """Drop the columns in folder names that the files have too: the values in the files have a type."""
    if not files.keys:
        return files
    inside = replace(files, keys={}).scan_paths(files.paths[:1]).collect_schema()
    both = [name for name in next(iter(files.keys.values())) if name in inside]
    if not both:
        return files
    keys = {
        path: {name: value for name, value in named.items() if name not in both} for path, named in files.keys.items()
    }
    listed = ", ".join(map(repr, both))
    note = f"{listed}: a column of the files and a name of their folders; the files' values are read"
    return replace(files, keys=keys if any(keys.values()) else {}, notes=(*files.notes, note))


def _recognize_columns(files: DatasetFiles, declared: Mapping[str, str], dataset: FileDataset) -> DatasetFiles:
    """Decide how text columns are read."""
    named = next(iter(files.keys.values()), {})
    keyed = {name: type_ for name, type_ in declared.items() if name in named}
    if keyed:
        files = replace(files, keys=_retype_keys(files.keys, keyed))
    others = {name: type_ for name, type_ in declared.items() if name not in named}
    if files.format == "csv":
        types = {name: POLARS_DTYPES[type_] for name, type_ in others.items()}
        quiet = {name for name, rule in dataset.columns.items() if rule.role is not None}
        columns = recognize_csv_columns(
            files.paths, files.dialect, types, others, quiet, lambda path, row: files.name_rows(path, [row])[0]
        )
        return replace(
            files,
            types=columns.types,
            readings=columns.readings,
            notes=(*files.notes, *columns.notes),
            warnings=columns.warnings,
            doubtful=columns.doubtful,
        )
    return _recognize_declared_texts(files, others, dataset)


def _retype_keys(
    keys: Mapping[Path, Mapping[str, KeyValue]], declared: Mapping[str, str]
) -> dict[Path, dict[str, KeyValue]]:
    """Return the values in folder names unchanged if the contract declares text: `code=007`."""
    texts = {name for name, type_ in declared.items() if type_ == "text"}
    return {
        path: {**named, **{name: text for name, text in split_folders(path.parts[:-1]) if name in texts}}
        for path, named in keys.items()
    }


def _recognize_declared_texts(files: DatasetFiles, declared: Mapping[str, str], dataset: Dataset) -> DatasetFiles:
    """Read texts as their declared type, in a typed format; warn of columns that look like something else.

    Raises
    ------
    DataError
        Texts are declared as numbers or dates, and can be read in several ways.
    """
    frames = (replace(files, keys={}).scan_paths((path,)) for path in files.paths[:_MAX_FILES_SAMPLED])
    samples = sample_columns(frames)
    readings: dict[str, TextReading] = {}
    for name, type_ in declared.items():
        if type_ == "text" or name not in samples or samples[name].dtype != pl.String:
            continue
        found = recognize_texts(samples[name], Notation(), type_)
        if found.ambiguous and not found.certain:
            raise DataError(
                f"column {name!r} is declared as {type_}, but {found.example!r} can be read in several ways: convert "
                "it where the file is written, or in a query"
            )
        if found.reading is not None or files.format == "ndjson":
            readings[name] = found.reading or TextReading(type_)
    # JSON has no dates, so their declared type has always been a part of the fingerprint.
    dated = [name for name in readings if files.format == "ndjson" and declared[name] in ("date", "datetime")]
    types = {name: POLARS_DTYPES[declared[name]] for name in dated}
    doubtful = find_doubtful_columns(samples, dataset.columns)
    return replace(files, types=types, readings=readings, warnings=tuple(doubtful.values()), doubtful=tuple(doubtful))


def _unite_schemas(files: DatasetFiles) -> DatasetFiles:
    """Check that the files of a glob have the same columns and compatible types, and return them as one dataset."""
    schemas = {path: files.read_schema(path) for path in files.paths}
    first, columns = next(iter(schemas.items()))
    for path, schema in schemas.items():
        if files.format != "ndjson":
            _check_same_columns(first, columns, path, schema)
        if files.format == "csv" and list(schema) != list(columns):
            raise DataError(
                f"{path} has its columns in another order than {first.name}: write the columns of all files of a "
                "dataset in one order"
            )
    types: dict[str, pl.DataType] = {}
    for name in dict.fromkeys(name for schema in schemas.values() for name in schema):
        # a column that is empty in a file (type null) fits any type
        found = {path: storage_type(schema[name]) for path, schema in schemas.items() if name in schema}
        found = {path: dtype for path, dtype in found.items() if dtype != pl.Null}
        types[name] = _require_common_dtype(name, found, files)
    if files.format == "csv":
        # polars infers types from the first file only; these fit all files, with text for a column that is always empty
        return replace(files, types={name: pl.String() if dtype == pl.Null else dtype for name, dtype in types.items()})
    return replace(files, common_types={} if all(schema == columns for schema in schemas.values()) else types)


def _check_same_columns(first: Path, columns: pl.Schema, path: Path, schema: pl.Schema) -> None:
    """Raise a DataError for a file with more or fewer columns than the first file."""
    for name in [*schema, *columns]:
        if name in schema and name in columns:
            continue
        has, lacks = (path, first) if name in schema else (first, path)
        others = columns if name in schema else schema
        alike = next((other for other in others if other.strip().casefold() == name.strip().casefold()), None)
        hint = f", where it is written {alike!r}" if alike is not None else ""
        raise DataError(
            f"{has} has a column {name!r}, but {lacks} does not{hint}; "
            "all files of a dataset must have the same columns"
        )


def _require_common_dtype(name: str, found: Mapping[Path, pl.DataType], files: DatasetFiles) -> pl.DataType:
    """Return the type that holds a column's values of all files unchanged.

    Raises
    ------
    DataError
        There is none, for example for text in one file and numbers in another.
    """
    dtypes = dict.fromkeys(found.values())
    common = find_common_dtype(list(dtypes))
    if common is not None:
        return common
    numbers = [dtype for dtype in dtypes if dtype != pl.Boolean]
    if len(numbers) < len(dtypes) and files.format != "csv" and all(dtype.is_numeric() for dtype in numbers):
        # booleans among numbers that are only 0 and 1 are the same values in another type
        paths = [path for path, dtype in found.items() if dtype != pl.Boolean]
        widest = find_common_dtype(numbers)
        if widest is not None and all(files.holds_only_0_and_1(path, name) for path in paths):
            return widest
    if zeros := find_zeros(files, files.paths):
        raise DataError(zeros)
    first, dtype = next(iter(found.items()))
    path, other = next((path, one) for path, one in found.items() if find_common_dtype([dtype, one]) is None)
    hint = (
        "for CSV files, declare the type under columns"
        if files.format == "csv"
        else f"write {path.name} again with the type of the others"
    )
    raise DataError(
        f"column {name!r} is {_name_with_zone(dtype)} in {first} and {_name_with_zone(other)} in {path}: "
        f"all files of a dataset must have the same types; {hint}"
    )


def _name_with_zone(dtype: pl.DataType) -> str:
    named = name_type(dtype)
    return named if not isinstance(dtype, pl.Datetime) or dtype.time_zone else f"{named} without a time zone"


def _check_csv_characters(dialect: Csv) -> None:
    """Raise a DataError for a separator, quote or escape that polars cannot handle: it accepts only single bytes."""
    for what, character in (("separator", dialect.separator), ("quote", dialect.quote), ("escape", dialect.escape)):
        if character and (not character.isascii() or character in "\r\n"):
            raise DataError(f"csv {what} {character!r} must be one ASCII character other than a line break")
