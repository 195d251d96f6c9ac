"""The files of a project: in which state the last run has found them, and which have changed since.

Events of the file system come late, twice or not at all, so they only say when to look. What counts is what is found
then: a file has changed if its state differs from the known one, this has settled (`settling.py`), and its content
differs, where the earlier one is known.
"""

import math
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from engine.digests import digest_file
from engine.file_identity import FileIdentity
from engine.scenarios.run_reasons import ChangedPart
from engine.service.sources.ignored_files import is_temporary
from engine.service.sources.settling import LONGEST_DATA_SECONDS, NEVER, QUIET_SECONDS, Settling, choose_settling
from engine.service.sources.watched_sources import WatchedSource

HASHED_BYTES = 64_000_000
"""Files up to this size are hashed here, so that a file which was only touched starts no plan."""

INCOMPLETE_SECONDS = 1.0
"""How often an incomplete file is looked at without an event: one that is written through a memory map makes none."""

HASHED_AT_FIRST = 256_000_000
"""Bytes of data that are hashed before they have changed."""


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file whose state is not the known one; `state` is None if it does not exist.

    `first` is the time at which the file was first seen to differ, `since` that at which it got its present state.
    """

    path: Path
    source: WatchedSource
    state: FileIdentity | None
    first: float
    since: float
    settling: Settling

    def wait_seconds(self, now: float) -> float:
        """Return how long the file must still stay as it is; 0 or less if it has settled."""
        return min(self.since + self.settling.quiet, self.first + self.settling.longest) - now


class FileSet:
    """The states of the files of a project.

    Parameters
    ----------
    clock
        A clock that only goes forward, in seconds.

    Attributes
    ----------
    changed
        The files that differ from the known states, by path.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[Path, FileIdentity] = {}
        self._owners: dict[Path, WatchedSource] = {}
        self._digests: dict[Path, str] = {}
        self._sources: set[tuple[str, Path]] = set()
        self._hashed = 0
        self.changed: dict[Path, ChangedFile] = {}

    @property
    def paths(self) -> list[Path]:
        """The files that exist, as far as they are known."""
        return list(self._known)

    def look(self, sources: Collection[WatchedSource], is_output: Callable[[Path], bool]) -> None:
        """Look at all files now, and note which of them differ from the known states.

        The files of a source that is new are taken as they are: what names it has changed too.
        """
        now = self._clock()
        listed = {path: source for source in sources for path in list_source_files(source) if not is_output(path)}
        gone = {
            path: self._owners[path]
            for path in self._known
            if path not in listed and self._owners[path] in sources and not is_output(path)
        }
        self._owners = {**gone, **listed}
        self._known = {path: state for path, state in self._known.items() if path in self._owners}
        found: dict[Path, ChangedFile] = {}
        for path, source in self._owners.items():
            state = read_file_state(path)
            if (source.part, source.path) not in self._sources:
                self._adopt(path, source, state)
            elif state != self._known.get(path):
                if state is not None and path != source.marker_path and self._is_only_touched(path, state):
                    self._known[path] = state
                else:
                    found[path] = note_change(self.changed.get(path), path, source, state, now)
        self._sources |= {(source.part, source.path) for source in sources}
        self.changed = hold_for_markers(found)

    def _adopt(self, path: Path, source: WatchedSource, state: FileIdentity | None) -> None:
        """Take a file as it is."""
        if state is None:
            return
        self._known[path] = state
        if source.part != "data" or self._hashed + state.size <= HASHED_AT_FIRST:
            self._hashed += state.size
            self._keep_digest(path, state)

    def _is_only_touched(self, path: Path, state: FileIdentity) -> bool:
        """Tell whether a file has another state, but the content that is known: nobody needs to wait for it."""
        known = self._known.get(path)
        if known is None or known.size != state.size or path not in self._digests:
            return False
        try:
            return digest_file(path) == self._digests[path]
        except OSError:
            return False

    def wait_seconds(self, part: ChangedPart | None = None) -> float:
        """Return how long it takes until every change of a part, or of all, has settled if none comes meanwhile.

        0 or less: they have.
        """
        now = self._clock()
        return max((one.wait_seconds(now) for one in self._select(part)), default=0.0)

    def seconds_to_next_look(self) -> float:
        """Return after how many seconds one more change may have settled; infinite if only an event can bring that."""
        now = self._clock()
        waits = [
            min(one.wait_seconds(now), INCOMPLETE_SECONDS) if _is_incomplete(one) else one.wait_seconds(now)
            for one in self.changed.values()
        ]
        return min((wait for wait in waits if wait > 0), default=math.inf)

    def describe_wait(self, least: float) -> str:
        """Return what is waited for if that takes longer than `least` seconds, else an empty text."""
        now = self._clock()
        one = max(self.changed.values(), key=lambda one: one.wait_seconds(now), default=None)
        if one is None or one.wait_seconds(now) <= least:
            return ""
        if one.source.marker and one.settling == NEVER:
            return f"{one.source.owner} has changed: waiting until {one.source.marker_path} is written anew"
        if _is_incomplete(one):
            return f"{one.path} is not complete: waiting for its end"
        return f"{one.path} has changed: waiting until it stays as it is for {one.settling.quiet:g} s (settle)"

    def take(self, part: ChangedPart | None = None) -> list[ChangedFile]:
        """Take the present states for known; return the files whose content has changed, or may have.

        A file that changes meanwhile stays as it was noted.
        """
        taken = []
        for one in self._select(part):
            path = one.path
            del self.changed[path]
            before = self._digests.pop(path, None)
            if one.state is None:
                self._known.pop(path, None)
                taken.append(one)
                continue
            self._keep_digest(path, one.state)
            if read_file_state(path) != one.state:
                continue
            self._known[path] = one.state
            if before is None or self._digests.get(path) != before:
                taken.append(one)
        return taken

    def _select(self, part: ChangedPart | None) -> list[ChangedFile]:
        return [one for one in self.changed.values() if part in (None, one.source.part)]

    def _keep_digest(self, path: Path, state: FileIdentity) -> None:
        if state.size <= HASHED_BYTES:
            with suppress(OSError):
                self._digests[path] = digest_file(path)


