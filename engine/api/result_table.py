"""A table of stored results: what the command line prints, and what becomes a polars frame for Python.

polars itself would be a quarter of the time of a command that shows some rows.
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
        The rows; one without a value in a column may lack it or have None.
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
        """Return the rows in the order of the values of a column; those without one are last."""
        values = self.values(name)
        present = [place for place, value in enumerate(values) if value is not None]
        missing = [place for place, value in enumerate(values) if value is None]
        present.sort(key=values.__getitem__, reverse=descending)
        return replace(self, rows=[self.rows[place] for place in (*present, *missing)])

    def with_column(self, name: str, kind: type, values: Sequence[Any]) -> Self:
        """Return the table with one column more, or with another one of that name."""
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
