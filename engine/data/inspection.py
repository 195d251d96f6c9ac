"""Inspect a file without a spec: its format, and a summary of each column, for `engine init`.

The file is read by the code that reads declared datasets, so that a run will find the same columns and types. Only the
dialect of a CSV file is guessed, since nothing declares it.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl

from engine import drift
from engine.data.column_types import POLARS_DTYPES, column_type
from engine.data.contract import refuse_pattern_names
from engine.data.files.dataset_files import DatasetFiles
from engine.data.files.file_datasets import find_files
from engine.data.files.hashes import InMemoryFileHashes
from engine.data.files.read_faults import find_file_fault, find_silent_fault
from engine.data.files.watched_files import WatchedFiles, read_unchanged
from engine.data.metrics import compute_dataset_metrics
from engine.data.table import Table, explain_read_errors
from engine.discovery.compression import UNPACK_ERRORS, open_bytes
from engine.discovery.file_endings import detect_format, find_compression
from engine.discovery.listing import list_data_files
from engine.drift.reading.column_families import holds_values
from engine.drift.reading.csv_files import CsvColumns, scan_csv_files
from engine.drift.reading.text_readings import MISSING_MARKERS
from engine.errors import DataError
from engine.formatting.numbers import format_number
from engine.spec.metrics.names import MetricName
from engine.spec.resources.datasets import Csv, FileDataset
from engine.spec.resources.resource import facts_of

DIALECT_SAMPLE_BYTES = 1 << 20
"""Number of bytes at the start of a CSV file from which its dialect is guessed."""
SEPARATORS = ",;\t|"
MAX_VALUES_LISTED = 12
"""Maximum number of distinct values of a text column that are listed."""

_CSV_NUMBER_PATTERN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_DECIMAL_COMMA_PATTERN = re.compile(r"[-+]?(\d+|\d{1,3}(\.\d{3})+)(,\d+)?( ?[€%])?")
_DATE_PATTERN = re.compile(r"\d{4}-\d\d-\d\d.*")


@dataclass(frozen=True, slots=True)
class ColumnSummary:
    """Summary of one column.

    `missing` is a share from 0 to 1, `distinct` the number of distinct values. `statistics` holds mean, std, min, max
    and median, each None if undefined; durations are in seconds. `low` and `high` are the smallest and largest value as
    text. `values` are the values of a text column if there are at most `MAX_VALUES_LISTED`, most frequent first.
    `holds_dates` tells whether all texts are ISO dates. `role` is the column's role in drift; None, with the `reason`,
    if drift leaves the column out.
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
    """A file's proposed declaration, its opened table, its number of rows and the summary of each column."""

    dataset: FileDataset
    table: Table
    rows: int
    columns: Mapping[str, ColumnSummary]


def inspect_file(path: Path) -> FileInspection:
    """Inspect a file, or the files of a folder or a pattern.

    Raises
    ------
    DataError
        The file cannot be read, has an unknown format, or has no rows.
    """
    return read_unchanged(lambda files: _inspect_watched(path, files), InMemoryFileHashes(), lambda _: None)


def _inspect_watched(path: Path, watched: WatchedFiles) -> FileInspection:
    found = list_data_files(path)
    for one in found.paths:
        watched.watch(one, "the data")
    is_recognized = len(found.paths) > 1 or detect_format(path.name)
    dataset = FileDataset(path=str(path), format=None if is_recognized else found.format)
    guessed, files = Csv(), None
    if found.format == "csv":
        guessed = guess_dialect(found.paths[0])
        # Missing markers are recognized column by column; all columns need them only if the first rows have none.
        dataset = _declare_csv(dataset, guessed.model_copy(update={"null_values": [""]}))
    files = find_files(dataset, path.parent, datetime.now(UTC))
    if found.format == "csv" and find_file_fault(files):
        dataset = _declare_csv(dataset, guessed)
        files = find_files(dataset, path.parent, datetime.now(UTC))
        # Types come from the first rows. If a later row contradicts them, infer them from all rows.
        if find_file_fault(files):
            files = replace(files, types={**_infer_types(files), **files.types}, readings={})
    elif keys := _find_declarable_keys(files):
        # Later files may have fewer values, which would make the notation uncertain.
        dataset = dataset.model_copy(update={"csv": dataset.csv.model_copy(update=keys)})
    table = Table(path.name, files.scan_all(), "", files=files, rereadable=files.rereadable)
    with explain_read_errors(table):
        if ragged := find_silent_fault(files):
            raise DataError(ragged)
    rows, columns = summarize_columns(table)
    watched.verify()
    return FileInspection(dataset, table, rows, columns)


