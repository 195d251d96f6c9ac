"""Read a frame in order, in blocks of equal size; polars decodes the next blocks while the caller uses this one.

Floating-point sums depend on how the rows are split, and the chunks of polars depend on the number of threads. With
blocks of a fixed size every sum is bit-identical on any machine. Slicing the frame once per block would open the file
and start a query each time, which takes 1.9 times as long; a sink with a callback cannot be used as an iterator.
Polars decodes a bounded number of blocks ahead, then waits, and stops when the iterator is dropped.
"""

import os
from collections.abc import Iterator

import polars as pl

BLOCK_ROWS = 131_072
"""Rows per block: enough that one call per column and block costs nothing, few enough for the processor's cache."""

BLOCK_VALUES = 1 << 24
"""Maximum number of values per block, over all its columns: 128 MB of 8-byte numbers."""

_READ_AHEAD = "POLARS_ROW_GROUP_PREFETCH_SIZE"
_SET_BY_USER = _READ_AHEAD in os.environ


def _set_read_ahead(row_groups: int) -> None:
    """Let polars decode so many row groups ahead in queries that start from now on, unless the user has set it."""
    if not _SET_BY_USER and os.environ.get(_READ_AHEAD) != str(row_groups):
        os.environ[_READ_AHEAD] = str(row_groups)
        pl.Config.reload_env_vars()


# By default polars decodes far ahead of a slow caller: 1.5 GB for 30 columns. With a prefetch of one row group it takes
# 0.5 GB and no more time. (Its allocator returns memory after about ten seconds, so the process may look larger.)
_set_read_ahead(1)


def count_frame_rows(frame: pl.LazyFrame) -> int:
    """Return the number of rows of a frame."""
    return int(frame.select(pl.len()).collect(engine="streaming").item())


def rows_per_block(columns: int) -> int:
    """Return the number of rows per block for a frame of `columns` columns."""
    return min(BLOCK_ROWS, max(1024, BLOCK_VALUES // max(1, columns)))


def iterate_blocks(frame: pl.LazyFrame, rows: int = BLOCK_ROWS, *, row_groups_ahead: int = 1) -> Iterator[pl.DataFrame]:
    """Yield the rows of `frame` in order, in contiguous blocks of exactly `rows` rows; the last block may be shorter.

    A frame without rows yields no block. Memory is bounded by a few blocks and row groups, however slow the caller is.

    Parameters
    ----------
    row_groups_ahead
        Row groups of a Parquet file that are decoded ahead: with 2 a caller who does little with a block waits for half
        as long, since two threads decode.
    """
    blocks = frame.collect_batches(chunk_size=rows, maintain_order=True, lazy=True, engine="streaming")
    _set_read_ahead(row_groups_ahead)  # polars reads this when the query starts, with the first block
    try:
        first = next(blocks, None)
    finally:
        _set_read_ahead(1)
    if first is not None:
        yield first.rechunk()
    for block in blocks:
        yield block.rechunk()
