"""Count the values of a column on a grid, with the passes before and after that this may need.

The grid of a column without a reference is made from a sample of its values. If the rows were read in parts, the values
that may be frequent are counted first (`FrequentValueAccumulator`). After the counting, `RefiningAccumulator` reads the
values of the intervals for which counts do not suffice.
"""

from dataclasses import astuple
from threading import local
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine.drift.distributions.columns import Column
from engine.drift.distributions.intervals import GridIntervals
from engine.drift.distributions.moments import Moments
from engine.drift.distributions.numerical import Numerical
from engine.drift.distributions.quantile_grid import GRID_POINTS, QuantileGrid, RunningMoments
from engine.drift.distributions.value_table import ValueTable
from engine.drift.kernels.value_tables import Counts, Values, merge_tables, refine_intervals
from engine.drift.profiles.merged_tables import MAX_DISTINCT_VALUES
from engine.drift.profiles.refinement import intervals_to_refine
from engine.drift.profiles.states import ROWS_HAVE_CHANGED, Accumulator, State, narrow_counts
from engine.drift.reading.arrow_memory import present_numbers
from engine.errors import DataError

MAX_REFINED_ROWS = 4 * MAX_DISTINCT_VALUES
"""Maximum number of rows of a column that are read twice for a distance: 32 MB."""


class _Scratch(local):
    """Memory per thread for copies of a block's values: allocating it anew would cost more than the counting."""

    def __init__(self) -> None:
        self._widened = self._chosen = np.empty(0)

    def widen(self, values: Values) -> Values:
        """Return 32-bit floats as 64-bit ones, valid until the thread's next call; other numbers unchanged."""
        if values.dtype != np.float32:
            return values
        if len(self._widened) < len(values):
            self._widened = np.empty(len(values))
        widened = self._widened[: len(values)]
        with np.errstate(invalid="ignore"):  # a signalling NaN
            np.copyto(widened, values)
        return widened

    def choose(self, size: int, kind: np.dtype[Any]) -> Values:
        """Return an array to write to, valid until the thread's next call."""
        if len(self._chosen) < size:
            self._chosen = np.empty(size)
        return self._chosen[:size].view(kind)


_scratch = _Scratch()


def normalize_floats(values: Values) -> Values:
    """Return floats as float64 without NaN (missing), and with 0.0 for -0.0; int64 is returned unchanged."""
    if values.dtype == np.int64:
        return values
    with np.errstate(invalid="ignore", over="ignore"):  # infinities of both signs
        normalized = np.add(values, 0.0, dtype=np.float64)  # -0.0 + 0.0 is 0.0
        has_nan = bool(np.isnan(normalized.sum()))
    return normalized[~np.isnan(normalized)] if has_nan else normalized


class GridAccumulator:
    """Counts values on a grid; with a reference, `finish` may ask for another pass that refines some intervals."""

    def __init__(self, grid: QuantileGrid, against: Numerical | None) -> None:
        self.grid = grid
        self._reference = against
        self._counts = grid.empty_counts()
        self._tabled = Moments()  # of the values that came with counts
        self._running: RunningMoments | None = None

    def add(self, block: pl.Series) -> None:
        self.add_values(present_numbers(block))

    def add_values(self, raw: Values) -> None:
        """Add values from `present_numbers`, each once."""
        values = _scratch.widen(raw)
        if self._running is None:
            if np.isnan(values).all():
                return  # the moments need a value of the sample to subtract from the others
            self._running = RunningMoments(values)
        self.grid.add_values(values, self._counts, self._running)

    def add_counts(self, values: Values, counts: Counts) -> None:
        """Add distinct values, ascending, with their counts."""
        self._tabled += Moments.from_values(values, counts)
        self.grid.add_counts(values, counts, self._counts)

    def setup(self) -> State:
        return State({"kind": "grid"}, self.grid.to_arrays())

    def state(self) -> State:
        on_pivots, gaps = self._counts
        arrays = {"on_pivots": narrow_counts(on_pivots), "gaps": narrow_counts(gaps[:, 0].astype(np.int64))}
        return State({"moments": astuple(self._moments())}, {**arrays, "sums": gaps[:, 1]})

    def merge(self, state: State) -> None:
        if "gaps" not in state.arrays:  # a part with few values needs no grid
            if len(state.arrays["values"]):
                self.add_counts(state.arrays["values"], state.arrays["counts"].astype(np.int64))
            return
        self._tabled += Moments(*state.facts["moments"])
        self._counts.on_pivots[:] += state.arrays["on_pivots"].astype(np.int64)
        self._counts.gaps[:] += np.column_stack([state.arrays["gaps"], state.arrays["sums"]])

    def _moments(self) -> Moments:
        return self._tabled if self._running is None else self._tabled + Moments.from_running(self._running)

    def finish(self, rows: int) -> Column | Accumulator:
        moments = self._moments()
        counts, interval_counts, sums = self.grid.collect(self._counts)
        intervals = GridIntervals(interval_counts, sums, self.grid.centre)
        column = Numerical(
            ValueTable(self.grid.points, counts), rows - moments.rows, moments, intervals, grid=self.grid
        )
        if self._reference is None:
            return column
        wanted = intervals_to_refine(self._reference, column, MAX_REFINED_ROWS)
        self._reference.table.release()
        return RefiningAccumulator(self.grid, column, intervals, wanted) if wanted.any() else column


