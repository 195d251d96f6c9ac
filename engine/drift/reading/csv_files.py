"""CSV files as lazy frames: their header, their encoding, and how their columns are read.

polars reads UTF-8 with line feeds and doubled quotes; a file with another encoding, other line ends or escaped
characters is converted in memory.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import polars as pl

from engine.discovery.compression import UNPACK_ERRORS, open_bytes, read_unpacked
from engine.discovery.file_endings import find_compression, is_unpacked_here
from engine.discovery.formats import read_head
from engine.drift.reading.normalization import column_named
from engine.drift.reading.text_readings import DateOrder, Notation, TextReading
from engine.errors import DataError
from engine.formatting.lists import join_some

INFER_ROWS = 10_000
"""Number of rows of a CSV file from which undeclared types are inferred."""
MAX_TRANSCODED_BYTES = 1 << 30
"""Maximum unpacked size in bytes of a file that must be converted: the conversion is done in memory."""
_ENCODINGS_OF_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """How a CSV file is written; all attributes but the last two are keys under `csv:` of a spec.

    `compression` is the compression, or None to recognize it by the file's ending. For a file without a header, `names`
    are the names of the columns in order; if it is empty, polars names them.
    """

    separator: str = ","
    quote: str | None = '"'
    header: bool = True
    null_values: Sequence[str] = ("",)
    decimal_comma: bool = False
    thousands: str | None = None
    date_order: DateOrder | None = None
    comment: str | None = None
    skip_lines: int = 0
    encoding: str = "utf-8"
    escape: str | None = None
    compression: str | None = None
    names: Sequence[str] = ()

    @property
    def notation(self) -> Notation:
        """The part of the dialect that concerns numbers and dates."""
        return Notation(self.decimal_comma, self.thousands, self.date_order)


@dataclass(frozen=True, slots=True)
class CsvColumns:
    """How the columns of CSV files are read if polars' own inference is not used.

    Attributes
    ----------
    types
        The polars type of columns that polars can read as this type.
    readings
        The reading of columns that are read as text and then parsed.
    notes, warnings
        Sentences about what was recognized, and about columns that stay text although they look like something else.
    doubtful
        The columns that stay text although they look like something else.
    """

    types: Mapping[str, pl.DataType] = field(default_factory=dict)
    readings: Mapping[str, TextReading] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()


def scan_csv_files(
    paths: Sequence[Path],
    dialect: CsvDialect,
    columns: CsvColumns,
    *,
    path_column: str | None = None,
    infer_rows: int | None = INFER_ROWS,
) -> pl.LazyFrame:
    """Return the rows of CSV files with the same columns as one lazy frame.

    Parameters
    ----------
    columns
        How columns are read; the types of all others are inferred from the first rows.
    path_column
        Name of an additional column with the path of each row's file; only for files that need no conversion.
    infer_rows
        Number of rows from which types are inferred; None for all.
    """
    names = read_column_names(paths[0], dialect)
    texts = {name: pl.String() for name in columns.readings}
    frame = _scan_with_types(paths, dialect, {**columns.types, **texts}, names, infer_rows, path_column)
    return frame.with_columns(
        reading.parse(column_named(name)).alias(name) for name, reading in columns.readings.items()
    )


def scan_csv_texts(paths: Sequence[Path], dialect: CsvDialect) -> pl.LazyFrame:
    """Return the rows of CSV files with all columns as text; texts that are declared missing are null."""
    return _scan_with_types(paths, dialect, {}, read_column_names(paths[0], dialect), 0, None)


def _scan_with_types(
    paths: Sequence[Path],
    dialect: CsvDialect,
    types: Mapping[str, pl.DataType],
    names: Mapping[str, str],
    infer_rows: int | None,
    path_column: str | None,
) -> pl.LazyFrame:
    """Scan CSV files; `names` maps polars' name of a column to its actual name where they differ."""
    frame = pl.scan_csv(
        _prepare_sources(paths, dialect),
        glob=False,
        separator=dialect.separator,
        quote_char=dialect.quote,
        has_header=dialect.header,
        null_values=list(dialect.null_values) or None,
        decimal_comma=dialect.decimal_comma,
        comment_prefix=dialect.comment,
        skip_lines=dialect.skip_lines,
        infer_schema_length=infer_rows,
        infer_schema_files=1,
        schema_overrides={_key_of(name, names): dtype for name, dtype in types.items()},
        try_parse_dates=infer_rows != 0,
        include_file_paths=path_column,
    )
    return frame.rename(dict(names)) if names else frame


def _key_of(name: str, names: Mapping[str, str]) -> str:
    return next((key for key, own in names.items() if own == name), name)


def read_column_names(path: Path, dialect: CsvDialect) -> dict[str, str]:
    """Return the columns to which polars gives another name than the header or spec: it keeps CSV's doubled quotes.

    Raises
    ------
    DataError
        The header names a column twice, or several columns have no name: polars would rename them without an error. Or
        the file has no header, and the spec names more or fewer columns than the file has.
    """
    if not dialect.header:
        return _name_in_order(path, dialect) if dialect.names else {}
    bare = replace(dialect, header=False, null_values=("",))
    header = _scan_with_types([path], bare, {}, {}, 0, None).head(1).collect()
    found = list(header.row(0)) if header.height else []
    line = 1 + dialect.skip_lines
    for position, name in enumerate(found):
        if name is not None and name in found[:position]:
            raise DataError(f"{path}, line {line} names the column {name!r} twice: rename one of them")
    nameless = [position for position, name in enumerate(found, 1) if not name]
    if len(nameless) > 1:
        raise DataError(
            f"{path}, line {line} has no name for the columns {join_some(map(str, nameless))}: name them, or remove "
            "them (a separator at the end of each line makes one more column)"
        )
    quote = (dialect.quote or "") * 2
    if not quote or not any(quote[0] in (name or "") for name in found):
        return {}
    named = _scan_with_types([path], dialect, {}, {}, 0, None).collect_schema().names()
    return {key: name for key, name in zip(named, found, strict=False) if name is not None and key != name}


