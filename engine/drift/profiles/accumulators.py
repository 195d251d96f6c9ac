"""Read the columns of a frame block by block into accumulators, in one pass or more.

A numerical column is read in one of three ways:

- up to a million distinct values are counted exactly (`ExactAccumulator`);
- beyond that, values are counted on a quantile grid (`GridAccumulator`): the reference's grid where the column will be
  compared with a reference of many values, else a grid from a sample of the column itself, which needs another pass;
- where a comparison could not be exact after that, the grid intervals that matter are read again, value by value
  (`RefiningAccumulator`).
"""

from collections.abc import Callable, Mapping
from threading import local
from typing import Protocol, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.drift.distributions.category_counter import CategoryCounter
from engine.drift.distributions.columns import Categorical, Column, Numerical
from engine.drift.distributions.intervals import GridIntervals
from engine.drift.distributions.moments import Moments
from engine.drift.distributions.quantile_grid import GRID_POINTS, MIN_REFERENCE_VALUES, QuantileGrid, RunningMoments
from engine.drift.kernels.grid_positions import Gaps
from engine.drift.kernels.value_tables import Counts, Values, count_distinct_sorted, merge_tables, refine_intervals
from engine.drift.profiles.refinement import intervals_to_refine
from engine.drift.reading.arrow_memory import present_numbers
from engine.drift.reading.blocks import count_frame_rows, iterate_blocks, rows_per_block
from engine.drift.reading.normalization import column_named
from engine.drift.threads import parallel_map

MAX_DISTINCT_VALUES = 1 << 20
"""Maximum number of distinct values of an exact column: 8 MB, and as much again while it is read."""

FEWEST_GRIDDED_ROWS = 1 << 16
"""Rows of a batch from which on they are counted on the reference's grid, which is faster than sorting them."""

MAX_REFINED_ROWS = 4 * MAX_DISTINCT_VALUES
"""Most rows of a column that are read twice for the sake of a distance: 32 MB."""


class Accumulator(Protocol):
    """Collects the values of one column, block by block."""

    def add(self, block: pl.Series) -> None:
        """Add the next rows, as `normalization` gives them."""

    def finish(self, rows: int) -> "Column | Accumulator":
        """Return the column, which has `rows` rows; or an accumulator that must be given all rows once more."""


T = TypeVar("T")

AccumulatorFactory = Callable[[str], Accumulator]
"""Makes the first accumulator of the column with this name."""


def read_columns(
    frame: pl.LazyFrame, reading: Mapping[str, pl.Expr], first: AccumulatorFactory, finish: Callable[[str, Column], T]
) -> tuple[int, dict[str, T]]:
    """Read all columns, in as many passes as they need; a pass reads only the columns that need it.

    A block's columns are processed in parallel, one block after another, so the sums of a column are added in the same
    order for any number of threads.

    Parameters
    ----------
    frame
        The rows, as they are before normalization.
    reading
        The normalizing expression of each column.
    first
        Makes the accumulator of a column for the first pass.
    finish
        Is called with name and column as soon as a column is complete; the column's memory is freed afterwards.

    Returns
    -------
    rows, finished
        The number of rows, and the result of `finish` per column, in the order of `reading`.
    """
    if not reading:
        return count_frame_rows(frame), {}
    finished: dict[str, T] = {}
    readers = {name: first(name) for name in reading}
    unfinished: dict[str, Accumulator] = {}
    rows = 0

    def close(name: str) -> None:
        column = readers.pop(name).finish(rows)
        if isinstance(column, Numerical | Categorical):
            finished[name] = finish(name, column)
        else:
            unfinished[name] = column

    rows = _feed_blocks(readers, frame, reading)
    parallel_map(close, list(readers))
    while unfinished:
        readers, unfinished = unfinished, {}
        _feed_blocks(readers, frame, reading, row_groups_ahead=2)  # to select values is quick
        parallel_map(close, list(readers))
    return rows, {name: finished[name] for name in reading}


