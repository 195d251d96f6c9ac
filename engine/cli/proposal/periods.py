"""Earlier and later: a column of time divides the rows into a reference and the batches that came after it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import polars as pl

from engine.data import Table, reading
from engine.data.survey import Column, Survey
from engine.errors import UsageError
from engine.spec.variables import escape

WINDOWS = 3


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of time, first and last day (or number) included, as the spec writes them."""

    first: str
    last: str


@dataclass(frozen=True, slots=True)
class Periods:
    """The earlier part of the rows, and the windows into which the later part falls."""

    column: str
    sql: str
    word: str
    untimed: int
    reference_last: str
    windows: Sequence[Window]
    smallest: int


def reference_rows(seen: Survey, periods: Periods | None) -> Table:
    """Return the rows that later ones are compared with: the earlier part, or all."""
    if periods is None:
        return seen.table
    when = _when(periods.column, seen.columns[periods.column])
    last = (
        pl.lit(periods.reference_last).str.to_date() if periods.word == "day" else pl.lit(int(periods.reference_last))
    )
    return replace(seen.table, frame=seen.table.frame.filter(when <= last))


def _when(name: str, column: Column) -> pl.Expr:
    value = pl.col(name)
    if column.family == "integer":
        return value
    return value.str.to_date(strict=False) if column.family == "text" else value.cast(pl.Date)


def divide(seen: Survey, name: str) -> Periods:
    """Divide the rows: about two thirds are the reference, the rest falls into windows with as many days each."""
    column = seen.columns[name]
    if column.family not in ("date", "datetime", "integer", "text"):
        raise UsageError(f"{name!r} is {column.family}: a time is a date, a datetime, or a whole number")
    with reading(seen.table):
        counts = (
            seen.table.frame.group_by(_when(name, column).alias("when"))
            .agg(pl.len(), pl.col(name).count().alias("said"))
            .collect(engine="streaming")
            .sort("when")
        )
    unread = counts.filter(pl.col("when").is_null())
    if column.family == "text" and unread["said"].sum():
        raise UsageError(f"{name!r} is text, and {unread['said'].sum():,} values of it are no dates such as 2017-10-31")
    known = counts.drop_nulls("when")
    if known.height < 2:
        raise UsageError(f"{name!r} has {known.height} different value(s): there is no earlier and no later")
    before = known["len"].cum_sum() / known["len"].sum()
    end = min(max(1, int((before <= 2 / 3).sum())), known.height - 1)
    later = known.slice(end)
    edges = [later.height * i // WINDOWS for i in range(WINDOWS + 1)] if later.height >= WINDOWS else [0, later.height]
    pieces = [later.slice(low, high - low) for low, high in pairwise(edges)]
    quoted = '"' + escape(name).replace('"', '""') + '"'
    return Periods(
        column=name,
        sql=quoted if column.family == "integer" else f"CAST({quoted} AS DATE)",
        word="number" if column.family == "integer" else "day",
        untimed=int(unread["len"].sum()),
        reference_last=str(known["when"][end - 1]),
        windows=[Window(str(piece["when"][0]), str(piece["when"][-1])) for piece in pieces],
        smallest=min(int(piece["len"].sum()) for piece in pieces),
    )
