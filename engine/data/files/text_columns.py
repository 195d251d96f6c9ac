"""Find text columns that look like numbers or dates, and integers that look like times, in typed data."""

from collections.abc import Iterable, Mapping, Sequence

import polars as pl

from engine.drift.reading.csv_advice import ONE_ORDER, advise_on_times, describe_text_column
from engine.drift.reading.csv_files import INFER_ROWS
from engine.drift.reading.normalization import column_named
from engine.drift.reading.text_readings import LOOKS_NUMERIC, Notation, TextFinding, describe_times, recognize_texts
from engine.spec.resources.datasets import Column


def sample_columns(frames: Iterable[pl.LazyFrame]) -> dict[str, pl.Series]:
    """Return the first values of each column of text or integers, of all frames together."""
    samples: dict[str, list[pl.Series]] = {}
    for frame in frames:
        schema = frame.collect_schema()
        looked_at = [name for name, dtype in schema.items() if dtype == pl.String or dtype.is_integer()]
        head = frame.select(map(column_named, looked_at)).head(INFER_ROWS).collect() if looked_at else pl.DataFrame()
        for series in head:
            samples.setdefault(series.name, []).append(series)
    return {name: _unite_parts(parts) for name, parts in samples.items()}


def _unite_parts(parts: list[pl.Series]) -> pl.Series:
    """Return the values of all parts; if the parts have several types, only those of the first type."""
    return pl.concat([part for part in parts if part.dtype == parts[0].dtype])


def find_doubtful_columns(samples: Mapping[str, pl.Series], columns: Mapping[str, Column]) -> dict[str, str]:
    """Return a warning for each column that may be something else than its type.

    Columns with a declared type or role are skipped, because somebody has decided about them.
    """
    undeclared = {
        name: values
        for name, values in samples.items()
        if name not in columns or (columns[name].type is None and columns[name].role is None)
    }
    numeric = _find_numeric_texts([values for values in undeclared.values() if values.dtype == pl.String])
    warnings = {}
    for name, values in undeclared.items():
        if values.dtype != pl.String:
            if times := describe_times(name, values):
                warnings[name] = advise_on_times(name, times)
            continue
        if name not in numeric:
            continue
        found = recognize_texts(values, Notation())
        if found.reading is not None and found.reading.type != "boolean" and found.notable:
            warnings[name] = describe_text_column(name, found, "", _advise_on_typed_column(name, found))
    return warnings


def _find_numeric_texts(columns: Sequence[pl.Series]) -> set[str]:
    """Return the names of text columns in which some value begins like a number, as dates do too.

    For the other columns `recognize_texts` would run ten queries each to find nothing; this is one query for all.
    """
    if not columns:
        return set()
    begins = [
        pl.lit(column).unique().str.strip_chars().str.contains(LOOKS_NUMERIC).any().alias(str(place))
        for place, column in enumerate(columns)
    ]
    return {column.name for column, found in zip(columns, pl.select(begins).row(0), strict=True) if found}


def _advise_on_typed_column(name: str, found: TextFinding) -> str:
    if found.ambiguous:
        return "convert it where the data are written, or in a query; or declare type: text"
    if found.orders_differ:
        return ONE_ORDER
    if found.odd is not None:
        return f"correct {found.odd[:60]!r}, and declare the type under columns; or declare type: text"
    kind = found.reading.type if found.reading else "number"
    return f"declare columns: {{{name}: {{type: {kind}}}}}, or type: text"
