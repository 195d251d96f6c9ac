"""The rows of several segments of a Spark DataFrame: executors mark the rows of each block and measure the segments."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from engine.drift.profiles.accumulators import create_part
from engine.drift.profiles.column_passes import SegmentFeed
from engine.drift.profiles.entity_choice import choose_entity_rows
from engine.drift.profiles.segments import Readings
from engine.drift.profiles.states import Accumulator, pack_state, unpack_state
from engine.drift.reading.normalization import Role
from engine.drift.reading.segment_marks import SegmentMarks
from engine.drift.spark.entities import SHARES, EntityChoice, merge_chosen
from engine.drift.spark.errors import translate_spark_errors
from engine.drift.spark.parts import PartitionedRows, pack_expressions, unpack_expressions, unpack_frame
from engine.drift.spark.passes import merge_states
from engine.drift.spark.samples import SparkSample

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Mark = Callable[[pl.DataFrame], Mapping[str, pl.Series]]


class SparkSegments:
    """Segments of the rows of a Spark DataFrame, assigned by `marks`."""

    def __init__(self, frame: "DataFrame", marks: SegmentMarks) -> None:
        self._sample, self._rows, self._marks = SparkSample(frame), PartitionedRows(frame), marks

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        return self._sample.schema

    @property
    def names(self) -> Collection[str]:
        return self._marks.names

    def show_values(self, roles: Mapping[str, Role]) -> pl.LazyFrame:
        return self._sample.show_values(roles)

    def feed(self, reading: Readings) -> SegmentFeed:
        def feed(readers: Mapping[tuple[str, str], Accumulator]) -> Mapping[str, int]:
            names = dict.fromkeys([name for _, name in readers] + [*self._marks.columns])
            if not names:
                with translate_spark_errors():
                    return dict.fromkeys(self.names, int(self._rows.frame.count()))
            setups = [pack_state(reader.setup()) for reader in readers.values()]
            read = [(segment, pack_expressions([reading[segment][name]])[0]) for segment, name in readers]
            work = partial(_accumulate_segments, self._marks.mark, list(self.names), setups, read)
            states = self._rows.run_on_parts(names, work, partial(merge_states, setups))
            for position, reader in enumerate(readers.values()):
                if position in states:
                    reader.merge(unpack_state(states[position]))
            return {name: int(states.get(-1 - number, b"0")) for number, name in enumerate(self.names)}

        return feed

    def choose_entity_rows(self, reading: Readings, entity: str) -> Mapping[str, pl.DataFrame]:
        columns = dict.fromkeys(name for of_segment in reading.values() for name in of_segment)
        names = list(dict.fromkeys([*columns, entity, *self._marks.columns]))
        packed = {
            segment: list(zip(of_segment, pack_expressions(of_segment.values()), strict=True))
            for segment, of_segment in reading.items()
        }
        work = partial(_choose_in_segments, self._marks.mark, packed, entity)
        found = self._rows.run_on_parts(names, work, merge_chosen)
        empty = self._rows.show_types(names).lazy()
        chosen = {}
        for number, (segment, of_segment) in enumerate(reading.items()):
            shares = [unpack_frame(one) for key, one in found.items() if key // SHARES == number]
            chosen[segment] = pl.concat([choose_entity_rows(empty, of_segment, entity), *shares]).sort("entity")
        return chosen


def _accumulate_segments(
    mark: Mark,
    names: Sequence[str],
    setups: Sequence[bytes],
    read: Sequence[tuple[str, bytes]],
    blocks: Iterator[pl.DataFrame],
) -> Iterator[tuple[int, bytes]]:
    """Yield the state of each accumulator (one per segment and column) for a partition, and the rows of each segment.

    The keys are the positions of the accumulators, and below 0 those of the segments.
    """
    readers = [create_part(unpack_state(setup)) for setup in setups]
    reading = unpack_expressions(packed for _, packed in read)
    rows = dict.fromkeys(names, 0)
    for block in blocks:
        members = mark(block)
        for segment in names:
            positions = [position for position, (of, _) in enumerate(read) if of == segment]
            part = block.filter(members[segment])
            rows[segment] += len(part)
            columns = part.select(reading[position].alias(str(position)) for position in positions)
            for position, column in zip(positions, columns, strict=True):
                readers[position].add(column.alias(""))
    for position, reader in enumerate(readers):
        yield position, pack_state(reader.state())
    for number, counted in enumerate(rows.values()):
        yield -1 - number, str(counted).encode()


def _choose_in_segments(
    mark: Mark, packed: Mapping[str, Sequence[tuple[str, bytes]]], entity: str, blocks: Iterator[pl.DataFrame]
) -> Iterator[tuple[int, bytes]]:
    choices = {segment: EntityChoice(of_segment, entity) for segment, of_segment in packed.items()}
    for block in blocks:
        members = mark(block)
        for segment, choice in choices.items():
            choice.add(block.filter(members[segment]))
    for number, choice in enumerate(choices.values()):
        for share, chosen in choice.divide():
            yield number * SHARES + share, chosen