def read_segments(
    frame: pl.LazyFrame,
    plans: Mapping[str, tuple[Mapping[str, pl.Expr], AccumulatorFactory]],
    members: Mapping[str, pl.Series],
) -> dict[str, dict[str, Column]]:
    """Read the columns of several segments of a frame, in as many passes as they need; a pass reads the rows once.

    Parameters
    ----------
    plans
        By segment, the normalizing expression of each column, and what makes its first accumulator.
    members
        By segment, which rows belong to it, in the order of the frame.

    Returns
    -------
    columns
        By segment and name.
    """
    finished: dict[tuple[str, str], Column] = {}
    readers = {(segment, name): first(name) for segment, (reading, first) in plans.items() for name in reading}
    while readers:
        at = 0
        columns = list(dict.fromkeys(name for _, name in readers))
        for raw in iterate_blocks(frame.select(map(column_named, columns)), rows_per_block(len(columns))):
            parts: dict[tuple[str, str], pl.Series] = {}
            for segment in dict.fromkeys(segment for segment, _ in readers):
                names = [name for of, name in readers if of == segment]
                part = raw.filter(members[segment].slice(at, len(raw)))
                block = part.select(plans[segment][0][name] for name in names)
                parts |= {(segment, name): block.get_column(name).alias("") for name in names}
            parallel_map(lambda key, parts=parts, to=readers: to[key].add(parts[key]), readers)  # type: ignore[misc]
            at += len(raw)
        ended = {key: reader.finish(int(members[key[0]].sum())) for key, reader in readers.items()}
        finished |= {key: one for key, one in ended.items() if isinstance(one, Numerical | Categorical)}
        readers = {key: one for key, one in ended.items() if not isinstance(one, Numerical | Categorical)}
    return {segment: {name: finished[segment, name] for name in reading} for segment, (reading, _) in plans.items()}


def _feed_blocks(
    readers: Mapping[str, Accumulator],
    frame: pl.LazyFrame,
    reading: Mapping[str, pl.Expr],
    *,
    row_groups_ahead: int = 1,
) -> int:
    """Pass every block's columns to their accumulators; return the number of rows."""
    rows = 0
    wanted = [reading[name] for name in readers]
    # values are cast after reading, block by block: with the casts in the query polars takes three times the memory
    columns_of_readers = frame.select(map(column_named, readers))
    for raw in iterate_blocks(columns_of_readers, rows_per_block(len(readers)), row_groups_ahead=row_groups_ahead):
        block = raw.select(wanted)
        rows += len(block)
        # polars would also take the name of a series as a pattern
        columns = {name: block.get_column(name).alias("") for name in readers}
        parallel_map(lambda name, columns=columns: readers[name].add(columns[name]), readers)  # type: ignore[misc]
    return rows


class _ScratchFloats(local):
    """Where the floats of a block are widened, per thread: new memory for each would cost more than the counting."""

    def __init__(self) -> None:
        self.values = np.empty(0)

    def widen(self, values: Values) -> Values:
        """Return 32-bit floats as 64-bit ones, until the thread calls this again; other numbers as they are."""
        if values.dtype != np.float32:
            return values
        if len(self.values) < len(values):
            self.values = np.empty(len(values))
        widened = self.values[: len(values)]
        np.copyto(widened, values)
        return widened


_scratch = _ScratchFloats()


def _sort_numbers(values: Values) -> Values:
    """Sort int64 or floats in place; return them as int64 or float64, without NaN, and with 0.0 for -0.0."""
    if values.dtype == np.int64:
        values.sort()
        return values
    values += 0.0  # -0.0 + 0.0 is 0.0
    values.sort()  # 32-bit floats before they are widened, which takes half of the time
    present = values[: np.searchsorted(values, values.dtype.type(np.nan))]  # NaN comes last
    return present.astype(np.float64, copy=False)


def normalize_floats(values: Values) -> Values:
    """Return floats as float64, without NaN, which is missing, and with 0.0 for -0.0; int64 is returned as it is."""
    if values.dtype == np.int64:
        return values
    with np.errstate(invalid="ignore", over="ignore"):  # infinities of both signs
        normalized = np.add(values, 0.0, dtype=np.float64)  # -0.0 + 0.0 is 0.0
        has_nan = bool(np.isnan(normalized.sum()))
    return normalized[~np.isnan(normalized)] if has_nan else normalized


class CategoryAccumulator:
    """Counts the categories of a column."""

    def __init__(self) -> None:
        self._counter = CategoryCounter()

    def add(self, block: pl.Series) -> None:
        self._counter.add(block)

    def finish(self, rows: int) -> Column:
        labels, counts = self._counter.sorted_counts()
        return Categorical.from_labels(labels.to_list(), counts, rows - int(counts.sum()))


