"""The threads in which requests are answered; few, because each may hold a connection to a database."""

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import anyio.to_thread

T = TypeVar("T")

THREADS = 8
"""Requests that are answered at once; one that waits for the database holds a thread."""


class RequestThreads:
    """A limited number of threads."""

    def __init__(self) -> None:
        self._limiter: anyio.CapacityLimiter | None = None

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do something in a thread, as soon as one is free."""
        self._limiter = self._limiter or anyio.CapacityLimiter(THREADS)  # belongs to the loop that answers
        return await anyio.to_thread.run_sync(work, *arguments, limiter=self._limiter)
