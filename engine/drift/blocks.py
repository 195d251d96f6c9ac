"""The rows of a frame in order, in blocks of one size, decoded while the caller works on the block before.

The pieces in which polars computes differ with the number of threads, and sums over them with it: over equal blocks
every figure is the same bit for bit. Slicing the frame block by block would open the file and start a query each time
(1.9 times as long as this); a sink's callback could not be iterated over. Polars decodes a bounded number of blocks
ahead and then waits, and stops when the iterator is dropped.
"""

import os
from collections.abc import Iterator

import polars as pl

ROWS = 131_072
"""Rows of a block: many enough that a call per column and block costs nothing, few enough to stay in the cache."""

VALUES = 1 << 24
"""Values of a block, of all its columns together: 128 MB of numbers."""

# As it is, polars decodes far ahead of a slow caller: 1.5 GB of 30 columns, where one row group ahead takes 0.5 and no
# longer. (Its allocator gives memory back after some ten seconds only, so the process may look larger than it is.)
if "POLARS_ROW_GROUP_PREFETCH_SIZE" not in os.environ:
    os.environ["POLARS_ROW_GROUP_PREFETCH_SIZE"] = "1"
    pl.Config.reload_env_vars()


def rows_of(columns: int) -> int:
    """Return how many rows a block of so many columns should have."""
    return min(ROWS, max(1024, VALUES // max(1, columns)))


def blocks(frame: pl.LazyFrame, rows: int = ROWS) -> Iterator[pl.DataFrame]:
    """Give the rows of `frame` in order, in contiguous blocks of exactly `rows`; the last is as short as it must be.

    A frame without rows gives no block. Memory is bounded by some blocks and row groups of a file, however slow the
    caller.
    """
    for block in frame.collect_batches(chunk_size=rows, maintain_order=True, lazy=True, engine="streaming"):
        yield block.rechunk()