class ExactAccumulator:
    """Counts exactly up to `most` distinct values, then switches to a grid.

    Parameters
    ----------
    whole
        True if the values are int64, False if they are float64.
    against
        The column of the reference, whose grid is used after the switch. None if there is none. Then, or if it has so
        few values that its grid would be coarse, a sample of the distinct values is kept, from which `finish` makes a
        grid for a second pass. It is a sample by hash, so the grid does not depend on the order of the rows.
    most
        Maximum number of distinct values. Up to as many values wait in memory before they are counted.
    keep
        True to keep an exact column as long as it has at most `most` distinct values. False to switch to the
        reference's grid after `most` values, which spares sorting them.
    exact
        True to refine the grid in another pass, until every statistic is as exact as the reference allows. False to
        read the rows once if there is a reference, however few values it has.
    """

    def __init__(
        self, whole: bool, against: Numerical | None, most: int, *, keep: bool = True, exact: bool = True
    ) -> None:
        coarse = exact and against is not None and len(against.values) < MIN_REFERENCE_VALUES
        self._reference, self._exact = against, exact
        # whose grid is used after the switch; None if it has to be made from a sample
        self._gridded = None if coarse else against
        self._keep = keep or coarse
        self._max_distinct = most
        self._waiting_values: list[Values] = []
        self._waiting_rows = 0
        self._table: tuple[Values, Counts] = (np.empty(0, np.int64 if whole else np.float64), np.empty(0, np.int64))
        self._sampling_divisor = np.uint64(1)
        self._grid_accumulator: GridAccumulator | None = None

    def add(self, block: pl.Series) -> None:
        if self._grid_accumulator is not None:
            self._grid_accumulator.add(block)
            return
        values = present_numbers(block)
        if self._sampling_divisor != 1:  # after an overflow: the grid is made from the values with a matching hash
            values = normalize_floats(values)
            values = values[self._has_sampled_hash(values)]
        self._waiting_values.append(values)
        self._waiting_rows += len(self._waiting_values[-1])
        if self._gridded is not None and not self._keep and self._waiting_rows >= FEWEST_GRIDDED_ROWS:
            self._switch_to_grid(self._gridded)
        elif self._waiting_rows >= self._max_distinct:
            self._merge_waiting()

    def finish(self, rows: int) -> Column | Accumulator:
        if self._grid_accumulator is None:
            self._merge_waiting()
        if self._grid_accumulator is not None:
            return self._grid_accumulator.finish(rows)
        values, counts = self._table
        if self._sampling_divisor == 1:
            return Numerical.exact(values, counts, rows - int(counts.sum()))
        if self._reference is not None:
            values, counts = _add_values(values, counts, self._reference.values)
        return GridAccumulator(QuantileGrid.from_counts(values, counts, GRID_POINTS), self._reference)

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
        if self._gridded is not None:
            self._switch_to_grid(self._gridded)
            return
        self._sampling_divisor *= np.uint64(2)
        # values that are more frequent than an average interval are kept in any case, as they should be grid points
        kept = self._has_sampled_hash(values) | (counts > counts.sum() // GRID_POINTS + 1)
        self._table = values[kept], counts[kept]

    def _switch_to_grid(self, against: Numerical) -> None:
        """Switch to the reference's grid, and add what was collected so far."""
        self._grid_accumulator = GridAccumulator(against.quantile_grid(GRID_POINTS), against if self._exact else None)
        if len(self._table[0]):
            self._grid_accumulator.add_counts(*self._table)
        for values in self._waiting_values:
            self._grid_accumulator.add_values(values)
        self._table, self._waiting_values = (self._table[0][:0].copy(), self._table[1][:0].copy()), []

    def _has_sampled_hash(self, values: Values) -> NDArray[np.bool_]:
        """Return which values are in the sample: those whose hash is divisible by the sampling divisor."""
        # the hash: one xor-shift and one multiplication, with the first multiplier of splitmix64 (Steele et al. 2014)
        mixed = values.view(np.uint64)
        mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9)
        return np.asarray((mixed >> np.uint64(32)) % self._sampling_divisor == 0)


