"""Divide the rows by a time column into a reference (the earlier rows) and periods (the later ones)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from engine.data import Table, explain_read_errors
from engine.data.inspection import ColumnSummary, FileInspection
from engine.drift.reading.normalization import column_named
from engine.errors import UsageError
from engine.spec.variables.references import escape_references

LABEL_FORMATS = {"month": "%Y-%m", "week": "%G-W%V", "day": "%Y-%m-%d"}
"""The format of a period of each length: 2025-03, 2025-W09, 2025-03-31. Later periods sort after earlier ones."""
MAX_PERIODS_LISTED = 12
"""Maximum number of past periods in the proposed scenario."""
NUMBER_RANGES = 3
"""Number of ranges into which later numbers are divided if there are too many for one period each."""


@dataclass(frozen=True, slots=True)
class Periods:
    """The division of the rows: the end of the reference, and the periods of the later rows.

    Attributes
    ----------
    word
        The length of a period: "month", "week" or "day"; "number" if the time is a whole number.
    label
        The SQL expression for the period of the time `:when`, as a text.
    sql_period, sql_newest
        The same as written in a spec: the period of a row, and the newest period of the table.
    sql_reference
        The SQL condition of the rows of the reference; None if the reference is a file of its own.
    reference_last
        The last day or number of the reference; None likewise.
    labels
        The later periods, from the earliest to the newest, at most `MAX_PERIODS_LISTED`.
    untimed
        Rows without a time.
    smallest
        Rows of the smallest later period.
    """

    column: str
    word: str
    label: str
    sql_period: str
    sql_newest: str
    sql_reference: str | None
    reference_last: str | None
    labels: Sequence[str]
    untimed: int
    smallest: int


def select_earlier(seen: FileInspection, periods: Periods) -> Table:
    """Return the rows of the reference, which are those that the proposed query will select."""
    if periods.reference_last is None:
        return seen.table
    last = periods.reference_last
    bound = pl.lit(int(last)) if periods.word == "number" else pl.lit(last).str.to_date()
    when = express_time(periods.column, seen.columns[periods.column])
    return replace(seen.table, frame=seen.table.frame.filter(when <= bound))


def divide_rows(seen: FileInspection, name: str, period: str | None, *, split: bool) -> Periods:
    """Divide the rows by periods.

    Parameters
    ----------
    period
        "month", "week" or "day"; if None, the longest of them that divides the rows well.
    split
        Whether the earlier rows, about two thirds, are the reference. Otherwise all periods are later ones.

    Raises
    ------
    UsageError
        The column's values are not times, or there are too few to divide.
    """
    column = seen.columns[name]
    if column.column_type not in ("date", "datetime", "integer", "text"):
        raise UsageError(
            f"column {name!r} has type {column.column_type}; --time needs a date, a datetime or a whole number"
        )
    if period is not None and column.column_type == "integer":
        raise UsageError(f"column {name!r} holds whole numbers, not dates, so --period {period} has no meaning for it")
    with explain_read_errors(seen.table):
        counts = (
            seen.table.frame.group_by(express_time(name, column).alias("when"))
            .agg(pl.len(), column_named(name).count().alias("present"))
            .collect(engine="streaming")
            .sort("when")
        )
    unread = counts.filter(pl.col("when").is_null())
    if column.column_type == "text" and unread["present"].sum():
        raise UsageError(_describe_unread_times(seen, name))
    timed = counts.drop_nulls("when")
    if timed.height < 1 + split:
        many = "no value" if timed.height == 0 else "only one distinct value"
        raise UsageError(f"column {name!r} has {many}, so its rows cannot be split into earlier and later ones")
    quoted = '"' + name.replace('"', '""') + '"'
    word, label = (
        ("number", _label_numbers(timed, split))
        if column.column_type == "integer"
        else _choose_period(timed, period, split)
    )
    when = quoted if word == "number" else f"CAST({quoted} AS DATE)"
    labelled = _label_rows(timed, label)
    end = _end_of_reference(labelled) if split else 0
    if split and labelled.height < 2:
        raise UsageError(
            f"column {name!r} has only one {word}, {labelled['period'][0]}, so its rows cannot be split into earlier "
            "and later ones; choose a shorter --period"
        )
    later = labelled.slice(end)
    last = str(labelled["last"][end - 1]) if split else None
    bound = last if word == "number" else f"DATE '{last}'"
    return Periods(
        column=name,
        word=word,
        label=label,
        sql_period=escape_references(label.replace(":when", when)),
        sql_newest=escape_references(label.replace(":when", f"MAX({when})")),
        sql_reference=escape_references(f"{when} <= {bound}") if split else None,
        reference_last=last,
        labels=later["period"].tail(MAX_PERIODS_LISTED).to_list(),
        untimed=int(unread["len"].sum()),
        smallest=min(later["len"].to_list()),
    )


def express_time(name: str, column: ColumnSummary) -> pl.Expr:
    """Return the expression of a row's time: a whole number, or a date."""
    value = column_named(name)
    if column.column_type == "integer":
        return value
    return value.str.to_date(strict=False) if column.column_type == "text" else value.cast(pl.Date)


