"""The threads that answer requests."""

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")

THREADS = 8
"""Most requests that are answered at the same time; few, because each may use a database connection."""


class RequestThreads:
    """A limited number of threads."""

    def __init__(self) -> None:
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Call a function in a thread, as soon as one is free."""
        self._limiter = self._limiter or anyio.CapacityLimiter(THREADS)  # must be created in the event loop
        return await anyio.to_thread.run_sync(work, *arguments, limiter=self._limiter)
