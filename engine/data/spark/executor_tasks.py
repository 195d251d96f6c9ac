"""Tasks of executors on the rows of their partitions: pack the wanted rows, compute expressions, add up hashes.

The arguments of a task are only texts and bytes, so that executors need the same engine and no other code of the
driver. A partition may have no batch. A task returns one row of bytes per frame.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from engine.connections.spark_versions import require_versions

if TYPE_CHECKING:
    from pyarrow import RecordBatch, Schema

    Task = Callable[[Iterator[RecordBatch]], Iterator[RecordBatch]]

FrameTask = Callable[[Iterator[pl.DataFrame]], Iterator[pl.DataFrame]]
PACKED = "packed binary"
"""The columns that a task returns, in Spark's notation."""


def apply_to_batches(work: FrameTask, names: Sequence[str]) -> "Task":
    """Return a task that applies `work` to the batches of a partition, and packs the frames that it yields.

    The columns of the batches get these names: Spark runs no task on columns with dots in their names.
    """
    return require_versions(partial(_run_work, work, list(names)))


def create_arrow_task(work: FrameTask, names: Sequence[str], schema: "Schema") -> "Task":
    """Return a task that applies `work` like `apply_to_batches`, and yields the rows of its frames with a schema."""
    return require_versions(partial(_yield_rows_of_work, work, list(names), schema))


def _yield_rows_of_work(
    work: FrameTask, names: list[str], schema: "Schema", batches: "Iterator[RecordBatch]"
) -> "Iterator[RecordBatch]":
    for frame in work(_open_batch(batch, names) for batch in batches if batch.num_rows):
        yield from frame.to_arrow(compat_level=pl.CompatLevel.oldest()).cast(schema).to_batches()


def _run_work(work: FrameTask, names: list[str], batches: "Iterator[RecordBatch]") -> "Iterator[RecordBatch]":
    import pyarrow as pa

    for frame in work(_open_batch(batch, names) for batch in batches if batch.num_rows):
        packed = io.BytesIO()
        frame.write_ipc_stream(packed, compression="lz4")
        yield pa.RecordBatch.from_pydict({"packed": pa.array([packed.getvalue()], pa.binary())})


def _open_batch(batch: "RecordBatch", names: list[str]) -> pl.DataFrame:
    frame = pl.DataFrame(batch)
    frame.columns = names
    return frame


def unpack_frame(packed: bytes) -> pl.DataFrame:
    """Return a frame packed by a task."""
    return pl.read_ipc_stream(io.BytesIO(packed))


def filter_rows(predicate: bytes | None, batches: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the rows that satisfy a serialized polars condition; all if it is None."""
    wanted = None if predicate is None else pl.Expr.deserialize(predicate)
    for rows in batches:
        kept = rows if wanted is None else rows.filter(wanted)
        if kept.height:
            yield kept


def compute_values(expressions: Sequence[bytes], batches: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield, per batch, one row with the values of serialized polars expressions."""
    wanted = [pl.Expr.deserialize(one) for one in expressions]
    for rows in batches:
        yield rows.select(wanted)


def add_up_hashes(batches: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield the number of rows of a partition, and the sums of their hashes modulo 2**64."""
    import numpy as np

    from engine.drift.reading.row_hash import hash_rows

    count, sums = 0, np.zeros(2, np.uint64)
    for rows in batches:
        count += rows.height
        sums += np.array([int(hash_rows(rows, seed).sum()) for seed in (0, 1)], np.uint64)
    yield pl.DataFrame({"count": [count], "first": sums[:1], "second": sums[1:]})
