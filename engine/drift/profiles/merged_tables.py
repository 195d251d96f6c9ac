"""Merge the distinct values of a column that were counted in several parts of its rows.

Up to a limit all values are kept. Beyond it a sample by hash is kept, which does not depend on the division into parts:
the values whose hash is divisible by a power of two, with all their rows. Frequent values should become grid points
whatever their hash. A value that is frequent among all rows is frequent in at least one part, so the frequent values of
each part are remembered as candidates, to be counted in another pass.
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
    """Distinct values and their counts, merged from parts.

    Attributes
    ----------
    divisor
        1 while all values are kept.
    frequent
        The candidates for frequent values, once not all values are kept.
    """

    def __init__(self, empty: Values, most: int | None) -> None:
        """Keep at most about `most` values of the type of `empty`; None keeps all."""
        self.divisor = np.uint64(1)
        self.frequent = empty
        self._most = most
        # complete parts are added up before any value is left out: few rows do not show which values are frequent
        self._complete: tuple[Values, Counts] = (empty, np.empty(0, np.int64))
        self._sampled = self._complete

    @property
    def complete(self) -> tuple[Values, Counts]:
        """The values and counts, while all values are kept."""
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
        """Return the kept values, all or a sample, and their counts."""
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
        # the sum over a sample is smaller than over all rows, so no frequent value is missed: a value that is frequent
        # among all rows is frequent in one of the tables from which it is left out
        frequent = ~kept & (counts > counts.sum() // GRID_POINTS)
        self.frequent = np.union1d(self.frequent, values[frequent])
        return values[kept], counts[kept]


def _add_tables(a: tuple[Values, Counts], b: tuple[Values, Counts]) -> tuple[Values, Counts]:
    if not (len(a[0]) and len(b[0])):
        return a if len(a[0]) else b
    values, in_a, in_b = merge_tables(*a, *b)
    return values, in_a + in_b
