"""Looks that hang stop no others: real threads, of which some wait for ever."""

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from engine.service.sources.probe_threads import AT_ONCE, MOST_THREADS, PROBE_SECONDS, ProbeEnd, ProbeThreads

from ..clocks import SecondsClock

PATIENCE = 10.0


class Looks:
    """Looks of which some hang until the test ends."""

    def __init__(self) -> None:
        self.clock = SecondsClock()
        self.threads = ProbeThreads(self.clock)
        self.ends: list[ProbeEnd] = []
        self.go_on = threading.Event()
        self.begun: list[Any] = []

    def start(self, key: object, work: Callable[[], object] = lambda: "seen") -> None:
        def begin() -> object:
            self.begun.append(key)
            return work()

        self.threads.start(key, begin, self.ends.append)

    def hang(self, key: object) -> None:
        self.start(key, lambda: self.go_on.wait(60.0))

    def wait(self, ended: int) -> list[object]:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and len(self.ends) < ended:
            self.threads.add_threads()
            time.sleep(0.005)
        return [end.key for end in self.ends]

    def wait_until_begun(self, key: object) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until and key not in self.begun:
            self.threads.add_threads()
            time.sleep(0.005)
        assert key in self.begun


def test_a_look_whose_thread_cannot_be_started_is_done_later() -> None:
    looks = Looks()
    threading.stack_size(1 << 46)  # the system has no room for such a thread
    try:
        for _ in range(AT_ONCE + 1):
            with pytest.raises(RuntimeError):
                looks.start("one")
    finally:
        threading.stack_size(0)
    assert looks.wait(1) == ["one"]


def test_many_looks_are_all_done() -> None:
    looks = Looks()
    for key in range(500):
        looks.start(key)
    assert sorted(map(str, looks.wait(500))) == sorted(map(str, range(500)))


def test_what_a_look_raises_is_delivered() -> None:
    looks = Looks()
    looks.start("wrong", lambda: 1 // 0)
    looks.wait(1)
    assert isinstance(looks.ends[0].error, ZeroDivisionError)


def test_two_looks_that_hang_keep_others_waiting_until_they_are_stale() -> None:
    looks = Looks()
    for key in range(AT_ONCE):
        looks.hang(key)
        looks.wait_until_begun(key)
    assert not looks.threads.has_room
    looks.start("other")
    time.sleep(0.1)
    looks.threads.add_threads()
    assert looks.ends == []
    assert looks.threads.list_stale() == {}
    looks.clock.now += PROBE_SECONDS + 1
    assert looks.threads.list_stale() == {0: PROBE_SECONDS + 1, 1: PROBE_SECONDS + 1}
    assert looks.wait(1) == ["other"]
    looks.go_on.set()
    assert sorted(looks.wait(3), key=str) == [0, 1, "other"]
    assert looks.threads.list_stale() == {}
    assert looks.threads.has_room


def test_more_looks_that_hang_than_there_may_be_threads_are_not_started() -> None:
    looks = Looks()
    for key in range(MOST_THREADS + 3):
        looks.hang(key)
        if key < MOST_THREADS:
            looks.wait_until_begun(key)
        looks.clock.now += PROBE_SECONDS + 1
        looks.threads.add_threads()
    time.sleep(0.1)
    assert looks.begun == list(range(MOST_THREADS))
    looks.go_on.set()
    assert set(looks.wait(MOST_THREADS + 3)) == set(range(MOST_THREADS + 3))
