"""Rows that were read from a database or from Spark into a local file."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl


@dataclass(frozen=True, slots=True)
class DatabaseRows:
    """Rows that were read from a database or from Spark.

    Attributes
    ----------
    path
        The file with the rows.
    hidden
        Columns of the file that are not columns of the table.
    fingerprint
        Digest of the names and types of the columns, and of the rows in any order.
    count
        The number of rows.
    notes
        Sentences about values that differ from those in the source.
    """

    path: Path
    hidden: tuple[str, ...]
    fingerprint: str
    count: int
    notes: tuple[str, ...]

    @property
    def frame(self) -> pl.LazyFrame:
        """The rows as they were read."""
        return pl.scan_parquet(self.path, glob=False).drop(self.hidden)
