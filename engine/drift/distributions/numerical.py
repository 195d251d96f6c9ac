"""The profile of a numerical column: distinct values with counts, and for a column that is not exact, interval totals.

A numerical column is *exact* if its table holds the value of every row. Otherwise the table holds up to 16,384 grid
points (`accumulators.GRID_POINTS`), and for each interval between neighbouring points only the number of rows and the
sum of their values are kept. Every statistic then has bounds: two numbers close together that certainly enclose the
true value. A sketch (KLL, t-digest) would need about as much code, but its error bounds hold only with a probability.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from engine.drift.distributions.entity_rows import EntityRows, convert_entity_rows, merge_entity_rows
from engine.drift.distributions.intervals import DividedTable, GridIntervals
from engine.drift.distributions.moments import Moments
from engine.drift.distributions.quantile_grid import GridPlan, QuantileGrid, quantile_positions, subtract_centre
from engine.drift.distributions.value_table import ValueTable
from engine.drift.kernels.cdf_bounds import divide_table
from engine.drift.kernels.value_tables import Counts, Values, are_shared_ones, merge_tables, search_sorted, share_ones
from engine.drift.reading.normalization import Role


@dataclass(frozen=True, eq=False)
class Numerical:
    """The profile of a numerical column.

    It holds distinct values with their counts in a `table`, the number of `missing` rows, and the `moments` of the
    rest. `intervals` is None for an exact column; otherwise the values are grid points, and a count of 0 means that no
    row has that value. `grid` is the grid on which the rows were counted, if known: its points are among the values.
    `plan` describes the grid on which other samples are counted against an exact column, if it was saved in a profile.
    """

    table: ValueTable
    missing: int
    moments: Moments
    intervals: GridIntervals | None = None
    entity_rows: EntityRows | None = None
    grid: QuantileGrid | None = None
    plan: GridPlan | None = None

    role = Role.NUMERICAL

    @classmethod
    def exact(
        cls,
        values: Values,
        counts: Counts,
        missing: int,
        entity_rows: EntityRows | None = None,
        plan: GridPlan | None = None,
        reload: Callable[[], tuple[Values, Counts]] | None = None,
    ) -> Self:
        """Return an exact column of distinct ascending values and their counts, all at least 1.

        `reload` reads the same values and counts again from a file (see `ValueTable`).
        """
        counts = share_ones(counts)
        moments = Moments.from_values(values, None if are_shared_ones(counts) else counts)
        return cls(ValueTable(values, counts, reload), missing, moments, None, entity_rows, None, plan)

    @property
    def values(self) -> Values:
        """The distinct values, ascending: float64 or int64."""
        return self.table.values

    @property
    def counts(self) -> Counts:
        """The number of rows with each value."""
        return self.table.counts

    @property
    def present(self) -> int:
        """The number of rows with a value."""
        return self.moments.rows

    @property
    def cumulative_counts(self) -> Counts:
        """The number of rows less than or equal to each value: the distribution function times the rows."""
        return self.table.upto if self.intervals is None else self._upto_with_intervals

    @cached_property
    def _upto_with_intervals(self) -> Counts:
        if self.intervals is None:
            return self.table.upto
        rows = self.counts + self.intervals.counts[:-1]
        return np.cumsum(rows, out=rows)

    def rows_before(self, positions: NDArray[np.int64]) -> Counts:
        """Return, for each position in `values`, the number of rows up to the previous value: 0 for the first."""
        if not len(self.values):
            return np.zeros(len(positions), np.int64)
        return np.where(positions > 0, self.cumulative_counts[np.maximum(positions, 1) - 1], 0)

    @cached_property
    def _divided(self) -> dict[int, DividedTable]:
        return {}

    @cached_property
    def _grids(self) -> dict[int, QuantileGrid]:
        return {}

    def quantile_grid(self, size: int) -> QuantileGrid:
        """Return the cached grid of at most `size` of this column's values, on which other samples are counted."""
        if size not in self._grids:
            planned = None
            if self.plan is not None and self.plan.buckets == size:
                planned = QuantileGrid.from_plan(self.values, self.plan)
            self._grids[size] = planned or QuantileGrid.from_counts(self.values, self.counts, size)
        return self._grids[size]

    def one_per_entity(self) -> "Numerical":
        """Return the exact column reduced to one row per entity, or the column itself without entities."""
        if self.entity_rows is None:
            return self
        present = self.entity_rows.positions[self.entity_rows.positions >= 0]
        counts = np.bincount(present, minlength=len(self.entity_rows.values)).astype(np.int64)
        return Numerical.exact(self.entity_rows.values, counts, len(self.entity_rows.positions) - len(present))

    @property
    def centre(self) -> float:
        """The number that is subtracted from values before they are summed."""
        return self.moments.centre if self.intervals is None else self.intervals.centre

    @cached_property
    def _centred_sums(self) -> NDArray[np.float64]:
        """Count * (value - centre) per value, and a trailing 0, so that slices of `np.add.reduceat` may end there."""
        low, high = (self.values[i].item() for i in (0, -1)) if len(self.values) else (0, 0)
        differences = subtract_centre(self.values, low, high, self.centre)
        # a value without rows may be infinite, and 0 * inf is NaN
        return np.append(np.where(self.counts, differences, 0.0) * self.counts, 0.0)

    @cached_property
    def deciles(self) -> Values:
        """The nine deciles: the smallest values that at least 1/10, ..., 9/10 of the rows do not exceed."""
        return self.values[quantile_positions(self.cumulative_counts, 10)[:-1]] if len(self.values) else self.values

    def counts_known_at(self, values: Values) -> NDArray[np.bool_]:
        """Return for which of the ascending `values` the numbers of rows below, equal and above are known exactly."""
        if self.intervals is None:
            return np.ones(len(values), np.bool_)
        positions, contained = self._find_positions(values)
        return np.asarray((self.intervals.counts[positions] == 0) | contained)

    def _find_positions(self, values: Values) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return how many of the column's values are below each of the ascending `values`, and which it contains."""
        positions = search_sorted(self.values, values)
        if not len(self.values):
            return positions, np.zeros(len(values), np.bool_)
        return positions, self.values[np.minimum(positions, len(self.values) - 1)] == values

    def as_floats(self) -> "Numerical":
        """Return the column as float64; integers beyond 2**53 may become equal, and then their counts are added."""
        if self.table.dtype == np.float64:
            return self
        if self.intervals is None:
            return self._convert_exact(self.values.astype(np.float64))
        entity_rows = self.entity_rows and convert_entity_rows(self.entity_rows, np.float64)
        _, starts = np.unique(self.values.astype(np.float64), return_index=True)
        # first drop the grid points that rows of a neighbouring interval would become equal to
        column = self._drop_ambiguous_points(starts)
        values, starts = np.unique(column.values.astype(np.float64), return_index=True)
        intervals = column.intervals or self.intervals
        # an interval between two points that become equal ends up on that value: its rows join the value's count
        outer = np.append(starts, len(column.values))
        inner = intervals.counts.copy()
        inner[outer] = 0
        counts = np.add.reduceat(column.counts + inner[:-1], starts) if len(starts) else column.counts
        centre = float(intervals.centre)
        sums = (intervals.sums + float(intervals.centre - centre) * intervals.counts)[outer]
        moments = replace(self.moments, low=float(self.moments.low), high=float(self.moments.high))
        table = ValueTable(values, counts)
        return Numerical(
            table, self.missing, moments, GridIntervals(intervals.counts[outer], sums, centre), entity_rows
        )

    def round_to_float32(self) -> "Numerical":
        """Return the exact column rounded to 32-bit floats; the counts of values that become equal are added."""
        with np.errstate(over="ignore"):  # a value beyond the largest float32 becomes infinite, as in the other sample
            rounded = self.values.astype(np.float32)
        of_entities = self.entity_rows is None or np.array_equal(
            self.entity_rows.values, self.entity_rows.values.astype(np.float32)
        )
        if self.values.dtype == np.float64 and of_entities and np.array_equal(self.values, rounded):
            return self  # the values were 32-bit floats already
        return self._convert_exact(rounded)

    def _convert_exact(self, converted: NDArray[np.floating[Any]]) -> "Numerical":
        """Return the exact column with converted values; the conversion keeps their order and may make some equal."""
        values, starts = np.unique(converted.astype(np.float64) + 0.0, return_index=True)  # -0.0 + 0.0 is 0.0
        counts = np.add.reduceat(self.counts, starts) if len(starts) else self.counts
        entity_rows = self.entity_rows and convert_entity_rows(self.entity_rows, converted.dtype)
        return Numerical.exact(values, counts, self.missing, entity_rows)

    def _drop_ambiguous_points(self, starts: NDArray[np.intp]) -> "Numerical":
        """Return the column without the grid points that a row of an interval may equal after conversion to floats.

        It is unknown whether such a row then lies on the point or beside it, so the count of the point would be wrong.
        `starts` are the positions of the first value of each group that becomes one float.
        """
        if self.intervals is None or not len(starts):
            return self
        ends = np.append(starts[1:], len(self.values)) - 1
        # a group is ambiguous if its neighbouring interval has rows and the next integer outside becomes the same float
        below, above = self.values[starts], self.values[ends]
        reached = (self.intervals.counts[starts] > 0) & ((below - 1).astype(np.float64) == below.astype(np.float64))
        reached |= (self.intervals.counts[ends + 1] > 0) & ((above + 1).astype(np.float64) == above.astype(np.float64))
        if not reached.any():
            return self
        values = self.values[np.repeat(~reached, ends + 1 - starts)]
        counts, intervals = self.regrid(values, self.intervals.centre)
        return Numerical(ValueTable(values, counts), self.missing, self.moments, intervals)

    @np.errstate(over="ignore", invalid="ignore")  # sums of very large numbers are infinite
    def merge(self, other: object, keep: NDArray[np.intp] | None) -> "Numerical":
        """Return the column of both samples together.

        `keep` selects one row per entity of the result: positions in this column's entities followed by the other's. It
        is None without entities.
        """
        if not isinstance(other, Numerical):
            raise TypeError(f"a numerical column cannot be merged with {type(other).__name__}")
        a, b = unify_types(self, other)
        entity_rows = (
            None
            if keep is None or a.entity_rows is None or b.entity_rows is None
            else merge_entity_rows(a.entity_rows, b.entity_rows, keep)
        )
        missing = a.missing + b.missing
        if a.intervals is None and b.intervals is None:
            values, in_a, in_b = merge_tables(a.values, a.counts, b.values, b.counts)
            return Numerical.exact(values, in_a + in_b, missing, entity_rows)
        # only values whose counts are exact on both sides can be points of the common grid
        values = np.unique(
            np.concatenate([a.values[b.counts_known_at(a.values)], b.values[a.counts_known_at(b.values)]])
        )
        centre = (a if a.intervals else b).centre
        (counts_a, intervals_a), (counts_b, intervals_b) = a.regrid(values, centre), b.regrid(values, centre)
        intervals = GridIntervals(intervals_a.counts + intervals_b.counts, intervals_a.sums + intervals_b.sums, centre)
        return Numerical(
            ValueTable(values, counts_a + counts_b), missing, a.moments + b.moments, intervals, entity_rows
        )

    def regrid(self, values: Values, centre: float) -> tuple[Counts, GridIntervals]:
        """Return the rows equal to each of `values`, and the totals of the intervals between them.

        Parameters
        ----------
        values
            Ascending; the counts of each must be exact in this column (`counts_known_at`).
        centre
            The centre of the returned sums.
        """
        # this column's values[left:right] equal the new value: none or one
        left, contained = self._find_positions(values)
        right = left + contained
        counts = np.where(contained, np.append(self.counts, 0)[left], 0)
        below = self.rows_before(left)
        starts, ends = np.append(0, right), np.append(left, len(self.values))
        # a new interval covers this column's values[start:end]; reduceat sums all slices in one call, and every second
        # result is one between an end and the next start. For an empty slice reduceat returns one element instead of 0.
        cuts = np.stack([starts, ends], axis=1).ravel()
        sums = np.add.reduceat(self._centred_sums, cuts)[::2]
        sums[starts == ends] = 0.0
        if self.intervals is not None:
            # a new interval likewise covers this column's intervals [start:end + 1]: a new point is an old one or lies
            # in an empty interval
            below += self.intervals.counts[left]
            sums += np.add.reduceat(np.append(self.intervals.sums, 0.0), cuts + np.tile([0, 1], len(starts)))[::2]
        rows = np.append(below, self.present) - np.append(0, below + counts)
        # from sums about the old centre to sums about the new one; as a float, since int64 might overflow
        sums += float(self.centre - centre) * rows
        return counts, GridIntervals(rows, sums, centre)

    def divide(self, other: "Numerical") -> tuple[DividedTable, NDArray[np.int64]]:
        """Return this exact column divided at the points of `other`, and the positions of these points in `other`.

        The points are the grid points if `other` was counted on a grid of this column (the result is cached), else all
        values of `other`.
        """
        for size, grid in self._grids.items():
            if grid is other.grid:
                if size not in self._divided:
                    self._divided[size] = self._divide_at(grid.points)
                return self._divided[size], search_sorted(other.values, grid.points)
        return self._divide_at(other.values), np.arange(len(other.values))

    def _divide_at(self, points: Values) -> DividedTable:
        centre = self.values.dtype.type(self.moments.centre)
        return DividedTable(*divide_table(self.values, self.counts, points, centre), centre)


def unify_types(a: Numerical, b: Numerical) -> tuple[Numerical, Numerical]:
    """Return both columns unchanged if they have the same type, else both as float64."""
    return (a, b) if a.table.dtype == b.table.dtype else (a.as_floats(), b.as_floats())
