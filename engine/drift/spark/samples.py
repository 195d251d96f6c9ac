"""The rows of a Spark DataFrame as a sample."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import polars as pl

from engine.drift.profiles.column_passes import Feed
from engine.drift.profiles.roles import roles
from engine.drift.profiles.samples import Sample
from engine.drift.reading.alignment import Alignment, KnownColumn, align_columns, list_value_tests
from engine.drift.reading.normalization import (
    Role,
    column_named,
    explain_unfit_values,
    first_unfit_value,
    list_examined_columns,
)
from engine.drift.spark.entities import choose_entity_rows_of_parts
from engine.drift.spark.errors import translate_spark_errors
from engine.drift.spark.evidence import collect_values
from engine.drift.spark.parts import PartitionedRows
from engine.drift.spark.passes import feed_parts
from engine.errors import DataError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class SparkSample:
    """The rows of a Spark DataFrame, read by its executors; `aligning` holds expressions that convert columns."""

    def __init__(self, frame: "DataFrame", aligning: Mapping[str, pl.Expr] | None = None) -> None:
        self._rows = PartitionedRows(frame, aligning or {})
        with translate_spark_errors():
            names = frame.columns
        self._types = self._rows.show_types(names)

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        return self._types.schema

    def align(self, known: Mapping[str, KnownColumn]) -> tuple[Sample, Alignment]:
        # a value that fits and one that does not are enough, instead of all rows
        selected = {
            name: [column_named(name).filter(present & test).first() for test in (unfit, ~unfit)]
            for name, (present, unfit) in list_value_tests(self.schema, known).items()
        }
        alignment = align_columns(self._collect(selected), known, numbered=False)
        return SparkSample(self._rows.frame, alignment.expressions), alignment

    def find_roles(self, entity: str | None) -> dict[str, Role]:
        return roles(self._rows.frame, entity=entity)[0]

    def show_values(self, roles: Mapping[str, Role]) -> pl.LazyFrame:
        schema = self.schema
        unfit, ranged = list_examined_columns(schema, {name: role for name, role in roles.items() if name in schema})
        wrong = {name: [first_unfit_value(name, schema[name])[1]] for name in unfit}
        shown = self._collect(wrong | {name: [column_named(name).min(), column_named(name).max()] for name in ranged})
        for name, values in shown.select(map(column_named, unfit)).collect().to_dict(as_series=False).items():
            if found := [value for value in values if value is not None]:
                raise DataError(explain_unfit_values(name, schema[name], roles[name], (None, found[0])))
        return shown

    def count_known_rows(self) -> int | None:
        return None

    def feed(self, reading: Mapping[str, pl.Expr]) -> Feed:
        return feed_parts(self._rows, reading)

    def choose_entity_rows(self, reading: Mapping[str, pl.Expr], entity: str) -> pl.DataFrame:
        return choose_entity_rows_of_parts(self._rows, reading, entity)

    def expect_unchanged(self) -> AbstractContextManager[None]:
        return nullcontext()  # each pass compares its rows with those of the first

    def _collect(self, selections: Mapping[str, Sequence[pl.Expr]]) -> pl.LazyFrame:
        """Return all columns, with the selected values of some of them and null in the others."""
        values = [collect_values(self._rows, selections)] if selections else []
        return pl.concat([self._types, *values], how="diagonal").lazy()
