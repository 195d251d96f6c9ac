"""A first look at a file that nobody has described: how it is written, and what is in each column.

What `engine init` proposes rests on it. The file is read by the very code that reads a declared dataset, so that what
was seen here is what a run will see; only how a CSV is written has to be guessed, since nothing in it says so.
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
from engine.data.csv_faults import open_bytes
from engine.data.families import IMPOSED, family
from engine.data.files import Files, find_files
from engine.data.metrics import dataset_metrics
from engine.data.table import Table, reading
from engine.errors import DataError
from engine.spec.catalogue import MetricName
from engine.spec.resources.datasets import Csv, FileDataset, format_of

HEAD = 1 << 20
"""Bytes of a CSV from which its dialect is guessed."""
SEPARATORS = ",;\t|"
MISSING = frozenset({"NA", "N/A", "n/a", "#N/A", "NULL", "null", "None", "-", "?", ".", "\\N"})
"""Texts that mean a missing value where they stand among numbers or dates."""
MOST_SHOWN = 12
"""A column of texts with as many different values is shown with all of them."""

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_COMMA = re.compile(r"[-+]?\d+(,\d+)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d.*")


@dataclass(frozen=True, slots=True)
class Column:
    """What is in a column. Shares are of 1; numbers are None where there are no finite ones, durations are seconds.

    `low` and `high` are its smallest and largest value as text, `values` its texts where they are few, often ones
    first; `dated` tells that its texts are dates. `role` is what drift makes of it, None with the `reason` where it
    leaves it out.
    """

    name: str
    family: str
    missing: float
    distinct: int
    numbers: Mapping[str, float | None]
    low: str | None
    high: str | None
    values: tuple[str, ...]
    dated: bool
    role: drift.Role | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Survey:
    """A file as it would be declared, opened, and what is in it."""

    dataset: FileDataset
    table: Table
    rows: int
    columns: Mapping[str, Column]


def survey(path: Path) -> Survey:
    """Look at a file, or at the files of a glob.

    Raises
    ------
    DataError
        It cannot be read, its format cannot be told, or it holds no rows.
    """
    known = format_of(path.name)
    if known is None and path.suffix.lower() not in (".txt", ".tsv", ".dat"):
        raise DataError(f"{path}: the ending tells no format; .parquet, .csv, .ndjson and .arrow are known")
    format_ = known or "csv"
    dataset = FileDataset(path=str(path), format=None if known else "csv", csv=Csv())
    files = find_files(dataset, path.parent)
    if format_ == "csv":
        dataset = dataset.model_copy(update={"csv": dialect(files.paths[0])})
        files = find_files(dataset, path.parent)
        files = replace(files, types=_types(files)) if files.fault() else files
    table = Table(path.name, files.frame(), "", files=files, rereadable=format_ in ("parquet", "arrow"))
    with reading(table):
        if ragged := files.ragged():
            raise DataError(ragged)
    rows, columns = look(table)
    return Survey(dataset, table, rows, columns)


def look(table: Table) -> tuple[int, dict[str, Column]]:
    """Return the number of rows, and what is in each column.

    Raises
    ------
    DataError
        The table cannot be read, or holds no rows.
    """
    with reading(table):
        schema = table.frame.collect_schema()
        if pattern := next((name for name in schema if name == "*" or (name[:1], name[-1:]) == ("^", "$")), None):
            raise DataError(f"the column {pattern!r} is called like a pattern of columns: rename it")
        flat = [name for name, dtype in schema.items() if not dtype.is_nested() and dtype not in (pl.Object, pl.Binary)]
        times = [name for name, dtype in schema.items() if dtype.is_temporal() and dtype != pl.Duration]
        ends = table.frame.select(
            pl.len().alias(""),
            *(pl.col(name).min().cast(pl.String).alias(f"low {name}") for name in times),
            *(pl.col(name).max().cast(pl.String).alias(f"high {name}") for name in times),
            *(
                pl.col(name).str.contains(r"^\d{4}-\d\d-\d\d").all().alias(f"dated {name}")
                for name, dtype in schema.items()
                if dtype == pl.String
            ),
        ).collect(engine="streaming")
        if not schema or not ends.item(0, ""):
            raise DataError(f"{table.name} holds no row: nothing can be proposed from no data")
        taking, left_out = drift.roles(table.frame)
    statistics = ("missing_share", "distinct_count", "mean", "std", "min", "max", "median")
    narrow = replace(table, frame=table.frame.select(flat))
    metrics = dataset_metrics(narrow, [f"{statistic}.*" for statistic in statistics]) if flat else {}
    columns = {}
    for name, dtype in schema.items():
        measured = {one: metrics.get(str(MetricName(one, name))) for one in statistics}
        low, high = (_shown(ends.item(0, f"{end} {name}") if name in times else measured[one]) for end, one in _ENDS)
        distinct = int(measured["distinct_count"] or 0)
        few = family(dtype) == "text" and distinct <= MOST_SHOWN
        columns[name] = Column(
            name=name,
            family=family(dtype),
            missing=measured["missing_share"] or 0.0,
            distinct=distinct,
            numbers={one: measured[one] for one in statistics[2:]},
            low=low,
            high=high,
            values=_often(table, name) if few else (),
            dated=distinct > 0 and dtype == pl.String and ends.item(0, f"dated {name}"),
            role=taking.get(name),
            reason=left_out.get(name),
        )
    return ends.item(0, ""), columns


_ENDS = (("low", "min"), ("high", "max"))


def _shown(value: str | float | None) -> str | None:
    if isinstance(value, str):
        return re.sub(r"\.0+(?!\d)", "", value).removesuffix(" 00:00:00")
    return None if value is None else f"{value:.6g}"


def _often(table: Table, name: str) -> tuple[str, ...]:
    with reading(table):
        counted = table.frame.select(pl.col(name).cast(pl.String).alias("value")).drop_nulls()
        counts = counted.group_by("value").len().sort("len", "value", descending=[True, False]).collect()
    return tuple(counts["value"])


def _types(files: Files) -> dict[str, pl.DataType]:
    """Return the types of a CSV that its first rows do not tell: those that all rows have."""
    found = pl.scan_csv(
        list(files.paths),
        glob=False,
        separator=files.csv.separator,
        quote_char=files.csv.quote,
        null_values=files.csv.null_values,
        decimal_comma=files.csv.decimal_comma,
        infer_schema_length=None,
    )
    with reading(Table(files.paths[0].name, found, "", files=files)):
        schema = found.collect_schema()
    return {name: IMPOSED[family(dtype)] for name, dtype in schema.items() if family(dtype) in IMPOSED}


def dialect(path: Path) -> Csv:
    """Guess how a CSV file is written, from its first megabyte.

    The separator is the one that gives most lines as many fields as the header; a decimal comma and texts for missing
    values are believed only where all else in the column is numbers or dates.
    """
    if path.suffix == ".zst":
        return Csv()
    try:
        with open_bytes(path) as file:
            text = file.read(HEAD).decode("utf-8-sig", errors="replace")
    except (OSError, EOFError, zlib.error):
        return Csv()
    whole = text if len(text) < HEAD // 4 else text[: text.rfind("\n") + 1]
    best, records = (0.0, 0), list[list[str]]()
    separator = ","
    for one in SEPARATORS:
        try:
            split = [record for record in csv.reader(io.StringIO(whole), delimiter=one) if record]
        except csv.Error:
            continue
        width = len(split[0]) if split else 0
        score = sum(len(record) == width for record in split) / max(1, len(split)), width
        if width > 1 and (score[0] > 0.9 or not records) and score > best:
            best, records, separator = score, split, one
    if not records:
        records = [[line] for line in whole.splitlines()]
    columns = [[value for value in column if value] for column in zip(*records[1:], strict=False)]
    missing = sorted(set().union(*(_missing(column) for column in columns)))
    commas = separator != "," and any(_has_commas(column) for column in columns)
    return Csv(separator=separator, null_values=["", *missing], decimal_comma=commas)


def _missing(values: list[str]) -> set[str]:
    """Return what means missing in a column that otherwise holds numbers or dates."""
    found = Counter(values)
    words = MISSING & found.keys()
    rest = [value for value in found if value not in words]
    fits = all(_NUMBER.fullmatch(value) or _COMMA.fullmatch(value) or _DATE.fullmatch(value) for value in rest)
    return set(words) if rest and fits else set()


def _has_commas(values: list[str]) -> bool:
    numbers = [value for value in values if value not in MISSING]
    return any("," in value for value in numbers) and all(_COMMA.fullmatch(value) for value in numbers)
