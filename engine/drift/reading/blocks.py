"""Read a frame in order, in blocks of equal size; the next blocks are decoded while the caller uses this one.

Floating-point sums depend on how the rows are split, and the chunks of polars depend on the number of threads. With
blocks of a fixed size every sum is bit-identical on any machine.

If polars can read a slice of rows without reading those before it, each slice is read by its own query. One query for
all rows decodes five row groups ahead of a slow caller: 800 MB if a row group has a million rows of 30 columns. A sink
with a callback cannot be used as an iterator.
"""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import polars as pl

BLOCK_ROWS = 131_072
"""Rows per block: enough to make the cost of a call per column and block negligible, few enough for the cache."""

BLOCK_VALUES = 1 << 24
"""Maximum number of values per block, over all its columns: 128 MB of 8-byte numbers."""

SLICE_VALUES = 1 << 21
"""Fewest values for which the cost of a separate query is negligible: 16 MB of 8-byte numbers."""

_DECODING = {
    # polars' default decodes farther ahead of a slow caller: 1.5 GB for 30 columns
    "POLARS_ROW_GROUP_PREFETCH_SIZE": "1",
    # with the default of 16 million, one thread decodes the whole of a typical row group
    "POLARS_PARQUET_DECODE_TARGET_VALUES_PER_THREAD": "1000000",
}
"""How polars decodes Parquet files, unless the user sets it."""

for _name, _value in _DECODING.items():
    os.environ.setdefault(_name, _value)
pl.Config.reload_env_vars()


def count_frame_rows(frame: pl.LazyFrame) -> int:
    """Return the number of rows of a frame."""
    return int(frame.select(pl.len()).collect(engine="streaming").item())


def rows_per_block(columns: int) -> int:
    """Return the number of rows per block for a frame of `columns` columns."""
    return min(BLOCK_ROWS, max(1024, BLOCK_VALUES // max(1, columns)))


def iterate_blocks(frame: pl.LazyFrame, rows: int = BLOCK_ROWS) -> Iterator[pl.DataFrame]:
    """Yield the rows of `frame` in order, in contiguous blocks of exactly `rows` rows; the last block may be shorter.

    A frame without rows yields no block. Memory is bounded by a few blocks and row groups for any speed of the caller.
    """
    # a page of a column holds about BLOCK_ROWS values: smaller slices would decompress it several times
    parts = (
        _iterate_slices(frame, rows) if rows >= BLOCK_ROWS and finds_slices(frame) else _iterate_batches(frame, rows)
    )
    for part in parts:
        for block in part.iter_slices(rows):
            yield block.rechunk()


def finds_slices(frame: pl.LazyFrame) -> bool:
    """Return whether polars reads a slice of the frame without the rows before it, as for Parquet files."""
    plan = frame.slice(1, 1).explain()
    return plan.count("Parquet SCAN [") == 1 and "SLICE: Positive" in plan and "SLICE[" not in plan


def _iterate_slices(frame: pl.LazyFrame, rows: int) -> Iterator[pl.DataFrame]:
    """Yield slices of one or more blocks; one or two are read while the caller uses another."""
    block = rows * max(1, len(frame.collect_schema()))
    size = rows * max(1, SLICE_VALUES // block)
    ahead = 1 if block > SLICE_VALUES else 2

    def read(start: int) -> pl.DataFrame:
        return frame.slice(start, size).collect(engine="streaming")

    with ThreadPoolExecutor(ahead, "engine.drift.reading") as reader:
        waiting = deque(reader.submit(read, i * size) for i in range(ahead))
        for start in count(ahead * size, size):
            part = waiting.popleft().result()
            if len(part) == size:
                waiting.append(reader.submit(read, start))
            if len(part):
                yield part
            if len(part) < size:
                return


def _iterate_batches(frame: pl.LazyFrame, rows: int) -> Iterator[pl.DataFrame]:
    """Yield the batches of one query; if the caller is slow, polars decodes about five row groups ahead."""
    yield from frame.collect_batches(chunk_size=rows, maintain_order=True, lazy=True, engine="streaming")
