"""Rows that were read from a database or from Spark, in a file of this machine."""

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
        Names of columns of the file that the table does not have.
    fingerprint
        Digest of the names and types of the columns, and of the rows in any order.
    count
        The number of rows.
    notes
        What is not as it is there, as sentences.
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
