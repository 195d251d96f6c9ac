"""Recognize from the first rows of CSV files how to read their columns.

polars infers numbers, ISO dates and booleans. This module decides about values that polars misreads: `NA` among
numbers, `1.234,56`, dates with the day or the month first, numbers with leading zeros. The first rows decide, as in
polars; a later value that does not fit is an error, never a text.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from engine.drift.reading.csv_advice import advise_on_finding, advise_on_times, describe_text_column
from engine.drift.reading.csv_files import INFER_ROWS, CsvColumns, CsvDialect, scan_csv_files, scan_csv_texts
from engine.drift.reading.text_readings import (
    UNUSUAL_MINUS,
    Notation,
    TextFinding,
    TextReading,
    describe_times,
    recognize_texts,
)
from engine.errors import DataError
from engine.formatting.lists import join_some

_MAX_SAMPLED_ROWS = 200_000
"""Maximum number of rows, of all files together, from which columns are recognized."""

NameRow = Callable[[Path, int], str]
"""Describes the place of a row, counted from 1: `line 50 of new.csv`."""


def recognize_csv_columns(
    paths: Sequence[Path],
    dialect: CsvDialect,
    declared: Mapping[str, pl.DataType],
    declared_types: Mapping[str, str],
    quiet: Collection[str],
    name_row: NameRow,
) -> CsvColumns:
    """Decide from the first rows of CSV files how to read their columns.

    Parameters
    ----------
    declared, declared_types
        The polars type and the type name of columns whose type is declared.
    quiet
        Columns without warnings, because their role is declared.
    name_row
        Describes the place of a row in a warning.

    Raises
    ------
    DataError
        A header names a column twice; or a column is declared as numbers or dates but its texts can be read in several
        ways.
    """
    rows = max(1000, min(INFER_ROWS, _MAX_SAMPLED_ROWS // len(paths)))
    heads = {path: scan_csv_texts([path], dialect).head(rows).collect() for path in paths}
    inferred: dict[str, set[pl.DataType]] = defaultdict(set)
    for path in paths:
        schema = scan_csv_files([path], dialect, CsvColumns(declared)).collect_schema()
        for name, dtype in schema.items():
            found = inferred[name]
            if name in heads[path].columns and heads[path][name].null_count() < heads[path].height:
                found.add(dtype)  # a column without values has no type
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
    decisions.check_header(next(iter(heads.values())), paths[0])
    return CsvColumns(
        {**declared, **decisions.types},
        decisions.readings,
        tuple(decisions.notes()),
        tuple(decisions.warnings),
        tuple(decisions.doubtful),
    )


class _Decisions:
    """Collects the decisions about columns, so that one sentence can describe columns that are read alike."""

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
        """Decide how to read one column: as polars does, by a reading, or as text."""
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
            self.types[name] = pl.String()  # polars takes the day first, and takes 1.10.25 for a date
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
        """Use the recognized reading of a column with a declared type, unless its texts can be read in several ways."""
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
        """Return the place of the first value that does not fit."""
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

    def check_header(self, head: pl.DataFrame, path: Path) -> None:
        """Warn of a separator or a header that does not fit the dialect."""
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
    """Return whether polars reads the texts of a column as intended."""
    present = texts.drop_nulls()
    if type_ is None and any(dtype == pl.String for dtype in dtypes):
        return False
    if any(dtype in (pl.Date, pl.Datetime) for dtype in dtypes):
        # The declared type, or the type that polars inferred: it also reads 03/04/2025, with the day first.
        timed = r"([T ]\d{2}:\d{2}.*)?$" if any(dtype == pl.Datetime for dtype in dtypes) else "$"
        return bool(present.str.contains(rf"^\d{{4}}[-/]\d{{2}}[-/]\d{{2}}{timed}").all())
    if type_ in ("integer", "number"):
        plain = present.str.replace(",", ".", literal=True) if dialect.decimal_comma else present
        native = plain.cast(pl.Int64 if type_ == "integer" else pl.Float64, strict=False).null_count() == 0
        return native and not (dialect.decimal_comma and bool(present.str.contains(".", literal=True).any()))
    if type_ == "boolean":
        return bool(present.is_in(["true", "false", "True", "False", "TRUE", "FALSE"]).all())
    return True
