"""Datasets of kind `file`: one file, or a glob of files of one format, scanned lazily.

polars reads the formats. This module decides which files belong to a dataset, which types a contract sets where the
format has none (all columns of CSV, dates in NDJSON), and whether the files of a glob agree. polars' errors name
neither file nor line, so `DatasetFiles.find_fault` reads the files again to find the place.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from glob import escape, glob, has_magic
from os.path import relpath
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

import polars as pl

from engine.data.column_types import POLARS_DTYPES, column_type
from engine.data.csv_faults import find_record_fault, find_value_fault, locate_rows, may_have_short_line, open_bytes
from engine.data.fingerprints import FileHashes, hash_file
from engine.data.polars_errors import READ_ERRORS, describe_error
from engine.digests import digest_texts
from engine.errors import DataError
from engine.formatting.hints import suggest_name
from engine.spec.resources.datasets import Csv, FileDataset, detect_format
from engine.spec.resources.resource import facts_of

INFER_ROWS = 10_000
"""Rows of a CSV file from which types are inferred where the contract declares none."""
MAX_FILES_LISTED = 1000
"""The largest number of files whose digests are recorded one by one."""


@dataclass(frozen=True, slots=True)
class DatasetFiles:
    """Files of one format, and how they are read.

    `types` are set on columns of formats that have no types. `same_schema` tells that all files have the same columns
    and types, so that one scan reads them; otherwise columns are matched by name, and types widened to a common one.
    """

    paths: tuple[Path, ...]
    format: str
    csv: Csv
    types: Mapping[str, pl.DataType]
    same_schema: bool = True

    def scan_all(self) -> pl.LazyFrame:
        """Return the rows of all files as one lazy frame.

        Raises
        ------
        DataError
            The columns cannot be read, or the header of a CSV file names a column twice.
        """
        try:
            if self.format == "csv" and self.csv.header:
                self._check_header()
            if self.same_schema:
                return self._scan_paths(self.paths)
            return pl.concat([frame for _, frame in self.scan_each()], how="diagonal_relaxed")
        except READ_ERRORS as error:
            explained = (fault for path in self.paths if (fault := self._explain_fault(path)))
            foreign = (fault for path in self.paths if (fault := _find_foreign_content(path, self.format)))
            fault = self.find_fault() or next(explained, None) or next(foreign, None)
            raise DataError(fault or describe_error(error)) from error

    def scan_each(self) -> Iterator[tuple[str, pl.LazyFrame]]:
        """Give the name and the lazy rows of each file."""
        for path in self.paths:
            yield path.name, self._scan_paths((path,))

    def name_rows(self, path: Path, rows: Sequence[int]) -> list[str]:
        """Return how to find rows (counted from 1) of a file: `line 50 of new.csv`, `row 49 of new.parquet`."""
        lines = locate_rows(path, self.csv, rows) if self.format == "csv" else {}
        return [f"{f'line {lines[row]}' if row in lines else f'row {row}'} of {path.name}" for row in rows]

    def compute_fingerprint(self, hashes: FileHashes, root: Path) -> tuple[str, dict[str, Any]]:
        """Return the fingerprint of the dataset, and the JSON-ready facts that it is made of.

        The fingerprint covers the files' bytes, in any order, and the settings they are read with; names and paths
        play no part. The facts list each file's digest by its path from `root`, up to `MAX_FILES_LISTED` files.
        """
        how = facts_of(self.csv) if self.format == "csv" else {}
        types = {name: str(dtype) for name, dtype in sorted(self.types.items())}
        digests = {path: hash_file(path, hashes) for path in self.paths}
        listed = (
            {relpath(path, root): digest for path, digest in digests.items()}
            if len(digests) <= MAX_FILES_LISTED
            else {}
        )
        settings = json.dumps([how, types], sort_keys=True)
        facts = {"format": self.format, "csv": how, "types": types, "file_count": len(digests), "files": listed}
        return digest_texts(self.format, settings, *sorted(digests.values())), facts

    def find_short_line(self) -> str | None:
        """Describe the first CSV line with too few fields, which polars fills with nulls without an error."""
        if self.format != "csv":
            return None
        for path in self.paths:
            width = len(self._scan_paths((path,)).collect_schema())
            if may_have_short_line(path, self.csv, width) and (fault := find_record_fault(path, self.csv)):
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
            return find_record_fault(path, self.csv) or self._explain_value_fault(path)
        return _find_ndjson_fault(path) if self.format == "ndjson" else None

    def _explain_value_fault(self, path: Path) -> str | None:
        try:
            # The types that polars gave the columns, and the same file with every column as text.
            types = self._scan_paths((path,)).collect_schema()
            texts = self._scan_csv([path], 0, dict.fromkeys(types, pl.String()))
            return find_value_fault(path, texts, types, self.csv)
        except READ_ERRORS:
            return None

    def _scan_paths(self, paths: tuple[Path, ...]) -> pl.LazyFrame:
        files = list(paths)
        if self.format == "parquet":
            return pl.scan_parquet(files, glob=False, hive_partitioning=False)
        if self.format == "arrow":
            return pl.scan_ipc(files, glob=False, hive_partitioning=False)
        if self.format == "ndjson":
            # scan_ndjson has no `glob` option, so a name with brackets must be escaped.
            return self._parse_dates(pl.scan_ndjson([escape(str(path)) for path in files], infer_schema_length=None))
        return self._scan_csv(files, INFER_ROWS, self.types)

    def _scan_csv(self, files: list[Path], infer_rows: int, types: Mapping[str, pl.DataType]) -> pl.LazyFrame:
        return pl.scan_csv(
            files,
            glob=False,
            separator=self.csv.separator,
            quote_char=self.csv.quote,
            has_header=self.csv.header,
            null_values=self.csv.null_values,
            decimal_comma=self.csv.decimal_comma,
            infer_schema_length=infer_rows,
            infer_schema_files=1,
            schema_overrides=dict(types),
            try_parse_dates=infer_rows > 0,
        )

    def _parse_dates(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        """Parse the texts of an NDJSON file that the contract declares as dates: JSON has no dates."""
        schema = frame.collect_schema()  # inferred here and cached by polars
        texts = {name: dtype for name, dtype in self.types.items() if schema.get(name) == pl.String}
        return frame.with_columns(
            pl.col(name).str.to_date() if dtype == pl.Date else pl.col(name).str.to_datetime(time_unit="us")
            for name, dtype in texts.items()
        )

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
                return self._scan_paths((path,)).collect_schema()
            head = self._scan_paths((path,)).head(INFER_ROWS).collect()
            empty = [name for name, dtype in head.schema.items() if name not in self.types and dtype == pl.String]
            return head.cast({name: pl.Null for name in empty if head[name].null_count() == head.height}).schema
        except READ_ERRORS as error:
            raise DataError(self.find_fault() or f"{path} cannot be read: {describe_error(error)}") from error

    def _check_header(self) -> None:
        """Refuse a header that names a column twice, since polars would rename the second without an error."""
        bare = replace(self, csv=self.csv.model_copy(update={"header": False, "null_values": [""]}))
        header = bare._scan_csv([self.paths[0]], 0, {}).head(1).collect()
        for name, times in Counter(header.row(0) if header.height else ()).items():
            if name is not None and times > 1:
                raise DataError(f"{self.paths[0]}, line 1 names the column {name!r} twice: rename one of them")


def find_files(dataset: FileDataset, root: Path, watch: Callable[[Path], None] = lambda _: None) -> DatasetFiles:
    """Return the files of a dataset.

    Parameters
    ----------
    dataset
        The dataset as declared.
    root
        The folder that its path starts from.
    watch
        Called with each file before anything is read.

    Raises
    ------
    DataError
        No file exists or matches, the path is a folder, a file is empty or cannot be opened, or the files of a glob
        have different columns or types.
    """
    _check_csv_characters(dataset.csv)
    path = root / dataset.path
    try:
        # A path that exists is taken literally, even if its name looks like a glob.
        matches = [] if path.exists() else [Path(one) for one in sorted(glob(str(path), recursive=True))]  # noqa: PTH207  # Path.glob refuses absolute patterns
        paths = [one for one in matches if one.is_file()] or [path]
        for one in paths:
            watch(one)
            _check_readable(one)
    except FileNotFoundError:
        missing = "no file matches" if has_magic(dataset.path) else "there is no file"
        raise DataError(f"{missing} {path}{_suggest_file(path)}") from None
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be opened: {error.strerror}") from error
    format_ = str(dataset.format or detect_format(dataset.path))  # the spec was refused unless one of them is known
    families = POLARS_DTYPES.keys() if format_ == "csv" else ("date", "datetime") if format_ == "ndjson" else ()
    types = {
        name: POLARS_DTYPES[rule.type] for name, rule in dataset.columns.items() if rule.type and rule.type in families
    }
    files = DatasetFiles(tuple(paths), format_, dataset.csv, types)
    return files if len(paths) == 1 else _unite_schemas(files)


def _unite_schemas(files: DatasetFiles) -> DatasetFiles:
    """Check that the files of a glob have the same columns and compatible types, and return them as one dataset."""
    schemas = {path: files.read_schema(path) for path in files.paths}
    first, columns = next(iter(schemas.items()))
    for path, schema in schemas.items():
        if files.format != "ndjson":
            _check_same_columns(first, columns, path, schema)
        if files.format == "csv" and list(schema) != list(columns):
            raise DataError(f"{path} has its columns in another order than {first.name}")
    types: dict[str, pl.DataType] = {}
    for name in columns:
        # Types of one file alone: a column that is empty in a file (type null) fits any.
        found = {path: schema[name] for path, schema in schemas.items() if name in schema and schema[name] != pl.Null}
        types[name] = _find_common_dtype(name, found)
    if files.format == "csv":
        return replace(files, types=types)  # polars infers types from the first file only; these hold for all
    return replace(files, same_schema=all(schema == columns for schema in schemas.values()))


def _check_same_columns(first: Path, columns: pl.Schema, path: Path, schema: pl.Schema) -> None:
    """Refuse a file that has a column more or less than the first file."""
    for name in [*schema, *columns]:
        if name in schema and name in columns:
            continue
        has, lacks = (path, first) if name in schema else (first, path)
        raise DataError(
            f"{has} has a column {name!r}, but {lacks} does not; all files of a dataset must have the same columns"
        )


def _find_common_dtype(name: str, found: Mapping[Path, pl.DataType]) -> pl.DataType:
    """Return the type that holds a column's values of all files; text where the column is empty in all of them.

    An integer widens to a number, a date to a datetime.

    Raises
    ------
    DataError
        There is no common type, for example for text in one file and numbers in another.
    """
    common: pl.DataType = pl.String()
    for number, (path, dtype) in enumerate(found.items()):
        kinds = {column_type(common), column_type(dtype)}
        if number == 0 or kinds in ({"integer", "number"}, {"date", "datetime"}):
            common = (
                dtype if number == 0 else max(common, dtype, key=lambda one: column_type(one) in ("number", "datetime"))
            )
        elif len(kinds) > 1:
            raise DataError(
                f"column {name!r} is {column_type(common)} in {next(iter(found))} and {column_type(dtype)} in {path}: "
                "all files of a dataset must have the same types; for CSV files, declare the type under columns"
            )
    return common


def _check_readable(path: Path) -> None:
    """Refuse what is not a regular file, an empty file, and text in UTF-16, which polars reads as garbage."""
    mode = path.stat().st_mode
    if S_ISDIR(mode):
        raise DataError(f"{path} is a folder; name a file in it, or all of them: {path.name}/*.parquet")
    if not S_ISREG(mode):
        raise DataError(f"{path} is not a regular file: a pipe or device cannot be read twice, as a dataset must be")
    with path.open("rb") as file:
        start = file.read(2)  # the length of a UTF-16 byte order mark
    if not start:
        raise DataError(f"{path} is empty (0 bytes)")
    if start in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path} is UTF-16 text: save the file as UTF-8")


def _check_csv_characters(dialect: Csv) -> None:
    """Refuse a separator or quote that polars cannot handle: it takes single bytes."""
    for what, character in (("separator", dialect.separator), ("quote", dialect.quote)):
        if character and (not character.isascii() or character in "\r\n"):
            raise DataError(f"csv {what} {character!r} must be one ASCII character other than a line break")


def _suggest_file(path: Path) -> str:
    """Return the help for a file that does not exist: a missing folder, or the likely file in the folder."""
    folder = path.parent
    if has_magic(str(folder)):
        return ""
    if not folder.is_dir():
        return f"; there is no folder {folder} either"
    names = {one.name for one in folder.iterdir() if not one.name.startswith(".")}
    return suggest_name(path.name, sorted(names - {path.name}))


_FIRST_BYTES = {"parquet": b"PAR1", "arrow": b"ARROW1"}


def _find_foreign_content(path: Path, format_: str) -> str | None:
    """Describe a file whose first bytes are not those of its binary format; None for another format."""
    signature = _FIRST_BYTES.get(format_)
    if signature is None:
        return None
    try:
        with path.open("rb") as file:
            start = file.read(1000)
    except OSError:
        return None
    if start.startswith(signature):
        return None
    text = re.fullmatch(rb"[\t\n\r\x20-\x7e\x80-\xff]*", start) is not None
    hint = "; it looks like text: if it is CSV, declare format: csv" if text else ", or it is damaged"
    return f"{path} cannot be read, it is not a file in the format {format_}{hint}"


def _find_ndjson_fault(path: Path) -> str | None:
    """Describe the first line that is not a JSON object; None where every line is one."""
    with open_bytes(path) as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line) if line.strip() else {}
            except (ValueError, RecursionError) as error:
                place = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
                reason = error.msg if isinstance(error, json.JSONDecodeError) else error
                return f"{path}, line {number}{place} is not JSON: {reason}"
            if not isinstance(row, dict):
                return f'{path}, line {number} is not a JSON object: each line is one row, {{"column": value, …}}'
    return None
