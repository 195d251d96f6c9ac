"""Read the columns of a frame block by block into accumulators, in one pass or more.

Numerical columns take one of three ways:

- up to a million distinct values are counted exactly (`ExactAccumulator`);
- beyond that, values are counted on a quantile grid (`GridAccumulator`): the reference's grid where the column will be
  compared with a reference, else a grid from a sample of the column itself, which needs another pass;
- where a comparison could not be exact after that, the grid intervals that matter are read again, value by value
  (`RefiningAccumulator`).
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.drift.blocks import blocks, rows_of
from engine.drift.canonical import named
from engine.drift.columns import Categorical, Column, Gaps, Moments, Numerical
from engine.drift.doubt import doubtful
from engine.drift.kernels.counting import Counts, Values, align, runs
from engine.drift.ladder import Ladder
from engine.drift.tally import Tally
from engine.drift.threads import each

MOST_VALUES = 1 << 20
"""Maximum number of distinct values of an exact column: 8 MB, and as much again while it is read."""

RUNGS = 1 << 16
"""Number of grid points: an interval then holds about 1e-5 of the rows, and 3 to 7 % of the rows are read twice."""


class Reader(Protocol):
    """Collects the values of one column, block by block."""

    def add(self, block: pl.Series) -> None:
        """Add the next rows, as `normalization` gives them."""

    def done(self, rows: int) -> "Column | Reader":
        """Return the column, which has `rows` rows; or an accumulator that must be given all rows once more."""


T = TypeVar("T")

First = Callable[[str], Reader]
"""Makes the first accumulator of the column with this name."""


def read(
    frame: pl.LazyFrame, reading: Mapping[str, pl.Expr], first: First, finish: Callable[[str, Column], T]
) -> tuple[int, dict[str, T]]:
    """Read all columns, in as many passes as they need; a pass reads only the columns that need it.

    A block's columns are processed in parallel, one block after another, so the sums of a column are added in the same
    order for any number of threads.

    Parameters
    ----------
    reading
        The normalizing expression of each column.
    first
        Makes the accumulator of a column for the first pass.
    finish
        Is called with name and column as soon as a column is complete; the column's memory is freed afterwards.

    Returns
    -------
    rows, results
        The number of rows, and the result of `finish` per column, in the order of `reading`.
    """
    if not reading:
        return int(frame.select(pl.len()).collect(engine="streaming").item()), {}
    finished: dict[str, T] = {}
    readers = {name: first(name) for name in reading}
    unfinished: dict[str, Reader] = {}
    rows = 0

    def close(name: str) -> None:
        column = readers.pop(name).done(rows)
        if isinstance(column, Numerical | Categorical):
            finished[name] = finish(name, column)
        else:
            unfinished[name] = column

    rows = _feed(readers, frame, reading)
    each(close, list(readers))
    while unfinished:
        readers, unfinished = unfinished, {}
        _feed(readers, frame, reading)
        each(close, list(readers))
    return rows, {name: finished[name] for name in reading}


def _feed(readers: Mapping[str, Reader], frame: pl.LazyFrame, reading: Mapping[str, pl.Expr]) -> int:
    """Pass every block's columns to their accumulators; return the number of rows."""
    rows = 0
    wanted = [reading[name] for name in readers]
    # values are cast after reading, block by block: with the casts in the query polars takes three times the memory
    for raw in blocks(frame.select(map(named, readers)), rows_of(len(readers))):
        block = raw.select(wanted)
        rows += len(block)
        # polars would also take the name of a series as a pattern
        columns = {name: block.get_column(name).alias("") for name in readers}
        each(lambda name, columns=columns: readers[name].add(columns[name]), readers)  # type: ignore[misc]
    return rows


def present(block: pl.Series) -> Values:
    """Return the values that are not missing, without a copy where possible."""
    return block.drop_nulls().to_numpy()


class Categories:
    """Counts the categories of a column."""

    def __init__(self) -> None:
        self._tally = Tally()

    def add(self, block: pl.Series) -> None:
        self._tally.add(block)

    def done(self, rows: int) -> Column:
        labels, counts = self._tally.table()
        return Categorical.of(labels.to_list(), counts, rows - int(counts.sum()))


