"""Threads that examine files and compute queries, so that a disk or a query that hangs stops nothing else."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

AT_ONCE = 2
"""Most looks at the same time, not counting stale ones."""

PROBE_SECONDS = 30.0
"""A look that takes longer is stale: it is reported, and does not keep others from being started."""

MOST_THREADS = 8
"""Most threads including stale ones, because a thread that waits for a network drive cannot be ended."""


@dataclass(frozen=True, slots=True)
class ProbeEnd:
    """The end of a look: its result or its exception."""

    key: Any
    result: object = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    work: Callable[[], object]
    deliver: Callable[[ProbeEnd], None]


class ProbeThreads:
    """Executes looks in the order of their requests, at most AT_ONCE at the same time besides stale ones.

    Parameters
    ----------
    clock
        A monotonic clock in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[Any, _Look] = {}
        self._began: dict[Any, float] = {}
        self._threads = 0

    @property
    def has_room(self) -> bool:
        """Whether a new look would start at once."""
        with self._lock:
            return not self._waiting and self._threads - len(self._find_stale()) < AT_ONCE

    def start(self, key: Any, work: Callable[[], object], deliver: Callable[[ProbeEnd], None]) -> None:
        """Execute `work` as soon as a thread is free; that thread calls `deliver` with the end."""
        with self._lock:
            self._waiting[key] = _Look(work, deliver)
        self.add_threads()

    def add_threads(self) -> None:
        """Start threads for waiting looks, as far as allowed. Must be called regularly, because looks become stale.

        Raises
        ------
        RuntimeError
            The system cannot start a thread; the looks keep waiting.
        """
        with self._lock:
            stale = len(self._find_stale())
            wanted = min(len(self._waiting), AT_ONCE - (self._threads - stale), MOST_THREADS - self._threads)
            for _ in range(wanted):
                threading.Thread(target=self._work, daemon=True, name="probe").start()
                self._threads += 1

    def _work(self) -> None:
        """Execute waiting looks until there is none."""
        while True:
            with self._lock:
                if not self._waiting or self._threads > AT_ONCE + len(self._find_stale()):
                    self._threads -= 1
                    return
                key = next(iter(self._waiting))
                look = self._waiting.pop(key)
                self._began[key] = self._clock()
            try:
                end = ProbeEnd(key, look.work())
            except Exception as error:  # noqa: BLE001 - the receiver of the end handles it
                end = ProbeEnd(key, error=error)
            with self._lock:
                del self._began[key]
            look.deliver(end)

    def list_stale(self) -> dict[Any, float]:
        """Return the stale looks, with the seconds that they have taken so far."""
        with self._lock:
            return self._find_stale()

    def _find_stale(self) -> dict[Any, float]:
        now = self._clock()
        return {key: now - began for key, began in self._began.items() if now - began > PROBE_SECONDS}
