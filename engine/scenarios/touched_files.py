"""A cache of file hashes that also finds touched files: written again with the same content.

That a file was only touched is known only while its new hash replaces the old one, so it is recorded at that moment.
"""

from engine.store.file_hashes import FileHashCache


class TouchedFileHashes:
    """The store's cache of file hashes. `touched` holds the paths of files with a new time but the same content."""

    def __init__(self, hashes: FileHashCache) -> None:
        self._hashes = hashes
        self.touched: set[str] = set()

    def get(self, path: str, size: int, mtime_ns: int) -> str | None:
        """Return the digest stored for a file of exactly this size and modification time, else None."""
        return self._hashes.get(path, size, mtime_ns)

    def put(self, path: str, size: int, mtime_ns: int, digest: str) -> None:
        """Store a digest; if it equals the earlier one of this path, the file was only touched."""
        if self._hashes.last_hash(path) == digest:
            self.touched.add(path)
        self._hashes.put(path, size, mtime_ns, digest)
