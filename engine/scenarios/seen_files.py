"""Hashes of files, with an eye on those that were written again and hold what they held.

To say "touched, its content is the same" the hash that is replaced has to be looked at before it is gone.
"""

from engine.store.file_hashes import FileHashes


class SeenFiles:
    """The store's cache of hashes. `touched` are the files that looked changed and were not."""

    def __init__(self, hashes: FileHashes) -> None:
        self._hashes = hashes
        self.touched: set[str] = set()

    def get(self, path: str, size: int, mtime_ns: int) -> str | None:
        """Return the digest remembered for exactly this state of the file."""
        return self._hashes.get(path, size, mtime_ns)

    def put(self, path: str, size: int, mtime_ns: int, digest: str) -> None:
        """Remember a digest, and whether it is the one from before."""
        if self._hashes.last(path) == digest:
            self.touched.add(path)
        self._hashes.put(path, size, mtime_ns, digest)
