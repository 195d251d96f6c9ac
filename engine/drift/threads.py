"""A parallel map over columns, with one thread per core; compiled kernels release the interpreter lock.

The threads are kept: otherwise a process that compares every second would start thousands of them, each with its own
scratch memory. Submitting a task costs as much as a small column, so one task per thread takes column after column.
"""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import numpy as np
import polars as pl

T = TypeVar("T")
R = TypeVar("R")

THREADS = os.cpu_count() or 1


@cache
def _thread_pool() -> ThreadPoolExecutor:
    pl.Series(np.empty(0))  # polars binds numpy at its first use, which fails if two threads do it at once
    return ThreadPoolExecutor(THREADS, "engine.drift")


# a forked process does not have its parent's threads
os.register_at_fork(after_in_child=_thread_pool.cache_clear)


def parallel_map(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return the results of `work` for all items, in their order; a single item needs no other thread.

    Raises
    ------
    Exception
        The first exception that `work` raised, after all threads have finished.
    """
    waiting = list(items)
    if len(waiting) == 1:
        return [work(waiting[0])]
    results: dict[int, R] = {}
    positions = iter(range(len(waiting)))  # threads share it, and each position goes to one of them

    def run_tasks() -> None:
        for i in positions:
            results[i] = work(waiting[i])

    tasks = [_thread_pool().submit(run_tasks) for _ in range(min(len(waiting), THREADS))]
    problems = [problem for task in tasks if (problem := task.exception())]
    if problems:
        raise problems[0]
    return [results[i] for i in range(len(waiting))]
