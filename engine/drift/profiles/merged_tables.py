"""The distinct values of a column that several parts of its rows have counted, each part for itself.

Up to a limit all of them are kept. Beyond it a sample by hash is kept, which is the same however the rows were divided:
of the values whose hash is divisible by a power of two, all rows are counted. Values that are frequent should be grid
points in any case, though their hash is another one. A value that is frequent among all rows is frequent in a part, so
those of each part are remembered as candidates, to be counted in another pass.
"""

import numpy as np
from numpy.typing import NDArray

from engine.drift.distributions.quantile_grid import GRID_POINTS
from engine.drift.kernels.value_tables import Counts, Values, merge_tables

MAX_DISTINCT_VALUES = 1 << 20
"""Maximum number of distinct values of an exact column: 8 MB, and as much again while it is read."""


def has_sampled_hash(values: Values, divisor: np.uint64) -> NDArray[np.bool_]:
    """Return which values are in the sample: those whose hash is divisible by the divisor."""
    # the hash: one xor-shift and one multiplication, with the first multiplier of splitmix64 (Steele et al. 2014)
    mixed = values.view(np.uint64)
    mixed = (mixed ^ (mixed >> np.uint64(32))) * np.uint64(0xBF58476D1CE4E5B9)
    return np.asarray((mixed >> np.uint64(32)) % divisor == 0)


class MergedTable:
    """Distinct values and their counts, of parts that are added one after another.

    Attributes
    ----------
    divisor
        1 as long as all values are kept.
    frequent
        The candidates for frequent values, once not all values are kept.
    """

    def __init__(self, empty: Values, most: int | None) -> None:
        """Keep at most about `most` values of the type of `empty`; all of them if it is None."""
        self.divisor = np.uint64(1)
        self.frequent = empty
        self._most = most
        # parts of which all values are known are added up before any is left out: few rows tell nothing about frequency
        self._complete: tuple[Values, Counts] = (empty, np.empty(0, np.int64))
        self._sampled = self._complete

    @property
    def complete(self) -> tuple[Values, Counts]:
        """The values and counts, as long as all values are kept."""
        return self._complete

    def add(self, values: Values, counts: Counts, divisor: np.uint64, frequent: Values) -> None:
        """Add the table of a part, with the divisor of its sample and its candidates for frequent values."""
        if divisor == 1:
            self._complete = _add_tables(self._complete, (values, counts))
            if self._most is not None and len(self._complete[0]) > self._most:
                self._leave_out()
            return
        self.frequent = np.union1d(self.frequent, frequent)
        self._add_sampled((values, counts), max(self.divisor, divisor))

    def close(self) -> tuple[Values, Counts]:
        """Return the values that are kept, all or a sample, and their counts."""
        if self.divisor == 1:
            return self._complete
        self._leave_out()
        return self._sampled

    def _leave_out(self) -> None:
        """Keep a sample of the values of the complete parts."""
        values, counts = self._complete
        self._complete = values[:0].copy(), counts[:0].copy()
        self._add_sampled((values, counts), max(self.divisor, np.uint64(2)))

    def _add_sampled(self, table: tuple[Values, Counts], divisor: np.uint64) -> None:
        self.divisor = divisor
        self._sampled = _add_tables(self._sample(self._sampled), self._sample(table))
        while self._most is not None and len(self._sampled[0]) > self._most:
            self.divisor *= np.uint64(2)
            self._sampled = self._sample(self._sampled)

    def _sample(self, table: tuple[Values, Counts]) -> tuple[Values, Counts]:
        """Return the values in the sample, and remember which of the others may be frequent."""
        values, counts = table
        kept = has_sampled_hash(values, self.divisor)
        # of a sample the sum is smaller than that of all rows, so none is missed: a value that is frequent among all
        # rows is frequent in one of the tables that it is left out of
        frequent = ~kept & (counts > counts.sum() // GRID_POINTS)
        self.frequent = np.union1d(self.frequent, values[frequent])
        return values[kept], counts[kept]


def _add_tables(a: tuple[Values, Counts], b: tuple[Values, Counts]) -> tuple[Values, Counts]:
    if not (len(a[0]) and len(b[0])):
        return a if len(a[0]) else b
    values, in_a, in_b = merge_tables(*a, *b)
    return values, in_a + in_b
