"""Collect the values of a column, block by block, in one pass or more.

A numerical column is read in one of three ways:

- up to a million distinct values are counted exactly (`ExactAccumulator`);
- beyond that, values are counted on a quantile grid (`GridAccumulator`): the grid of the reference if it has many
  values, else a grid from a sample of the column itself, which needs another pass;
- if a comparison could then not be exact, the grid intervals that matter are read again, value by value
  (`RefiningAccumulator`).

Rows may be divided into parts that are read elsewhere, in any order. An accumulator's `setup` describes how to create
one for a part (see `create_part`); the `state` of that one holds what it collected, and `merge` adds this state to
another accumulator. The counts of a column do not depend on how its rows were divided. Sums of floats on a grid depend
on the order of additions in their last digits.
"""

from collections.abc import Callable
from functools import partial
from typing import Self

import numpy as np
import polars as pl

from engine.drift.distributions.categorical import Categorical
from engine.drift.distributions.category_counter import CategoryCounter
from engine.drift.distributions.columns import Column
from engine.drift.distributions.numerical import Numerical
from engine.drift.distributions.quantile_grid import GRID_POINTS, MIN_REFERENCE_VALUES, QuantileGrid
from engine.drift.kernels.value_tables import Counts, Values, count_distinct_sorted, merge_tables
from engine.drift.profiles.grid_accumulators import (
    FrequentValueAccumulator,
    GridAccumulator,
    IntervalSelection,
    ValueCounts,
    grid_sample,
    normalize_floats,
)
from engine.drift.profiles.merged_tables import MergedTable, has_sampled_hash
from engine.drift.profiles.states import Accumulator, PartAccumulator, State, narrow_counts
from engine.drift.reading.arrow_memory import present_numbers

MAX_SORTED_ROWS = 1 << 16
"""Maximum number of rows that are sorted if a batch is read once or in parts; beyond it they are counted on the
reference's grid, in bounded memory. For a batch that is read as a whole, with exact statistics, sorting a million
rows is faster."""


def _sort_numbers(values: Values) -> Values:
    """Sort int64 or floats in place; return them as int64 or float64, without NaN, and with 0.0 for -0.0."""
    values.sort()  # 32-bit floats before they are widened, which takes half of the time
    if values.dtype == np.int64:
        return values
    zero, nan = values.dtype.type(0), values.dtype.type(np.nan)
    values[np.searchsorted(values, zero) : np.searchsorted(values, zero, "right")] = zero  # -0.0 equals 0.0
    present = values[: np.searchsorted(values, nan)]  # NaN is sorted to the end
    return present.astype(np.float64, copy=False)


class CategoryAccumulator:
    """Counts the categories of a column."""

    def __init__(self) -> None:
        self._counter = CategoryCounter()

    def add(self, block: pl.Series) -> None:
        self._counter.add(block)

    def finish(self, rows: int) -> Column:
        return self._counter.make_column(rows)

    def setup(self) -> State:
        return State({"kind": "categories"})

    def state(self) -> State:
        column = self._counter.make_column(0)
        return State({}, {"text": column.text, "ends": column.ends, "counts": narrow_counts(column.counts)})

    def merge(self, state: State) -> None:
        text, ends, counts = (state.arrays[name] for name in ("text", "ends", "counts"))
        self._counter.add_counts(Categorical(text, ends, counts, 0).labels, counts.astype(np.int64))


