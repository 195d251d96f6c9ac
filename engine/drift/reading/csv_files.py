"""CSV files as lazy frames: their header, their encoding, and the types of their columns.

polars infers numbers, ISO dates and booleans, and reads UTF-8 with line feeds. What it does not
read as it is meant is decided here: `NA` among numbers, `1.234,56`, dates with the day or the month first, numbers with
leading zeros. The first rows decide, as they do for polars; a later value that does not fit is an error, never a text.
"""

import gzip
import io
import json
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

import polars as pl

from engine.discovery.formats import open_bytes, read_head
from engine.drift.reading.normalization import column_named
from engine.drift.reading.text_readings import (
    UNUSUAL_MINUS,
    DateOrder,
    Notation,
    TextFinding,
    TextReading,
    describe_times,
    recognize_texts,
)
from engine.errors import DataError
from engine.formatting.lists import join_some

INFER_ROWS = 10_000
"""Rows of a CSV file from which types are inferred where none are declared."""
MAX_TRANSCODED_BYTES = 1 << 30
"""Largest file, unpacked, in another encoding than UTF-8 or with other line ends: it is converted in memory."""
_MAX_SAMPLED_ROWS = 200_000
"""Rows of all files together from which columns are recognised."""
_ENCODINGS_OF_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}

NameRow = Callable[[Path, int], str]
"""Returns how to find a row, counted from 1: `line 50 of new.csv`."""


@dataclass(frozen=True, slots=True)
class CsvDialect:
    """How a CSV file is written; the keys under `csv:` of a spec have the same names."""

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

    @property
    def notation(self) -> Notation:
        """What the dialect says about numbers and dates."""
        return Notation(self.decimal_comma, self.thousands, self.date_order)


@dataclass(frozen=True, slots=True)
class CsvColumns:
    """How the columns of CSV files are read where polars' own inference is not used.

    Attributes
    ----------
    types
        The polars type of columns that polars can read as such.
    readings
        The reading of columns that are read as text and then parsed.
    notes, warnings
        What was recognised, and what stays text although it looks like something else; as sentences.
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
        Name of a further column with the path of each row's file; only for files that need no conversion.
    infer_rows
        Rows from which types are inferred; None for all.
    """
    names = read_column_names(paths[0], dialect)
    texts = {name: pl.String() for name in columns.readings}
    frame = _scan_with_types(paths, dialect, {**columns.types, **texts}, names, infer_rows, path_column)
    return frame.with_columns(
        reading.parse(column_named(name)).alias(name) for name, reading in columns.readings.items()
    )


def scan_csv_texts(paths: Sequence[Path], dialect: CsvDialect) -> pl.LazyFrame:
    """Return the rows of CSV files with every column as text; texts that are declared missing are null."""
    return _scan_with_types(paths, dialect, {}, read_column_names(paths[0], dialect), 0, None)


def _scan_with_types(
    paths: Sequence[Path],
    dialect: CsvDialect,
    types: Mapping[str, pl.DataType],
    names: Mapping[str, str],
    infer_rows: int | None,
    path_column: str | None,
) -> pl.LazyFrame:
    """Scan CSV files; `names` maps polars' name of a column to its own name where the two differ."""
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
    """Return the columns that polars names otherwise than the header does: it keeps the doubled quotes of CSV.

    Raises
    ------
    DataError
        The header names a column twice, or several have no name; polars would rename them without an error.
    """
    if not dialect.header:
        return {}
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


# --- encodings and line ends ---


def find_encoding(path: Path, dialect: CsvDialect) -> str:
    """Return the encoding of a file: the one that its byte order mark tells, else the declared one."""
    if path.suffix.lower() in (".gz", ".zst"):
        return dialect.encoding
    return _ENCODINGS_OF_MARKS.get(read_head(path)[:2], dialect.encoding)


def needs_conversion(path: Path, dialect: CsvDialect) -> bool:
    """Tell whether polars cannot read a file as it is: another encoding, or lines that end in carriage returns."""
    if _is_utf8(find_encoding(path, dialect)):
        return path.suffix.lower() not in (".gz", ".zst") and _ends_in_returns(read_head(path))
    return True


def _is_utf8(encoding: str) -> bool:
    return encoding.lower().replace("_", "-") in ("utf-8", "utf8", "utf-8-sig")


def _ends_in_returns(head: bytes) -> bool:
    return b"\r" in head[:-1] and b"\n" not in head


