"""One pass over the columns of a Spark DataFrame: accumulators of every partition, merged column by column.

Spark computes the rows anew for each pass, and may get other rows: files are overwritten, a sample or random numbers
are drawn again. So each pass also adds up the hashes of the values of each column, in any order, and a column whose sum
differs from that of the pass before is rejected.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial

import polars as pl

from engine.drift.profiles.accumulators import create_part
from engine.drift.profiles.column_passes import Feed
from engine.drift.profiles.states import ROWS_HAVE_CHANGED, Accumulator, pack_state, unpack_state
from engine.drift.spark.errors import translate_spark_errors
from engine.drift.spark.parts import PartitionedRows, pack_expressions, unpack_expressions
from engine.errors import DataError

_ROWS = -1
"""The key of the number of rows. Keys from 0 on are columns, and keys below this one the columns' sums of hashes."""


def feed_parts(rows: PartitionedRows, reading: Mapping[str, pl.Expr]) -> Feed:
    """Return a function that passes rows to accumulators on executors; `reading` holds each column's normalization."""
    sums: dict[str, bytes] = {}

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
        found = {name: states.get(_ROWS - 1 - position, b"0") for position, name in enumerate(readers)}
        if any(sums.setdefault(name, hashed) != hashed for name, hashed in found.items()):
            raise DataError(ROWS_HAVE_CHANGED)
        return int(states.get(_ROWS, b"0"))

    return feed


def accumulate_part(
    setups: Sequence[bytes], packed: Sequence[bytes], blocks: Iterator[pl.DataFrame]
) -> Iterator[tuple[int, bytes]]:
    """Yield the number of rows of a partition, each column's accumulator state, and the columns' sums of hashes."""
    readers = [create_part(unpack_state(setup)) for setup in setups]
    reading = unpack_expressions(packed)
    rows, sums = 0, [0] * len(readers)
    for block in blocks:
        rows += len(block)
        for position, column in enumerate(block.select(reading)):
            readers[position].add(column.alias(""))
            sums[position] += int(column.hash().to_numpy().sum())
    yield _ROWS, str(rows).encode()
    for position, reader in enumerate(readers):
        yield position, pack_state(reader.state())
        yield _ROWS - 1 - position, str(sums[position]).encode()


def merge_states(setups: Sequence[bytes], key: int, states: Iterable[bytes]) -> bytes:
    """Return the merged states of a column's accumulators in all parts; or the sum of numbers."""
    if key < 0:
        return str(sum(map(int, states)) % 2**64).encode()
    merged = create_part(unpack_state(setups[key]))
    for state in states:
        merged.merge(unpack_state(state))
    return pack_state(merged.state())