class ExactAccumulator:
    """Counts exactly up to `most` distinct values, then switches to a grid.

    Parameters
    ----------
    whole
        True if the values are int64, False if they are float64.
    against
        The column of the reference, whose grid is used after the switch; or None. If there is none, or it has so few
        values that its grid would be coarse, a sample of the distinct values is kept, from which `finish` makes a grid
        for a second pass. The sample is drawn by hash, so it does not depend on the order of the rows; values that were
        frequent before the switch become grid points as well, and they do depend on it.
    most
        Maximum number of distinct values, and of values that wait in memory to be counted.
    keep
        True to keep an exact column as long as it has at most `most` distinct values. False to switch to the
        reference's grid after `most` rows, which spares sorting them.
    exact
        True to refine the grid in another pass until every statistic is as exact as the reference allows. False to read
        the rows once if there is a reference, even if it has few values.
    many_rows
        Whether there are known to be more than `most` rows.
    """

    def __init__(
        self,
        whole: bool,
        against: Numerical | None,
        most: int,
        *,
        keep: bool = True,
        exact: bool = True,
        many_rows: bool = False,
    ) -> None:
        coarse = exact and against is not None and against.table.size < MIN_REFERENCE_VALUES
        self._reference, self._exact = against, exact
        # returns the grid after the switch; None if it has to be made from a sample
        self._find_grid: Callable[[], QuantileGrid] | None = (
            None if coarse or against is None else partial(against.quantile_grid, GRID_POINTS)
        )
        self._keep = keep or coarse
        self._max_distinct = most
        self._max_sorted = 0 if many_rows else most if exact else MAX_SORTED_ROWS
        self._waiting_values: list[Values] = []
        self._waiting_rows = 0
        self._table: tuple[Values, Counts] = (np.empty(0, np.int64 if whole else np.float64), np.empty(0, np.int64))
        self._sampling_divisor = np.uint64(1)
        self._grid_accumulator: GridAccumulator | None = None
        self._merged: MergedTable | None = None

    @classmethod
    def for_part(cls, whole: bool, grid: QuantileGrid | None, most: int, *, keep: bool) -> Self:
        """Return an accumulator for a part of the rows, with the grid to which it switches."""
        part = cls(whole, None, most, keep=keep, exact=False)
        part._find_grid = None if grid is None else lambda: grid
        return part

    def add(self, block: pl.Series) -> None:
        if self._grid_accumulator is not None:
            self._grid_accumulator.add(block)
            return
        values = present_numbers(block)
        if self._sampling_divisor != 1:  # after an overflow: keep only values with a matching hash, to make the grid
            values = normalize_floats(values)
            values = values[has_sampled_hash(values, self._sampling_divisor)]
        self._waiting_values.append(values)
        self._waiting_rows += len(self._waiting_values[-1])
        if self._find_grid is not None and not self._keep:
            if self._waiting_rows > self._max_sorted:
                self._switch_to_grid(self._find_grid())
        elif self._waiting_rows >= self._max_distinct:
            self._merge_waiting()

    def finish(self, rows: int) -> Column | Accumulator:
        if self._grid_accumulator is None:
            self._merge_waiting()
        if self._grid_accumulator is not None:
            return self._grid_accumulator.finish(rows)
        if self._merged is not None:
            self._table, self._sampling_divisor = self._merged.close(), self._merged.divisor
        values, counts = self._table
        if self._sampling_divisor == 1:
            return Numerical.exact(values, counts, rows - int(counts.sum()))
        if self._merged is not None and len(frequent := self._list_frequent(self._merged)):
            return FrequentValueAccumulator(frequent, self._table, self._reference)
        return grid_sample(values, counts, self._reference)

    def setup(self) -> State:
        grid = None if self._find_grid is None else self._find_grid()
        facts = {"kind": "values", "whole": self._table[0].dtype == np.int64, "most": self._max_distinct}
        return State({**facts, "keep": self._keep}, {} if grid is None else grid.to_arrays())

    def state(self) -> State:
        if self._merged is not None and self._grid_accumulator is None:
            values, counts = self._merged.close()
            divisor, frequent = self._merged.divisor, self._list_frequent(self._merged)
        else:
            if self._grid_accumulator is None:
                self._merge_waiting()
            if self._grid_accumulator is not None:
                return self._grid_accumulator.state()
            (values, counts), divisor = self._table, self._sampling_divisor
            sampled = has_sampled_hash(values, divisor)
            values, counts, frequent = values[sampled], counts[sampled], values[~sampled]
        return State({"divisor": int(divisor)}, {"values": values, "counts": narrow_counts(counts), "more": frequent})

    def merge(self, state: State) -> None:
        if "gaps" in state.arrays and self._grid_accumulator is None and self._find_grid is not None:
            self._switch_to_grid(self._find_grid())
        if self._grid_accumulator is not None:
            self._grid_accumulator.merge(state)
            return
        if self._merged is None:
            # with a grid, the accumulator switches instead of leaving values out of the table
            most = self._max_distinct if self._find_grid is None else None
            self._merged = MergedTable(self._table[0], most)
        counts = state.arrays["counts"].astype(np.int64)
        self._merged.add(state.arrays["values"], counts, np.uint64(state.facts["divisor"]), state.arrays["more"])
        if self._find_grid is not None and self._exceeds_limit(*self._merged.complete):
            self._switch_to_grid(self._find_grid())

    def _exceeds_limit(self, values: Values, counts: Counts) -> bool:
        """Return whether parts of the rows have more values than are counted without a grid, and there is a grid."""
        return len(values) > self._max_distinct or (not self._keep and int(counts.sum()) > MAX_SORTED_ROWS)

    def _list_frequent(self, merged: MergedTable) -> Values:
        """Return the values that may be frequent and are not in the sample."""
        return merged.frequent[~has_sampled_hash(merged.frequent, merged.divisor)]

    def _merge_waiting(self) -> None:
        """Merge the waiting values into the table of distinct values and counts."""
        raw = np.concatenate(self._waiting_values or [self._table[0][:0]])
        self._waiting_values, self._waiting_rows = [], 0
        table = count_distinct_sorted(_sort_numbers(raw))
        if len(self._table[0]):
            values, a, b = merge_tables(*self._table, *table)
            table = values, a + b
        self._table = table
        if len(table[0]) > self._max_distinct:
            self._handle_overflow()

    def _handle_overflow(self) -> None:
        """Handle too many distinct values: switch to the reference's grid, or keep half of the values, by hash."""
        values, counts = self._table
        if self._find_grid is not None:
            self._switch_to_grid(self._find_grid())
            return
        self._sampling_divisor *= np.uint64(2)
        # values that are more frequent than an average interval are kept in any case, as they should be grid points
        kept = has_sampled_hash(values, self._sampling_divisor) | (counts > counts.sum() // GRID_POINTS + 1)
        self._table = values[kept], counts[kept]

    def _switch_to_grid(self, grid: QuantileGrid) -> None:
        """Switch to a grid, and add what was collected so far."""
        self._grid_accumulator = GridAccumulator(grid, self._reference if self._exact else None)
        table = self._table if self._merged is None else self._merged.complete
        if len(table[0]):
            self._grid_accumulator.add_counts(*table)
        for values in self._waiting_values:
            self._grid_accumulator.add_values(values)
        self._table, self._waiting_values = (self._table[0][:0].copy(), self._table[1][:0].copy()), []
        self._merged = None


def create_part(setup: State) -> PartAccumulator:
    """Return an accumulator for a part of the rows, from the `setup` of the main accumulator."""
    facts, arrays = setup
    if facts["kind"] == "categories":
        return CategoryAccumulator()
    if facts["kind"] == "frequent":
        return ValueCounts(arrays["values"])
    grid = QuantileGrid.from_arrays(arrays) if "points" in arrays else None
    if facts["kind"] == "values":
        return ExactAccumulator.for_part(facts["whole"], grid, facts["most"], keep=facts["keep"])
    if grid is None:
        raise ValueError(f"an accumulator of kind {facts['kind']!r} needs a grid")
    return GridAccumulator(grid, None) if facts["kind"] == "grid" else IntervalSelection(grid, arrays["wanted"])
