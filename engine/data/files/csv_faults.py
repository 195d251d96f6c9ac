"""Location of faults in CSV files: line or row, column, value.

polars reads CSV fast, but its errors name neither file nor line, and it fills short lines with nulls. Python's csv
module knows the line, but is far slower. So a fast scan by polars first tells whether a line may be too short; only
then, or after polars has failed, is the file read record by record.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from engine.data.column_types import column_type
from engine.discovery.compression import UNPACK_ERRORS, open_bytes
from engine.discovery.file_endings import find_compression
from engine.drift.reading.csv_files import CsvDialect, needs_conversion, open_text
from engine.drift.reading.text_readings import MISSING_MARKERS, TextReading
from engine.formatting.lists import join_some
from engine.formatting.numbers import format_count

_MAX_VALUES_SHOWN = 5
"""Maximum number of rows that a message shows."""
_MAX_VALUES_STUDIED = 1000
"""Maximum number of misfitting values from which advice is derived."""


def may_have_short_line(path: Path, dialect: CsvDialect, width: int) -> bool:
    """Return whether a line may have fewer fields than `width`, or a quote may be open at the end.

    False is certain, True is not: it is also returned for a quoted text that spans lines, for a line that is not valid
    UTF-8, and for a file that polars reads only after a conversion; `find_record_fault` then decides.
    """
    if needs_conversion(path, dialect):
        return True
    line, quotes = pl.col("line"), pl.lit(0)
    if dialect.quote:
        # An odd number of quotes: polars reads a value that the end of the file cuts inside a quote as missing.
        quotes = line.str.count_matches(dialect.quote, literal=True).sum()
        # Remove quoted parts first, since they may contain separators; \x{…} escapes the quote in a regex.
        quote = f"\\x{{{ord(dialect.quote):x}}}"
        line = line.str.replace_all(f"{quote}[^{quote}]*{quote}", "")
    # A line of n fields has n - 1 separators.
    short = line.str.count_matches(dialect.separator, literal=True) < width - 1
    lines = pl.scan_lines(path, name="line", glob=False).slice(dialect.skip_lines)
    if dialect.comment:
        lines = lines.filter(~pl.col("line").str.starts_with(dialect.comment))
    try:
        return bool(lines.select(short.any() | (quotes % 2 == 1)).collect(engine="streaming").item())
    except pl.exceptions.ComputeError:
        return True


def suggest_separator(columns: Sequence[str]) -> str:
    """Return advice for a table that lacks columns, if it was probably read with a wrong separator."""
    if len(columns) != 1:
        return ""
    separator = max(",;\t|", key=columns[0].count)
    if separator not in columns[0]:
        return ""
    return f"; its only column is {columns[0][:60]!r}: did you mean csv: {{separator: {json.dumps(separator)}}}?"


class _Lines:
    """The lines of a CSV file with records, as text; knows the line on which the current record begins.

    UTF-8 is decoded line by line, so that an error belongs to one line.
    """

    def __init__(self, path: Path, dialect: CsvDialect) -> None:
        self._converted = needs_conversion(path, dialect)
        self._file: Any = open_text(path, dialect) if self._converted else open_bytes(path, dialect.compression)
        self._dialect = dialect
        self.number = 0
        self.start = 0

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def __iter__(self) -> Iterator[str]:
        for number, line in enumerate(self._file, 1):
            self.number = number
            text = line if self._converted else line.decode("utf-8-sig" if number == 1 else "utf-8")
            if number <= self._dialect.skip_lines:
                continue
            if not self.start:
                if self._dialect.comment and text.startswith(self._dialect.comment):
                    continue
                self.start = number
            yield text

    def read_records(self) -> Iterator[list[str]]:
        """Yield the records; `start` is the line on which the yielded record begins."""
        quoting: Any = {"quotechar": self._dialect.quote} if self._dialect.quote else {"quoting": csv.QUOTE_NONE}
        escape = self._dialect.escape
        for record in csv.reader(self, delimiter=self._dialect.separator, escapechar=escape, strict=True, **quoting):
            yield record
            self.start = 0


def find_record_fault(path: Path, dialect: CsvDialect) -> str | None:
    """Describe the first record that cannot be read or has another number of fields than the first one.

    Returns
    -------
    str or None
        A sentence with file and line; None if every record is valid, or the file is compressed with Zstandard, which
        Python's standard library cannot decompress.
    """
    if find_compression(path, dialect.compression) == "zst":
        return None
    width, first = 0, ""
    with _Lines(path, dialect) as lines:
        try:
            for record in lines.read_records():
                if not width:
                    width, first = len(record), (record or [""])[0]
                if len(record) != width:
                    fields = format_count(len(record), "field") if record else "nothing"
                    fault = f"{path}, line {lines.start} has {fields} where the first line has {width}"
                    return fault + _suggest_preamble(first, width, len(record), lines.start)
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            return (
                f"{path}, line {lines.number} is not UTF-8 (byte {byte:#04x}): save the file as UTF-8, "
                "or declare its encoding, such as csv: {encoding: cp1252}"
            )
        except csv.Error as error:
            return f"{path}, line {lines.start or lines.number}: {_explain_csv_error(str(error), dialect)}"
        except UNPACK_ERRORS as error:
            return f"{path} cannot be unpacked, it may be damaged: {error}"
    return None


def find_stray_quote(path: Path, dialect: CsvDialect) -> str | None:
    """Describe the first line with an odd number of quotes, one of them inside a value that begins without one."""
    quote = dialect.quote
    if find_compression(path, dialect.compression) == "zst" or not quote:
        return None
    with _Lines(path, dialect) as lines:
        for line in lines:
            values = line.rstrip("\r\n").split(dialect.separator) if line.count(quote) % 2 else []
            if stray := next((one for one in values if quote in one and not one.startswith(quote)), None):
                right = quote + stray.replace(quote, quote * 2) + quote
                return (
                    f"{path}, line {lines.number} holds {stray[:60]!r}, with a quote ({quote}) inside the value: write "
                    f"{right[:60]}, or declare csv: {{quote: null}} if no value of the file is in quotes"
                )
    return None


def _suggest_preamble(first: str, width: int, found: int, line: int) -> str:
    """Return advice if lines before the header are taken for it."""
    if first.startswith(("#", "//", "%")) and found > width:
        mark = "//" if first.startswith("//") else first[0]
        return f'; line 1 is a comment: declare csv: {{comment: "{mark}"}}'
    if width == 1 and found > width:
        return f"; if the header is on line {line}, declare csv: {{skip_lines: {line - 1}}}"
    return ""


def _explain_csv_error(text: str, dialect: CsvDialect) -> str:
    """Return what is wrong with a record, in words for the owner of the file, given the text of a csv.Error."""
    quote = dialect.quote or ""
    if text.startswith("unexpected end of data"):
        return f"a quote ({quote}) is opened and never closed: the file may be cut off inside this value"
    if text.startswith("new-line character seen in unquoted field"):
        return "there is a carriage return in the middle of the line, outside quotes: remove it, or quote the value"
    if text.endswith(f"expected after '{quote}'"):
        return f"text follows the closing quote ({quote}) of a value: write a quote inside a value as {quote * 2}"
    if text.startswith("field larger than field limit"):
        return f"a value is longer than {csv.field_size_limit():,} characters; a quote may be open"
    return text


def locate_rows(path: Path, dialect: CsvDialect, rows: Sequence[int]) -> dict[int, int]:
    """Return the line on which each of the given rows (counted from 1, without the header) begins.

    Returns
    -------
    dict
        Empty if the lines are not certain: a blank line or an invalid record precedes the rows, or the file is
        compressed with Zstandard.
    """
    found: dict[int, int] = {}
    if find_compression(path, dialect.compression) == "zst" or not rows:
        return found
    with _Lines(path, dialect) as lines:
        try:
            for row, record in enumerate(lines.read_records(), 0 if dialect.header else 1):
                if not record:
                    return {}
                if row in rows:
                    found[row] = lines.start
                if row >= max(rows):
                    return found
        except (UnicodeDecodeError, csv.Error, *UNPACK_ERRORS):
            pass
    return {}


def find_value_fault(
    path: Path,
    texts: pl.LazyFrame,
    types: Mapping[str, pl.DataType],
    dialect: CsvDialect,
    readings: Mapping[str, TextReading],
) -> str | None:
    """Describe the first column with values that cannot be read as its type, with the first such rows.

    Parameters
    ----------
    path
        The file, for the message.
    texts
        The file with all columns as text; texts that mean a missing value are null.
    types
        The declared or inferred type per column.
    dialect
        How the file is written.
    readings
        The reading of columns that are parsed from text.
    """
    for name, dtype in types.items():
        reading = readings.get(name) or _reading_of_polars(dtype, dialect)
        if reading is None:  # every value can be read as text
            continue
        text = pl.col(name)
        # A parser returns null where it fails, so a text that is present but parsed to null is at fault.
        present = ~text.str.strip_chars().is_in([*reading.missing, *([""] if name in readings else [])])
        bad = reading.parse(text, strict=False).is_null() & text.is_not_null() & present
        rows = texts.select(text.alias("value"), bad=bad)
        if count := rows.select(pl.col("bad").sum()).collect(engine="streaming").item():
            first = rows.with_row_index("row", offset=1).filter("bad").head(_MAX_VALUES_STUDIED)
            return _describe_value_fault(path, name, reading, first.collect(engine="streaming"), count, dialect)
    return None


def _reading_of_polars(dtype: pl.DataType, dialect: CsvDialect) -> TextReading | None:
    """Return the reading closest to polars' own reading of a type; None for text and other types."""
    type_ = column_type(dtype)
    if type_ not in ("integer", "number", "boolean", "date", "datetime"):
        return None
    zoned = getattr(dtype, "time_zone", None) is not None
    return TextReading(
        type_, ("NaN",) if type_ == "number" else (), decimal="," if dialect.decimal_comma else ".", zoned=zoned
    )


