"""The rows of a Spark DataFrame: read into this process batch by batch, or processed by executors.

`toArrow` would hold all rows in the driver twice, in Java and in Python. Here they arrive partition by partition, each
batch packed by its executor, which also drops the columns and rows that are not needed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import polars as pl
from polars.io.plugins import register_io_source

from engine.connections.spark import explain_spark_errors, prepare_session
from engine.data.contract import refuse_pattern_names
from engine.data.fingerprints import digest_row_sums
from engine.data.spark.executor_tasks import (
    PACKED,
    FrameTask,
    add_up_hashes,
    apply_to_batches,
    compute_values,
    create_arrow_task,
    filter_rows,
    unpack_frame,
)
from engine.spec.stored_data import StoredPlace

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_AS_TEXT = ("interval year", "interval month", "interval", "variant", "geometry", "geography")
"""Prefixes of the names of types that Arrow lacks: their values are read as texts."""


@dataclass(frozen=True, eq=False)
class SparkRows:
    """The rows of a DataFrame, which stay in Spark until they are read.

    Attributes
    ----------
    frame
        The DataFrame, with types that Arrow has.
    place
        The name of the data, for messages.
    notes
        Sentences about values that differ from those in the source.
    source
        The path or table from which they are read, if the rows depend only on its files; or None.
    """

    frame: "DataFrame"
    place: str
    notes: tuple[str, ...] = ()
    source: StoredPlace | None = None

    @cached_property
    def count(self) -> int:
        """The number of rows; raises DatabaseError."""
        with explain_spark_errors(self.place):
            return int(self.frame.count())

    @cached_property
    def schema(self) -> pl.Schema:
        """The polars types of the columns; raises DatabaseError."""
        with explain_spark_errors(self.place):
            return pl.DataFrame(self.frame.limit(0).toArrow()).schema

    def scan(self) -> pl.LazyFrame:
        """Return the rows as a frame: each read requests only the needed columns and rows from Spark."""
        return register_io_source(self._read, schema=self.schema)

    def digest_rows(self) -> str:
        """Return the fingerprint of the rows, equal to that of the same rows in a frame; executors read them all."""
        total: dict[str, int] = dict.fromkeys(("count", "first", "second"), 0)
        for part in self.run(list(self.schema), add_up_hashes):
            for name, value in part.row(0, named=True).items():
                total[name] += value
        return digest_row_sums(self.schema, total["count"], [total["first"], total["second"]])

    def sum_expressions(self, expressions: Mapping[str, pl.Expr]) -> dict[str, int]:
        """Return the sums over all batches of expressions that count in each batch; executors compute them."""
        total = dict.fromkeys(expressions, 0)
        columns = {name for one in expressions.values() for name in one.meta.root_names()}
        named = [one.alias(name).meta.serialize() for name, one in expressions.items()]
        needed = [name for name in self.schema if name in columns]
        for part in self.run(needed, partial(compute_values, named)) if needed else ():
            for name, value in part.row(0, named=True).items():
                total[name] += value or 0
        return total

    def run(self, names: Sequence[str], work: FrameTask) -> Iterator[pl.DataFrame]:
        """Run work of executors on columns of each partition; yield the results, in the order of the partitions."""
        with explain_spark_errors(self.place):
            given = self._number(names).mapInArrow(apply_to_batches(work, names), PACKED)
            for row in given.toLocalIterator(prefetchPartitions=True):
                yield unpack_frame(row[0])

    def give_frames(self, names: Sequence[str], work: FrameTask, empty: pl.DataFrame) -> "DataFrame":
        """Return the executors' results for columns of each partition as a DataFrame; `empty` has its columns."""
        from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_schema

        with explain_spark_errors(self.place):
            schema = from_arrow_schema(empty.to_arrow(compat_level=pl.CompatLevel.oldest()).schema)
            task = create_arrow_task(work, names, to_arrow_schema(schema, timezone="UTC"))
            return self._number(names).mapInArrow(task, schema)

    def _number(self, names: Sequence[str]) -> "DataFrame":
        """Return columns under other names, because `mapInArrow` does not accept dots in names."""
        return self._select(names).toDF(*(f"c{number}" for number in range(len(names))))

    def _read(
        self, columns: list[str] | None, predicate: pl.Expr | None, limit: int | None, _: int | None
    ) -> Iterator[pl.DataFrame]:
        wanted = list(self.schema) if columns is None else columns
        needed = {*wanted, *(predicate.meta.root_names() if predicate is not None else ())}
        names = [name for name in self.schema if name in needed] or [next(iter(self.schema))]
        if limit is not None and predicate is None:  # the first rows need no task
            with explain_spark_errors(self.place):
                yield pl.DataFrame(self._select(names).limit(limit).toArrow()).select(wanted)
            return
        condition = None if predicate is None else predicate.meta.serialize()
        left = limit
        for rows in self.run(names, partial(filter_rows, condition)):
            yield rows.select(wanted) if left is None else rows.select(wanted).head(left)
            if left is not None and (left := left - rows.height) <= 0:
                return

    def _select(self, names: Iterable[str]) -> "DataFrame":
        return self.frame.select(*map(quote_name, names))


def hold_spark_rows(frame: "DataFrame", place: str, source: StoredPlace | None = None) -> SparkRows:
    """Return the rows of a DataFrame; columns whose types Arrow lacks are converted to text.

    Raises
    ------
    DatabaseError
        Spark does not answer, or a column has a name that cannot be used.
    """
    notes, columns = [], []
    with explain_spark_errors(place):
        prepare_session(frame.sparkSession)
        for name, kind in frame.dtypes:
            column = frame[quote_name(name)]
            if kind.startswith(_AS_TEXT) and "day" not in kind and "second" not in kind:
                notes.append(f"column {name!r} has the type {kind}, which is read as text")
                column = column.cast("string").alias(name)
            columns.append(column)
    refuse_pattern_names(frame.columns, place)
    return SparkRows(frame.select(*columns) if notes else frame, place, tuple(notes), source)


def quote_name(name: str) -> str:
    """Return the name of a column, or a part of a table's name, in Spark's quotes."""
    return f"`{name.replace('`', '``')}`"


def list_source_files(rows: SparkRows) -> list[tuple[Any, ...]]:
    """Return the path, size and time of change of each file from which a DataFrame is read; no file is opened."""
    with explain_spark_errors(rows.place):
        paths = list(rows.frame.inputFiles())
        if not paths:
            return []
        listed = rows.frame.sparkSession.read.format("binaryFile").load(paths)
        return sorted(tuple(one) for one in listed.select("path", "length", "modificationTime").collect())
