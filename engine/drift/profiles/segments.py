"""The rows of several segments of a sample, stored in a frame of this process or in a cluster."""

from collections.abc import Collection, Mapping
from typing import Protocol

import polars as pl

from engine.drift.profiles.column_passes import SegmentFeed, feed_segment_blocks
from engine.drift.profiles.entity_choice import choose_entity_rows
from engine.drift.reading.normalization import Role

_MEMBER = "\0member"

Readings = Mapping[str, Mapping[str, pl.Expr]]
"""By segment, the normalizing expression of each column."""


class SegmentedSample(Protocol):
    """Segments whose rows can be read any number of times."""

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The types of the columns."""

    @property
    def names(self) -> Collection[str]:
        """The segments."""

    def show_values(self, roles: Mapping[str, Role]) -> pl.LazyFrame:
        """Return rows that show how columns can be read (see `Sample`)."""

    def feed(self, reading: Readings) -> SegmentFeed:
        """Return a function that passes the rows to accumulators."""

    def choose_entity_rows(self, reading: Readings, entity: str) -> Mapping[str, pl.DataFrame]:
        """Return one row per entity of each segment (see `entity_choice`)."""


class FrameSegments:
    """Segments of a polars frame; `members` are masks in the order of its rows."""

    def __init__(self, frame: pl.LazyFrame, members: Mapping[str, pl.Series]) -> None:
        self._frame, self._members = frame, members

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        return self._frame.collect_schema()

    @property
    def names(self) -> Collection[str]:
        return self._members.keys()

    def show_values(self, roles: Mapping[str, Role]) -> pl.LazyFrame:
        return self._frame

    def feed(self, reading: Readings) -> SegmentFeed:
        return feed_segment_blocks(self._frame, reading, self._members)

    def choose_entity_rows(self, reading: Readings, entity: str) -> Mapping[str, pl.DataFrame]:
        chosen = {}
        for segment, mask in self._members.items():
            rows = pl.concat([self._frame, mask.alias(_MEMBER).to_frame().lazy()], how="horizontal").filter(_MEMBER)
            chosen[segment] = choose_entity_rows(rows, reading[segment], entity)
        return chosen
