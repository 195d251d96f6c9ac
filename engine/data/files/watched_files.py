"""The files that a task reads: each is hashed, read, and checked again before a result is kept.

A file can be replaced between its hashing and its reading, or be rewritten while it is read. The results would then
belong to other content than the fingerprint, and polars' errors would call the file damaged. So the task calls `verify`
before it keeps anything, and `read_unchanged` repeats the task once if a file has changed.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import polars as pl

from engine.data.files.hashes import FileChangedError, FileHashes, hash_file
from engine.data.polars_errors import READ_ERRORS, describe_error
from engine.errors import DataError
from engine.file_identity import FileIdentity

T = TypeVar("T")

PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 30.0
"""How long the files must stay unchanged before the second try, and the maximum wait for that."""


class _SeenFile(NamedTuple):
    """A file as first seen. `digest` is None if not hashed; `settled` means that later changes show in the times."""

    identity: FileIdentity
    digest: str | None = None
    settled: bool = True


class WatchedFiles:
    """A cache of file hashes that remembers the requested files and their states.

    `settled` holds, by absolute path, the states in which files were known to be complete: any other state is a change.
    """

    def __init__(self, hashes: FileHashes, settled: Mapping[str, FileIdentity] = MappingProxyType({})) -> None:
        self.hashes = hashes
        self._settled = settled
        self._seen: dict[str, _SeenFile] = {}
        self._owners: dict[str, str] = {}

    def watch(self, path: Path, owner: str) -> None:
        """Remember the current state of a file that will be read before it is hashed; `owner` is named with it."""
        self._owners.setdefault(str(path), f"{owner}: ")
        self._remember(str(path), _SeenFile(FileIdentity.from_stat(path.stat())))

    def get(self, path: str, identity: FileIdentity) -> str | None:
        """Return the cached digest of exactly this state of the file, or None."""
        digest = self.hashes.get(path, identity)
        if digest is not None:
            self._remember(path, _SeenFile(identity, digest))
        return digest

    def put(self, path: str, identity: FileIdentity, digest: str, *, settled: bool) -> None:
        """Store a digest."""
        self.hashes.put(path, identity, digest, settled=settled)
        self._remember(path, _SeenFile(identity, digest, settled))

    def _remember(self, path: str, seen: _SeenFile) -> None:
        known = self._settled.get(os.path.abspath(path))  # noqa: PTH100 - links are not followed
        first = self._seen.get(path, seen if known is None else _SeenFile(known))
        # Reading may set the access time, and with it ctime: the content decides whether that alone is a change.
        other_content = first.digest and seen.digest and first.digest != seen.digest
        if first.identity[:3] != seen.identity[:3] or other_content:
            self._seen.setdefault(path, first)
            raise FileChangedError(f"{path} changed while it was read")
        self._seen[path] = first if seen.digest is None else seen

    def wait_until_still(self) -> dict[str, FileIdentity]:
        """Wait until no file has changed for a while, and return their states by absolute path.

        Between two writes, an incomplete file may look complete.
        """
        states, since = self._read_states(), time.monotonic()
        until = since + LONGEST_PAUSE_SECONDS
        while (now := time.monotonic()) < until and now - since < PAUSE_SECONDS:
            time.sleep(PAUSE_SECONDS / 5)
            if (found := self._read_states()) != states:
                states, since = found, time.monotonic()
        return states

    def _read_states(self) -> dict[str, FileIdentity]:
        states = {}
        for path in list(self._seen):
            with suppress(OSError):  # a removed file has no state
                states[os.path.abspath(path)] = FileIdentity.from_stat(Path(path).stat())  # noqa: PTH100 - as above
        return states

    def find_change(self) -> str | None:
        """Describe the first file that has changed since it was seen; None if none has."""
        for path, seen in list(self._seen.items()):
            if change := self._find_file_change(path, seen):
                return f"{self._owners.get(path, '')}{change}"
        return None

    def _find_file_change(self, path: str, seen: _SeenFile) -> str | None:
        try:
            identity = FileIdentity.from_stat(os.stat(path))  # noqa: PTH116  # the path as the text that was requested
        except FileNotFoundError:
            return f"{path} was removed while it was read"
        except OSError as error:
            return f"{path} can no longer be read: {error.strerror}"
        if seen.digest is None and identity[:3] == seen.identity[:3]:
            return None
        if identity == seen.identity and seen.settled:
            return None
        # The content decides in two cases: a change within one tick of the clock, which the times cannot show, and a
        # new ctime alone, which also results from a new hard link (a backup) or other permissions.
        if seen.digest is not None and identity[:3] == seen.identity[:3]:
            again = WatchedFiles(self.hashes)
            with suppress(OSError, FileChangedError):
                if hash_file(Path(path), again) == seen.digest:
                    self._seen[path] = again._seen[path]
                    return None
        return f"{path} changed while it was read"

    def verify(self) -> None:
        """Raise a FileChangedError if a file has changed since it was hashed."""
        if change := self.find_change():
            raise FileChangedError(change)


def read_unchanged(
    read: Callable[[WatchedFiles], T],
    hashes: FileHashes,
    report: Callable[[str], None],
    settled: Mapping[str, FileIdentity] = MappingProxyType({}),
) -> T:
    """Return the result of `read`; call it once more if a file has changed meanwhile.

    Parameters
    ----------
    read
        Gets the record of watched files, with which it must open all files. Before it keeps a result, it calls their
        `verify`.
    report
        Called with a sentence for the user before the second try.
    settled
        The states in which files were known to be complete; another state counts as a change at the first try.

    Raises
    ------
    DataError
        A file changed again during the second try, or cannot be read then.
    """
    first: str | None = None
    while True:
        files = WatchedFiles(hashes, settled)
        try:
            return read(files)
        except (Exception, pl.exceptions.PanicException) as error:
            # An error caused only by the change must not be reported as a fault of the file.
            change = str(error) if isinstance(error, FileChangedError) else files.find_change()
            if first is not None:
                raise _explain_second_failure(error, first, change) from error
            if change is None:
                raise
            first = change
            report(f"{change}; it is read once more")
            settled = files.wait_until_still()


def _explain_second_failure(error: BaseException, first: str, change: str | None) -> BaseException:
    """Return the error of the second try: the file changed again, or cannot be read, perhaps because it is unfinished.

    Any other error is returned as it is.
    """
    if change is not None:
        problem = f"{change}, and so it was at the first try"
    elif isinstance(error.__cause__, READ_ERRORS):
        problem = f"{first}, and at the second try it could not be read: {describe_error(error.__cause__)}"
    elif isinstance(error, DataError):
        problem = f"{first}, and at the second try: {error}"
    else:
        return error
    return DataError(
        f"{problem}. Is another process still writing it? Write to another name in the same folder, and rename the "
        "file when it is complete"
    )
