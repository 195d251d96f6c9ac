"""A parallel map over columns, in as many threads as there are cores; compiled kernels release the interpreter lock.

The threads are kept: otherwise a process that compares every second would start thousands of them, each with its
scratch memory. Submitting a task costs as much as a small column, so columns are submitted in chunks.
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

CHUNKS = 4 * THREADS
"""Chunks per call: few enough to cost nothing, and enough to balance columns of unequal size."""


@cache
def _thread_pool() -> ThreadPoolExecutor:
    pl.Series(np.empty(0))  # polars binds numpy at its first use, which fails if two threads do that at once
    return ThreadPoolExecutor(THREADS, "engine.drift")


# a forked process does not have the threads of its parent
os.register_at_fork(after_in_child=_thread_pool.cache_clear)


def parallel_map(work: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Return the results of `work` for all items, in their order.

    Raises
    ------
    Exception
        The first exception that `work` raised, after all threads have finished.
    """
    waiting = list(items)
    chunks = min(len(waiting), CHUNKS)
    # every n-th item in one chunk: neighbours are often alike in size
    tasks = [_thread_pool().submit(lambda chunk: list(map(work, chunk)), waiting[i::chunks]) for i in range(chunks)]
    problems = [problem for task in tasks if (problem := task.exception())]
    if problems:
        raise problems[0]
    results: dict[int, R] = {}
    for i, task in enumerate(tasks):
        results.update(zip(range(i, len(waiting), chunks), task.result(), strict=True))
    return [results[i] for i in range(len(waiting))]
