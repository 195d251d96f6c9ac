"""Make tables cheap to read more than once, by temporary copies, because a comparison reads a table several times."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from engine.data.table import Table, explain_read_errors

ROW_GROUP_SIZE = 131_072
"""Rows per row group of the Parquet file: a writer holds a few groups in memory, a reader decodes one at a time."""


@contextmanager
def make_rereadable(table: Table, folder: Path) -> Iterator[Table]:
    """Yield a table whose frame is cheap to read more than once.

    Tables from Parquet, Arrow and frames in memory are returned unchanged, and so are tables of rows in Spark, which
    may not fit on a local disk. The rows of any other table are streamed to a temporary Parquet file in `folder`, which
    is removed at exit.

    Raises
    ------
    DataError
        The table cannot be read.
    """
    if table.rereadable or table.spark:
        yield table
        return
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix="table-") as temporary:
        path = Path(temporary) / "rows.parquet"
        with explain_read_errors(table):
            table.frame.sink_parquet(path, compression="lz4", row_group_size=ROW_GROUP_SIZE, engine="streaming")
        yield replace(table, frame=pl.scan_parquet(path, glob=False), rereadable=True)
