"""Inspection of a file that no spec declares: its format, and a summary of each column. `engine init` needs both.

The file is read by the code that reads declared datasets, so that a run will find the same columns and types. Only the
dialect of a CSV file is guessed, since the file does not declare it.
"""

import csv
import io
import re
import zlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from engine import drift
from engine.data.column_types import POLARS_DTYPES, column_type
from engine.data.contract import refuse_pattern_names
from engine.data.csv_faults import open_bytes
from engine.data.files import DatasetFiles, find_files
from engine.data.fingerprints import InMemoryFileHashes
from engine.data.metrics import compute_dataset_metrics
from engine.data.table import Table, explain_read_errors
from engine.data.watched_files import WatchedFiles, read_unchanged
from engine.errors import DataError
from engine.formatting.numbers import format_number
from engine.spec.metric_names import MetricName
from engine.spec.resources.datasets import Csv, FileDataset, detect_format

DIALECT_SAMPLE_BYTES = 1 << 20
"""Bytes at the start of a CSV file from which its dialect is guessed."""
SEPARATORS = ",;\t|"
MISSING_MARKERS = frozenset({"NA", "N/A", "n/a", "#N/A", "NULL", "null", "None", "-", "?", ".", "\\N"})
"""Texts that mean a missing value in a column that otherwise holds numbers or dates."""
MAX_VALUES_LISTED = 12
"""The largest number of distinct values for which a column of text lists its values."""

_CSV_NUMBER_PATTERN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_DECIMAL_COMMA_PATTERN = re.compile(r"[-+]?\d+(,\d+)?")
_DATE_PATTERN = re.compile(r"\d{4}-\d\d-\d\d.*")


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """Summary of one column.

    `missing` is a share from 0 to 1, `distinct` the number of distinct values. `statistics` holds mean, std, min, max
    and median, each None where it is not defined; durations are in seconds. `low` and `high` are the smallest and
    largest value as text. `values` are the values of a text column with at most `MAX_VALUES_LISTED` of them, most
    frequent first. `holds_dates` tells that all texts are ISO dates. `role` is the column's role in drift; None, with
    the `reason`, where drift leaves the column out.
    """

    name: str
    column_type: str
    missing: float
    distinct: int
    statistics: Mapping[str, float | None]
    low: str | None
    high: str | None
    values: tuple[str, ...]
    holds_dates: bool
    role: drift.Role | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class FileInspection:
    """A file as a spec would declare it, its opened table, its number of rows and the summary of each column."""

    dataset: FileDataset
    table: Table
    rows: int
    columns: Mapping[str, ColumnSummary]


def inspect_file(path: Path) -> FileInspection:
    """Inspect a file, or the files of a glob.

    Raises
    ------
    DataError
        The file cannot be read, its ending names no known format, or it has no rows.
    """
    return read_unchanged(lambda files: _inspect_watched(path, files), InMemoryFileHashes(), lambda _: None)


def _inspect_watched(path: Path, watched: WatchedFiles) -> FileInspection:
    by_ending = detect_format(path.name)
    if by_ending is None and path.suffix.lower() not in (".txt", ".tsv", ".dat"):
        raise DataError(f"{path}: its ending is not that of a known format: .parquet, .csv, .ndjson or .arrow")
    format_ = by_ending or "csv"
    dataset = FileDataset(path=str(path), format=None if by_ending else "csv", csv=Csv())
    files = find_files(dataset, path.parent, lambda one: watched.watch(one, "the data"))
    if format_ == "csv":
        dataset = dataset.model_copy(update={"csv": guess_dialect(files.paths[0])})
        files = find_files(dataset, path.parent)
        # Types come from the first rows. Where a later row contradicts them, infer them from all rows.
        files = replace(files, types=_infer_types(files)) if files.find_fault() else files
    table = Table(path.name, files.scan_all(), "", files=files, rereadable=format_ in ("parquet", "arrow"))
    with explain_read_errors(table):
        if ragged := files.find_short_line():
            raise DataError(ragged)
    rows, columns = summarise_columns(table)
    watched.verify()
    return FileInspection(dataset, table, rows, columns)


def summarise_columns(table: Table) -> tuple[int, dict[str, ColumnSummary]]:
    """Return the number of rows, and the summary of each column by name.

    Raises
    ------
    DataError
        The table cannot be read, has no rows, or a column's name is one that polars reads as a pattern.
    """
    with explain_read_errors(table):
        schema = table.frame.collect_schema()
        refuse_pattern_names(schema, table.name)
        # One pass for what dataset metrics do not give: the number of rows, the smallest and largest value of columns
        # with dates or times, and whether all texts start like a date.
        flat = [name for name, dtype in schema.items() if not dtype.is_nested() and dtype not in (pl.Object, pl.Binary)]
        times = [name for name, dtype in schema.items() if dtype.is_temporal() and dtype != pl.Duration]
        extremes = table.frame.select(
            pl.len().alias(""),
            *(pl.col(name).min().cast(pl.String).alias(f"low {name}") for name in times),
            *(pl.col(name).max().cast(pl.String).alias(f"high {name}") for name in times),
            *(
                pl.col(name).str.contains(r"^\d{4}-\d\d-\d\d").all().alias(f"dated {name}")
                for name, dtype in schema.items()
                if dtype == pl.String
            ),
        ).collect(engine="streaming")
        if not schema or not extremes.item(0, ""):
            raise DataError(f"{table.name} has no rows, so nothing can be proposed from it")
        found_roles, left_out = drift.roles(table.frame)
    statistics = ("missing_share", "distinct_count", "mean", "std", "min", "max", "median")
    narrow = replace(table, frame=table.frame.select(flat))
    metrics = compute_dataset_metrics(narrow, [f"{statistic}.*" for statistic in statistics]) if flat else {}
    columns = {}
    for name, dtype in schema.items():
        measured = {one: metrics.get(str(MetricName(one, name))) for one in statistics}
        low, high = (
            _format_extreme(extremes.item(0, f"{end} {name}") if name in times else measured[one])
            for end, one in _EXTREMES
        )
        distinct = int(measured["distinct_count"] or 0)
        few = column_type(dtype) == "text" and distinct <= MAX_VALUES_LISTED
        columns[name] = ColumnSummary(
            name=name,
            column_type=column_type(dtype),
            missing=measured["missing_share"] or 0.0,
            distinct=distinct,
            statistics={one: measured[one] for one in statistics[2:]},
            low=low,
            high=high,
            values=_values_by_frequency(table, name) if few else (),
            holds_dates=distinct > 0 and dtype == pl.String and extremes.item(0, f"dated {name}"),
            role=found_roles.get(name),
            reason=left_out.get(name),
        )
    return extremes.item(0, ""), columns


