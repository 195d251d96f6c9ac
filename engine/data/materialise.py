"""A table that can be read again and again cheaply: each measure takes a pass of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from engine.data.table import Table, reading

ROW_GROUP = 131_072
"""Rows of a row group: a writer holds a few of them in memory, and a reader decodes them one by one."""


@contextmanager
def materialise(table: Table, folder: Path) -> Iterator[Table]:
    """Give a table whose frame is cheap to read more than once.

    Parquet, Arrow and frames in memory are as they are. Everything else is written, streaming, to a temporary Parquet
    file in `folder`, removed at exit.

    Raises
    ------
    DataError
        The table cannot be read.
    """
    if table.rereadable:
        yield table
        return
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix="table-") as temporary:
        path = Path(temporary) / "rows.parquet"
        with reading(table):
            table.frame.sink_parquet(path, compression="lz4", row_group_size=ROW_GROUP, engine="streaming")
        yield replace(table, frame=pl.scan_parquet(path, glob=False), rereadable=True)
