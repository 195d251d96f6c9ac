"""How a database column is read: the SQL expression to select, and notes for users."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from engine.connections.table_names import quote_name


@dataclass(frozen=True, slots=True)
class Cast:
    """How the values of a database type are read.

    Attributes
    ----------
    expression
        SQL with {c} for the column.
    dtype
        The type of the values after reading, if it is not the type that arrives.
    exceptions
        SQL conditions for values that are changed by reading, each with a text on how, which a count completes.
    note
        A note for users on every column of this type, with {type} for the type.
    family
        The family in which polars and PostgreSQL compare the values in the same way: integer, number, text (byte by
        byte), boolean or date. Empty if they may differ.
    """

    expression: str = "{c}"
    dtype: pl.DataType | None = None
    exceptions: tuple[tuple[str, str], ...] = ()
    note: str = ""
    family: str = ""


AS_TEXT_NOTED = "the type {type}, which is read as text"


@dataclass(frozen=True, slots=True)
class ColumnReading:
    """How one column is read. `type` is the database's name of its type."""

    name: str
    type: str
    cast: Cast

    @property
    def value(self) -> str:
        """The SQL expression for the values."""
        return self.cast.expression.format(c=quote_name(self.name))

    @property
    def flags(self) -> tuple[str, ...]:
        """The SQL conditions, one per exception."""
        return tuple(condition.format(c=quote_name(self.name)) for condition, _ in self.cast.exceptions)


def describe_exceptions(columns: Sequence[ColumnReading], counts: Sequence[int]) -> list[str]:
    """Return notes on columns, as sentences; `counts` has the number of values per exception, in order."""
    notes = []
    found = iter(counts)
    for column in columns:
        if column.cast.note:
            notes.append(f"column {column.name!r} has {column.cast.note.format(type=column.type)}")
        for _, meaning in column.cast.exceptions:
            if count := next(found):
                notes.append(f"column {column.name!r}: {meaning}: {count:,}")
    return notes