def _describe_value_fault(
    path: Path, name: str, reading: TextReading, bad: pl.DataFrame, count: int, dialect: CsvDialect
) -> str:
    """Return the sentence about `count` values that do not fit: where the first are, and what to declare."""
    shown = bad.head(_MAX_VALUES_SHOWN)
    lines = locate_rows(path, dialect, shown["row"].to_list())
    where = ", ".join(
        f"{f'line {lines[row]}' if row in lines else f'row {row}'} holds {value[:60]!r}"
        for row, value in shown.select("row", "value").iter_rows()
    )
    others = f", and {count - shown.height:,} more do not fit" if count > shown.height else ""
    fault = f"{path}, column {name!r} is read as {reading.type}, but {where}{others}"
    values = set(bad["value"].str.strip_chars())
    markers = sorted(values & MISSING_MARKERS)
    numeric = {value for value in values - set(markers) if _is_number(value, reading)}
    if reading.type in ("integer", "number") and numeric | set(markers) == values:
        advice = [f"declare columns: {{{name}: {{type: number}}}}"] if numeric and reading.type == "integer" else []
        listed = ", ".join(json.dumps(text, ensure_ascii=False) for text in [*dialect.null_values, *markers])
        advice += (
            [f"csv: {{null_values: [{listed}]}}, where {join_some(map(repr, markers))} means missing"]
            if markers
            else []
        )
        return f"{fault}; {' and '.join(advice)}"
    if markers and set(markers) == values:
        listed = ", ".join(json.dumps(text, ensure_ascii=False) for text in [*dialect.null_values, *markers])
        return f"{fault}; if that means missing, declare csv: {{null_values: [{listed}]}}"
    return (
        f"{fault}; if the column is text, declare columns: {{{name}: {{type: text}}}}; if the value means missing, add "
        "it to csv: null_values; if it is a total or a remark, remove its line"
    )


def _is_number(value: str, reading: TextReading) -> bool:
    whole = TextReading("number", decimal=reading.decimal, thousands=reading.thousands, sign=reading.sign)
    return pl.Series([value]).to_frame("v").select(whole.parse(pl.col("v"), strict=False)).item() is not None