def express_period(label: str, when: str) -> pl.Expr:
    """Return the expression for the period of a time column."""
    return pl.sql_expr(label.replace(":when", f'"{when}"'))


def _label_rows(timed: pl.DataFrame, label: str) -> pl.DataFrame:
    """Return the periods in order, with their rows (`len`) and their last day or number (`last`)."""
    return timed.group_by(express_period(label, "when").alias("period"), maintain_order=True).agg(
        pl.col("len").sum(), pl.col("when").last().alias("last")
    )


def _end_of_reference(labelled: pl.DataFrame) -> int:
    """Return how many periods are the reference: those that together have at most two thirds of the rows.

    Both the reference and the later rows have at least one.
    """
    before = labelled["len"].cum_sum() / labelled["len"].sum()
    return min(max(1, int((before <= 2 / 3).sum())), labelled.height - 1)


def _choose_period(timed: pl.DataFrame, period: str | None, split: bool) -> tuple[str, str]:
    """Return the length of a period and its label: the requested one, or the longest that divides the rows well."""
    labels = {word: f"STRFTIME(:when, '{text}')" for word, text in LABEL_FORMATS.items()}
    fitting = (word for word, label in labels.items() if _divides_well(_label_rows(timed, label), split))
    word = period or next(fitting, "day")
    return word, labels[word]


def _divides_well(labelled: pl.DataFrame, split: bool) -> bool:
    """Return whether there are two later periods or more, and the reference has half of the rows or more."""
    end = _end_of_reference(labelled) if split else 0
    half = not split or labelled["len"].head(end).sum() >= labelled["len"].sum() / 2
    return labelled.height - end >= 2 and half


def _label_numbers(timed: pl.DataFrame, split: bool) -> str:
    """Return the SQL text for a number's period: the number itself, or the start of its range if there are many."""
    end = _end_of_reference(timed) if split else 0
    later = timed["when"].slice(end)
    if later.len() <= MAX_PERIODS_LISTED:
        return "CAST(:when AS VARCHAR)"
    first, last = int(later[0]), int(later[-1])
    width = -(-(last - first + 1) // NUMBER_RANGES)
    return f"CAST(CAST(FLOOR((:when - {first}) / {width}.0) AS BIGINT) * {width} + {first} AS VARCHAR)"


def _describe_unread_times(seen: FileInspection, name: str) -> str:
    """Return which values of a text column are not dates; first the remarks from reading the file."""
    files = seen.table.files
    for warning in files.warnings if files else ():
        if warning.startswith(f"column {name!r}"):
            return warning
    with explain_read_errors(seen.table):
        texts = seen.table.frame.select(column_named(name)).drop_nulls()
        unread = texts.filter(express_time(name, seen.columns[name]).is_null())
        count, first = unread.select(pl.len(), column_named(name).first()).collect(engine="streaming").row(0)
    return (
        f"column {name!r} is text, and {count:,} of its values are not dates such as 2017-10-31; the first is "
        f"{first[:60]!r}"
    )
