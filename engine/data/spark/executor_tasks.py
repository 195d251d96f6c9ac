"""What executors do with the rows of their partitions: pack those that are wanted, and add up hashes.

Each task has no arguments but texts and bytes, so that executors need the same engine and nothing else of the driver's.
An executor may be given a partition without any batch. What a task returns is one row of bytes per batch or partition.
"""

import io
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from engine.drift.reading.row_hash import hash_rows

if TYPE_CHECKING:
    from pyarrow import RecordBatch

    Task = Callable[[Iterator[RecordBatch]], Iterator[RecordBatch]]

PACKED = "packed binary"
"""The columns of what a task returns, in the notation of Spark."""


def make_packing(predicate: bytes | None) -> "Task":
    """Return the task that gives the rows of each batch as an Arrow stream.

    Parameters
    ----------
    predicate
        The serialized condition of polars that rows must meet; None if all are wanted.
    """

    def pack(batches: "Iterator[RecordBatch]") -> "Iterator[RecordBatch]":
        wanted = None if predicate is None else pl.Expr.deserialize(predicate)
        for batch in batches:
            rows = _to_frame(batch)
            kept = rows if wanted is None else rows.filter(wanted)
            if kept.height:
                yield _pack_frame(kept)

    return pack


def make_expressions(expressions: Sequence[bytes]) -> "Task":
    """Return the task that gives, per batch, one row with the values of serialized expressions of polars."""

    def compute(batches: "Iterator[RecordBatch]") -> "Iterator[RecordBatch]":
        wanted = [pl.Expr.deserialize(one) for one in expressions]
        for batch in batches:
            yield _pack_frame(_to_frame(batch).select(wanted))

    return compute


def make_hashing() -> "Task":
    """Return the task that gives the number of rows and the sums of their hashes, per partition."""

    def hash_partition(batches: "Iterator[RecordBatch]") -> "Iterator[RecordBatch]":
        count, sums = 0, np.zeros(2, np.uint64)
        for batch in batches:
            rows = _to_frame(batch)
            count += rows.height
            sums += np.array([int(hash_rows(rows, seed).sum()) for seed in (0, 1)], np.uint64)  # modulo 2**64
        yield _pack_frame(pl.DataFrame({"count": [count], "first": sums[:1], "second": sums[1:]}))

    return hash_partition


def unpack_frame(packed: bytes) -> pl.DataFrame:
    """Return the rows that a task has packed."""
    return pl.read_ipc_stream(io.BytesIO(packed))


def _to_frame(batch: "RecordBatch") -> pl.DataFrame:
    return pl.DataFrame(batch)


def _pack_frame(frame: pl.DataFrame) -> "RecordBatch":
    import pyarrow as pa

    packed = io.BytesIO()
    frame.write_ipc_stream(packed, compression="lz4")
    return pa.RecordBatch.from_pydict({"packed": pa.array([packed.getvalue()], pa.binary())})
