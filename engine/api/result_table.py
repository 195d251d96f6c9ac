"""A table of stored results: what the command line prints, and what becomes a polars frame for Python.

polars itself would be a quarter of the time of a command that shows some rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

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
