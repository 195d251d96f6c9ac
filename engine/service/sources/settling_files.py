"""Repeated looks at the files of one dataset for a trigger: they give a result once all files are complete.

`settling.py` decides when a changed file counts as complete. The comparison with the last look uses digests, so that
changes during a downtime of the server are found; then all files must be unchanged for a while before they are read,
because it is not known which of them are new.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.digests import digest_json
from engine.errors import DataError
from engine.file_identity import FileIdentity
from engine.service.sources.dataset_sources import DatasetSource, States
from engine.service.sources.file_set import HASHED_BYTES, INCOMPLETE_SECONDS, ChangedFile, hold_for_markers, note_change
from engine.service.sources.settling import NEVER
from engine.service.triggers.seen_files import SeenFiles


@dataclass(frozen=True, slots=True)
class FilesLook:
    """The result of a look at the files of a dataset.

    Attributes
    ----------
    seen
        The files; None while a change has not settled, or if they cannot be read.
    wait
        The seconds until the change may have settled; infinite if this is not known.
    waits_for
        A sentence about what the look waits for; empty if it does not wait.
    writing
        Whether files are being written.
    error
        Why the files cannot be read.
    changed
        The identities of the files that have changed since the previous look; None for deleted ones.
    """

    seen: SeenFiles | None = None
    wait: float = math.inf
    waits_for: str = ""
    writing: bool = False
    error: str = ""
    changed: Mapping[Path, FileIdentity | None] = field(default_factory=dict)


class SettlingFiles:
    """The files of one dataset.

    Parameters
    ----------
    clock
        A monotonic clock in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._still: tuple[str, States] = ("", {})
        self._noted: dict[Path, ChangedFile] = {}
        self._digests: dict[Path, tuple[FileIdentity, str]] = {}

    def look(self, source: DatasetSource, known: SeenFiles | None) -> FilesLook:
        """Look at the files now, and compare them with `known`, the last complete result."""
        try:
            states = source.read_states()
            marker = source.read_marker()
            return self._compare(source, known, states, marker)
        except OSError as error:
            return FilesLook(error=f"{source.owner}: {error.filename or source.path} cannot be read: {error.strerror}")
        except DataError as error:
            return FilesLook(error=f"{source.owner}: {error}")

    def _compare(
        self, source: DatasetSource, known: SeenFiles | None, states: States, marker: FileIdentity | None
    ) -> FilesLook:
        signature, still = self._still
        if states != still or not signature:
            signature = digest_json([[_name_below(path, source), *state] for path, state in states.items()])
        if known is None or signature == known.states:
            self._still, self._noted = (signature, states), {}
            content = known.content if known is not None else self._digest_content(source, states)
            return FilesLook(SeenFiles(source.declared, signature, content, _show_marker(marker)))
        before = still if self._still[0] == known.states else {}
        self._note_changes(source, known, before, states, marker)
        now = self._clock()
        wait = max((one.wait_seconds(now) for one in self._noted.values()), default=0.0)
        if wait > 0:
            return self._describe_wait(wait, now)
        if not states and known.path != source.declared:  # for example because a new day has begun
            return FilesLook(waits_for=f"{source.owner}: there is no file {source.path} yet")
        if not states:
            return FilesLook(error=f"{source.owner}: there is no file {source.path} any more")
        content = self._digest_content(source, states)
        overdue = any(now - one.first >= one.settling.longest for one in self._noted.values())
        if not overdue and source.read_states() != states:
            return FilesLook(wait=0.0, writing=True, waits_for=f"{source.owner}: files change while they are read")
        changed = {path: states.get(path) for path in self._noted if path != source.marker_path}
        self._still, self._noted = (signature, states), {}
        return FilesLook(SeenFiles(source.declared, signature, content, _show_marker(marker)), changed=changed)

    def _note_changes(
        self, source: DatasetSource, known: SeenFiles, before: States, states: States, marker: FileIdentity | None
    ) -> None:
        now = self._clock()
        found = {
            path: note_change(self._noted.get(path), path, source, states.get(path), now)
            for path in states.keys() | before.keys()
            if states.get(path) != before.get(path)
        }
        if not found:  # all files were deleted, and their names were known only to an earlier server
            found[source.path] = note_change(self._noted.get(source.path), source.path, source, None, now)
        if source.marker_path and _show_marker(marker) != known.marker:
            path = source.marker_path
            found[path] = note_change(self._noted.get(path), path, source, marker, now)
        self._noted = hold_for_markers(found)

    def _describe_wait(self, wait: float, now: float) -> FilesLook:
        one = max(self._noted.values(), key=lambda one: one.wait_seconds(now))
        if one.settling == NEVER:
            text = f"{one.source.owner} has changed: waiting until {one.source.marker_path} is written again"
            return FilesLook(waits_for=text)
        if math.isinf(one.settling.quiet):
            text = f"{one.path} is not complete: waiting for its end"
            return FilesLook(wait=min(wait, INCOMPLETE_SECONDS), waits_for=text, writing=True)
        text = f"{one.path} has changed: waiting until it stays as it is for {one.settling.quiet:g} s (settle)"
        return FilesLook(wait=wait, waits_for=text, writing=True)

    def _digest_content(self, source: DatasetSource, states: States) -> str:
        """Return the digest of the names and contents of the files.

        For a large file, only size and time are used, because reading it would take too long. Its inode is not used,
        because some network drives number their files anew at each mount.
        """
        kept = {path: one for path, one in self._digests.items() if path in states}
        for path, state in states.items():
            if state.size <= HASHED_BYTES and kept.get(path, (None,))[0] != state:
                kept[path] = state, source.digest(path, state)
        self._digests = kept
        parts = [
            [_name_below(path, source), kept[path][1] if state.size <= HASHED_BYTES else [state.size, state.mtime_ns]]
            for path, state in states.items()
        ]
        return digest_json(parts)


def _show_marker(state: FileIdentity | None) -> str:
    return "" if state is None else " ".join(map(str, state))


def _name_below(path: Path, source: DatasetSource) -> str:
    """Return the path of a file relative to the folder of its dataset, which may be another one after a restart."""
    folder = source.folder
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)
