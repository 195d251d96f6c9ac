"""Location of faults in CSV files: line or row, column, value.

polars reads CSV fast, but its errors name neither file nor line, and it fills lines that are too short with nulls.
Python's csv module names the line, but is far slower. So a fast scan by polars first tells whether a line may be too
short; only then, or after polars has failed, is the file read record by record.
"""

import csv
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, cast

import polars as pl

from engine.data.column_types import column_type
from engine.spec.resources.datasets import Csv

_MAX_VALUES_SHOWN = 5
"""The largest number of rows that a message shows."""


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading; a file that ends in .gz is decompressed."""
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def may_have_short_line(path: Path, dialect: Csv, width: int) -> bool:
    """Tell whether a line may have fewer fields than `width`.

    The result may be wrong in one direction only. It is also true for a quoted text that spans lines and for a line
    that is not valid UTF-8; `find_record_fault` then decides.
    """
    line = pl.col("line")
    if dialect.quote:
        # Remove quoted parts first, since they may contain separators; \x{…} escapes the quote in a regex.
        quote = f"\\x{{{ord(dialect.quote):x}}}"
        line = line.str.replace_all(f"{quote}[^{quote}]*{quote}", "")
    # A line of n fields has n - 1 separators.
    short = line.str.count_matches(dialect.separator, literal=True) < width - 1
    try:
        return bool(pl.scan_lines(path, name="line", glob=False).select(short.any()).collect(engine="streaming").item())
    except pl.exceptions.ComputeError:
        return True


def suggest_separator(columns: Sequence[str]) -> str:
    """Return the end of a message about a table that lacks columns, if it was probably read with a wrong separator."""
    if len(columns) != 1:
        return ""
    separator = max(",;\t|", key=columns[0].count)
    if separator not in columns[0]:
        return ""
    return f"; its only column is {columns[0][:60]!r}: did you mean csv: {{separator: {json.dumps(separator)}}}?"


def find_record_fault(path: Path, dialect: Csv) -> str | None:
    """Describe the first record that cannot be read or has another number of fields than the first one.

    Returns
    -------
    str or None
        A sentence with file and line; None where every record is sound, or the file is compressed with Zstandard,
        which Python's standard library does not decompress.
    """
    if path.suffix == ".zst":
        return None
    with open_bytes(path) as file:
        quoting = {"quotechar": dialect.quote} if dialect.quote else {"quoting": csv.QUOTE_NONE}
        records = csv.reader(_decode_lines(file), delimiter=dialect.separator, strict=True, **quoting)
        width, start = 0, 1
        try:
            for record in records:
                width = width or len(record)
                if len(record) != width:
                    fields = f"{len(record)} field{'' if len(record) == 1 else 's'}" if record else "nothing"
                    return f"{path}, line {start} has {fields} where the first line has {width}"
                start = records.line_num + 1  # the next record's first line: a record may span lines
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            return f"{path}, line {records.line_num + 1} is not UTF-8 (byte {byte:#04x}): save the file as UTF-8"
        except csv.Error as error:
            return f"{path}, line {start}: {_explain_csv_error(str(error), dialect)}"
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            return f"{path} cannot be unpacked, it may be damaged: {error}"
    return None


def _explain_csv_error(text: str, dialect: Csv) -> str:
    """Return what is wrong with a record, in words for the owner of the file, from the text of a csv.Error."""
    quote = dialect.quote or ""
    if text.startswith("unexpected end of data"):
        return f"a quote ({quote}) is opened and never closed"
    if text.startswith("new-line character seen in unquoted field"):
        return "a carriage return stands in the middle of the line, outside quotes: remove it, or quote the value"
    if text.endswith(f"expected after '{quote}'"):
        return f"text follows the closing quote ({quote}) of a value: write a quote inside a value as {quote * 2}"
    if text.startswith("field larger than field limit"):
        return f"a value is longer than {csv.field_size_limit():,} characters; a quote may be open"
    return text


def _decode_lines(file: IO[bytes]) -> Iterator[str]:
    """Decode line by line, so that an error belongs to one line; a byte order mark is dropped from the first."""
    return (line.decode("utf-8-sig" if number == 0 else "utf-8") for number, line in enumerate(file))


def locate_rows(path: Path, dialect: Csv, rows: Sequence[int]) -> dict[int, int]:
    """Return the line on which each of some rows (counted from 1, without the header) begins.

    Returns
    -------
    dict
        Empty where the lines are not certain: a blank line or a record that cannot be read comes before the rows, or
        the file is compressed with Zstandard.
    """
    lines: dict[int, int] = {}
    if path.suffix == ".zst" or not rows:
        return lines
    with open_bytes(path) as file:
        quoting = {"quotechar": dialect.quote} if dialect.quote else {"quoting": csv.QUOTE_NONE}
        records = csv.reader(_decode_lines(file), delimiter=dialect.separator, strict=True, **quoting)
        start = 1
        try:
            for row, record in enumerate(records, 0 if dialect.header else 1):
                if not record:
                    return {}
                if row in rows:
                    lines[row] = start
                if row >= max(rows):
                    return lines
                start = records.line_num + 1  # the next record's first line: a record may span lines
        except (UnicodeDecodeError, csv.Error, EOFError, zlib.error, gzip.BadGzipFile):
            pass
    return {}


def find_value_fault(path: Path, texts: pl.LazyFrame, types: Mapping[str, pl.DataType], dialect: Csv) -> str | None:
    """Describe the first column with values that cannot be read as its type, with the first rows of them.

    Parameters
    ----------
    path
        The file, for the message.
    texts
        The file with every column as text, where texts that mean a missing value are null.
    types
        The declared or inferred type per column.
    dialect
        How the file is written.
    """
    for name, dtype in types.items():
        text = pl.col(name)
        number = text.str.replace(",", ".", literal=True) if dialect.decimal_comma else text
        parsers = {
            "integer": text.cast(pl.Int64, strict=False),
            "number": number.cast(pl.Float64, strict=False),
            "boolean": text.replace_strict(["true", "True", "TRUE", "false", "False", "FALSE"], True, default=None),
            "date": text.str.to_date(strict=False),
            "datetime": text.str.to_datetime(strict=False),
        }
        parsed = parsers.get(type_name := column_type(dtype))
        if parsed is None:  # every value can be read as text
            continue
        # A parser returns null where it fails, so a text that is present but parsed to null is at fault.
        is_number = number.cast(pl.Float64, strict=False).is_not_null()
        rows = texts.select(text.alias("value"), is_number=is_number, bad=parsed.is_null() & text.is_not_null())
        bad = rows.with_row_index("row", offset=1).filter("bad").head(_MAX_VALUES_SHOWN).collect(engine="streaming")
        if bad.height:
            lines = locate_rows(path, dialect, bad["row"].to_list())
            where = ", ".join(
                f"{f'line {lines[row]}' if row in lines else f'row {row}'} holds {value[:60]!r}"
                for row, value in bad.select("row", "value").iter_rows()
            )
            decimal = type_name == "integer" and bad["is_number"].all()
            kind, declared = ("holds decimal numbers", "number") if decimal else ("is text", "text")
            return (
                f"{path}, column {name!r} is read as {type_name}, but {where}; if the column {kind}, declare "
                f"columns: {{{name}: {{type: {declared}}}}}; if the value means missing, add it to csv: null_values"
            )
    return None
