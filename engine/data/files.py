"""Kind `file`: one file or a glob of one format, scanned lazily.

polars picks the format's reader; what is decided here is which files, which types a contract imposes on formats that
have none (all of CSV, dates in NDJSON), and that the files of a glob agree. `fault` re-reads files to find the place
of what polars could not read, since its messages name no file and no line.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from glob import escape, glob, has_magic
from os.path import relpath
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

import polars as pl

from engine.data.csv_faults import open_bytes, record_fault, seems_ragged, value_fault
from engine.data.families import IMPOSED, family
from engine.data.fingerprints import FileHashes, combine, of_file
from engine.data.wording import UNREADABLE, meant, words
from engine.errors import DataError
from engine.spec.resources.datasets import Csv, FileDataset
from engine.spec.resources.resource import facts_of
from engine.spec.rules.resources import format_of

INFER_ROWS = 10_000
"""Rows of CSV from which types are found where the contract is silent."""
LISTED = 1000
"""Files of a dataset whose digests are kept one by one."""


@dataclass(frozen=True, slots=True)
class Files:
    """Files of one format, and how they are read.

    `types` are imposed on columns of formats that have none. `alike`: the files have the same columns and types, else
    they are united by name and widened.
    """

    paths: tuple[Path, ...]
    format: str
    csv: Csv
    types: Mapping[str, pl.DataType]
    alike: bool = True

    def frame(self) -> pl.LazyFrame:
        """Return the rows of all files.

        Raises
        ------
        DataError
            Not even the columns can be read.
        """
        try:
            if self.format == "csv" and self.csv.header:
                self._must_name_columns_once()
            if self.alike:
                return self._scan(self.paths)
            return pl.concat([frame for _, frame in self.parts()], how="diagonal_relaxed")
        except UNREADABLE as error:
            explained = (fault for path in self.paths if (fault := self._explained(path)))
            raise DataError(self.fault() or next(explained, words(error))) from error

    def parts(self) -> Iterator[tuple[str, pl.LazyFrame]]:
        """Return each file by itself: its name, its rows."""
        for path in self.paths:
            yield path.name, self._scan((path,))

    def identify(self, hashes: FileHashes, root: Path) -> tuple[str, dict[str, Any]]:
        """Return the digest of the files' bytes, in any order, and of how they are read; and what it is made of.

        In the latter files have their paths from `root`; there are too many to list where there are thousands.
        """
        how = facts_of(self.csv) if self.format == "csv" else {}
        types = {name: str(dtype) for name, dtype in sorted(self.types.items())}
        digests = {path: of_file(path, hashes) for path in self.paths}
        listed = {relpath(path, root): digest for path, digest in digests.items()} if len(digests) <= LISTED else {}
        settings = json.dumps([how, types], sort_keys=True)
        facts = {"format": self.format, "csv": how, "types": types, "file_count": len(digests), "files": listed}
        return combine(self.format, settings, *sorted(digests.values())), facts

    def ragged(self) -> str | None:
        """Return the first CSV line that has too few fields: polars fills them with nulls and says nothing."""
        if self.format != "csv":
            return None
        for path in self.paths:
            width = len(self._scan((path,)).collect_schema())
            if seems_ragged(path, self.csv, width) and (fault := record_fault(path, self.csv)):
                return fault
        return None

    def fault(self) -> str | None:
        """Read the files again, one by one, and return what is wrong with the first that cannot be read."""
        for path in self.paths:
            try:
                for _ in self._scan((path,)).collect_batches(maintain_order=False):
                    pass
            except UNREADABLE as error:
                return self._explained(path) or f"{path} cannot be read, it may be damaged: {words(error)}"
        return None

    def _explained(self, path: Path) -> str | None:
        if self.format == "csv":
            return record_fault(path, self.csv) or self._value_fault(path)
        return _ndjson_fault(path) if self.format == "ndjson" else None

    def _value_fault(self, path: Path) -> str | None:
        try:
            types = self._scan((path,)).collect_schema()
            texts = self._scan_csv([path], 0, dict.fromkeys(types, pl.String()))
            return value_fault(path, texts, types, self.csv.decimal_comma)
        except UNREADABLE:
            return None

    def _scan(self, paths: tuple[Path, ...]) -> pl.LazyFrame:
        files = list(paths)
        if self.format == "parquet":
            return pl.scan_parquet(files, glob=False, hive_partitioning=False)
        if self.format == "arrow":
            return pl.scan_ipc(files, glob=False, hive_partitioning=False)
        if self.format == "ndjson":
            return self._dated(pl.scan_ndjson([escape(str(path)) for path in files], infer_schema_length=None))
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

    def _dated(self, frame: pl.LazyFrame) -> pl.LazyFrame:
        schema = frame.collect_schema()  # polars finds it here, and remembers it
        texts = {name: dtype for name, dtype in self.types.items() if schema.get(name) == pl.String}
        return frame.with_columns(
            pl.col(name).str.to_date() if dtype == pl.Date else pl.col(name).str.to_datetime(time_unit="us")
            for name, dtype in texts.items()
        )

    def schema(self, path: Path) -> pl.Schema:
        """Return the columns of one file; those of a CSV that hold nothing in its first rows have the type null.

        Raises
        ------
        DataError
            The file cannot be read.
        """
        try:
            if self.format != "csv":
                return self._scan((path,)).collect_schema()
            head = self._scan((path,)).head(INFER_ROWS).collect()
            empty = [name for name, dtype in head.schema.items() if name not in self.types and dtype == pl.String]
            return head.cast({name: pl.Null for name in empty if head[name].null_count() == head.height}).schema
        except UNREADABLE as error:
            raise DataError(self.fault() or f"{path} cannot be read: {words(error)}") from error

    def _must_name_columns_once(self) -> None:
        """Refuse a header that says a name twice: polars makes up another name for the second."""
        bare = replace(self, csv=self.csv.model_copy(update={"header": False, "null_values": [""]}))
        header = bare._scan_csv([self.paths[0]], 0, {}).head(1).collect()
        for name, times in Counter(header.row(0) if header.height else ()).items():
            if name is not None and times > 1:
                raise DataError(f"{self.paths[0]}, line 1 names the column {name!r} twice: give one another name")


def find_files(dataset: FileDataset, root: Path) -> Files:
    """Return the files that a dataset means.

    Parameters
    ----------
    dataset
        The declaration.
    root
        The folder that its path starts from.

    Raises
    ------
    DataError
        No such file, nothing matches, a folder, an empty or unreadable file, or files that differ.
    """
    _ascii(dataset.csv)
    path = root / dataset.path
    try:
        matches = [] if path.exists() else [Path(one) for one in sorted(glob(str(path), recursive=True))]  # noqa: PTH207  # Path.glob takes no absolute pattern
        paths = [one for one in matches if one.is_file()] or [path]
        for one in paths:
            _usable(one)
    except FileNotFoundError:
        missing = "no file matches" if has_magic(dataset.path) else "there is no file"
        raise DataError(f"{missing} {path}{_beside(path)}") from None
    except OSError as error:
        raise DataError(f"{error.filename or path} cannot be opened: {error.strerror}") from error
    format_ = str(dataset.format or format_of(dataset.path))  # a path that tells none is no valid spec
    families = IMPOSED.keys() if format_ == "csv" else ("date", "datetime") if format_ == "ndjson" else ()
    types = {name: IMPOSED[rule.type] for name, rule in dataset.columns.items() if rule.type and rule.type in families}
    files = Files(tuple(paths), format_, dataset.csv, types)
    return files if len(paths) == 1 else _united(files)


def _united(files: Files) -> Files:
    """Return the files of a glob read as one: they must agree in their columns and the families of their types."""
    schemas = {path: files.schema(path) for path in files.paths}
    first, columns = next(iter(schemas.items()))
    for path, schema in schemas.items():
        if files.format != "ndjson":
            _same_names(first, columns, path, schema)
        if files.format == "csv" and list(schema) != list(columns):
            raise DataError(f"{path} has its columns in another order than {first.name}")
    types: dict[str, pl.DataType] = {}
    for name in columns:
        found = {path: schema[name] for path, schema in schemas.items() if name in schema and schema[name] != pl.Null}
        types[name] = _common(name, found)
    if files.format == "csv":
        return replace(files, types=types)
    return replace(files, alike=all(schema == columns for schema in schemas.values()))


def _same_names(first: Path, columns: pl.Schema, path: Path, schema: pl.Schema) -> None:
    for name in [*schema, *columns]:
        if name in schema and name in columns:
            continue
        has, lacks = (path, first) if name in schema else (first, path)
        raise DataError(
            f"{has} has a column {name!r} and {lacks} has not; the files of a dataset have the same columns"
        )


def _common(name: str, found: Mapping[Path, pl.DataType]) -> pl.DataType:
    """Return the type that holds a column of all files, text where it is empty in all.

    Raises
    ------
    DataError
        There is none: text in one, numbers in another.
    """
    common: pl.DataType = pl.String()
    for number, (path, dtype) in enumerate(found.items()):
        kinds = {family(common), family(dtype)}
        if number == 0 or kinds in ({"integer", "number"}, {"date", "datetime"}):
            common = dtype if number == 0 else max(common, dtype, key=lambda one: family(one) in ("number", "datetime"))
        elif len(kinds) > 1:
            raise DataError(
                f"column {name!r} is {family(common)} in {next(iter(found))} and {family(dtype)} in {path}: "
                "the files of a dataset have the same types; in CSV, declare the type under columns"
            )
    return common


def _usable(path: Path) -> None:
    mode = path.stat().st_mode
    if S_ISDIR(mode):
        raise DataError(f"{path} is a folder; name a file in it, or all of them: {path.name}/*.parquet")
    if not S_ISREG(mode):
        raise DataError(f"{path} is no file that can be read twice")
    with path.open("rb") as file:
        start = file.read(2)
    if not start:
        raise DataError(f"{path} is empty (0 bytes)")
    if start in (b"\xff\xfe", b"\xfe\xff"):
        raise DataError(f"{path} is UTF-16 text: save the file as UTF-8")


def _ascii(dialect: Csv) -> None:
    for what, character in (("separator", dialect.separator), ("quote", dialect.quote)):
        if character and (not character.isascii() or character in "\r\n"):
            raise DataError(f"csv {what} {character!r} is not one ASCII character within a line")


def _beside(path: Path) -> str:
    folder = path.parent
    if has_magic(str(folder)):
        return ""
    if not folder.is_dir():
        return f"; there is no folder {folder} either"
    names = {one.name for one in folder.iterdir() if not one.name.startswith(".")}
    return meant(path.name, sorted(names - {path.name}))


def _ndjson_fault(path: Path) -> str | None:
    with open_bytes(path) as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line) if line.strip() else {}
            except (ValueError, RecursionError) as error:
                return f"{path}, line {number} is not JSON: {error}"
            if not isinstance(row, dict):
                return f'{path}, line {number} is not a JSON object: each line is one row, {{"column": value, …}}'
    return None
