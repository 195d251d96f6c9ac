"""The rows of a sample, wherever they are: in a frame of this process, or in a cluster."""

from collections.abc import Mapping
from typing import Any, Protocol

import polars as pl

from engine.drift.profiles.column_passes import Feed, feed_blocks
from engine.drift.profiles.entity_choice import choose_entity_rows
from engine.drift.reading.alignment import Alignment, KnownColumn, align_columns
from engine.drift.reading.roles import Role, roles
from engine.drift.reading.sources import is_spark_frame, open_table


class Sample(Protocol):
    """Rows that can be read any number of times."""

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The types of the columns."""

    def align(self, known: Mapping[str, KnownColumn]) -> "tuple[Sample, Alignment]":
        """Return the sample with its columns brought to known types, and what was found (see `align_columns`)."""

    def find_roles(self, entity: str | None) -> dict[str, Role]:
        """Return the roles of the columns that can be compared (see `roles`)."""

    def show_values(self, roles: Mapping[str, Role]) -> pl.LazyFrame:
        """Return rows that tell how columns can be read in their roles: all, or some that tell as much."""

    def feed(self, reading: Mapping[str, pl.Expr]) -> Feed:
        """Return what gives the rows to accumulators, each column as its expression reads it."""

    def choose_entity_rows(self, reading: Mapping[str, pl.Expr], entity: str) -> pl.DataFrame:
        """Return one row per entity (see `entity_choice`)."""


class FrameSample:
    """The rows of a polars frame."""

    def __init__(self, frame: pl.LazyFrame) -> None:
        self._frame = frame

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        return self._frame.collect_schema()

    def align(self, known: Mapping[str, KnownColumn]) -> tuple[Sample, Alignment]:
        alignment = align_columns(self._frame, known)
        return FrameSample(alignment.frame), alignment

    def find_roles(self, entity: str | None) -> dict[str, Role]:
        return roles(self._frame, entity=entity)[0]

    def show_values(self, roles: Mapping[str, Role]) -> pl.LazyFrame:
        return self._frame

    def feed(self, reading: Mapping[str, pl.Expr]) -> Feed:
        return feed_blocks(self._frame, reading)

    def choose_entity_rows(self, reading: Mapping[str, pl.Expr], entity: str) -> pl.DataFrame:
        return choose_entity_rows(self._frame, reading, entity)


def open_sample(data: Any) -> tuple[Sample, tuple[str, ...]]:
    """Return the rows of a Spark DataFrame, or of what `open_table` accepts; and what must be told about its files."""
    if is_spark_frame(data):
        from engine.drift.spark.samples import SparkSample

        return SparkSample(data), ()
    frame, said = open_table(data)
    return FrameSample(frame), said
