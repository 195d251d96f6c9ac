"""A table of stored results, which the command line prints, and which can be converted to a polars frame.

Importing polars would take a quarter of the time of a command that shows some rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class ResultTable:
    """A table of stored results.

    Attributes
    ----------
    columns
        The type of each column, by name: str, int, float, bool, datetime (in UTC), or list (of such times).
    rows
        The rows; a missing value is None, or its key is missing.
    """

    columns: Mapping[str, type]
    rows: Sequence[Mapping[str, Any]]

    def values(self, name: str) -> list[Any]:
        """Return the values of a column, each of its type or None."""
        kind = self.columns[name]
        found = [row.get(name) for row in self.rows]
        if kind is datetime:
            return [None if value is None else value.astimezone(UTC) for value in found]
        if kind is list:
            return [None if value is None else [moment.astimezone(UTC) for moment in value] for value in found]
        return [None if value is None else kind(value) for value in found] if kind in (str, float) else found

    def tail(self, most: int) -> Self:
        """Return the last rows."""
        return replace(self, rows=self.rows[max(0, len(self.rows) - most) :])

    def sort(self, name: str, *, descending: bool) -> Self:
        """Return the table sorted by a column; rows without a value are last."""
        values = self.values(name)
        present = [place for place, value in enumerate(values) if value is not None]
        missing = [place for place, value in enumerate(values) if value is None]
        present.sort(key=values.__getitem__, reverse=descending)
        return replace(self, rows=[self.rows[place] for place in (*present, *missing)])

    def with_column(self, name: str, kind: type, values: Sequence[Any]) -> Self:
        """Return the table with a column added or replaced."""
        rows = [{**row, name: value} for row, value in zip(self.rows, values, strict=True)]
        return replace(self, columns={**self.columns, name: kind}, rows=rows)

    def to_frame(self) -> "pl.DataFrame":
        """Return the table as a frame."""
        import polars as pl

        moment = pl.Datetime("us", "UTC")
        types = {
            str: pl.String(),
            int: pl.Int64(),
            float: pl.Float64(),
            bool: pl.Boolean(),
            datetime: moment,
            list: pl.List(moment),
        }
        return pl.DataFrame(self.rows, {name: types[kind] for name, kind in self.columns.items()})

    @classmethod
    def from_frame(cls, frame: "pl.DataFrame") -> Self:
        """Return a frame of texts, numbers and times as a table."""
        kinds = {name: dtype.to_python() for name, dtype in frame.schema.items()}
        return cls(kinds, frame.to_dicts())
