"""Watched folders without the command line, where nothing is run."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest

from engine.service.sources.file_set import FileSet
from engine.service.sources.watched_sources import WatchedSource
from engine.service.watch.watch_loop import list_folders
from engine.service.watch.watched_folders import WatchedFolders

from ..waiting import PATIENCE


class Watching:
    """Watches sources as the loop does, and gives the files whose content has changed."""

    def __init__(self, *sources: WatchedSource) -> None:
        self.sources = sources
        self.said: list[str] = []
        self.files = FileSet(time.monotonic)
        self.folders = WatchedFolders(self.said.append)

    def __enter__(self) -> Self:
        self.folders.__enter__()
        self.folders.observe(list_folders(self.sources))
        self.look()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.folders.__exit__()

    def look(self) -> None:
        self.folders.observe(list_folders(self.sources))
        self.files.look(self.sources, lambda _: False)

    def wait(self, seconds: float = PATIENCE) -> set[str]:
        """Return the names of the next files that change, once all have settled; none if nothing changes so long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            woken = self.folders.wait(min(0.05, until - time.monotonic()))
            if woken or self.files.changed:
                self.look()
            if self.files.changed and self.files.wait_seconds() <= 0 and (taken := self.files.take()):
                return {one.path.name for one in taken}
        return set()


@pytest.fixture
def watch() -> Iterator[Callable[..., Watching]]:
    """Watch sources until the test ends."""
    begun: list[Watching] = []

    def begin(*sources: WatchedSource) -> Watching:
        begun.append(Watching(*sources).__enter__())
        return begun[-1]

    yield begin
    for one in begun:
        one.__exit__()


def data(path: Path, **keys: object) -> WatchedSource:
    """Return a source of data that settles fast."""
    return WatchedSource("data", path, "dataset d", **{"settle": 0.2, **keys})
