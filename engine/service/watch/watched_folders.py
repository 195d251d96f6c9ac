"""Detects changes in folders by events of the operating system, or by more frequent looks if there are no events.

The observer of watchdog follows a folder, not its path: after a folder was replaced by another one, there are no
events. So each path is compared every second with the folder that is observed for it, and the nearest existing parent
is observed instead of a missing folder. Any failure of the observer counts as a change, so that the files are looked
at.
"""

import logging
import os
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event
from typing import NamedTuple, Self

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver, ObservedWatch

from engine.service.sources.ignored_files import IGNORED_FOLDERS, is_temporary
from engine.service.watch.network_folders import find_network_type, read_mounts
from engine.service.watch.observers import make_observer

EVENTS: list[type[FileSystemEvent]] = [
    *(FileCreatedEvent, FileModifiedEvent, FileClosedEvent, FileMovedEvent, FileDeletedEvent),
    *(DirCreatedEvent, DirMovedEvent, DirDeletedEvent),
]
"""The observed events; reading a file causes none of them."""

SWEEP_SECONDS, POLL_SECONDS = 30.0, 5.0
"""Seconds between looks without an event: if there are events, because one may be lost; and if there are none."""


class _ObservedFolder(NamedTuple):
    """A folder at the beginning of its observation; a new folder at the same path has another inode."""

    path: Path
    device: int
    inode: int
    is_deep: bool


class WatchedFolders:
    """Observes folders in separate threads.

    Parameters
    ----------
    report
        Called with messages for the user.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._said: set[str] = set()
        self._observer: BaseObserver | None = None
        self._observed: dict[_ObservedFolder, ObservedWatch] = {}
        self._wanted: Mapping[Path, bool] = {}
        self._polled: set[Path] = set()
        self._mounts = read_mounts()
        self._changed, self._lost = Event(), Event()
        self._handler = _ChangeHandler(self._changed)
        self._failures = _FailureListener(self._changed)

    def __enter__(self) -> Self:
        logger = logging.getLogger("watchdog")
        logger.addHandler(self._failures)
        logger.propagate = False  # its messages, such as lost events, cause a look and need not be shown
        # watchdog warns, with all of its state as text, about each new subfolder that it has found by itself before
        warnings.filterwarnings("ignore", "Callback with id", RuntimeWarning)
        try:
            self._observer = make_observer(self._note_failure)
            self._observer.start()
        except OSError as error:
            self._observer = None
            self._poll(Path("/"), f"the system does not report changes ({error.strerror or error})")
        return self

    def __exit__(self, *_: object) -> None:
        if self._observer is not None:
            self._observer.stop()
        logging.getLogger("watchdog").removeHandler(self._failures)

    @property
    def seconds_between_looks(self) -> float:
        """The seconds between looks at the files without an event."""
        return POLL_SECONDS if self._polled else SWEEP_SECONDS

    def _note_failure(self) -> None:
        self._lost.set()
        self._changed.set()

    def observe(self, wanted: Mapping[Path, bool]) -> None:
        """Observe only these folders from now on; the values say whether subfolders are included."""
        self._wanted = wanted
        self._renew()

    def wait(self, seconds: float) -> bool:
        """Wait for a change for at most `seconds`; return whether there was one."""
        if self._changed.wait(max(0.0, seconds)):
            self._changed.clear()
            self._renew()
            return True
        return self._renew()

    def _renew(self) -> bool:
        """Observe the folders that are at the wanted paths now; return whether new ones were added."""
        if self._observer is not None and not self._observer.is_alive():
            self._observer = None
            self._poll(Path("/"), "the system's reports of changes are no longer read (a thread has ended)")
        if self._observer is None:
            return False
        wanted = set()
        for path, is_deep in self._wanted.items():
            folder = next(one for one in (path, *path.parents) if os.path.isdir(one))  # noqa: PTH112 - Path.is_dir raises in a closed folder
            try:
                real = folder.resolve()
                state = real.stat()
            except OSError:  # it has just been removed; the next call finds its parent
                continue
            if kind := find_network_type(real, self._mounts):
                self._poll(real, f"{folder} is on a file system of type {kind}, which does not report all changes")
                continue
            wanted.add(_ObservedFolder(real, state.st_dev, state.st_ino, is_deep and folder == path))
        lost = self._lost.is_set()
        self._lost.clear()
        dead = {emitter.watch for emitter in self._observer.emitters if lost or not emitter.is_alive()}
        for one in [one for one, watch in self._observed.items() if one not in wanted or watch in dead]:
            self._forget(one, self._observer)
        new = [one for one in wanted if one not in self._observed and one.path not in self._polled]
        for one in new:
            self._observe_one(one, self._observer)
        return bool(new)

    def _observe_one(self, one: _ObservedFolder, observer: BaseObserver) -> None:
        try:
            self._observed[one] = observer.schedule(
                self._handler, str(one.path), recursive=one.is_deep, event_filter=EVENTS
            )
        except FileNotFoundError:
            self._changed.set()
        except OSError as error:
            self._poll(one.path, f"{one.path}: changes are not reported here ({error.strerror or error})")

    def _forget(self, one: _ObservedFolder, observer: BaseObserver) -> None:
        try:
            observer.unschedule(self._observed.pop(one))
        except (KeyError, OSError):
            return  # the folder is gone, and its observation with it

    def _poll(self, folder: Path, why: str) -> None:
        self._polled.add(folder)
        if why not in self._said:
            self._said.add(why)
            self._report(f"{why}: its files are checked every {POLL_SECONDS:g} s")


class _ChangeHandler(FileSystemEventHandler):
    """Signals a change, unless it only concerns files that are not content of a project."""

    def __init__(self, changed: Event) -> None:
        self._changed = changed

    def on_any_event(self, event: FileSystemEvent) -> None:
        """Handle an event in a thread of the observer."""
        paths = [os.fsdecode(path) for path in (event.src_path, event.dest_path) if path]
        if not all(_is_ignored(path) for path in paths):
            self._changed.set()


def _is_ignored(path: str) -> bool:
    one = Path(path)
    return is_temporary(one.name) or not IGNORED_FOLDERS.isdisjoint(one.parts)


class _FailureListener(logging.Handler):
    """Signals a change for each warning in the observer's log, for example that events were lost."""

    def __init__(self, changed: Event) -> None:
        super().__init__(logging.WARNING)
        self._changed = changed

    def emit(self, record: logging.LogRecord) -> None:
        """Handle a log entry."""
        self._changed.set()


def list_link_folders(path: Path) -> set[Path]:
    """Return the folders of all symbolic links on the path to a file, and the folder of the file itself.

    If a link is changed to another file, there is an event in the folder of the link, but none in that of the file.
    """
    folders = {path.parent}
    for _ in range(40):  # the limit of Linux
        link = next((one for one in (*reversed(path.parents), path) if os.path.islink(one)), None)  # noqa: PTH114 - as above
        if link is None:
            break
        folders.add(link.parent)
        path = Path(os.path.normpath(link.parent / link.readlink() / path.relative_to(link)))
    return folders | {path.parent}
