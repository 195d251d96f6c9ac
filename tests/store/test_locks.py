"""Locks between processes: refused by whom, waited for, dying with their process, shared with children."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from engine.store import LockBusy, Store
from engine.store.location import StateLocation

HOLD = """
import sys
from pathlib import Path
from engine.store import Store
with Store.open(Path(sys.argv[1])) as store:
    with store.locks.hold("the_MES", run="run 7", scenario="Data drift monitor") as held:
        print(held.token, flush=True)
        sys.stdin.readline()
"""
UNDER = """
import sys
from pathlib import Path
from engine.store import LockBusy, Store
with Store.open(Path(sys.argv[1])) as store:
    for under in ([sys.argv[2]], ["another"]):
        try:
            with store.locks.hold("the_MES", wait=False, under=under) as held:
                print(held.token)
        except LockBusy as busy:
            print(busy.holder.pid)
"""


@pytest.fixture
def location(folder: Path) -> StateLocation:
    """Give a state of the kind that this module is about."""
    return StateLocation(folder)


@contextmanager
def holding(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock until its input ends."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def test_who_holds_it_is_said(store: Store) -> None:
    with holding(store.folder) as process, pytest.raises(LockBusy) as refused, store.locks.hold("the_MES", wait=False):
        pass
    text = str(refused.value)
    assert f'the_MES is busy: held by process {process.pid}, run run 7 of scenario "Data drift monitor", since' in text
    assert str(store.folder) in text
    assert "What to do" in text
    assert refused.value.holder is not None
    assert refused.value.holder.pid == process.pid


def test_other_names_are_free(store: Store) -> None:
    with holding(store.folder), store.locks.hold("another / store", wait=False):
        pass


def test_a_lock_dies_with_its_process(store: Store) -> None:
    with holding(store.folder) as process:
        process.kill()
        process.wait()
        with store.locks.hold("the_MES", wait=False):
            pass


def test_waiting_says_so_once_and_then_gets_it(store: Store) -> None:
    told: list[str] = []
    with holding(store.folder) as process:

        def let_go(busy: LockBusy) -> None:
            told.append(str(busy))
            assert process.stdin
            process.stdin.close()

        with store.locks.hold("the_MES", waiting=let_go) as held:
            assert held.pid != process.pid
    assert len(told) == 1
    assert "held by process" in told[0]


def test_waiting_has_an_end(store: Store) -> None:
    began = time.monotonic()
    with holding(store.folder), pytest.raises(LockBusy), store.locks.hold("the_MES", wait=0.2):
        pass
    assert time.monotonic() - began >= 0.2


def test_threads_and_other_openings_of_one_process_exclude_each_other(store: Store) -> None:
    with store.locks.hold("the_MES"), Store.open(store.folder) as other:
        for opened in (store, other):
            with pytest.raises(LockBusy), opened.locks.hold("the_MES", wait=False):
                pass
    with store.locks.hold("the_MES", wait=False):
        pass


def test_a_child_run_works_under_its_parents_lock(store: Store) -> None:
    with store.locks.hold("the_MES") as parent:
        with store.locks.hold("the_MES", wait=False, under=[parent.token]) as child:
            assert child == parent
        command = [sys.executable, "-c", UNDER, str(store.folder), parent.token]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        assert found == [parent.token, str(parent.pid)]
        with pytest.raises(LockBusy), store.locks.hold("the_MES", wait=False):  # the child has not let go of it
            pass


def test_a_child_whose_parent_died_holds_the_lock_itself(store: Store) -> None:
    with store.locks.hold("the_MES") as parent:
        pass
    with store.locks.hold("the_MES", wait=False, under=[parent.token]) as child:
        assert child.token != parent.token
        with pytest.raises(LockBusy), store.locks.hold("the_MES", wait=False):
            pass


def test_an_error_under_the_lock_stays_what_it_is(store: Store) -> None:
    def failing(lock: AbstractContextManager[object], act: Callable[[], object]) -> None:
        with lock:
            act()

    missing = store.folder / "not there"
    with pytest.raises(FileNotFoundError):
        failing(store.locks.hold("the_MES"), missing.read_text)
    with pytest.raises(NotADirectoryError):
        failing(store.folders.stage(), (store.folder / "state.db" / "x").read_text)