_EXTREMES = (("low", "min"), ("high", "max"))


def _format_extreme(value: str | float | None) -> str | None:
    """Return a smallest or largest value for display; a time loses zero fractions of a second and a midnight."""
    if isinstance(value, str):
        return re.sub(r"\.0+(?!\d)", "", value).removesuffix(" 00:00:00")
    return None if value is None else format_number(value)


def _values_by_frequency(table: Table, name: str) -> tuple[str, ...]:
    """Return the distinct values of a column as text, the most frequent first."""
    with explain_read_errors(table):
        counted = table.frame.select(pl.col(name).cast(pl.String).alias("value")).drop_nulls()
        counts = counted.group_by("value").len().sort("len", "value", descending=[True, False]).collect()
    return tuple(counts["value"])


def _infer_types(files: DatasetFiles) -> dict[str, pl.DataType]:
    """Return the type by column of a CSV file, inferred from all of its rows."""
    found = pl.scan_csv(
        list(files.paths),
        glob=False,
        separator=files.csv.separator,
        quote_char=files.csv.quote,
        null_values=files.csv.null_values,
        decimal_comma=files.csv.decimal_comma,
        infer_schema_length=None,
    )
    with explain_read_errors(Table(files.paths[0].name, found, "", files=files)):
        schema = found.collect_schema()
    return {
        name: POLARS_DTYPES[column_type(dtype)] for name, dtype in schema.items() if column_type(dtype) in POLARS_DTYPES
    }


def guess_dialect(path: Path) -> Csv:
    """Guess the dialect of a CSV file from its first megabyte.

    The separator is the one with which the most lines have as many fields as the header. A decimal comma, or a text
    that means a missing value, is accepted only where all other values of the column are numbers or dates.
    """
    if path.suffix == ".zst":
        return Csv()
    try:
        with open_bytes(path) as file:
            text = file.read(DIALECT_SAMPLE_BYTES).decode("utf-8-sig", errors="replace")
    except (OSError, EOFError, zlib.error):
        return Csv()
    # A sample of full length has at least DIALECT_SAMPLE_BYTES / 4 characters, since UTF-8 takes up to 4 bytes for one.
    # Drop its last line, which may be cut off.
    whole = text if len(text) < DIALECT_SAMPLE_BYTES // 4 else text[: text.rfind("\n") + 1]
    best, records = (0.0, 0), list[list[str]]()
    separator = ","
    for one in SEPARATORS:
        try:
            split = [record for record in csv.reader(io.StringIO(whole), delimiter=one) if record]
        except csv.Error:
            continue
        # Score: the share of lines as wide as the header, then the width. The first separator that gives more than
        # one field is taken at any score; a later one must score higher and fit more than 90 % of the lines.
        width = len(split[0]) if split else 0
        score = sum(len(record) == width for record in split) / max(1, len(split)), width
        if width > 1 and (score[0] > 0.9 or not records) and score > best:
            best, records, separator = score, split, one
    if not records:  # a single column
        records = [[line] for line in whole.splitlines()]
    columns = [[value for value in column if value] for column in zip(*records[1:], strict=False)]
    missing = sorted(set().union(*(_find_missing_markers(column) for column in columns)))
    # With a comma as separator, "1,5" is two fields and never one number.
    commas = separator != "," and any(_uses_decimal_comma(column) for column in columns)
    return Csv(separator=separator, null_values=["", *missing], decimal_comma=commas)


def _find_missing_markers(values: list[str]) -> set[str]:
    """Return the texts that mean missing in a column that otherwise holds numbers or dates; else none."""
    found = Counter(values)
    words = MISSING_MARKERS & found.keys()
    rest = [value for value in found if value not in words]
    fits = all(
        _CSV_NUMBER_PATTERN.fullmatch(value)
        or _DECIMAL_COMMA_PATTERN.fullmatch(value)
        or _DATE_PATTERN.fullmatch(value)
        for value in rest
    )
    return set(words) if rest and fits else set()


def _uses_decimal_comma(values: list[str]) -> bool:
    """Tell whether a column holds numbers with a decimal comma and nothing else, apart from missing values."""
    numbers = [value for value in values if value not in MISSING_MARKERS]
    return any("," in value for value in numbers) and all(_DECIMAL_COMMA_PATTERN.fullmatch(value) for value in numbers)