def open_text(path: Path, dialect: CsvDialect) -> IO[str]:
    """Open a CSV file as text in its encoding; lines end as they do in the file."""
    if path.suffix.lower() == ".zst":
        raise DataError(f"{path}: unpack it, or convert it to UTF-8: a file compressed with Zstandard is read as it is")
    encoding = find_encoding(path, dialect)
    return io.TextIOWrapper(open_bytes(path), "utf-8-sig" if _is_utf8(encoding) else encoding, newline="")


def _prepare_sources(paths: Sequence[Path], dialect: CsvDialect) -> Any:
    """Return what polars can scan: the paths, or the content of the files in UTF-8 where one must be converted."""
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
    try:
        with open_text(path, dialect) as file:
            text = file.read(MAX_TRANSCODED_BYTES + 1)
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise DataError(f"{path} is not {encoding} (byte {byte:#04x}): declare its csv: {{encoding: …}}") from error
    except (EOFError, gzip.BadGzipFile) as error:
        raise DataError(f"{path} cannot be unpacked, it may be damaged: {error}") from error
    if len(text) > MAX_TRANSCODED_BYTES:
        raise DataError(f"{path} is too large to be converted from {encoding}: save it as UTF-8 with line feeds")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    return text.encode()


# --- recognition ---


def recognize_csv_columns(
    paths: Sequence[Path],
    dialect: CsvDialect,
    declared: Mapping[str, pl.DataType],
    declared_types: Mapping[str, str],
    quiet: Collection[str],
    name_row: NameRow,
) -> CsvColumns:
    """Decide from the first rows of CSV files how their columns are read.

    Parameters
    ----------
    declared, declared_types
        The polars type, and the name of the type, of columns whose type is declared.
    quiet
        Columns of which no warning is given: their role is declared.
    name_row
        Names a row in a warning.

    Raises
    ------
    DataError
        A header names a column twice; or a column is declared as numbers or dates, and its texts allow several
        readings.
    """
    rows = max(1000, min(INFER_ROWS, _MAX_SAMPLED_ROWS // len(paths)))
    heads = {path: scan_csv_texts([path], dialect).head(rows).collect() for path in paths}
    inferred: dict[str, set[pl.DataType]] = defaultdict(set)
    for path in paths:
        schema = scan_csv_files([path], dialect, CsvColumns(declared)).collect_schema()
        for name, dtype in schema.items():
            found = inferred[name]
            if name in heads[path].columns and heads[path][name].null_count() < heads[path].height:
                found.add(dtype)  # a column without values has no type of its own
    decisions = _Decisions(dialect, heads, name_row)
    for name, dtypes in inferred.items():
        texts = [head[name] for head in heads.values() if name in head.columns]
        if not dtypes and name not in declared and name not in quiet:
            decisions.warn_of_empty_column(name, sum(map(len, texts)), rows)
        if not texts or not dtypes or (name in declared_types and declared_types[name] == "text"):
            continue
        decisions.decide(
            name,
            pl.concat([part.alias("text") for part in texts]),
            dtypes,
            declared_types.get(name),
            warn=name not in quiet,
        )
    decisions.look_at_header(next(iter(heads.values())), paths[0])
    return CsvColumns(
        {**declared, **decisions.types},
        decisions.readings,
        tuple(decisions.notes()),
        tuple(decisions.warnings),
        tuple(decisions.doubtful),
    )


class _Decisions:
    """Collects the decisions about the columns, so that columns that are read alike are told in one sentence."""

    def __init__(self, dialect: CsvDialect, heads: Mapping[Path, pl.DataFrame], name_row: NameRow) -> None:
        self.dialect = dialect
        self.heads = heads
        self.name_row = name_row
        self.types: dict[str, pl.DataType] = {}
        self.readings: dict[str, TextReading] = {}
        self.warnings: list[str] = []
        self.doubtful: list[str] = []
        self._alike: dict[str, list[str]] = defaultdict(list)

    def decide(self, name: str, texts: pl.Series, dtypes: set[pl.DataType], type_: str | None, *, warn: bool) -> None:
        """Decide how one column is read: as polars does, by a reading, or as text."""
        if type_ is None and any(dtype.is_integer() for dtype in dtypes):
            codes = texts.drop_nulls().filter(texts.drop_nulls().str.contains(r"^0\d+$"))
            if len(codes):
                self.types[name] = pl.String()
                why = f"whole numbers with leading zeros such as {codes[0][:60]!r} are codes"
                self._alike[f"read as text: {why}; declare type: integer if they are numbers"].append(name)
                return
            if warn and all(dtype.is_integer() for dtype in dtypes):
                times = describe_times(name, texts.cast(pl.Int64, strict=False))
                self.warnings += [advise_on_times(name, times)] if times else []
        if _is_read_by_polars(texts, dtypes, type_, self.dialect):
            return
        found = recognize_texts(texts, self.dialect.notation, type_)
        if type_ is None and not found.certain and any(dtype.is_temporal() for dtype in dtypes):
            self.types[name] = pl.String()  # polars takes the day first, and 1.10.25 for a date
        if found.reading is None:
            if warn and type_ is None and found.only_missing:
                self._warn_of_markers(name, found.only_missing)
            return
        if found.certain:
            self.readings[name] = found.reading
            self._alike[_describe_reading(found)].append(name)
        elif type_ is not None:
            self._decide_declared(name, found, type_)
        elif warn and found.notable:
            self.warnings.append(self._warn(name, found))
            self.doubtful.append(name)

    def warn_of_empty_column(self, name: str, seen: int, rows: int) -> None:
        """Warn of a column without values in the first rows, if there are more rows."""
        if seen >= rows:
            self.warnings.append(
                f"column {name!r} has no value in the first {seen:,} rows, so it is read as text: declare its type"
            )

    def _warn_of_markers(self, name: str, markers: tuple[str, ...]) -> None:
        shown = ", ".join(map(repr, markers))
        self.warnings.append(
            f"column {name!r} is text, and its first values are all {shown}: if that means missing, declare the type "
            "of the column, and add it to csv: null_values; or declare type: text"
        )
        self.doubtful.append(name)

    def _decide_declared(self, name: str, found: TextFinding, type_: str) -> None:
        """Take the reading of a column whose type is declared, unless its texts allow several."""
        if found.ambiguous:
            raise DataError(
                f"column {name!r} is declared as {type_}, but {found.example!r} can be read in several ways: "
                f"{advise_on_finding(found, self.dialect.notation)}"
            )
        if found.reading is not None:
            self.readings[name] = found.reading  # a value that does not fit is reported when the rows are read

    def _warn(self, name: str, found: TextFinding) -> str:
        advice = advise_on_finding(found, self.dialect.notation)
        return describe_text_column(name, found, self._locate(name, found.odd), advice)

    def _locate(self, name: str, odd: str | None) -> str:
        """Return where the first value that does not fit stands."""
        if odd is None:
            return ""
        for path, head in self.heads.items():
            rows = (
                (head[name].alias("text").str.strip_chars() == odd).arg_true()
                if name in head.columns
                else pl.Series([], dtype=pl.Int64)
            )
            if len(rows):
                return self.name_row(path, int(rows[0]) + 1)
        return ""

    def look_at_header(self, head: pl.DataFrame, path: Path) -> None:
        """Warn of a separator or a header that the dialect does not fit."""
        names = head.columns
        separators = [one for one in ",;\t|" if one in names[0]] if len(names) == 1 else []
        if len(names) == 1 and names[0].startswith("sep="):
            self.warnings.append(
                f"line 1 of {path.name} is a mark for spreadsheets, no header: declare csv: {{skip_lines: 1, "
                f"separator: {json.dumps(names[0][4:5])}}}"
            )
        elif separators:
            one = max(separators, key=names[0].count)
            shown = "\\t" if one == "\t" else one
            self.warnings.append(
                f'the only column of {path.name} is {names[0][:60]!r}: did you mean csv: {{separator: "{shown}"}}?'
            )
        finding = recognize_texts(pl.Series("name", names), Notation())
        decimals = sum("." in name for name in names)
        if self.dialect.header and finding.reading is not None and finding.share >= 0.5 and decimals:
            self.warnings.append(
                f"the first line of {path.name} names columns {join_some(map(repr, names), 3)}: "
                "if these are values, declare csv: {header: false}"
            )

    def notes(self) -> Iterator[str]:
        for description, names in self._alike.items():
            several = len(names) > 1
            shown = join_some(map(repr, names), 5)
            yield f"column{'s' if several else ''} {shown} {'are' if several else 'is'} {description}"


def _describe_reading(found: TextFinding) -> str:
    reading = found.reading
    assert reading is not None  # noqa: S101 - called for findings with one
    plain = reading.type in ("integer", "number") and not (reading.thousands or reading.sign or reading.decimal == ",")
    what = reading.type if plain else f"{reading.describe()}, such as {found.example!r}"
    if plain and re.search(UNUSUAL_MINUS, found.example):
        what += f", where {found.example!r} is below zero"
    markers = ", ".join(map(repr, reading.missing))
    if not markers:
        return f"read as {what}"
    return f"read as {what}: {markers} {'mean' if len(reading.missing) > 1 else 'means'} missing"


def _is_read_by_polars(texts: pl.Series, dtypes: set[pl.DataType], type_: str | None, dialect: CsvDialect) -> bool:
    """Tell whether polars reads the texts of a column as they are meant."""
    present = texts.drop_nulls()
    if type_ is None and any(dtype == pl.String for dtype in dtypes):
        return False
    if any(dtype in (pl.Date, pl.Datetime) for dtype in dtypes):
        # The declared type, or what polars has inferred: it also takes 03/04/2025, with the day first.
        timed = r"([T ]\d{2}:\d{2}.*)?$" if any(dtype == pl.Datetime for dtype in dtypes) else "$"
        return bool(present.str.contains(rf"^\d{{4}}[-/]\d{{2}}[-/]\d{{2}}{timed}").all())
    if type_ in ("integer", "number"):
        plain = present.str.replace(",", ".", literal=True) if dialect.decimal_comma else present
        native = plain.cast(pl.Int64 if type_ == "integer" else pl.Float64, strict=False).null_count() == 0
        return native and not (dialect.decimal_comma and bool(present.str.contains(".", literal=True).any()))
    if type_ == "boolean":
        return bool(present.is_in(["true", "false", "True", "False", "TRUE", "FALSE"]).all())
    return True


# --- sentences ---

ONE_ORDER = "write all its dates in one order, such as 2025-12-31; if the column is text, declare type: text"
"""What to do about a column whose dates differ in the order of day, month and year."""


def describe_text_column(name: str, found: TextFinding, where: str, advice: str) -> str:
    """Return the warning about a column that is text, and looks like something else."""
    reading = found.reading
    assert reading is not None  # noqa: S101 - called for findings with one
    share = "all" if found.share == 1.0 else f"{_format_share(found.share)} %"
    odd = f"; {where or 'one value'} holds {found.odd[:60]!r}" if found.odd is not None else ""
    return (
        f"column {name!r} is text, but {share} of its values read as {reading.describe()}, such as {found.example!r}"
        f"{odd}: {advice}"
    )


def advise_on_times(name: str, times: str) -> str:
    """Return the warning about a column of whole numbers that look like times."""
    return (
        f"column {name!r} holds whole numbers that look like {times}: a time always differs between two periods; "
        "declare role: ignore, or role: numerical if it is none"
    )


def _format_share(share: float) -> str:
    return "99.9" if share >= 0.999 else f"{100 * share:.3g}"


def advise_on_finding(found: TextFinding, notation: Notation) -> str:
    """Return what to write so that a column of a CSV file is read as what it looks like."""
    reading = found.reading
    assert reading is not None  # noqa: S101 - called for findings with one
    if found.orders_differ:
        return ONE_ORDER
    if reading.type in ("date", "datetime") and found.alternatives:
        orders = dict.fromkeys([reading.order, *(other.order for other in found.alternatives)])
        return "declare csv: " + " or csv: ".join(f"{{date_order: {order}}}" for order in orders)
    if found.odd is not None:
        return (
            f"correct {found.odd[:60]!r} or remove its line; if it means missing, add it to csv: null_values; "
            "if the column is text, declare type: text"
        )
    keys = _missing_keys(reading, notation)
    other = next((one for one in found.alternatives if one.decimal != reading.decimal and not one.thousands), None)
    if other is not None and reading.thousands == other.decimal:
        return (
            f"declare csv: {{{keys}}} if {reading.thousands!r} stands between thousands, "
            f"csv: {{{_missing_keys(other, notation)}}} if it is the decimal mark, type: text if it is neither"
        )
    if keys:
        return f"declare csv: {{{keys}}}, or type: text"
    if reading.sign:
        return "its values have several signs; convert them to one unit, or declare type: text"
    return f"declare type: {reading.type}, or type: text"


def _missing_keys(reading: TextReading, notation: Notation) -> str:
    keys = []
    if reading.decimal == "," and not notation.decimal_comma:
        keys.append("decimal_comma: true")
    if reading.decimal == "." and notation.decimal_comma:
        keys.append("decimal_comma: false")
    if reading.thousands and reading.thousands != notation.thousands:
        quote = '"' if reading.thousands != '"' else "'"
        keys.append(f"thousands: {quote}{reading.thousands}{quote}")
    return ", ".join(keys)
