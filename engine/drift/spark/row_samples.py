"""Draw from a Spark DataFrame, by row hashes, the rows that `engine.drift.profiles.sampling` draws on one machine.

The executors hash the rows, Spark counts equal hashes, and the executors find those with the lowest keys. A second pass
reads the drawn rows.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from engine.connections.spark_versions import require_versions
from engine.drift.kernels.sampling_keys import make_keys_below
from engine.drift.kernels.value_hashes import Hashes
from engine.drift.profiles.drawn_rows import HASH_COLUMN, draw_lowest, limit_rows, repeat_drawn_rows
from engine.drift.reading.row_hash import row_content_hash
from engine.drift.reading.sources import translate_read_errors
from engine.drift.spark.errors import translate_spark_errors
from engine.drift.spark.parts import PartitionedRows, gather_blocks, name_columns

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame


def read_row_sample(
    frame: "DataFrame", rows: int, seed: int, *, columns: Sequence[str] | None, entity: str | None
) -> pl.DataFrame:
    """Return columns (and the entity) of at most `rows` rows of a Spark DataFrame, drawn without replacement by hash.

    The rows are those that `sample` draws from the same data on one machine. On its executors, Spark groups one hash of
    16 bytes per distinct row; the driver receives only the drawn rows.

    Parameters
    ----------
    columns
        The columns to read; by default all. A row is drawn by its values in these columns.

    Raises
    ------
    DataError
        Spark cannot read the rows, or a column holds values that cannot be hashed.
    """
    with translate_spark_errors():
        names = list(dict.fromkeys([*(frame.columns if columns is None else columns), *([entity] if entity else [])]))
        if not names:
            return pl.DataFrame()
        selected = PartitionedRows(frame).select(names)
        hashed = (
            selected.mapInArrow(require_versions(partial(_hash_rows, names)), "hash bigint").groupBy("hash").count()
        )

        def find_below(bound: np.uint64) -> tuple[Hashes, Hashes]:
            below = hashed.mapInArrow(partial(_find_below, seed, int(bound)), "key bigint, hash bigint").toArrow()
            keys, hashes = (column.to_numpy().view(np.uint64) for column in below.itercolumns())
            return keys, hashes

        drawn = draw_lowest(limit_rows(len(names), rows), selected.count(), find_below)
        return repeat_drawn_rows(_read_drawn(selected, names, drawn[HASH_COLUMN].to_numpy()), drawn, names)


def _read_drawn(selected: "DataFrame", names: Sequence[str], drawn: Hashes) -> pl.DataFrame:
    """Return one row per hash that was drawn, with its hash."""
    from pyspark.sql.types import LongType, StructField, StructType

    fields = [*selected.schema.fields, StructField("hash", LongType())]
    found = selected.mapInArrow(partial(_select_drawn, names, drawn.tobytes()), StructType(fields))
    rows = name_columns(found.dropDuplicates(["hash"]).toArrow(), [*names, HASH_COLUMN])
    return rows.with_columns(rows[HASH_COLUMN].reinterpret(signed=False))


@translate_read_errors("a partition")
def _hash_block(block: pl.DataFrame) -> Hashes:
    return block.select(row_content_hash(block.columns)).to_series().to_numpy()


def _hash_rows(names: Sequence[str], batches: Iterator["pa.RecordBatch"]) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    for block in gather_blocks(names, batches):
        yield pa.RecordBatch.from_arrays([pa.array(_hash_block(block).view(np.int64))], names=["hash"])


def _find_below(seed: int, bound: int, batches: Iterator["pa.RecordBatch"]) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    for batch in batches:
        hashes, counts = (column.to_numpy().copy() for column in batch.columns)
        found = make_keys_below(hashes.view(np.uint64), counts, np.uint64(seed % 2**64), np.uint64(bound))
        yield pa.RecordBatch.from_arrays([pa.array(part.view(np.int64)) for part in found], names=["key", "hash"])


def _select_drawn(
    names: Sequence[str], drawn: bytes, batches: Iterator["pa.RecordBatch"]
) -> "Iterator[pa.RecordBatch]":
    import pyarrow as pa

    wanted = np.frombuffer(drawn, np.uint64)
    for batch in batches:
        hashes = _hash_block(name_columns(batch, names))
        first = np.zeros(len(hashes), np.bool_)
        first[np.unique(hashes, return_index=True)[1]] = True
        hashed = batch.append_column("hash", pa.array(hashes.view(np.int64)))
        yield hashed.filter(pa.array(first & np.isin(hashes, wanted)))
