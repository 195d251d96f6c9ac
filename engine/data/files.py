"""Datasets of kind `file`: one file, or the files of a folder or pattern, of one format, scanned lazily.

polars reads the formats. This module decides which types a contract sets where the format has none (all columns of CSV,
dates in NDJSON), how texts are read that are numbers or dates, and whether the files agree. polars' errors name neither
file nor line, so `DatasetFiles.find_fault` reads the files again to find the place.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from os.path import relpath
from pathlib import Path
from typing import Any

import polars as pl

from engine.data.column_types import POLARS_DTYPES
from engine.data.common_types import cast_exactly, find_common_dtype
from engine.data.csv_faults import (
    find_record_fault,
    find_stray_quote,
    find_value_fault,
    locate_rows,
    may_have_short_line,
)
from engine.data.fingerprints import FileHashes, hash_file
from engine.data.polars_errors import READ_ERRORS, describe_error
from engine.data.text_columns import find_doubtful_columns, sample_columns
from engine.digests import digest_texts
from engine.discovery.formats import is_text, open_bytes, read_head
from engine.discovery.listing import KeyValue, list_data_files, split_folders
from engine.drift.reading.column_families import name_type, read_storage, storage_type
from engine.drift.reading.csv_files import (
    INFER_ROWS,
    CsvColumns,
    CsvDialect,
    needs_conversion,
    read_column_names,
    recognize_csv_columns,
    scan_csv_files,
    scan_csv_texts,
)
from engine.drift.reading.file_scans import add_key_columns, is_json_array, is_read_alone, scan_typed_files
from engine.drift.reading.text_readings import Notation, TextReading, recognize_texts
from engine.errors import DataError
from engine.spec.resources.datasets import Csv, FileDataset
from engine.spec.resources.resource import facts_of

MAX_FILES_LISTED = 1000
"""The largest number of files whose digests are recorded one by one."""
_MAX_FILES_SAMPLED = 5
"""Files of a format with types in which texts are looked at."""


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """Files of one format, and how they are read.

    `types` are set on columns of formats that have no types, and `readings` parse columns whose texts are numbers,
    dates or booleans. `keys` are the columns that the folders of each file name. `common_types` are the types that hold
    the columns of all files where these differ in their columns or types; empty if they do not, so that one scan reads
    them. `notes` tell what was recognised or left out, `warnings` what stays text although it looks like something
    else: the columns `doubtful`.
    """

    paths: tuple[Path, ...]
    format: str
    csv: Csv
    types: Mapping[str, pl.DataType]
    common_types: Mapping[str, pl.DataType] = field(default_factory=dict)
    readings: Mapping[str, TextReading] = field(default_factory=dict)
    keys: Mapping[Path, Mapping[str, KeyValue]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()

    @property
    def dialect(self) -> CsvDialect:
        """How the files are written, if they are CSV."""
        return CsvDialect(**{key: getattr(self.csv, key) for key in CsvDialect.__dataclass_fields__})

    @property
    def rereadable(self) -> bool:
        """Whether reading the files again is cheap: Parquet and Arrow, but not a stream, which has no index."""
        return self.format in ("parquet", "arrow") and not any(map(is_read_alone, self.paths))

    def scan_all(self) -> pl.LazyFrame:
        """Return the rows of all files as one lazy frame.

        Raises
        ------
        DataError
            The columns cannot be read, or the header of a CSV file names a column twice.
        """
        try:
            if not self.common_types:
                return self._scan_paths(self.paths)
            return pl.concat([frame for _, frame in self.scan_each()], how="diagonal")
        except READ_ERRORS as error:
            explained = (fault for path in self.paths if (fault := self._explain_fault(path)))
            foreign = (fault for path in self.paths if (fault := _find_foreign_content(path, self.format)))
            fault = self.find_fault() or next(explained, None) or next(foreign, None)
            raise DataError(fault or describe_error(error)) from error

    def scan_each(self) -> Iterator[tuple[str, pl.LazyFrame]]:
        """Give the name and the lazy rows of each file, with the types that hold those of all."""
        for path in self.paths:
            frame = self._scan_paths((path,))
            schema = frame.collect_schema() if self.common_types else pl.Schema()
            other = {name: dtype for name, dtype in schema.items() if dtype != self.common_types[name]}
            casts = (cast_exactly(name, dtype, self.common_types[name]) for name, dtype in other.items())
            yield path.name, frame.with_columns(casts) if other else frame

    def holds_only_0_and_1(self, path: Path, name: str) -> bool:
        """Tell whether a column of numbers in one file has no value but 0 and 1."""
        column = pl.col(name).cast(pl.Float64)
        others = (column.is_not_null() & column.is_not_nan() & (column != 0) & (column != 1)).any()
        return not self._scan_paths((path,)).select(others).collect(engine="streaming").item()

    def name_rows(self, path: Path, rows: Sequence[int]) -> list[str]:
        """Return how to find rows (counted from 1) of a file: `line 50 of new.csv`, `row 49 of new.parquet`."""
        lines = locate_rows(path, self.dialect, rows) if self.format == "csv" else {}
        return [f"{f'line {lines[row]}' if row in lines else f'row {row}'} of {path.name}" for row in rows]

    def hash_each(self, hashes: FileHashes) -> dict[Path, str]:
        """Return the digest of each file."""
        return {path: hash_file(path, hashes) for path in self.paths}

    def compute_fingerprint(self, digests: Mapping[Path, str], root: Path) -> tuple[str, dict[str, Any]]:
        """Return the fingerprint of the dataset, and the JSON-ready facts that it is made of.

        The fingerprint covers the files' bytes with the columns that their folders name, in any order, and the
        settings they are read with; names and paths play no other part. The facts list each file's digest by its path
        from `root`, up to `MAX_FILES_LISTED` files.
        """
        how = facts_of(self.csv) if self.format == "csv" else {}
        types = {name: str(dtype) for name, dtype in sorted(self.types.items())}
        readings = {
            name: reading.facts()
            for name, reading in sorted(self.readings.items())
            if self.format == "csv" or name not in self.types or reading.facts() != {"type": reading.type}
        }
        contents = list(digests.values())
        if self.keys:
            named = [json.dumps(self.keys[path], sort_keys=True, default=str) for path in self.paths]
            contents = [digest_texts(*both) for both in zip(contents, named, strict=True)]
        listed = (
            {relpath(path, root): digest for path, digest in digests.items()}
            if len(digests) <= MAX_FILES_LISTED
            else {}
        )
        # What most datasets do not have is no part of their fingerprint, so that those of earlier versions hold.
        found = {"readings": readings, **self._describe_csv_content()}
        special = {key: value for key, value in found.items() if value}
        settings = json.dumps([how, types, *([special] if special else [])], sort_keys=True)
        facts = {"format": self.format, "csv": how, "types": types, "file_count": len(digests), "files": listed}
        facts |= special
        return digest_texts(self.format, settings, *sorted(contents)), facts

    def _describe_csv_content(self) -> dict[str, Any]:
        """Return what the bytes of CSV files, not the spec, say about how they are read."""
        if self.format != "csv":
            return {}
        converted = any(needs_conversion(path, self.dialect) for path in self.paths)
        return {"names": read_column_names(self.paths[0], self.dialect), "converted": converted}

    def find_short_line(self) -> str | None:
        """Describe the first CSV line with too few fields, which polars fills with nulls without an error."""
        if self.format != "csv":
            return None
        for path in self.paths:
            width = len(scan_csv_texts([path], self.dialect).collect_schema())
            if may_have_short_line(path, self.dialect, width) and (fault := find_record_fault(path, self.dialect)):
                return fault
        return None

    def find_fault(self) -> str | None:
        """Read the files again, one by one, and describe what is wrong with the first that cannot be read."""
        for path in self.paths:
            try:
                for _ in self._scan_paths((path,)).collect_batches(maintain_order=False):
                    pass  # reading is the test: batches are dropped, so a file larger than memory passes
            except READ_ERRORS as error:
                fault = self._explain_fault(path) or _find_foreign_content(path, self.format)
                return fault or f"{path} cannot be read, it may be damaged: {describe_error(error)}"
        return None

    def _explain_fault(self, path: Path) -> str | None:
        """Describe the place at fault in a text format; None where it cannot be found."""
        if self.format == "csv":
            fault = find_record_fault(path, self.dialect) or self._explain_value_fault(path)
            return fault or find_stray_quote(path, self.dialect)
        if self.format == "ndjson" and not is_json_array(path):
            return _find_ndjson_fault(path) or self._explain_text_fault(path)
        return self._explain_text_fault(path)

    def _explain_value_fault(self, path: Path) -> str | None:
        try:
            # The types that polars gave the columns, and the same file with every column as text.
            types = self._scan_paths((path,)).collect_schema()
            return find_value_fault(path, scan_csv_texts([path], self.dialect), types, self.dialect, self.readings)
        except READ_ERRORS:
            return None

    def _explain_text_fault(self, path: Path) -> str | None:
        """Describe the first text that its column's declared type does not fit, in a format with types."""
        value = pl.col("value")
        for name, reading in self.readings.items():
            missing = value.is_null() | value.str.strip_chars().is_in([*reading.missing, ""])
            try:
                texts = replace(self, readings={})._scan_paths((path,)).select(pl.col(name).alias("value"))
                bad = reading.parse(value, strict=False).is_null() & ~missing
                found = texts.with_row_index("row", offset=1).filter(bad).head(1).collect(engine="streaming")
            except READ_ERRORS:
                return None
            if found.height:
                row, value = found.row(0)
                return f"{path}, column {name!r} is declared as {reading.type}, but row {row} holds {value[:60]!r}"
        return None

    def _scan_paths(self, paths: tuple[Path, ...]) -> pl.LazyFrame:
        return read_storage(self._scan_as_stored(paths))

    def _scan_as_stored(self, paths: tuple[Path, ...]) -> pl.LazyFrame:
        """Return the rows of files with the types that they declare, extension types included."""
        if self.format == "csv":
            apart = bool(self.keys) and any(needs_conversion(path, self.dialect) for path in paths)
            return add_key_columns(paths, self.keys, self._scan_csv, apart=apart)
        apart = any(map(is_read_alone, paths))
        return self._parse_texts(add_key_columns(paths, self.keys, partial(scan_typed_files, self.format), apart=apart))

    def _scan_csv(self, paths: Sequence[Path], column: str | None) -> pl.LazyFrame:
        return scan_csv_files(paths, self.dialect, CsvColumns(self.types, self.readings), path_column=column)

    def _parse_texts(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Parse the texts of a format with types that the contract declares as something else."""
        if not self.readings:
            return frame
        schema = frame.collect_schema()  # cached by polars
        texts = {name: reading for name, reading in self.readings.items() if schema.get(name) == pl.String}
        return frame.with_columns(reading.parse(pl.col(name)).alias(name) for name, reading in texts.items())

    def read_schema(self, path: Path) -> pl.Schema:
        """Return the columns of one file with their types.

        A column of a CSV file that is empty in the first `INFER_ROWS` rows has the type null, so that it agrees with
        any type of another file.

        Raises
        ------
        DataError
            The file cannot be read.
        """
        try:
            if self.format != "csv":
                return self._scan_as_stored((path,)).collect_schema()
            head = self._scan_paths((path,)).head(INFER_ROWS).collect()
            empty = [name for name, dtype in head.schema.items() if name not in self.types and dtype == pl.String]
            return head.cast({name: pl.Null for name in empty if head[name].null_count() == head.height}).schema
        except READ_ERRORS as error:
            raise DataError(self.find_fault() or f"{path} cannot be read: {describe_error(error)}") from error


FoundBefore = dict[tuple[object, ...], DatasetFiles]
"""What `find_files` has found, by the dataset and the state of its files: looking at values takes time."""


def find_files(
    dataset: FileDataset,
    root: Path,
    known: FoundBefore | None = None,
    watch: Callable[[Path], None] = lambda _: None,
) -> DatasetFiles:
    """Return the files of a dataset.

    Parameters
    ----------
    dataset
        The dataset as declared.
    root
        The folder that its path starts from.
    known
        Results for files that have not changed since are taken from here, and new ones kept.
    watch
        Called with each file before anything is read.

    Raises
    ------
    DataError
        No file exists or matches, a file is empty or cannot be opened or read, or the files have different columns or
        types.
    """
    _check_csv_characters(dataset.csv)
    found = list_data_files(root / dataset.path, dataset.format)
    if found.format != "csv" and "csv" in dataset.model_fields_set:
        raise DataError(f"csv settings are only for CSV files, but {found.paths[0]} is a {found.format} file")
    for path in found.paths:
        watch(path)
    states = [(path, path.stat()) for path in found.paths]
    key = (
        dataset.model_dump_json(include={"path", "format", "csv", "columns"}),
        found.notes,
        *((path, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino) for path, state in states),
    )
    if known is not None and key in known:
        return known[key]
    dialect = dataset.csv
    if found.paths[0].suffix.lower() == ".tsv" and "separator" not in dialect.model_fields_set:
        dialect = dialect.model_copy(update={"separator": "\t"})
    files = DatasetFiles(found.paths, found.format, dialect, {}, keys=found.keys, notes=found.notes)
    declared = {name: rule.type for name, rule in dataset.columns.items() if rule.type in POLARS_DTYPES}
    try:
        files = _leave_out_known_keys(files)
        files = _recognize_columns(files, {name: type_ for name, type_ in declared.items() if type_}, dataset)
    except READ_ERRORS as error:
        fault = files.find_fault()
        raise DataError(fault or f"{found.paths[0]} cannot be read: {describe_error(error)}") from error
    files = files if len(files.paths) == 1 else _unite_schemas(files)
    if known is not None:
        known[key] = files
    return files


def _leave_out_known_keys(files: DatasetFiles) -> DatasetFiles:
    """Leave the columns that folders name to the files where these have them too: the files' values have a type."""
    if not files.keys:
        return files
    inside = replace(files, keys={})._scan_paths(files.paths[:1]).collect_schema()
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
    """Decide how columns of texts are read."""
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
    """Return the values of folders as they are written where the contract declares text: `code=007`."""
    texts = {name for name, type_ in declared.items() if type_ == "text"}
    return {
        path: {**named, **{name: text for name, text in split_folders(path.parts[:-1]) if name in texts}}
        for path, named in keys.items()
    }


def _recognize_declared_texts(files: DatasetFiles, declared: Mapping[str, str], dataset: FileDataset) -> DatasetFiles:
    """Read texts as their declared type, in a format that has types; warn of columns that look like something else.

    Raises
    ------
    DataError
        Texts are declared as numbers or dates, and can be read in several ways.
    """
    frames = (replace(files, keys={})._scan_paths((path,)) for path in files.paths[:_MAX_FILES_SAMPLED])
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
    # JSON has no dates, so that their declared type has always been a part of the fingerprint.
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
        # a column that is empty in a file (type null) fits any
        found = {path: storage_type(schema[name]) for path, schema in schemas.items() if name in schema}
        found = {path: dtype for path, dtype in found.items() if dtype != pl.Null}
        types[name] = _require_common_dtype(name, found, files)
    if files.format == "csv":
        # polars infers types from the first file only; these hold for all, as text where a column is empty everywhere
        return replace(files, types={name: pl.String() if dtype == pl.Null else dtype for name, dtype in types.items()})
    return replace(files, common_types={} if all(schema == columns for schema in schemas.values()) else types)


def _check_same_columns(first: Path, columns: pl.Schema, path: Path, schema: pl.Schema) -> None:
    """Refuse a file that has a column more or less than the first file."""
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
        # booleans among numbers that are 0 and 1 alone: the same values in another type
        paths = [path for path, dtype in found.items() if dtype != pl.Boolean]
        widest = find_common_dtype(numbers)
        if widest is not None and all(files.holds_only_0_and_1(path, name) for path in paths):
            return widest
    first, dtype = next(iter(found.items()))
    path, other = next((path, one) for path, one in found.items() if find_common_dtype([dtype, one]) is None)
    hint = (
        "for CSV files, declare the type under columns"
        if files.format == "csv"
        else f"write {path.name} again with the type of the others"
    )
    raise DataError(
        f"column {name!r} is {name_type(dtype)} in {first} and {name_type(other)} in {path}: "
        f"all files of a dataset must have the same types; {hint}"
    )


def _check_csv_characters(dialect: Csv) -> None:
    """Refuse a separator or quote that polars cannot handle: it takes single bytes."""
    for what, character in (("separator", dialect.separator), ("quote", dialect.quote)):
        if character and (not character.isascii() or character in "\r\n"):
            raise DataError(f"csv {what} {character!r} must be one ASCII character other than a line break")


_FIRST_BYTES = {"parquet": (b"PAR1",), "arrow": (b"ARROW1", b"\xff\xff\xff\xff")}


def _find_foreign_content(path: Path, format_: str) -> str | None:
    """Describe a file whose first bytes are not those of its binary format; None for another format."""
    signature = _FIRST_BYTES.get(format_)
    if signature is None:
        return None
    try:
        start = read_head(path)
    except OSError:
        return None
    if start.startswith(signature):
        return None
    hint = "; it looks like text: if it is CSV, declare format: csv" if is_text(start) else ", or it is damaged"
    return f"{path} cannot be read, it is not a file in the format {format_}{hint}"


def _find_ndjson_fault(path: Path) -> str | None:
    """Describe the first line that is no JSON object, or has a boolean where an earlier one has a number."""
    kinds: dict[str, tuple[int, str]] = {}
    with open_bytes(path) as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line, parse_constant=_refuse_constant) if line.strip() else {}
            except (ValueError, RecursionError) as error:
                place = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
                reason = error.msg if isinstance(error, json.JSONDecodeError) else error
                return f"{path}, line {number}{place} is not JSON: {reason}"
            if not isinstance(row, dict):
                return f'{path}, line {number} is not a JSON object: each line is one row, {{"column": value, …}}'
            for name, value in row.items():
                kind = "true or false" if isinstance(value, bool) else "a number"
                if isinstance(value, int | float) and kind != kinds.setdefault(name, (number, kind))[1]:
                    line_before, before = kinds[name]
                    return (
                        f"{path}, column {name!r} holds {before} in line {line_before}, but {kind} in line {number}: "
                        "write all its values in one of the two ways"
                    )
    return None


def _refuse_constant(text: str) -> float:
    """Refuse what Python writes for numbers that JSON does not have."""
    raise ValueError(f"{text} is no value of JSON; write null where a value is missing")
