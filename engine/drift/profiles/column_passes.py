"""Read the columns of a sample into their accumulators, in one pass or more.

A `Feed` passes the rows to the accumulators, wherever they are: block by block in this process, or part by part on the
executors of a cluster.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Protocol, TypeVar

import polars as pl

from engine.drift.distributions.categorical import Categorical
from engine.drift.distributions.columns import Column
from engine.drift.distributions.numerical import Numerical
from engine.drift.profiles.states import ROWS_HAVE_CHANGED, Accumulator
from engine.drift.reading.blocks import count_frame_rows, iterate_blocks, rows_per_block
from engine.drift.reading.normalization import column_named
from engine.drift.threads import parallel_map
from engine.errors import DataError

T = TypeVar("T")

AccumulatorFactory = Callable[[str], Accumulator]
"""Creates the first accumulator of the column with this name."""


MANY_ROWS = 30_000_000
"""Number of rows from which columns that were read twice are finished one by one: each takes up to 200 MB for that, and
little time compared with reading."""


class Feed(Protocol):
    """Passes all rows to accumulators."""

    def __call__(self, readers: Mapping[str, Accumulator], *, again: bool) -> int:
        """Pass to each accumulator the values of its column; return the number of rows.

        `again` is True after the first pass, when little work is done per value.
        """


class SegmentFeed(Protocol):
    """Passes the rows of segments to accumulators."""

    def __call__(self, readers: Mapping[tuple[str, str], Accumulator]) -> Mapping[str, int]:
        """Pass to each accumulator (by segment and column) the values of its segment; return the rows per segment."""


def read_columns(
    names: Collection[str], feed: Feed, first: AccumulatorFactory, finish: Callable[[str, Column], T]
) -> tuple[int, dict[str, T]]:
    """Read these columns, in as many passes as they need; a pass reads only the columns that need it.

    Parameters
    ----------
    feed
        Passes the rows to the accumulators.
    first
        Creates the accumulator of a column for the first pass.
    finish
        Called with name and column as soon as a column is complete; the column's memory is freed afterwards.

    Returns
    -------
    rows, finished
        The number of rows, and the result of `finish` per column, in the order of `names`.

    Raises
    ------
    DataError
        A later pass found other rows.
    """
    finished: dict[str, T] = {}
    readers = {name: first(name) for name in names}
    unfinished: dict[str, Accumulator] = {}
    rows = 0

    def close(name: str) -> None:
        column = readers.pop(name).finish(rows)
        if isinstance(column, Numerical | Categorical):
            finished[name] = finish(name, column)
        else:
            unfinished[name] = column

    rows = feed(readers, again=False)
    parallel_map(close, list(readers))
    while unfinished:
        readers, unfinished = unfinished, {}
        if feed(readers, again=True) != rows:
            raise DataError(ROWS_HAVE_CHANGED)
        if rows > MANY_ROWS:
            for name in list(readers):
                close(name)
        else:
            parallel_map(close, list(readers))
    return rows, {name: finished[name] for name in names}


def feed_blocks(frame: pl.LazyFrame, reading: Mapping[str, pl.Expr]) -> Feed:
    """Return a function that passes the rows of a frame to accumulators, block by block.

    A block's columns are processed in parallel, one block after another, so the sums of a column are added in the same
    order for any number of threads.

    Parameters
    ----------
    frame
        The rows, as they are before normalization.
    reading
        The normalizing expression of each column.
    """

    def feed(readers: Mapping[str, Accumulator], *, again: bool) -> int:
        if not readers:
            return count_frame_rows(frame)
        rows = 0
        changed = [reading[name] for name in readers if not reading[name].meta.is_column()]
        # values are cast after reading, block by block: casts in the query take polars three times the memory
        columns_of_readers = frame.select(map(column_named, readers))
        for raw in iterate_blocks(columns_of_readers, rows_per_block(len(readers))):
            block = raw.with_columns(changed) if changed else raw
            rows += len(block)
            # polars would also take the name of a series as a pattern
            columns = {name: block.get_column(name).alias("") for name in readers}
            parallel_map(lambda name, columns=columns: readers[name].add(columns[name]), readers)  # type: ignore[misc]  # a default
        return rows

    return feed


def read_segments(
    feed: SegmentFeed, plans: Mapping[str, tuple[Collection[str], AccumulatorFactory]]
) -> tuple[Mapping[str, int], dict[str, dict[str, Column]]]:
    """Read the columns of several segments, in as many passes as they need; a pass reads the rows once.

    Parameters
    ----------
    feed
        Passes the rows of the segments to the accumulators.
    plans
        By segment, the columns, and a function that creates the first accumulator of each.

    Returns
    -------
    rows, columns
        The number of rows by segment, and the columns by segment and name.

    Raises
    ------
    DataError
        A later pass found another number of rows.
    """
    finished: dict[tuple[str, str], Column] = {}
    readers = {(segment, name): first(name) for segment, (names, first) in plans.items() for name in names}
    rows = feed(readers)
    while readers:
        ended = {key: reader.finish(rows[key[0]]) for key, reader in readers.items()}
        finished |= {key: one for key, one in ended.items() if isinstance(one, Numerical | Categorical)}
        readers = {key: one for key, one in ended.items() if not isinstance(one, Numerical | Categorical)}
        if readers and feed(readers) != rows:
            raise DataError(ROWS_HAVE_CHANGED)
    return rows, {segment: {name: finished[segment, name] for name in names} for segment, (names, _) in plans.items()}


def feed_segment_blocks(
    frame: pl.LazyFrame, reading: Mapping[str, Mapping[str, pl.Expr]], members: Mapping[str, pl.Series]
) -> SegmentFeed:
    """Return a function that passes the rows of the segments of a frame to accumulators, block by block.

    Parameters
    ----------
    reading
        By segment, the normalizing expression of each column.
    members
        By segment, which rows belong to it, in the order of the frame.
    """

    def feed(readers: Mapping[tuple[str, str], Accumulator]) -> Mapping[str, int]:
        at = 0
        columns = list(dict.fromkeys(name for _, name in readers))
        blocks = iterate_blocks(frame.select(map(column_named, columns)), rows_per_block(len(columns)))
        for raw in blocks if readers else ():
            parts: dict[tuple[str, str], pl.Series] = {}
            for segment in dict.fromkeys(segment for segment, _ in readers):
                names = [name for of, name in readers if of == segment]
                part = raw.filter(members[segment].slice(at, len(raw)))
                block = part.select(reading[segment][name] for name in names)
                parts |= {(segment, name): block.get_column(name).alias("") for name in names}
            parallel_map(lambda key, parts=parts: readers[key].add(parts[key]), readers)  # type: ignore[misc]  # a default
            at += len(raw)
        return {segment: int(mask.sum()) for segment, mask in members.items()}

    return feed
