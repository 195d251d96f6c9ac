"""Fingerprints of files: BLAKE2b digests of their bytes, independent of paths, names and times.

A digest is cached by path and identity (see `engine.file_identity`), so that an unchanged file is not read again.
"""

import os
import time
from pathlib import Path
from typing import Protocol

from engine.digests import digest_stream
from engine.errors import DataError
from engine.file_identity import FileIdentity


class FileChangedError(DataError):
    """A file changed between its hashing and the end of its reading."""


class FileHashes(Protocol):
    """Cache of the digests of files, by path and identity."""

    def get(self, path: str, identity: FileIdentity) -> str | None:
        """Return the cached digest of exactly this state of the file, or None."""

    def put(self, path: str, identity: FileIdentity, digest: str, *, settled: bool) -> None:
        """Store a digest. If not `settled`, the file may already have other content with the same identity."""


class InMemoryFileHashes(dict[tuple[str, FileIdentity], str]):
    """Cache of file digests in memory, for the lifetime of the object."""

    def get(self, path: str, identity: FileIdentity) -> str | None:  # type: ignore[override]  # not by key
        return super().get((path, identity))

    def put(self, path: str, identity: FileIdentity, digest: str, *, settled: bool) -> None:
        if settled:
            self[path, identity] = digest


def hash_file(path: Path, hashes: FileHashes) -> str:
    """Return the digest of a file's bytes, from the cache if the file is unchanged.

    Raises
    ------
    FileChangedError
        The file was changed while it was hashed.
    """
    now = time.time_ns()
    digest = hashes.get(str(path), FileIdentity.from_stat(path.stat()))
    if digest is None:
        with path.open("rb") as file:
            identity = FileIdentity.from_stat(os.fstat(file.fileno()))
            digest = digest_stream(file)
            if FileIdentity.from_stat(os.fstat(file.fileno())) != identity:
                raise FileChangedError(f"{path} changed while it was read")
        hashes.put(str(path), identity, digest, settled=identity.is_settled(now))
    return digest
