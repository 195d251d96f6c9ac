"""How a column is read: block by block into a column, by whichever of three ways it takes, in one pass or two.

Up to a million distinct values all are kept. Beyond, values are counted on a ladder: of the reference that the column
will be compared with, else of a sample of the column itself, for which the data is read once more. And where a
comparison would leave a doubt, the gaps that matter are read value by value.
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
"""Distinct values up to which a column is exact: 8 MB of them, and as much while it is read."""

RUNGS = 1 << 16
"""Of a ladder: a gap then holds about 1e-5 of the rows, and 3 to 7 in a hundred rows are read twice."""


class Reader(Protocol):
    """Something that reads one column."""

    def add(self, block: pl.Series) -> None:
        """Take the next rows, as `canonical` gives them."""

    def done(self, rows: int) -> "Column | Reader":
        """Return the column of so many rows; or a reader that has to see all of them once more."""


T = TypeVar("T")

First = Callable[[str], Reader]
"""Makes the reader of a column."""


def read(
    frame: pl.LazyFrame, reading: Mapping[str, pl.Expr], first: First, finish: Callable[[str, Column], T]
) -> tuple[int, dict[str, T]]:
    """Return the number of rows, and what `finish` makes of each column, whose memory can then go.

    Makes as many passes as the columns need; each reads what is still needed. Columns are worked on in as many threads
    as there are cores, a block at a time, so the sums of a column are added up in one order whatever their number.
    """
    if not reading:
        return int(frame.select(pl.len()).collect(engine="streaming").item()), {}
    finished: dict[str, T] = {}
    readers = {name: first(name) for name in reading}
    again: dict[str, Reader] = {}
    rows = 0

    def close(name: str) -> None:
        column = readers.pop(name).done(rows)
        if isinstance(column, Numerical | Categorical):
            finished[name] = finish(name, column)
        else:
            again[name] = column

    rows = _feed(readers, frame, reading)
    each(close, list(readers))
    while again:
        readers, again = again, {}
        _feed(readers, frame, reading)
        each(close, list(readers))
    return rows, {name: finished[name] for name in reading}


def _feed(readers: Mapping[str, Reader], frame: pl.LazyFrame, reading: Mapping[str, pl.Expr]) -> int:
    """Give the readers their columns of all blocks; return how many rows there were."""
    rows = 0
    wanted = [reading[name] for name in readers]
    # what is read is cast block by block: with expressions in its query polars holds three times as much
    for raw in blocks(frame.select(map(named, readers)), rows_of(len(readers))):
        block = raw.select(wanted)
        rows += len(block)
        # polars would take the name of a series for a pattern too
        columns = {name: block.get_column(name).alias("") for name in readers}
        each(lambda name, columns=columns: readers[name].add(columns[name]), readers)  # type: ignore[misc]
    return rows


def present(block: pl.Series) -> Values:
    """Return the values that are there, where possible without a copy."""
    return block.drop_nulls().to_numpy()


class Categories:
    """Counts texts."""

    def __init__(self) -> None:
        self._tally = Tally()

    def add(self, block: pl.Series) -> None:
        self._tally.add(block)

    def done(self, rows: int) -> Column:
        labels, counts = self._tally.table()
        return Categorical.of(labels.to_list(), counts, rows - int(counts.sum()))


class Distinct:
    """Keeps all distinct values with their counts, as long as they are few enough; or if not to `keep`, all values.

    Then goes on with the ladder of the column that it is `against`, to be as exact as that if it is to be `exact`.
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
        ladder = Ladder.of(values, counts, RUNGS)
        return OnLadder(ladder, None)

    def _gather(self) -> None:
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
        """There are too many: go on with the ladder of the reference, or with every other value (by hash)."""
        values, counts = self._table
        if self._against is not None:
            self._go_on(self._against)
            return
        self._one_in *= np.uint64(2)
        # frequent ones stay whatever their hash: they are to become rungs
        stay = self._sampled(values) | (counts > counts.sum() // RUNGS + 1)
        self._table = values[stay], counts[stay]

    def _go_on(self, against: Numerical) -> None:
        """Go on with the ladder of the reference."""
        self._on_ladder = OnLadder(against.ladder(RUNGS), against if self._exact else None)
        if len(self._table[0]):
            self._on_ladder.lay(*self._table)
        for values in self._raw:
            self._on_ladder.count(values)
        self._table, self._raw = (self._table[0][:0].copy(), self._table[1][:0].copy()), []

    def _sampled(self, values: Values) -> NDArray[np.bool_]:
        mixed = values.view(np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9)
        return np.asarray((mixed >> np.uint64(32)) % self._one_in == 0)


class OnLadder:
    """Counts values on a ladder. With a reference, values in doubtful gaps are read in a second pass."""

    def __init__(self, ladder: Ladder, against: Numerical | None) -> None:
        self.ladder = ladder
        self._against = against
        self._tally = ladder.tally()
        self._moments = Moments()

    def add(self, block: pl.Series) -> None:
        self.count(present(block))

    def count(self, values: Values) -> None:
        """Take more values."""
        self._moments += Moments.of(values, None, self._moments.centre if self._moments.rows else None)
        self.ladder.count(values, self._tally)

    def lay(self, values: Values, counts: Counts) -> None:
        """Take a table of values at once."""
        self._moments += Moments.of(values, counts)
        self.ladder.lay(values, counts, self._tally)

    def done(self, rows: int) -> Column | Reader:
        counts, gaps, sums = self.ladder.folded(self._tally)
        in_gaps = Gaps(gaps, sums, self.ladder.centre)
        column = Numerical(self.ladder.rungs, counts, rows - self._moments.rows, self._moments, in_gaps)
        if self._against is None:
            return column
        wanted = doubtful(self._against, column, MOST_VALUES)
        return InGaps(self.ladder, column, in_gaps, wanted) if wanted.any() else column


class InGaps:
    """Adds the values of some gaps to a column that was counted on a ladder."""

    def __init__(self, ladder: Ladder, column: Numerical, gaps: Gaps, wanted: NDArray[np.bool_]) -> None:
        self._ladder, self._column, self._gaps, self._wanted = ladder, column, gaps, wanted
        self._found: list[Values] = []

    def add(self, block: pl.Series) -> None:
        self._found.append(self._ladder.select(present(block), self._wanted))

    def done(self, rows: int) -> Column:
        column = self._column
        found = np.concatenate(self._found)
        found.sort()
        values, counts = runs(found)
        at = np.searchsorted(column.values, values)
        inside = self._wanted[at]
        values, counts, at = values[inside], counts[inside], at[inside]
        gaps = Gaps(
            np.insert(np.where(self._wanted, 0, self._gaps.counts), at, 0),
            np.insert(np.where(self._wanted, 0.0, self._gaps.sums), at, 0.0),
            self._gaps.centre,
        )
        return Numerical(
            np.insert(column.values, at, values),
            np.insert(column.counts, at, counts),
            column.missing,
            column.moments,
            gaps,
        )
