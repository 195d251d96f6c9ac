"""How a column of a database table is read: the SQL expression that is selected, and what users are told about it."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from engine.connections.table_names import quote_name


@dataclass(frozen=True, slots=True)
class Cast:
    """How the values of one type of a database are read.

    Attributes
    ----------
    expression
        SQL in which {c} stands for the column.
    dtype
        The type that the values have then, if it is not the one that arrives.
    exceptions
        Conditions of SQL on values that are not read as they are, each with what becomes of these values, in words
        that a count completes.
    note
        What users are told about every column of this type; {type} stands for the type.
    family
        What polars and PostgreSQL compare the values that are read as, if they do it in the same way: integer, number,
        text (byte by byte), boolean or date. Empty if they may not.
    """

    expression: str = "{c}"
    dtype: pl.DataType | None = None
    exceptions: tuple[tuple[str, str], ...] = ()
    note: str = ""
    family: str = ""


AS_TEXT_NOTED = "the type {type}, which is read as text"


@dataclass(frozen=True, slots=True)
class ColumnReading:
    """How one column is read. `type` is the type as the database names it."""

    name: str
    type: str
    cast: Cast

    @property
    def value(self) -> str:
        """The SQL of the values."""
        return self.cast.expression.format(c=quote_name(self.name))

    @property
    def flags(self) -> tuple[str, ...]:
        """The SQL of one condition per exception."""
        return tuple(condition.format(c=quote_name(self.name)) for condition, _ in self.cast.exceptions)


def describe_exceptions(columns: Sequence[ColumnReading], counts: Sequence[int]) -> list[str]:
    """Return what must be told of columns, as sentences; `counts` has the number of values per exception, in order."""
    notes = []
    found = iter(counts)
    for column in columns:
        if column.cast.note:
            notes.append(f"column {column.name!r} has {column.cast.note.format(type=column.type)}")
        for _, meaning in column.cast.exceptions:
            if count := next(found):
                notes.append(f"column {column.name!r}: {meaning}: {count:,}")
    return notes
