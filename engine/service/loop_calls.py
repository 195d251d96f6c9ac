"""Calls that other threads make to the loop of a server: they wake it, and it executes them between two ticks."""

import os
import queue
import select
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

CALL_SECONDS = 20.0
"""Seconds that a thread waits for the loop to execute its call."""


class LoopCalls:
    """The queue of calls for the loop, and the pipe that wakes it.

    Attributes
    ----------
    wake_descriptor
        The descriptor for `signal.set_wakeup_fd`, so that signals wake the loop.
    """

    def __init__(self) -> None:
        self._awake, self.wake_descriptor = os.pipe()
        os.set_blocking(self._awake, False)
        os.set_blocking(self.wake_descriptor, False)
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], object]]] = queue.SimpleQueue()

    def wake(self) -> None:
        """Wake the loop."""
        with suppress(BlockingIOError):  # the pipe is full, so the loop is about to wake up
            os.write(self.wake_descriptor, b"\0")

    def wait(self, seconds: float) -> None:
        """Wait at most `seconds`, or until a signal, a process or another thread wakes the loop."""
        select.select([self._awake], [], [], seconds)
        with suppress(BlockingIOError):
            while os.read(self._awake, 4096):
                pass

    def call(self, work: Callable[[], T]) -> T:
        """Execute a function in the loop's thread, and return its result."""
        if threading.current_thread() is threading.main_thread():
            return work()
        answer: Future[T] = Future()
        self._calls.put((answer, work))
        self.wake()
        return answer.result(CALL_SECONDS)

    def answer(self) -> None:
        """Execute the waiting calls of other threads."""
        while not self._calls.empty():
            answer, work = self._calls.get()
            try:
                answer.set_result(work())
            except Exception as error:  # noqa: BLE001 - it is raised in the calling thread
                answer.set_exception(error)
