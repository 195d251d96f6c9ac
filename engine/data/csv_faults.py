"""Where a CSV file is wrong: line or row, column, value.

polars reads CSV fast and says little about what it could not read; lines that are too short it fills up silently. A
first look at polars' own speed tells whether a file may be ragged; only then is it read record by record.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, cast

import polars as pl

from engine.data.families import family
from engine.spec.resources.datasets import Csv

_SHOWN = 5
_MEANT = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "date": "a date",
    "datetime": "a date and time",
}


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file, unpacking gzip."""
    return cast("IO[bytes]", gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def seems_ragged(path: Path, dialect: Csv, width: int) -> bool:
    """Tell whether a line may have fewer fields than `width`; a quoted text over several lines may look so.

    So does a line that is no UTF-8: who looks closer finds it.
    """
    line = pl.col("line")
    if dialect.quote:
        quote = f"\\x{{{ord(dialect.quote):x}}}"
        line = line.str.replace_all(f"{quote}[^{quote}]*{quote}", "")
    short = line.str.count_matches(dialect.separator, literal=True) < width - 1
    try:
        return bool(pl.scan_lines(path, name="line", glob=False).select(short.any()).collect(engine="streaming").item())
    except pl.exceptions.ComputeError:
        return True


def record_fault(path: Path, dialect: Csv) -> str | None:
    """Return the first record that has more or fewer fields than the first one, or cannot be read at all."""
    if path.suffix == ".zst":
        return None
    with open_bytes(path) as file:
        quoting = {"quotechar": dialect.quote} if dialect.quote else {"quoting": csv.QUOTE_NONE}
        records = csv.reader(_decoded(file), delimiter=dialect.separator, strict=True, **quoting)
        width, start = 0, 1
        try:
            for record in records:
                width = width or len(record)
                if len(record) != width:
                    fields = f"{len(record)} field{'' if len(record) == 1 else 's'}" if record else "nothing"
                    return f"{path}, line {start} has {fields} where the first line has {width}"
                start = records.line_num + 1
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            return f"{path}, line {records.line_num + 1} is not UTF-8 (byte {byte:#04x}): save the file as UTF-8"
        except csv.Error as error:
            return f"{path}, line {start}: {error}; a quote may be open"
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            return f"{path} cannot be unpacked, it may be damaged: {error}"
    return None


def _decoded(file: IO[bytes]) -> Iterator[str]:
    return (line.decode("utf-8-sig" if number == 0 else "utf-8") for number, line in enumerate(file))


def value_fault(path: Path, texts: pl.LazyFrame, types: Mapping[str, pl.DataType], decimal_comma: bool) -> str | None:
    """Return the first column with values that do not read as its type, and the first rows of them.

    `texts` is the file with every column as text, nulls recognised.
    """
    for name, dtype in types.items():
        found = family(dtype)
        if found not in _MEANT:
            continue
        value = pl.col(name)
        parsed = {
            "integer": value.cast(pl.Int64, strict=False),
            "number": (value.str.replace(",", ".", literal=True) if decimal_comma else value).cast(
                pl.Float64, strict=False
            ),
            "boolean": value.replace_strict(["true", "True", "TRUE", "false", "False", "FALSE"], True, default=None),
            "date": value.str.to_date(strict=False),
            "datetime": value.str.to_datetime(strict=False),
        }[found]
        rows = texts.select(value.alias("value"), bad=parsed.is_null() & value.is_not_null())
        bad = rows.with_row_index("row", offset=1).filter("bad").head(_SHOWN).collect(engine="streaming")
        if bad.height:
            where = ", ".join(f"row {row} ({value[:60]!r})" for row, value, _ in bad.iter_rows())
            return (
                f"{path}, column {name!r} is read as {found}, and not {_MEANT[found]} is {where}; if the column is "
                f"text, write columns: {{{name}: {{type: text}}}}; if the value means missing, add it to null_values"
            )
    return None