def _add_values(values: Values, counts: Counts, added: Values) -> tuple[Values, Counts]:
    """Return a table with more values, each with so many rows that it becomes a grid point wherever it can."""
    weight = np.full(len(added), max(1, int(counts.sum()) // max(1, len(added))))
    union, a, b = merge_tables(values, counts, added, weight)
    return union, a + b


class GridAccumulator:
    """Counts values on a grid; with a reference, `finish` may ask for another pass that refines some intervals.

    The values of up to `MAX_DISTINCT_VALUES` rows are kept as polars has them, with the gap of each, which makes that
    pass over them.
    """

    def __init__(self, grid: QuantileGrid, against: Numerical | None) -> None:
        self.grid = grid
        self._reference = against
        self._counts = grid.empty_counts()
        self._tabled = Moments()  # of the values that came with counts
        self._running: RunningMoments | None = None
        self._kept: list[tuple[Values, Gaps]] | None = [] if against is not None else None
        self._kept_rows = 0

    def add(self, block: pl.Series) -> None:
        self.add_values(present_numbers(block))

    def add_values(self, raw: Values) -> None:
        """Add values as `present_numbers` gives them, each once."""
        values = _scratch.widen(raw)
        if self._running is None:
            self._running = RunningMoments(values)
        self._kept_rows += len(raw)
        if self._kept_rows > MAX_DISTINCT_VALUES:
            self._kept = None
        if self._kept is None:
            self.grid.add_values(values, self._counts, self._running)
            return
        before, found = self._running.rows, np.empty(len(values), np.uint16)
        self.grid.add_values(values, self._counts, self._running, found)
        present = self._running.rows - before
        self._kept.append((raw if present == len(raw) else raw[~np.isnan(raw)], found[:present]))

    def add_counts(self, values: Values, counts: Counts) -> None:
        """Add distinct values, ascending, with their counts."""
        self._kept = None
        self._tabled += Moments.from_values(values, counts)
        self.grid.add_counts(values, counts, self._counts)

    def finish(self, rows: int) -> Column | Accumulator:
        moments = self._tabled
        if self._running is not None:
            moments += Moments.from_running(self._running)
        counts, interval_counts, sums = self.grid.collect(self._counts)
        intervals = GridIntervals(interval_counts, sums, self.grid.centre)
        column = Numerical(self.grid.points, counts, rows - moments.rows, moments, intervals, grid=self.grid)
        if self._reference is None:
            return column
        wanted = intervals_to_refine(self._reference, column, MAX_REFINED_ROWS)
        if not wanted.any():
            return column
        refining = RefiningAccumulator(self.grid, column, intervals, wanted)
        if self._kept is None:
            return refining
        for raw, found in self._kept:
            refining.add_found(raw, found)
        return refining.finish(rows)


class RefiningAccumulator:
    """Reads the values of the `wanted` grid intervals (a mask), and turns these intervals into exact counts."""

    def __init__(
        self, grid: QuantileGrid, column: Numerical, intervals: GridIntervals, wanted: NDArray[np.bool_]
    ) -> None:
        self._grid, self._column, self._intervals, self._wanted = grid, column, intervals, wanted
        self._selected: list[Values] = []

    def add(self, block: pl.Series) -> None:
        self._selected.append(self._grid.select_values(_scratch.widen(present_numbers(block)), self._wanted))

    def add_found(self, raw: Values, found: Gaps) -> None:
        """Add values of which the gap of each is known."""
        self._selected.append(self._grid.select_from_gaps(_scratch.widen(raw), found, self._wanted))

    def finish(self, rows: int) -> Column:
        column = self._column
        # selection is by bucket, so it may include values of neighbouring intervals that were not wanted
        parts, self._selected = self._selected, []
        selected = np.concatenate(parts)
        del parts  # each of these is as large as the column: no more than two may be held at a time
        selected.sort()
        values, counts = count_distinct_sorted(selected)
        del selected
        points, counts, gaps, sums = refine_intervals(
            column.values, column.counts, self._intervals.counts, self._intervals.sums, self._wanted, values, counts
        )
        intervals = GridIntervals(gaps, sums, self._intervals.centre)
        return Numerical(points, counts, column.missing, column.moments, intervals, grid=self._grid)
