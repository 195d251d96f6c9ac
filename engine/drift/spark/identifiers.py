"""Find the columns of a Spark DataFrame that identify rows.

Spark's rows have no order. An integer column counts up if it does so within every partition, and the partitions can be
ordered so that it continues to count up across them.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import pairwise
from typing import TYPE_CHECKING

import polars as pl

from engine.drift.reading.identifying_columns import COUNTS_UP, FEW_ROWS
from engine.drift.spark.errors import translate_spark_errors
from engine.drift.spark.parts import PartitionedRows, name_columns, quote_name

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MAX_HEAD_ROWS = 100_000
"""Maximum number of rows that are brought to this machine to be examined first."""

Run = tuple[int, int]
"""The first and the last of a range of ascending values."""


class SparkRows:
    """The rows of a Spark DataFrame in which columns that identify them are searched."""

    def __init__(self, frame: "DataFrame") -> None:
        self._rows = PartitionedRows(frame)
        with translate_spark_errors():
            names = frame.columns
        self.schema: Mapping[str, pl.DataType] = self._rows.show_types(names).schema

    def count(self) -> int:
        with translate_spark_errors():
            return int(self._rows.frame.count())

    def head(self, names: Collection[str], rows: int) -> pl.LazyFrame:
        """Return columns of some rows."""
        with translate_spark_errors():
            return name_columns(self._rows.select(names).limit(min(rows, MAX_HEAD_ROWS)).toArrow(), names).lazy()

    def filter_candidates(self, candidates: Mapping[str, str], total: int) -> dict[str, str]:
        """Return the candidates that are identifiers or counters, judged by all rows."""
        counters = [name for name, reason in candidates.items() if reason == COUNTS_UP]
        texts = [name for name in candidates if name not in counters]
        found = {*self._find_counters(counters), *self._find_nearly_distinct(texts)}
        return {name: reason for name, reason in candidates.items() if name in found}

    def _find_nearly_distinct(self, names: Collection[str]) -> list[str]:
        if not names:
            return []
        quoted = list(map(quote_name, names))
        counts = [f"count({name})" for name in quoted] + [f"count(distinct {name})" for name in quoted]
        with translate_spark_errors():
            row = list(self._rows.frame.selectExpr(*counts).collect()[0])
        # fewer than 1 in 20 values repeat another one, as in `filter_candidates` for a polars frame
        return [
            name
            for name, present, distinct in zip(names, row[: len(names)], row[len(names) :], strict=True)
            if 20 * (present - distinct) < present and present >= FEW_ROWS
        ]

    def _find_counters(self, names: Collection[str]) -> list[str]:
        if not names:
            return []
        found = self._rows.run_on_parts(names, _find_runs, _join_runs)
        runs = {name: json.loads(found[key]) for key, name in enumerate(names) if key in found}
        return [name for name, of_parts in runs.items() if of_parts and _ascend(sorted(of_parts))]


def _find_runs(blocks: Iterator[pl.DataFrame]) -> list[tuple[int, bytes]]:
    """Return, per column of a partition, the first and last value if it ascends, else an empty list."""
    runs: list[list[Run | None]] = []
    for block in blocks:
        runs = runs or [[] for _ in block.columns]
        for of_column, column in zip(runs, block, strict=True):
            ascends = not column.null_count() and (column.shift() < column).sum() == len(column) - 1
            of_column.append((column[0], column[-1]) if ascends else None)
    return [(key, json.dumps(_unite_runs(of_column)).encode()) for key, of_column in enumerate(runs)]


def _unite_runs(runs: list[Run | None]) -> list[Run]:
    whole = [run for run in runs if run is not None]
    return [(whole[0][0], whole[-1][1])] if len(whole) == len(runs) and _ascend(whole) else []


def _join_runs(_: int, results: Iterable[bytes]) -> bytes:
    """Return the runs of all partitions; none if a column does not ascend in one of them."""
    parts = [json.loads(result) for result in results]
    return json.dumps([run for part in parts for run in part] if all(parts) else []).encode()


def _ascend(runs: list[Run]) -> bool:
    return all(a[1] < b[0] for a, b in pairwise(runs))
