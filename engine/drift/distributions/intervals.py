"""Totals of the rows between points of a column: of rows counted on a grid, or of a divided table."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.drift.kernels.value_tables import Counts, Sums


@dataclass(frozen=True, slots=True, eq=False)
class GridIntervals:
    """Totals of the rows between grid points: below the first, between each two neighbours, and above the last.

    `counts` are the numbers of rows per interval, `sums` the sums of value - `centre` over these rows. Both have one
    element more than there are grid points. Rows equal to a grid point belong to no interval.
    """

    counts: Counts
    sums: Sums
    centre: float


class DividedTable(NamedTuple):
    """An exact column divided at ascending points.

    Attributes
    ----------
    starts, ends
        Per point, the number of values less than it, and of those less than or equal to it.
    below, upto
        Per point, the number of rows with these values.
    sums
        Per gap (below the first point, between neighbours, above the last), the sum of value - `centre` of its rows.
    """

    starts: Counts
    ends: Counts
    below: Counts
    upto: Counts
    sums: Sums
    centre: Any