def _name_in_order(path: Path, dialect: CsvDialect) -> dict[str, str]:
    keys = _scan_with_types([path], dialect, {}, {}, 0, None).collect_schema().names()
    if len(keys) != len(dialect.names):
        raise DataError(
            f"{path} has {len(keys)} columns, but the spec declares {len(dialect.names)}: without a header, declare "
            "all of them under columns, in the order of the file"
        )
    return dict(zip(keys, dialect.names, strict=True))


def find_encoding(path: Path, dialect: CsvDialect) -> str:
    """Return the encoding of a file: that of its byte order mark if it has one, else the declared encoding."""
    if find_compression(path, dialect.compression):
        return dialect.encoding
    return _ENCODINGS_OF_MARKS.get(read_head(path)[:2], dialect.encoding)


def needs_conversion(path: Path, dialect: CsvDialect) -> bool:
    """Return whether polars cannot read a file directly: it is zipped or has another encoding, line ends or escapes."""
    if is_unpacked_here(path, dialect.compression):
        return True
    if not _is_utf8(find_encoding(path, dialect)):
        return True
    if not find_compression(path, dialect.compression) and _ends_in_returns(read_head(path)):
        return True
    return dialect.escape is not None and _holds_escape(path, dialect.escape, dialect.compression)


def _holds_escape(path: Path, escape: str, compression: str | None) -> bool:
    state = path.stat()
    return _search_file(path, escape.encode(), compression, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1024)
def _search_file(path: Path, wanted: bytes, compression: str | None, *_: int) -> bool:
    """Return whether a file contains a byte; the ignored size and time of change make the cached result specific."""
    if find_compression(path, compression) == "zst":
        return True
    try:
        with open_bytes(path, compression) as file:
            return any(wanted in part for part in iter(lambda: file.read(1 << 20), b""))
    except UNPACK_ERRORS:
        return False  # damage is reported when the rows are read


def _is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")


def _ends_in_returns(head: bytes) -> bool:
    return b"\r" in head[:-1] and b"\n" not in head


def open_text(path: Path, dialect: CsvDialect) -> IO[str]:
    """Open a CSV file as text in its encoding; lines end as they do in the file."""
    if find_compression(path, dialect.compression) == "zst":
        raise DataError(f"{path}: unpack it, or convert it to UTF-8: a file compressed with Zstandard is read as it is")
    encoding = find_encoding(path, dialect)
    return io.TextIOWrapper(
        open_bytes(path, dialect.compression), "utf-8-sig" if _is_utf8(encoding) else encoding, newline=""
    )


def _prepare_sources(paths: Sequence[Path], dialect: CsvDialect) -> Any:
    """Return what polars can scan: the paths, or the contents of the files in UTF-8 if one must be converted."""
    if not any(needs_conversion(path, dialect) for path in paths):
        return list(paths)
    return [_convert_file(path, dialect) for path in paths]


def _convert_file(path: Path, dialect: CsvDialect) -> bytes:
    """Return the content of a file in UTF-8, with line feeds.

    Raises
    ------
    DataError
        The file is too large, or not in its encoding.
    """
    encoding = find_encoding(path, dialect)
    if is_unpacked_here(path, dialect.compression) and _is_utf8(encoding) and dialect.escape is None:
        content = read_unpacked(path, dialect.compression)
        return content if b"\n" in content else content.replace(b"\r", b"\n")
    try:
        with open_text(path, dialect) as file:
            text = file.read(MAX_TRANSCODED_BYTES + 1)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(f"{path} is not {encoding} (byte {byte:#04x}): declare its csv: {{encoding: …}}") from error
    except UNPACK_ERRORS as error:
        raise DataError(f"{path} cannot be unpacked, it may be damaged: {error}") from error
    if len(text) > MAX_TRANSCODED_BYTES:
        raise DataError(f"{path} is too large to be converted from {encoding}: save it as UTF-8 with line feeds")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    return (text if dialect.escape is None else _double_quotes(text, dialect)).encode()


def _double_quotes(text: str, dialect: CsvDialect) -> str:
    """Return CSV with escaped characters as CSV with doubled quotes, which polars reads."""
    quoting: Any = {"quotechar": dialect.quote} if dialect.quote else {"quoting": csv.QUOTE_NONE}
    written = io.StringIO()
    writer = csv.writer(written, delimiter=dialect.separator, quotechar=dialect.quote or '"', lineterminator="\n")
    try:
        writer.writerows(
            csv.reader(io.StringIO(text, newline=""), delimiter=dialect.separator, escapechar=dialect.escape, **quoting)
        )
    except csv.Error as error:
        raise DataError(f"its escaped characters cannot be read: {error}") from error
    return written.getvalue()
