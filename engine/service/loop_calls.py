"""What other threads ask of the loop of a server: it is woken, and does what they ask between two ticks."""

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
"""A thread waits that long for the loop to do what it asks for."""


class LoopCalls:
    """The calls that wait for the loop, and the pipe that wakes it.

    Attributes
    ----------
    wake_descriptor
        Where a signal writes to, so that it wakes the loop.
    """

    def __init__(self) -> None:
        self._awake, self.wake_descriptor = os.pipe()
        os.set_blocking(self._awake, False)
        os.set_blocking(self.wake_descriptor, False)
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], object]]] = queue.SimpleQueue()

    def wake(self) -> None:
        """Let the loop go on soon."""
        with suppress(BlockingIOError):  # it is about to wake up
            os.write(self.wake_descriptor, b"\0")

    def wait(self, seconds: float) -> None:
        """Wait so long, or until a signal, a process or another thread wakes the loop."""
        select.select([self._awake], [], [], seconds)
        with suppress(BlockingIOError):
            while os.read(self._awake, 4096):
                pass

    def call(self, work: Callable[[], T]) -> T:
        """Let the loop do something, and return what it gives."""
        if threading.current_thread() is threading.main_thread():
            return work()
        answer: Future[T] = Future()
        self._calls.put((answer, work))
        self.wake()
        return answer.result(CALL_SECONDS)

    def answer(self) -> None:
        """Do what other threads wait for."""
        while not self._calls.empty():
            answer, work = self._calls.get()
            try:
                answer.set_result(work())
            except Exception as error:  # noqa: BLE001 - it belongs to whoever asks
                answer.set_exception(error)