class IntervalSelection:
    """Selects the values of the `wanted` grid intervals (a mask)."""

    def __init__(self, grid: QuantileGrid, wanted: NDArray[np.bool_]) -> None:
        self._grid, self._wanted, self._buckets = grid, wanted, grid.mark_buckets(wanted)
        self._selected: list[Values] = [grid.points[:0]]

    def add(self, block: pl.Series) -> None:
        values = _scratch.widen(present_numbers(block))
        chosen = _scratch.choose(len(values) + 1, values.dtype)
        self._selected.append(self._grid.select_values(values, self._buckets, chosen).copy())

    def state(self) -> State:
        return State({}, {"selected": np.concatenate(self._selected)})

    def merge(self, state: State) -> None:
        self._selected.append(state.arrays["selected"])


class RefiningAccumulator(IntervalSelection):
    """Reads the values of the wanted intervals of a column, and turns these intervals into exact counts."""

    def __init__(
        self, grid: QuantileGrid, column: Numerical, intervals: GridIntervals, wanted: NDArray[np.bool_]
    ) -> None:
        super().__init__(grid, wanted)
        self._column, self._intervals = column, intervals

    def setup(self) -> State:
        return State({"kind": "selection"}, {**self._grid.to_arrays(), "wanted": self._wanted})

    def finish(self, rows: int) -> Column:
        column = self._column
        # selection is by bucket, so it may include values of neighbouring intervals that were not wanted
        parts, self._selected = self._selected, []
        selected = np.concatenate(parts)
        del parts  # each of these is as large as the column: at most two may exist at a time
        selected.sort()
        points, counts, gaps, sums = refine_intervals(
            column.values, column.counts, self._intervals.counts, self._intervals.sums, self._wanted, selected
        )
        if counts.sum() + gaps.sum() != column.counts.sum() + self._intervals.counts.sum():
            raise DataError(ROWS_HAVE_CHANGED)
        intervals = GridIntervals(gaps, sums, self._intervals.centre)
        return Numerical(ValueTable(points, counts), column.missing, column.moments, intervals, grid=self._grid)


class ValueCounts:
    """Counts the rows of given values, ascending."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._counts = np.zeros(len(values), np.int64)
        self._present = 0

    def add(self, block: pl.Series) -> None:
        values = normalize_floats(present_numbers(block))
        positions = np.minimum(np.searchsorted(self._values, values), len(self._values) - 1)
        self._counts += np.bincount(positions[self._values[positions] == values], minlength=len(self._values))
        self._present += len(values)

    def state(self) -> State:
        return State({"present": self._present}, {"counts": self._counts})

    def merge(self, state: State) -> None:
        self._counts += state.arrays["counts"]
        self._present += state.facts["present"]


class FrequentValueAccumulator(ValueCounts):
    """Counts the values that may be frequent, and adds the frequent ones to a sample of the others.

    Which values seem frequent within a part depends on the division into parts. Counted among all rows, the frequent
    values are the same for any division.
    """

    def __init__(self, values: Values, sample: tuple[Values, Counts], reference: Numerical | None) -> None:
        super().__init__(values)
        self._sample, self._reference = sample, reference

    def setup(self) -> State:
        return State({"kind": "frequent"}, {"values": self._values})

    def finish(self, rows: int) -> GridAccumulator:
        frequent = self._counts > self._present // GRID_POINTS + 1
        values, a, b = merge_tables(*self._sample, self._values[frequent], self._counts[frequent])
        return grid_sample(values, a + b, self._reference)


def grid_sample(values: Values, counts: Counts, reference: Numerical | None) -> "GridAccumulator":
    """Return the accumulator for a grid from a sample of values; with a reference, its values become grid points."""
    if reference is not None:
        values, counts = _add_values(values, counts, reference.values)
    if not len(values):  # no hash of a value belongs to the sample, which may be so if a table holds only a few
        values, counts = np.zeros(1, values.dtype), np.ones(1, np.int64)
    return GridAccumulator(QuantileGrid.from_counts(values, counts, GRID_POINTS), reference)


def _add_values(values: Values, counts: Counts, added: Values) -> tuple[Values, Counts]:
    """Return a table with more values, each with enough rows to become a grid point wherever possible."""
    weight = np.full(len(added), max(1, int(counts.sum()) // max(1, len(added))))
    union, a, b = merge_tables(values, counts, added, weight)
    return union, a + b
