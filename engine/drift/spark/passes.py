"""One pass over the columns of a Spark DataFrame: accumulators of every partition, merged column by column."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import polars as pl

from engine.drift.profiles.accumulators import create_part
from engine.drift.profiles.column_passes import Feed
from engine.drift.profiles.states import Accumulator, pack_state, unpack_state
from engine.drift.spark.errors import translate_spark_errors
from engine.drift.spark.parts import PartitionedRows, pack_expressions, unpack_expressions

_ROWS = -1
"""The key of the number of rows; the others are positions of columns."""


def feed_parts(rows: PartitionedRows, reading: Mapping[str, pl.Expr]) -> Feed:
    """Return what gives rows to accumulators on executors; `reading` has the normalizing expression of each column."""

    def feed(readers: Mapping[str, Accumulator], *, again: bool) -> int:
        if not readers:
            with translate_spark_errors():
                return int(rows.frame.count())
        setups = [pack_state(reader.setup()) for reader in readers.values()]
        read = pack_expressions(reading[name] for name in readers)
        states = rows.run_on_parts(readers, partial(accumulate_part, setups, read), partial(merge_states, setups))
        for position, reader in enumerate(readers.values()):
            if position in states:
                reader.merge(unpack_state(states[position]))
        return int(states.get(_ROWS, b"0"))

    return feed


def accumulate_part(
    setups: Sequence[bytes], packed: Sequence[bytes], blocks: Iterator[pl.DataFrame]
) -> Iterator[tuple[int, bytes]]:
    """Yield the number of rows of a partition, and what the accumulator of each column has collected."""
    readers = [create_part(unpack_state(setup)) for setup in setups]
    reading = unpack_expressions(packed)
    rows = 0
    for block in blocks:
        rows += len(block)
        for reader, column in zip(readers, block.select(reading), strict=True):
            reader.add(column.alias(""))
    yield _ROWS, str(rows).encode()
    for position, reader in enumerate(readers):
        yield position, pack_state(reader.state())


def merge_states(setups: Sequence[bytes], key: int, states: Iterable[bytes]) -> bytes:
    """Return what the accumulators of a column have collected in all parts, or the number of all rows."""
    if key == _ROWS:
        return str(sum(map(int, states))).encode()
    merged = create_part(unpack_state(setups[key]))
    for state in states:
        merged.merge(unpack_state(state))
    return pack_state(merged.state())
