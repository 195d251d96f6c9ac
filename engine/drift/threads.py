"""Columns worked on in as many threads as there are cores; the kernels let others run meanwhile.

The threads stay: a process that compares every second would start thousands of them, each with scratch memory of its
own. A task of the pool costs as much as a small column, so each thread gets a few hands of columns, not one at a time.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

THREADS = os.cpu_count() or 1

HANDS = 4 * THREADS
"""Few enough to cost nothing, enough for columns of unequal size."""


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, "engine.drift")


# a forked process has none of its parent's threads
os.register_at_fork(after_in_child=_pool.cache_clear)


def each(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return what `work` makes of each item, in their order; raises what it raised, when all have ended."""
    waiting = list(items)
    hands = min(len(waiting), HANDS)
    dealt = [_pool().submit(lambda hand: list(map(work, hand)), waiting[i::hands]) for i in range(hands)]
    problems = [problem for hand in dealt if (problem := hand.exception())]
    if problems:
        raise problems[0]
    results: dict[int, R] = {}
    for i, hand in enumerate(dealt):
        results.update(zip(range(i, len(waiting), hands), hand.result(), strict=True))
    return [results[i] for i in range(len(waiting))]