def _find_declarable_keys(files: DatasetFiles) -> dict[str, str]:
    """Return the thousands separator and the order of dates, if the columns of a CSV file agree on them."""
    thousands = {reading.thousands for reading in files.readings.values() if reading.thousands}
    orders = {reading.order for reading in files.readings.values() if reading.type in ("date", "datetime")} - {"ymd"}
    keys = {"thousands": thousands.pop()} if len(thousands) == 1 and files.format == "csv" else {}
    return keys | ({"date_order": orders.pop()} if len(orders) == 1 and files.format == "csv" else {})


def _declare_csv(dataset: FileDataset, dialect: Csv) -> FileDataset:
    """Return the dataset with the CSV settings that differ from the defaults."""
    settings = facts_of(dialect)
    return dataset.model_copy(update={"csv": Csv(**settings)}) if settings else dataset


def summarize_columns(table: Table) -> tuple[int, dict[str, ColumnSummary]]:
    """Return the number of rows, and the summary of each column by name.

    Raises
    ------
    DataError
        The table cannot be read, has no rows, or polars would take a column's name for a pattern.
    """
    with explain_read_errors(table):
        schema = table.frame.collect_schema()
        refuse_pattern_names(schema, table.name)
        # One pass for facts that dataset metrics lack: the number of rows, the smallest and largest value of columns
        # with dates or times, and whether all texts start like a date.
        flat = [name for name, dtype in schema.items() if holds_values(dtype)]
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
    """Return a smallest or largest value for display; a time is shown without zero fractions and without midnight."""
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
    found = scan_csv_files(files.paths, files.dialect, CsvColumns(), infer_rows=None)
    with explain_read_errors(Table(files.paths[0].name, found, "", files=files)):
        schema = found.collect_schema()
    return {
        name: POLARS_DTYPES[column_type(dtype)] for name, dtype in schema.items() if column_type(dtype) in POLARS_DTYPES
    }


def guess_dialect(path: Path) -> Csv:
    """Guess the dialect of a CSV file from its first megabyte.

    The separator is the one with which the most lines have as many fields as the header. A decimal comma, a thousands
    separator or a missing marker is accepted only if all other values of the column are numbers or dates.
    """
    if find_compression(path) == "zst":
        return Csv()
    try:
        with open_bytes(path) as file:
            sample = file.read(DIALECT_SAMPLE_BYTES)
    except UNPACK_ERRORS:
        return Csv()
    encoding = _guess_encoding(sample)
    text = sample.decode(encoding if encoding != "utf-8" else "utf-8-sig", errors="replace")
    text = text if "\n" in text else text.replace("\r", "\n")
    comment = "#" if text.startswith("#") else None
    if comment:
        text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(comment))
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
    return Csv(
        separator=separator, null_values=["", *missing], decimal_comma=commas, comment=comment, encoding=encoding
    )


def _guess_encoding(sample: bytes) -> str:
    """Return the encoding of a text: UTF-8 if it is valid, else the code page of Western Windows."""
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    try:
        sample.decode("utf-8")
    except UnicodeDecodeError as error:
        return "utf-8" if error.start >= len(sample) - 4 else "cp1252"  # the sample may cut a character
    return "utf-8"


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
    """Return whether a column holds only numbers with a decimal comma, apart from missing values."""
    numbers = [value for value in values if value not in MISSING_MARKERS]
    return any("," in value for value in numbers) and all(_DECIMAL_COMMA_PATTERN.fullmatch(value) for value in numbers)
