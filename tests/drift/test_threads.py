"""Work that is dealt to threads comes back in order, raises what it raised, and goes on in a forked process."""

import os
import warnings

import pytest

from engine.drift.threads import parallel_map


def test_results_are_in_the_order_of_the_items():
    for n in (0, 1, 7, 100):
        assert parallel_map(lambda x: x * x, range(n)) == [x * x for x in range(n)]


def test_an_exception_of_a_thread_is_raised_by_the_caller():
    with pytest.raises(ZeroDivisionError):
        parallel_map(lambda x: 1 / x, [2, 1, 0])
    assert parallel_map(str, [1]) == ["1"], "and the threads are as good as before"


def test_a_forked_process_has_threads_of_its_own():
    parallel_map(str, [1, 2, 3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python's, of forking with threads
        child = os.fork()
    if not child:
        os._exit(0 if parallel_map(str, [1, 2]) == ["1", "2"] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
