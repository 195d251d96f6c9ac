"""Columns worked on in as many threads as there are cores; the kernels let others run meanwhile.

A task of the pool costs as much as a small column, so each thread gets a few hands of columns instead of one at a time.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

HANDS = 4
"""For each thread: few enough to cost nothing, enough for columns of unequal size."""


class Threads:
    """A pool of threads to be used in a `with` block."""

    def __init__(self) -> None:
        self._number = cpu_count() or 1
        self._pool = ThreadPoolExecutor(self._number)

    def __enter__(self) -> "Threads":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Return what `work` makes of each item, in their order; raises what it raised."""
        waiting: Sequence[T] = list(items)
        hands = min(len(waiting), HANDS * self._number)
        dealt = [self._pool.submit(lambda hand: list(map(work, hand)), waiting[i::hands]) for i in range(hands)]
        results: list[R | None] = [None] * len(waiting)
        for i, hand in enumerate(dealt):
            results[i::hands] = hand.result()
        return results  # type: ignore[return-value]  # every place is filled
