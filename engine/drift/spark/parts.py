"""Run work on the partitions of a Spark DataFrame, and merge the results.

The work and the merging are functions of this package, which executors import; their parameters are sent as bytes. The
results of a partition have keys. Executors merge the results of each key in the order of the partitions, because the
driver could not hold the results of all partitions at once.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import polars as pl

from engine.connections.spark_versions import require_versions
from engine.drift.reading.blocks import rows_per_block
from engine.drift.reading.sources import translate_read_errors
from engine.drift.spark.errors import translate_spark_errors

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

Work = Callable[[Iterator[pl.DataFrame]], Iterable[tuple[int, bytes]]]
"""Reads the blocks of a partition and returns results by key."""

Merge = Callable[[int, Iterable[bytes]], bytes]
"""Merges the results of a key, in the order of the partitions."""

MOST_PARTS = 4096
"""Maximum number of partitions that are read separately; of more, several are read together to limit the results."""

_RESULTS = "part bigint, key bigint, result binary"


@dataclass(frozen=True, slots=True)
class PartitionedRows:
    """The rows of a Spark DataFrame; `aligning` holds expressions that convert columns to another type."""

    frame: "DataFrame"
    aligning: Mapping[str, pl.Expr] = field(default_factory=dict)

    def run_on_parts(self, names: Collection[str], work: Work, merge: Merge) -> dict[int, bytes]:
        """Run work on these columns of every partition; return the merged results by key, none without partitions.

        Raises
        ------
        DataError, UsageError
            The work raised it, or Spark cannot read the rows.
        """
        names = list(names)
        aligning = pack_expressions(self._list_aligning(names))
        with translate_spark_errors():
            read = self.select(names).coalesce(MOST_PARTS)
            task = require_versions(partial(_work_on_part, names, aligning, work))
            parts = read.mapInArrow(task, _RESULTS)
            ordered = parts.repartition("key").sortWithinPartitions("key", "part")
            merged = ordered.mapInArrow(partial(_merge_results, merge), _RESULTS).toArrow()
        return dict(zip(merged["key"].to_pylist(), merged["result"].to_pylist(), strict=True))

    def select(self, names: Collection[str]) -> "DataFrame":
        """Return these columns as c0, c1, ...: `mapInArrow` takes a dot in a name for a field of a structure."""
        return self.frame.selectExpr(*(f"{quote_name(name)} as c{i}" for i, name in enumerate(names)))

    def show_types(self, names: Collection[str]) -> pl.DataFrame:
        """Return an empty frame with these columns, in the types that executors read."""
        from pyspark.sql.pandas.types import to_arrow_schema

        with translate_spark_errors():
            schema = self.select(names).schema
        empty = name_columns(to_arrow_schema(schema, timezone="UTC").empty_table(), names)
        return empty.with_columns(self._list_aligning(names))

    def _list_aligning(self, names: Collection[str]) -> list[pl.Expr]:
        return [self.aligning[name] for name in names if name in self.aligning]


def quote_name(name: str) -> str:
    """Return a column name, quoted for Spark SQL."""
    return f"`{name.replace('`', '``')}`"


def name_columns(data: Any, names: Collection[str]) -> pl.DataFrame:
    """Return Arrow data of selected columns as a frame with their original names."""
    frame = pl.DataFrame(data)
    frame.columns = list(names)
    return frame


def _work_on_part(
    names: Sequence[str], aligning: Sequence[bytes], work: Work, batches: Iterator["pa.RecordBatch"]
) -> "Iterator[pa.RecordBatch]":
    from pyspark import TaskContext

    context = TaskContext.get()
    number = context.partitionId() if context else 0
    aligned = unpack_expressions(aligning)
    with translate_read_errors("a partition"):
        for key, result in work(block.with_columns(aligned) for block in gather_blocks(names, batches)):
            yield _to_batch(number, key, result)


def _merge_results(merge: Merge, batches: Iterator["pa.RecordBatch"]) -> "Iterator[pa.RecordBatch]":
    columns = ((batch["key"].to_pylist(), batch["result"].to_pylist()) for batch in batches)
    rows = (row for keys, results in columns for row in zip(keys, results, strict=True))
    for key, results in groupby(rows, key=itemgetter(0)):
        yield _to_batch(0, key, merge(key, (result for _, result in results)))


def _to_batch(part: int, key: int, result: bytes) -> "pa.RecordBatch":
    import pyarrow as pa

    arrays = [pa.array([part], pa.int64()), pa.array([key], pa.int64()), pa.array([result], pa.binary())]
    return pa.RecordBatch.from_arrays(arrays, names=["part", "key", "result"])


def gather_blocks(names: Sequence[str], batches: Iterator[Any]) -> Iterator[pl.DataFrame]:
    """Yield the rows of batches in blocks of about the size used on one machine: Spark's batches are small."""
    waiting: list[pl.DataFrame] = []
    rows = 0
    for batch in batches:
        waiting.append(name_columns(batch, names))
        rows += len(waiting[-1])
        if rows >= rows_per_block(len(names)):
            yield pl.concat(waiting).rechunk()
            waiting, rows = [], 0
    if waiting:
        yield pl.concat(waiting).rechunk()


def pack_expressions(expressions: Iterable[pl.Expr]) -> list[bytes]:
    """Return polars expressions as bytes."""
    return [one.meta.serialize() for one in expressions]


def unpack_expressions(packed: Iterable[bytes]) -> list[pl.Expr]:
    """Return the expressions packed by `pack_expressions`."""
    return [pl.Expr.deserialize(one) for one in packed]


def pack_frame(frame: pl.DataFrame) -> bytes:
    """Return a frame as bytes."""
    file = BytesIO()
    frame.write_ipc(file)
    return file.getvalue()


def unpack_frame(packed: bytes) -> pl.DataFrame:
    """Return the frame packed by `pack_frame`."""
    return pl.read_ipc(packed)
