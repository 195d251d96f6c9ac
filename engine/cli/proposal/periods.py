"""Divides the rows by a column of time into a reference (the earlier rows) and batches (the later ones)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import polars as pl

from engine.data import Table, explain_read_errors
from engine.data.inspection import ColumnSummary, FileInspection
from engine.errors import UsageError
from engine.spec.variable_references import escape_references

WINDOW_COUNT = 3
"""Number of batches into which the later rows are split."""


@dataclass(frozen=True, slots=True)
class Window:
    """A period of time: its first and last day (or number), both included, as written in the spec."""

    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Periods:
    """How the rows are split: where the reference ends, and the windows of the later rows.

    Attributes
    ----------
    sql
        The SQL expression of a row's time.
    word
        "day" or "number".
    untimed
        Rows without a time.
    smallest
        Rows of the smallest window.
    """

    column: str
    sql: str
    word: str
    untimed: int
    reference_last: str
    windows: Sequence[Window]
    smallest: int


def select_reference(seen: FileInspection, periods: Periods | None) -> Table:
    """Return the rows of the reference: the earlier ones, or all if there is no time."""
    if periods is None:
        return seen.table
    when = _time_expression(periods.column, seen.columns[periods.column])
    last = (
        pl.lit(periods.reference_last).str.to_date() if periods.word == "day" else pl.lit(int(periods.reference_last))
    )
    return replace(seen.table, frame=seen.table.frame.filter(when <= last))


def _time_expression(name: str, column: ColumnSummary) -> pl.Expr:
    """Return the expression of a row's time: a whole number, or a date."""
    value = pl.col(name)
    if column.column_type == "integer":
        return value
    return value.str.to_date(strict=False) if column.column_type == "text" else value.cast(pl.Date)


def _describe_unread_times(seen: FileInspection, name: str) -> str:
    """Return which values of a text column are no dates; first what the reading of the file says about the column."""
    files = seen.table.files
    for warning in files.warnings if files else ():
        if warning.startswith(f"column {name!r}"):
            return warning
    with explain_read_errors(seen.table):
        texts = seen.table.frame.select(pl.col(name)).drop_nulls()
        unread = texts.filter(_time_expression(name, seen.columns[name]).is_null())
        count, first = unread.select(pl.len(), pl.col(name).first()).collect(engine="streaming").row(0)
    return (
        f"column {name!r} is text, and {count:,} of its values are not dates such as 2017-10-31; the first is "
        f"{first[:60]!r}"
    )


def divide_rows(seen: FileInspection, name: str) -> Periods:
    """Divide the rows: about two thirds are the reference, the others fall into windows with equally many days.

    Raises
    ------
    UsageError
        The column's values are not times, or they are all the same.
    """
    column = seen.columns[name]
    if column.column_type not in ("date", "datetime", "integer", "text"):
        raise UsageError(
            f"column {name!r} has type {column.column_type}; --time needs a date, a datetime or a whole number"
        )
    with explain_read_errors(seen.table):
        counts = (
            seen.table.frame.group_by(_time_expression(name, column).alias("when"))
            .agg(pl.len(), pl.col(name).count().alias("present"))
            .collect(engine="streaming")
            .sort("when")
        )
    unread = counts.filter(pl.col("when").is_null())
    if column.column_type == "text" and unread["present"].sum():
        raise UsageError(_describe_unread_times(seen, name))
    timed = counts.drop_nulls("when")
    if timed.height < 2:
        many = "no value" if timed.height == 0 else "only one distinct value"
        raise UsageError(f"column {name!r} has {many}, so its rows cannot be split into earlier and later ones")
    # The reference ends with the last day by which at most two thirds of the rows have come; each side has a day.
    before = timed["len"].cum_sum() / timed["len"].sum()
    end = min(max(1, int((before <= 2 / 3).sum())), timed.height - 1)
    later = timed.slice(end)
    edges = (
        [later.height * i // WINDOW_COUNT for i in range(WINDOW_COUNT + 1)]
        if later.height >= WINDOW_COUNT
        else [0, later.height]
    )
    pieces = [later.slice(low, high - low) for low, high in pairwise(edges)]
    quoted = '"' + escape_references(name).replace('"', '""') + '"'
    return Periods(
        column=name,
        sql=quoted if column.column_type == "integer" else f"CAST({quoted} AS DATE)",
        word="number" if column.column_type == "integer" else "day",
        untimed=int(unread["len"].sum()),
        reference_last=str(timed["when"][end - 1]),
        windows=[Window(str(piece["when"][0]), str(piece["when"][-1])) for piece in pieces],
        smallest=min(int(piece["len"].sum()) for piece in pieces),
    )
