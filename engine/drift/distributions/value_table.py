"""The table of a numerical column: its distinct values with their counts, in memory or in the file of a profile."""

from collections.abc import Callable
from functools import cached_property

from engine.drift.kernels.value_tables import Counts, Values, accumulate_counts


class _Arrays:
    """Values, counts, and their cumulative sums once needed."""

    def __init__(self, values: Values, counts: Counts) -> None:
        self.values, self.counts = values, counts

    @cached_property
    def upto(self) -> Counts:
        return accumulate_counts(self.counts)


class ValueTable:
    """Distinct ascending values (float64 or int64) with their counts.

    A table that is also in a file may be released. It is read again when needed and kept until the next release, so
    that the references of many large columns need not be in memory together.

    Parameters
    ----------
    values, counts
        The values, and as many counts.
    reload
        Reads the same values and counts again; None if they exist only in memory.

    Attributes
    ----------
    size, dtype
        The number of distinct values and their type; known without reading.
    """

    def __init__(
        self, values: Values, counts: Counts, reload: Callable[[], tuple[Values, Counts]] | None = None
    ) -> None:
        self.size, self.dtype = len(values), values.dtype
        self._reload = reload
        self._held: _Arrays | None = _Arrays(values, counts)

    def _hold(self) -> _Arrays:
        held = self._held
        if held is None:  # another thread may release it at any time
            assert self._reload is not None  # noqa: S101  only such a table is released
            held = self._held = _Arrays(*self._reload())
        return held

    @property
    def values(self) -> Values:
        """The values."""
        return self._hold().values

    @property
    def counts(self) -> Counts:
        """The number of rows with each value."""
        return self._hold().counts

    @property
    def upto(self) -> Counts:
        """The number of rows less than or equal to each value."""
        return self._hold().upto

    def release(self) -> None:
        """Free values and counts that can be read again from a file."""
        if self._reload is not None:
            self._held = None
