"""The files of a dataset, of one format, as a lazy frame, and how they are read.

polars reads the formats; `read_faults` finds out why a file cannot be read. Modules for CSV are imported only if a file
is CSV.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from os.path import relpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from engine.data.files.common_types import cast_exactly
from engine.data.files.hashes import FileHashes, hash_file
from engine.data.polars_errors import READ_ERRORS, describe_error
from engine.digests import digest_texts
from engine.drift.reading.column_families import read_storage
from engine.drift.reading.file_scans import add_key_columns, is_read_alone, scan_typed_files
from engine.errors import DataError
from engine.spec.resources.datasets import Csv
from engine.spec.resources.resource import facts_of

if TYPE_CHECKING:
    from engine.discovery.listing import KeyValue
    from engine.drift.reading.csv_files import CsvDialect
    from engine.drift.reading.text_readings import TextReading

MAX_FILES_LISTED = 1000
"""Maximum number of files whose digests are recorded one by one."""


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """Files of one format, and how they are read.

    `types` are the types of columns in formats without types, and `readings` parse columns whose texts are numbers,
    dates or booleans. `keys` are the columns in the folder names of each file. `common_types` are the common types of
    columns if the files differ in columns or types; empty if they do not, so that one scan reads them all. `notes` say
    what was recognized or left out, `warnings` which columns stay text although they look like something else: the
    columns `doubtful`. `names` are the names of columns of CSV files without a header; empty if polars names them.
    `compression` is the compression of the files; None to find it by their endings.
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
    names: tuple[str, ...] = ()
    compression: str | None = None

    @property
    def dialect(self) -> CsvDialect:
        """How the files are written, if they are CSV."""
        from engine.drift.reading.csv_files import CsvDialect

        declared = {key: getattr(self.csv, key) for key in Csv.model_fields}
        return CsvDialect(**declared, names=self.names, compression=self.compression)

    @property
    def rereadable(self) -> bool:
        """Whether rereading the files is cheap: Parquet and Arrow files, but not Arrow streams, which have no index."""
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
                return self.scan_paths(self.paths)
            return pl.concat([frame for _, frame in self.scan_each()], how="diagonal")
        except READ_ERRORS as error:
            from engine.data.files.read_faults import explain_schema_error

            raise DataError(explain_schema_error(self) or describe_error(error)) from error

    def scan_each(self) -> Iterator[tuple[str, pl.LazyFrame]]:
        """Yield the name and the lazy rows of each file, with the common types."""
        for path in self.paths:
            frame = self.scan_paths((path,))
            schema = frame.collect_schema() if self.common_types else pl.Schema()
            other = {name: dtype for name, dtype in schema.items() if dtype != self.common_types[name]}
            casts = (cast_exactly(name, dtype, self.common_types[name]) for name, dtype in other.items())
            yield path.name, frame.with_columns(casts) if other else frame

    def holds_only_0_and_1(self, path: Path, name: str) -> bool:
        """Return whether a numerical column in one file has only the values 0 and 1."""
        column = pl.col(name).cast(pl.Float64)
        others = (column.is_not_null() & column.is_not_nan() & (column != 0) & (column != 1)).any()
        return not self.scan_paths((path,)).select(others).collect(engine="streaming").item()

    def name_rows(self, path: Path, rows: Sequence[int]) -> list[str]:
        """Return the places of rows (counted from 1) of a file: `line 50 of new.csv`, `row 49 of new.parquet`."""
        lines: Mapping[int, int] = {}
        if self.format == "csv":
            from engine.data.files.csv_faults import locate_rows

            lines = locate_rows(path, self.dialect, rows)
        return [f"{f'line {lines[row]}' if row in lines else f'row {row}'} of {path.name}" for row in rows]

    def hash_each(self, hashes: FileHashes) -> dict[Path, str]:
        """Return the digest of each file."""
        return {path: hash_file(path, hashes) for path in self.paths}

    def compute_fingerprint(self, digests: Mapping[Path, str], root: Path) -> tuple[str, dict[str, Any]]:
        """Return the fingerprint of the dataset, and the facts from which it is computed, ready for JSON.

        The fingerprint covers the files' bytes with the columns in their folder names, in any order, and the settings
        for reading them; names and paths do not matter otherwise. The facts list each file's digest by its path
        relative to `root`, up to `MAX_FILES_LISTED` files.
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
        # Settings that most datasets lack are not part of their fingerprint, so that fingerprints of earlier versions
        # hold.
        found = {"readings": readings, "compression": self.compression, **self._describe_csv_content()}
        special = {key: value for key, value in found.items() if value}
        settings = json.dumps([how, types, *([special] if special else [])], sort_keys=True)
        facts = {"format": self.format, "csv": how, "types": types, "file_count": len(digests), "files": listed}
        facts |= special
        return digest_texts(self.format, settings, *sorted(contents)), facts

    def _describe_csv_content(self) -> dict[str, Any]:
        """Return the facts about reading CSV files that follow from their bytes, not from the spec."""
        if self.format != "csv":
            return {}
        from engine.drift.reading.csv_files import needs_conversion, read_column_names

        converted = any(needs_conversion(path, self.dialect) for path in self.paths)
        return {"names": read_column_names(self.paths[0], self.dialect), "converted": converted}

    def scan_paths(self, paths: tuple[Path, ...]) -> pl.LazyFrame:
        """Return the rows of some of the files as one lazy frame."""
        return read_storage(self._scan_as_stored(paths))

    def _scan_as_stored(self, paths: tuple[Path, ...]) -> pl.LazyFrame:
        """Return the rows of files with their stored types, including extension types."""
        if self.format == "csv":
            from engine.drift.reading.csv_files import needs_conversion

            apart = bool(self.keys) and any(needs_conversion(path, self.dialect) for path in paths)
            return add_key_columns(paths, self.keys, self._scan_csv, apart=apart)
        apart = any(is_read_alone(path, self.compression) for path in paths)
        scan = partial(scan_typed_files, self.format, self.compression)
        return self._parse_texts(add_key_columns(paths, self.keys, scan, apart=apart))

    def _scan_csv(self, paths: Sequence[Path], column: str | None) -> pl.LazyFrame:
        from engine.drift.reading.csv_files import CsvColumns, scan_csv_files

        return scan_csv_files(paths, self.dialect, CsvColumns(self.types, self.readings), path_column=column)

    def _parse_texts(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Parse texts in a typed format that the contract declares as another type."""
        if not self.readings:
            return frame
        schema = frame.collect_schema()  # cached by polars
        texts = {name: reading for name, reading in self.readings.items() if schema.get(name) == pl.String}
        return frame.with_columns(reading.parse(pl.col(name)).alias(name) for name, reading in texts.items())

    def read_schema(self, path: Path) -> pl.Schema:
        """Return the columns of one file with their types.

        A CSV column that is empty in the first `INFER_ROWS` rows has the type null, so that it agrees with any type in
        another file.

        Raises
        ------
        DataError
            The file cannot be read.
        """
        try:
            if self.format != "csv":
                return self._scan_as_stored((path,)).collect_schema()
            from engine.drift.reading.csv_files import INFER_ROWS

            head = self.scan_paths((path,)).head(INFER_ROWS).collect()
            empty = [name for name, dtype in head.schema.items() if name not in self.types and dtype == pl.String]
            return head.cast({name: pl.Null for name in empty if head[name].null_count() == head.height}).schema
        except READ_ERRORS as error:
            from engine.data.files.read_faults import find_file_fault

            raise DataError(find_file_fault(self) or f"{path} cannot be read: {describe_error(error)}") from error
