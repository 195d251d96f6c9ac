"""Which rows of a table belong to which segment: by the values of a column, or by a condition in SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from engine.data.queries import plan_query
from engine.data.table import Table
from engine.drift.reading.normalization import as_categories
from engine.errors import DataError, Position
from engine.formatting.hints import suggest_name
from engine.spec.segments import MAX_SEGMENT_VALUES, MAX_VALUE_CHARACTERS, name_missing, name_other, name_value
from engine.spec.sql.row_conditions import ROWS


@dataclass(frozen=True, slots=True)
class SegmentRules:
    """The segments that a store declares.

    Attributes
    ----------
    columns
        Columns whose values have a segment each, with their places in the spec.
    conditions
        By name, a query over the table `rows` whose column `holds` tells which rows belong to it.
    places
        By name, where the condition is written in the spec.
    """

    columns: Mapping[str, Position] = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Position] = field(default_factory=dict)

    def require_columns(self, table: Table) -> None:
        """Raise a DataError, with its place in the spec, unless a table has the columns that the segments need."""
        schema = table.frame.collect_schema()
        for column, at in self.columns.items():
            if column not in schema:
                hint = suggest_name(column, schema.names())
                raise DataError(f"{_write(at)}: dataset {table.name!r} has no column {column!r}, a segment{hint}")
            if schema[column].is_nested() or schema[column] in (pl.Binary, pl.Object):
                raise DataError(f"{_write(at)}: column {column!r} of dataset {table.name!r} holds {schema[column]}")
        for name, query in self.conditions.items():
            at = self.places[name]
            try:
                frame = plan_query(query, (_as_rows(table),))
            except DataError as error:
                raise DataError(f"{_write(at)}: segment {name!r} of dataset {table.name!r}: {error}") from error
            if (dtype := frame.collect_schema()["holds"]) != pl.Boolean:
                raise DataError(
                    f"{_write(at)}: segment {name!r}: its condition gives {dtype}, not true or false; compare the "
                    "value with another one"
                )


@dataclass(frozen=True, slots=True)
class SegmentMembers:
    """The rows of a table by segment, as masks in the order of the rows.

    `values` are, by column, the values that have a segment of their own.
    """

    values: Mapping[str, Sequence[str]]
    rows: Mapping[str, pl.Series]


def find_members(table: Table, rules: SegmentRules, known: Mapping[str, Sequence[str]] | None = None) -> SegmentMembers:
    """Return which rows of a table belong to which segment.

    Parameters
    ----------
    known
        By column, the values that have a segment on the other side; if None, the most frequent ones of this table have.

    Raises
    ------
    DataError
        The table lacks a column, or a condition fails.
    """
    rules.require_columns(table)
    schema = table.frame.collect_schema()
    values: dict[str, Sequence[str]] = {}
    rows: dict[str, pl.Series] = {}
    for column in rules.columns:
        texts = (
            table.frame.select(as_categories(column, schema[column]).alias("value"))
            .collect(engine="streaming")
            .to_series()
        )
        if known is None or column not in known:
            counts = texts.drop_nulls().value_counts().sort(["count", "value"], descending=[True, False])
            short = counts.filter(pl.col("value").str.len_chars() <= MAX_VALUE_CHARACTERS)
            chosen: Sequence[str] = short["value"].head(MAX_SEGMENT_VALUES).to_list()
        else:
            chosen = known[column]
        values[column] = tuple(chosen)
        for value in chosen:
            rows[name_value(column, value)] = texts.eq_missing(value)
        missing = texts.is_null()
        other = ~(texts.is_in(list(chosen)).fill_null(value=False) | missing)
        for name, mask in ((name_other(column), other), (name_missing(column), missing)):
            if mask.any():
                rows[name] = mask
    for name, query in rules.conditions.items():
        found = plan_query(query, (_as_rows(table),)).collect(engine="streaming")["holds"]
        rows[name] = found.fill_null(value=False)
    return SegmentMembers(values, rows)


def _as_rows(table: Table) -> Table:
    return Table(ROWS, table.frame, table.fingerprint)


def _write(at: Position) -> str:
    return f"{at.file}:{at.line}:{at.column}"
