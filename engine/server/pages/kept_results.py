"""A cache for results of pages, which are kept while their spec and data are unchanged.

Some changes, such as those by retention or a pull to existing rows, do not change the state value that is compared.
They are shown within a minute, because no result is kept longer.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

from engine.spec import ProjectSpec

T = TypeVar("T")

LONGEST_KEPT = 60.0
"""Seconds after which a result is computed again."""


class KeptResults(Generic[T]):
    """The most recently used results by name, each with the spec and the state of its data.

    Parameters
    ----------
    most
        Most results that are kept.
    clock
        A monotonic clock in seconds.
    """

    def __init__(self, most: int, clock: Callable[[], float] = monotonic) -> None:
        self._most, self._clock = most, clock
        self._results: OrderedDict[Hashable, tuple[float, ProjectSpec, Hashable, T]] = OrderedDict()
        self._lock = Lock()

    def get(self, name: Hashable, spec: ProjectSpec, state: Hashable, make: Callable[[], T]) -> T:
        """Return the result with this name; call `make` if none is kept for this spec and state."""
        now = self._clock()
        with self._lock:
            kept = self._results.get(name)
        if kept is not None and now - kept[0] < LONGEST_KEPT and kept[1] is spec and kept[2] == state:
            return kept[3]
        made = make()
        with self._lock:
            self._results[name] = (now, spec, state, made)
            self._results.move_to_end(name)
            if len(self._results) > self._most:
                self._results.popitem(last=False)
        return made