def note_change(
    before: ChangedFile | None, path: Path, source: WatchedSource, state: FileIdentity | None, now: float
) -> ChangedFile:
    """Return the change of a file, which may have been noted before.

    Whether an incomplete file is complete is looked at each time.
    """
    if before is None or before.state != state:
        first = before.first if before else now
        return ChangedFile(path, source, state, first, now, choose_settling(source, path, state))
    if math.isfinite(before.settling.quiet):
        return before
    return replace(before, settling=choose_settling(source, path, state))


def list_source_files(source: WatchedSource) -> list[Path]:
    """Return the files of a source; what programs leave beside their files for a while is none."""
    return [path for path in source.list_files() if path == source.path or not is_temporary(path.name)]


def read_file_state(path: Path) -> FileIdentity | None:
    """Return the state of a file; None if it does not exist, or cannot be looked at."""
    try:
        return FileIdentity.from_stat(path.stat())
    except OSError:
        return None


def _is_incomplete(one: ChangedFile) -> bool:
    return math.isinf(one.settling.quiet) and one.settling != NEVER


def hold_for_markers(changed: dict[Path, ChangedFile]) -> dict[Path, ChangedFile]:
    """Let the files of a source that has a marker wait for it: when it has been written anew, they are complete."""
    held = {}
    for path, one in changed.items():
        marker = changed.get(one.source.marker_path) if one.source.marker_path else None
        written = marker is not None and marker.state is not None
        settling = Settling(one.source.settle or QUIET_SECONDS, LONGEST_DATA_SECONDS) if written else NEVER
        held[path] = replace(one, settling=settling) if one.source.marker else one
    return held
