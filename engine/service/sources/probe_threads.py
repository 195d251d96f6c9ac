"""Threads that look at files and ask for results, so that a disk or a query that does not answer stops nothing else."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

AT_ONCE = 2
"""Looks that may be at work at once, besides those that take longer than they may."""

PROBE_SECONDS = 30.0
"""A look that takes longer is stale: it is shown, and no longer keeps others from being started."""

MOST_THREADS = 8
"""With stale ones. A thread that waits for a network drive cannot be ended."""


@dataclass(frozen=True, slots=True)
class ProbeEnd:
    """The end of a look: what it has returned, or what it has raised."""

    key: Any
    result: object = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    work: Callable[[], object]
    deliver: Callable[[ProbeEnd], None]


class ProbeThreads:
    """At most two looks at once, in the order in which they were asked for; what hangs stays alone.

    Parameters
    ----------
    clock
        A clock that only goes forward, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._waiting: dict[Any, _Look] = {}
        self._began: dict[Any, float] = {}
        self._threads = 0

    @property
    def has_room(self) -> bool:
        """Whether a look that is started now would not have to wait."""
        with self._lock:
            return not self._waiting and self._threads - len(self._find_stale()) < AT_ONCE

    def start(self, key: Any, work: Callable[[], object], deliver: Callable[[ProbeEnd], None]) -> None:
        """Let a look be done as soon as a thread is free; its end is delivered by that thread."""
        with self._lock:
            self._waiting[key] = _Look(work, deliver)
        self.add_threads()

    def add_threads(self) -> None:
        """Let what waits be done, if there are threads free: called now and then, since what hangs makes room.

        Raises
        ------
        RuntimeError
            The system has no thread left; what waits goes on waiting.
        """
        with self._lock:
            stale = len(self._find_stale())
            wanted = min(len(self._waiting), AT_ONCE - (self._threads - stale), MOST_THREADS - self._threads)
            for _ in range(wanted):
                threading.Thread(target=self._work, daemon=True, name="probe").start()
                self._threads += 1

    def _work(self) -> None:
        """Do what waits, until nothing does."""
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
            except Exception as error:  # noqa: BLE001 - whoever collects it decides what it means
                end = ProbeEnd(key, error=error)
            with self._lock:
                del self._began[key]
            look.deliver(end)

    def list_stale(self) -> dict[Any, float]:
        """Return the looks that take longer than they may, and for how many seconds they have been at work."""
        with self._lock:
            return self._find_stale()

    def _find_stale(self) -> dict[Any, float]:
        now = self._clock()
        return {key: now - began for key, began in self._began.items() if now - began > PROBE_SECONDS}