class Distinct:
    """Counts exactly up to `most` distinct values, then switches to a grid.

    Parameters
    ----------
    whole
        True if the values are int64, False if they are float64.
    against
        The column of the reference, whose grid is used after the switch. None if there is none: then a sample of the
        distinct values is kept, from which `finish` makes a grid for a second pass.
    most
        Maximum number of distinct values. Up to as many values wait in memory before they are counted.
    keep
        True to keep an exact column as long as it has at most `most` distinct values. False to switch to the
        reference's grid after `most` values, which spares sorting them.
    exact
        True to refine the grid in another pass, until every statistic is as exact as the reference allows.
    """

    def __init__(
        self, whole: bool, against: Numerical | None, most: int, *, keep: bool = True, exact: bool = True
    ) -> None:
        self._against, self._keep, self._exact = against, keep, exact
        self._most = most
        self._raw: list[Values] = []
        self._waiting = 0
        self._table: tuple[Values, Counts] = (np.empty(0, np.int64 if whole else np.float64), np.empty(0, np.int64))
        self._one_in = np.uint64(1)
        self._on_ladder: OnLadder | None = None

    def add(self, block: pl.Series) -> None:
        if self._on_ladder is not None:
            self._on_ladder.add(block)
            return
        values = present(block)
        # after an overflow only values with a matching hash are added: the table is then a sample to make a grid from
        self._raw.append(values if self._one_in == 1 else values[self._sampled(values)])
        self._waiting += len(self._raw[-1])
        if self._waiting >= self._most:
            if self._against is not None and not self._keep:
                self._go_on(self._against)
            else:
                self._gather()

    def done(self, rows: int) -> Column | Reader:
        if self._on_ladder is None:
            self._gather()
        if self._on_ladder is not None:
            return self._on_ladder.done(rows)
        values, counts = self._table
        if self._one_in == 1:
            return Numerical.exact(values, counts, rows - int(counts.sum()))
        grid = Ladder.of(values, counts, RUNGS)
        return OnLadder(grid, None)

    def _gather(self) -> None:
        """Merge the waiting values into the table of distinct values and counts."""
        raw = np.concatenate([self._table[0][:0], *self._raw])
        self._raw, self._waiting = [], 0
        raw.sort()
        table = runs(raw)
        if len(self._table[0]):
            values, a, b = align(*self._table, *table)
            table = values, a + b
        self._table = table
        if len(table[0]) > self._most:
            self._overflow()

    def _overflow(self) -> None:
        """Handle too many distinct values: switch to the reference's grid, or keep half of the values, by hash."""
        values, counts = self._table
        if self._against is not None:
            self._go_on(self._against)
            return
        self._one_in *= np.uint64(2)
        # values that are more frequent than an average interval are kept in any case, as they should be grid points
        stay = self._sampled(values) | (counts > counts.sum() // RUNGS + 1)
        self._table = values[stay], counts[stay]

    def _go_on(self, against: Numerical) -> None:
        """Switch to the reference's grid, and add what was collected so far."""
        self._on_ladder = OnLadder(against.ladder(RUNGS), against if self._exact else None)
        if len(self._table[0]):
            self._on_ladder.lay(*self._table)
        for values in self._raw:
            self._on_ladder.count(values)
        self._table, self._raw = (self._table[0][:0].copy(), self._table[1][:0].copy()), []

    def _sampled(self, values: Values) -> NDArray[np.bool_]:
        # a hash by one xor-shift and one multiplication, by the first multiplier of splitmix64 (Steele et al. 2014)
        mixed = values.view(np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9)
        return np.asarray((mixed >> np.uint64(32)) % self._one_in == 0)


class OnLadder:
    """Counts values on a grid; with a reference, `finish` may ask for another pass that refines some intervals."""

    def __init__(self, grid: Ladder, against: Numerical | None) -> None:
        self.ladder = grid
        self._against = against
        self._tally = grid.tally()
        self._moments = Moments()

    def add(self, block: pl.Series) -> None:
        self.count(present(block))

    def count(self, values: Values) -> None:
        """Add values, each once."""
        # all parts are measured about the centre of the first one, so that few digits are lost when they are added
        self._moments += Moments.of(values, None, self._moments.centre if self._moments.rows else None)
        self.ladder.count(values, self._tally)

    def lay(self, values: Values, counts: Counts) -> None:
        """Add distinct values, ascending, with their counts."""
        self._moments += Moments.of(values, counts)
        self.ladder.lay(values, counts, self._tally)

    def done(self, rows: int) -> Column | Reader:
        counts, interval_counts, sums = self.ladder.folded(self._tally)
        intervals = Gaps(interval_counts, sums, self.ladder.centre)
        column = Numerical(self.ladder.rungs, counts, rows - self._moments.rows, self._moments, intervals)
        if self._against is None:
            return column
        wanted = doubtful(self._against, column, MOST_VALUES)
        return InGaps(self.ladder, column, intervals, wanted) if wanted.any() else column


class InGaps:
    """Reads the values of some grid intervals, and turns those intervals into exact counts."""

    def __init__(self, grid: Ladder, column: Numerical, intervals: Gaps, wanted: NDArray[np.bool_]) -> None:
        self._ladder, self._column, self._gaps, self._wanted = grid, column, intervals, wanted
        self._found: list[Values] = []

    def add(self, block: pl.Series) -> None:
        self._found.append(self._ladder.select(present(block), self._wanted))

    def done(self, rows: int) -> Column:
        column = self._column
        # selection is by bucket, so it may include values of neighbouring intervals that were not wanted
        found = np.concatenate(self._found)
        found.sort()
        values, counts = runs(found)
        at = np.searchsorted(column.values, values)
        inside = self._wanted[at]
        values, counts, at = values[inside], counts[inside], at[inside]
        # a refined interval has no rows left: each of its values becomes a point with empty intervals on both sides
        intervals = Gaps(
            np.insert(np.where(self._wanted, 0, self._gaps.counts), at, 0),
            np.insert(np.where(self._wanted, 0.0, self._gaps.sums), at, 0.0),
            self._gaps.centre,
        )
        return Numerical(
            np.insert(column.values, at, values),
            np.insert(column.counts, at, counts),
            column.missing,
            column.moments,
            intervals,
        )
