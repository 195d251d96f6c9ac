"""Assign the rows of a table to segments: by the values of a column, or by an SQL condition."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import polars as pl

from engine import drift
from engine.data.queries import plan_query
from engine.data.table import Table
from engine.drift.reading.normalization import as_categories
from engine.drift.reading.segment_marks import SegmentMarks
from engine.errors import DataError, Position
from engine.formatting.hints import suggest_name
from engine.spec.segments import MAX_SEGMENT_VALUES, MAX_VALUE_CHARACTERS, name_missing, name_other, name_value
from engine.spec.sql.row_conditions import ROWS, list_bound_columns


@dataclass(frozen=True, slots=True)
class SegmentRules:
    """The declared segments of a store.

    Attributes
    ----------
    columns
        Columns whose values have a segment each, with their places in the spec.
    conditions
        By name, a query over the table `rows` with a column `holds` that marks the segment's rows.
    places
        By name, the place of the condition in the spec.
    """

    columns: Mapping[str, Position] = field(default_factory=dict)
    conditions: Mapping[str, str] = field(default_factory=dict)
    places: Mapping[str, Position] = field(default_factory=dict)

    def require_columns(self, table: Table) -> None:
        """Raise a DataError, with its place in the spec, if a table lacks a column that the segments need."""
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

    `values` are, by column, the values with a segment of their own.
    """

    values: Mapping[str, Sequence[str]]
    rows: Mapping[str, pl.Series]


def find_members(table: Table, rules: SegmentRules, known: Mapping[str, Sequence[str]] | None = None) -> SegmentMembers:
    """Return the masks of a table's rows by segment.

    Parameters
    ----------
    known
        By column, the values with a segment on the other side; if None, the most frequent values of this table.

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
        found = known.get(column) if known is not None else None
        chosen = _choose_values(texts.drop_nulls().value_counts()) if found is None else found
        values[column] = tuple(chosen)
        for value in chosen:
            rows[name_value(column, value)] = texts.eq_missing(value)
        missing = texts.is_null()
        other = ~(texts.is_in(list(chosen)).fill_null(value=False) | missing)
        for name, mask in ((name_other(column), other), (name_missing(column), missing)):
            if mask.any():
                rows[name] = mask
    for name, query in rules.conditions.items():
        holds = plan_query(query, (_as_rows(table),)).collect(engine="streaming")["holds"]
        rows[name] = holds.fill_null(value=False)
    return SegmentMembers(values, rows)


def plan_marks(
    table: Table, rules: SegmentRules, known: Mapping[str, Sequence[str]] | None = None
) -> tuple[Mapping[str, Sequence[str]], SegmentMarks]:
    """Return the values with a segment, and a function that marks the rows of a table in Spark.

    Parameters
    ----------
    known
        See `find_members`.

    Raises
    ------
    DataError
        The table lacks a column, or Spark cannot read it.
    """
    assert table.spark is not None  # noqa: S101 - other tables have a fixed order of rows, and `find_members`
    rules.require_columns(table)
    values = {name: None if known is None else known.get(name) for name in rules.columns}
    if counted := [name for name, chosen in values.items() if chosen is None]:
        counts = drift.profile(table.spark.frame, dict.fromkeys(counted, drift.Role.CATEGORICAL)).columns
        for name in counted:
            column = counts[name]
            assert isinstance(column, drift.Categorical)  # noqa: S101 - that role was requested
            values[name] = _choose_values(pl.DataFrame({"value": column.labels, "count": column.counts}))
    chosen = {name: tuple(of_column or ()) for name, of_column in values.items()}
    names = [one for name, of_column in chosen.items() for one in _name_segments(name, of_column)]
    read = {name for query in rules.conditions.values() for name in list_bound_columns(query)}
    columns = [name for name in table.frame.collect_schema() if name in {*chosen, *read}]
    return chosen, SegmentMarks([*names, *rules.conditions], columns, partial(mark_rows, rules, chosen))


def mark_rows(rules: SegmentRules, values: Mapping[str, Sequence[str]], block: pl.DataFrame) -> Mapping[str, pl.Series]:
    """Return the masks of a block's rows by segment, including segments without rows in the block."""
    found = find_members(Table(ROWS, block.lazy(), ""), rules, values).rows
    none = pl.repeat(value=False, n=block.height, eager=True)
    names = [one for column, chosen in values.items() for one in _name_segments(column, chosen)]
    return {name: found.get(name, none) for name in [*names, *rules.conditions]}


def list_rest_segments(columns: Collection[str]) -> set[str]:
    """Return the segments for the other values of columns, which exist only if they have rows."""
    return {name for column in columns for name in (name_other(column), name_missing(column))}


def _name_segments(column: str, values: Sequence[str]) -> list[str]:
    return [*(name_value(column, value) for value in values), name_other(column), name_missing(column)]


def _choose_values(counts: pl.DataFrame) -> Sequence[str]:
    """Return the most frequent values, which have a segment each, given columns `value` and `count`."""
    ordered = counts.sort(["count", "value"], descending=[True, False])
    short = ordered.filter(pl.col("value").str.len_chars() <= MAX_VALUE_CHARACTERS)
    chosen: Sequence[str] = short["value"].head(MAX_SEGMENT_VALUES).to_list()
    return chosen


def _as_rows(table: Table) -> Table:
    """Return a table in the form for conditions: NaN is null, since SQL would sort it above all numbers."""
    return Table(ROWS, table.frame.with_columns(pl.selectors.float().fill_nan(None)), table.fingerprint)


def _write(at: Position) -> str:
    return f"{at.file}:{at.line}:{at.column}"
