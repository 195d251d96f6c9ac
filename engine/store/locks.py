"""Locks between processes, by `flock`: the operating system releases a lock when its process ends, even if killed.

A lock stored as a row in the database would outlive a killed process, and only a timeout could guess that it is stale.
The files of named locks (`Locks.hold`) are named by a hash, since the names are arbitrary texts, and contain a
description of the process that holds the lock. The store's own short locks (`hold_file_lock`) have plain names and no
content, and can be shared. A child run, in this process or another, uses its parent's lock by the lock's token.
"""

import fcntl
import hashlib
import json
import os
import secrets
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from engine.errors import StoreError
from engine.store.databases.errors import translate_errors

POLL_SECONDS = 0.02

SERVER_LOCK = "server"
"""The name of the lock that `engine serve` holds on a state while it evaluates the triggers."""
_held: set[int] = set()
"""The descriptors of the locks that this process holds. A copy in a forked process would keep the lock."""


def _close_inherited_locks() -> None:
    """Close the copies in a forked process without unlocking them, which would release the locks of its parent."""
    while _held:
        os.close(_held.pop())


os.register_at_fork(after_in_child=_close_inherited_locks)


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The process that holds a lock, and since when. Child runs with the `token` share the lock."""

    name: str
    pid: int
    run: str | None
    scenario: str | None
    since: str
    token: str

    def __str__(self) -> str:
        run = f", run {self.run}" if self.run else ""
        scenario = f' of scenario "{self.scenario}"' if self.scenario else ""
        return f"process {self.pid}{run}{scenario}, since {self.since}"


class LockBusy(StoreError):  # noqa: N818  (a state, not a fault)
    """Another process holds the lock. `holder` describes it; None if it has not written its description yet."""

    def __init__(self, folder: Path, name: str, holder: LockHolder | None) -> None:
        by = str(holder) if holder else "another process"
        super().__init__(
            f"state folder {folder}: {name} is busy: held by {by}. What to do: wait until it has ended, or end it."
        )
        self.holder = holder


def lock_path(folder: Path, name: str) -> Path:
    """Return the file of the lock `name`."""
    return (
        folder / "locks" / f"{hashlib.blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}.lock"
    )


def try_lock(path: Path, *, shared: bool = False) -> int | None:
    """Return a descriptor that holds the lock until `release_lock`, or None if another process holds it."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            if _is_same_file(path, descriptor):
                _held.add(descriptor)
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # the former holder has removed the file, and others lock a new one: try again


def release_lock(descriptor: int) -> None:
    """Release a lock; in a forked process this does nothing, because the lock belongs to the parent."""
    if descriptor in _held:
        _held.remove(descriptor)
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # a process forked just now may not have closed its copy yet
        os.close(descriptor)


def leave_lock(descriptor: int) -> None:
    """Close this process's copy of a lock that another process has inherited, so that only that process holds it.

    The lock is not unlocked, which would release it there too, because both descriptors are one open file.
    """
    _held.discard(descriptor)
    os.close(descriptor)


def _is_same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextmanager
def hold_file_lock(folder: Path, name: str, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock file `name` for a short operation of the store; wait for it without a message."""
    path = folder / "locks" / f"{name}.lock"
    with translate_errors(folder):
        while (descriptor := try_lock(path, shared=shared)) is None:
            time.sleep(POLL_SECONDS)
    try:
        yield
    finally:
        release_lock(descriptor)


class Locks:
    """The named locks of a state folder."""

    def __init__(self, folder: Path, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._now = now

    @contextmanager
    def hold(
        self,
        name: str,
        *,
        wait: bool | float = True,
        run: str | None = None,
        scenario: str | None = None,
        under: Collection[str] = (),
        waiting: Callable[[LockBusy], None] | None = None,
    ) -> Iterator[LockHolder]:
        """Hold the lock `name`.

        Parameters
        ----------
        wait
            True to wait without limit, False not to wait, or a number of seconds.
        run, scenario
            Written into the lock file, as information for other processes.
        under
            Tokens of locks that parent runs hold. If this lock has one of them, the caller shares it.
        waiting
            Called once with the reason, before waiting.

        Raises
        ------
        LockBusy
            Another process holds the lock, and `wait` is False or its seconds are over.
        """
        with translate_errors(self._folder):
            lock = self._acquire_lock(name, wait, under, waiting)
        if isinstance(lock, LockHolder):
            yield lock
            return
        with self._keep(lock, name, run, scenario) as held:
            yield held

    def take(self, name: str, *, wait: float = 0.0) -> int:
        """Return a descriptor that holds the lock `name`, for a child process that inherits it and calls `adopt`.

        After starting the child, the caller must call `leave_lock`; if the child was not started, `release_lock`.

        Raises
        ------
        LockBusy
            Another process still holds it after `wait` seconds.
        """
        with translate_errors(self._folder):
            lock = self._acquire_lock(name, wait, (), None)
        if isinstance(lock, LockHolder):
            raise TypeError("no token was presented")
        return lock

    @contextmanager
    def adopt(self, name: str, descriptor: int) -> Iterator[LockHolder]:
        """Hold the lock `name` by an inherited descriptor until the end of the block."""
        os.set_inheritable(descriptor, False)
        _held.add(descriptor)
        with self._keep(descriptor, name) as held:
            yield held

    @contextmanager
    def _keep(self, lock: int, name: str, run: str | None = None, scenario: str | None = None) -> Iterator[LockHolder]:
        """Write a description of this process into the lock file; release the lock at the end of the block."""
        try:
            since = self._now().isoformat(timespec="seconds")
            held = LockHolder(name, os.getpid(), run, scenario, since, secrets.token_hex(8))
            with translate_errors(self._folder):
                _write_holder(lock, json.dumps(asdict(held)))
            yield held
        finally:
            if lock in _held:
                os.ftruncate(lock, 0)
            release_lock(lock)

    def is_held(self, name: str) -> bool:
        """Return whether a process holds the lock `name` now, without waiting or writing."""
        try:
            descriptor = os.open(lock_path(self._folder, name), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(
                descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB
            )  # shared, so that two concurrent tests do not see each other's lock
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _acquire_lock(
        self, name: str, wait: bool | float, under: Collection[str], waiting: Callable[[LockBusy], None] | None
    ) -> int | LockHolder:
        """Return a descriptor that holds the lock, or the holder if it is a parent run."""
        path = lock_path(self._folder, name)
        deadline = float("inf") if wait is True else time.monotonic() + wait
        while (descriptor := try_lock(path)) is None:
            holder = _read_holder(path)
            if holder and holder.token in under:
                return holder
            busy = LockBusy(self._folder, name, holder)
            if time.monotonic() >= deadline:
                raise busy
            if waiting:
                waiting(busy)
                waiting = None
            time.sleep(POLL_SECONDS)
        return descriptor


def _write_holder(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def _read_holder(path: Path) -> LockHolder | None:
    """Return the holder from the lock file; None if it has not been written yet."""
    try:
        return LockHolder(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, FileNotFoundError):  # or damaged, or written by another version
        return None
