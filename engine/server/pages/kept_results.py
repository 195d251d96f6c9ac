"""Results that pages ask for again and again, kept as long as nothing of what they were made from has changed.

What the state of the data cannot tell, such as what retention or a pull has changed in rows that stay, is seen within a
minute: no result is kept for longer.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from time import monotonic
from typing import Generic, TypeVar

from engine.spec import ProjectSpec

T = TypeVar("T")

LONGEST_KEPT = 60.0
"""Seconds after which a result is made anew."""


class KeptResults(Generic[T]):
    """The results that were asked for last, by their names; each with the spec and the state of its data then.

    Parameters
    ----------
    most
        How many are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._results: OrderedDict[Hashable, tuple[float, ProjectSpec, Hashable, T]] = OrderedDict()
        self._lock = Lock()

    def get(self, name: Hashable, spec: ProjectSpec, state: Hashable, make: Callable[[], T]) -> T:
        """Return the result of a name, which is made if there is none of this spec and this state."""
        now = monotonic()
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
