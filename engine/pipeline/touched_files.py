"""A cache of file hashes that also finds touched files: rewritten with the same content.

A touched file is detected only when its new hash replaces the old one, so it is recorded at that moment.
"""

from engine.data import InMemoryFileHashes
from engine.file_identity import FileIdentity
from engine.store.file_hashes import FileHashCache


class TouchedFileHashes:
    """The store's cache of file hashes. `touched` has the paths of files with a new time but the same content.

    Hashes are also kept in memory: on a file system that records no changes, the identity of a file is valid only for
    this run.
    """

    def __init__(self, hashes: FileHashCache) -> None:
        self._hashes = hashes
        self._of_this_run = InMemoryFileHashes()
        self.touched: set[str] = set()

    def get(self, path: str, identity: FileIdentity) -> str | None:
        """Return the digest stored for a file of exactly this identity, or None."""
        digest = self._of_this_run.get(path, identity)
        if digest is None and (digest := self._hashes.get(path, identity)) is not None:
            self._of_this_run.put(path, identity, digest, settled=True)  # a run needs the same file many times
        return digest

    def put(self, path: str, identity: FileIdentity, digest: str, *, settled: bool) -> None:
        """Store a digest; if it equals the earlier one, the file was only touched."""
        if self._hashes.was_touched(path, identity, digest):
            self.touched.add(path)
        self._hashes.put(path, identity, digest, settled=settled)
        self._of_this_run.put(path, identity, digest, settled=settled)
