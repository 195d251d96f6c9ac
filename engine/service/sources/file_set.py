"""The files of a project: their identities at the last run, and the changes since.

Events of the file system come late, twice or not at all, so they only trigger a look. A file has changed if its
identity differs from the known one, it has settled (`settling.py`), and its content differs, if the earlier digest is
known.
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
"""Files up to this size are hashed, so that a file that was only touched does not start a plan."""

INCOMPLETE_SECONDS = 1.0
"""Seconds between looks at an incomplete file without events: writing through a memory map causes no events."""

HASHED_AT_FIRST = 256_000_000
"""Most bytes of data files that are hashed before they have changed, so that the start stays fast."""


@dataclass(frozen=True, slots=True)
class ChangedFile:
    """A file whose identity differs from the known one; `state` is None if the file does not exist.

    `first` is when the file was first seen to differ, `since` when it got its present identity, in clock seconds.
    """

    path: Path
    source: WatchedSource
    state: FileIdentity | None
    first: float
    since: float
    settling: Settling

    def wait_seconds(self, now: float) -> float:
        """Return for how many more seconds the file must stay unchanged; 0 or less if it has settled."""
        return min(self.since + self.settling.quiet, self.first + self.settling.longest) - now


class FileSet:
    """The known identities of a project's files, and their changes.

    Parameters
    ----------
    clock
        A monotonic clock in seconds.

    Attributes
    ----------
    changed
        The files that differ from the known identities, by path.
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
        """The known existing files."""
        return list(self._known)

    def look(self, sources: Collection[WatchedSource], is_output: Callable[[Path], bool]) -> None:
        """Look at all files now, and record which of them differ from the known identities.

        The files of a new source are not changes: the spec that names it has changed.
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
        """Record the identity of a file as known."""
        if state is None:
            return
        self._known[path] = state
        if source.part != "data" or self._hashed + state.size <= HASHED_AT_FIRST:
            self._hashed += state.size
            self._keep_digest(path, state)

    def _is_only_touched(self, path: Path, state: FileIdentity) -> bool:
        """Return whether a file has a new identity but the known content, so that it counts as unchanged."""
        known = self._known.get(path)
        if known is None or known.size != state.size or path not in self._digests:
            return False
        try:
            return digest_file(path) == self._digests[path]
        except OSError:
            return False

    def wait_seconds(self, part: ChangedPart | None = None) -> float:
        """Return the seconds until all changes of a part, or of all parts, have settled; 0 or less if they have."""
        now = self._clock()
        return max((one.wait_seconds(now) for one in self._select(part)), default=0.0)

    def seconds_to_next_look(self) -> float:
        """Return the seconds until one more change may have settled; infinite if that needs an event."""
        now = self._clock()
        waits = [
            min(one.wait_seconds(now), INCOMPLETE_SECONDS) if _is_incomplete(one) else one.wait_seconds(now)
            for one in self.changed.values()
        ]
        return min((wait for wait in waits if wait > 0), default=math.inf)

    def describe_wait(self, least: float) -> str:
        """Return the reason for a wait of more than `least` seconds, else an empty text."""
        now = self._clock()
        one = max(self.changed.values(), key=lambda one: one.wait_seconds(now), default=None)
        if one is None or one.wait_seconds(now) <= least:
            return ""
        if one.source.marker and one.settling == NEVER:
            return f"{one.source.owner} has changed: waiting until {one.source.marker_path} is written again"
        if _is_incomplete(one):
            return f"{one.path} is not complete: waiting for its end"
        return f"{one.path} has changed: waiting until it stays as it is for {one.settling.quiet:g} s (settle)"

    def take(self, part: ChangedPart | None = None) -> list[ChangedFile]:
        """Record the present identities as known; return the files whose content has changed, or may have changed.

        A file that changes meanwhile keeps its old known identity, so that the next look finds the change.
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
    """Return the change of a file; `before` is its earlier record.

    For an incomplete file, the completeness is checked each time.
    """
    if before is None or before.state != state:
        first = before.first if before else now
        return ChangedFile(path, source, state, first, now, choose_settling(source, path, state))
    if math.isfinite(before.settling.quiet):
        return before
    return replace(before, settling=choose_settling(source, path, state))


def list_source_files(source: WatchedSource) -> list[Path]:
    """Return the files of a source without temporary files of other programs.

    If a folder cannot be read, there are none: they count as changed, and the run says why it cannot read them.
    """
    try:
        found = source.list_files()
    except OSError:
        return []
    return [path for path in found if path == source.path or not is_temporary(path.name)]


def read_file_state(path: Path) -> FileIdentity | None:
    """Return the identity of a file; None if it does not exist or its status cannot be read."""
    try:
        return FileIdentity.from_stat(path.stat())
    except OSError:
        return None


def _is_incomplete(one: ChangedFile) -> bool:
    return math.isinf(one.settling.quiet) and one.settling != NEVER


def hold_for_markers(changed: dict[Path, ChangedFile]) -> dict[Path, ChangedFile]:
    """Let the changed files of a source with a marker wait until the marker is written again."""
    held = {}
    for path, one in changed.items():
        marker = changed.get(one.source.marker_path) if one.source.marker_path else None
        written = marker is not None and marker.state is not None
        settling = Settling(one.source.settle or QUIET_SECONDS, LONGEST_DATA_SECONDS) if written else NEVER
        held[path] = replace(one, settling=settling) if one.source.marker else one
    return held
