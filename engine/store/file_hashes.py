"""Hashes of files that have not changed since: size and modification time tell.

A file may be written twice within one tick of its file system's clock. So a hash of a file that was modified less
than two seconds before is not kept: the next run hashes it again.
"""

import time

from sqlalchemy import delete, insert, select

from engine.store.database import Database
from engine.store.tables import file_hashes

RACY_NS = 2_000_000_000


class FileHashes:
    """A cache of file hashes by path, size and modification time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, path: str, size: int, mtime_ns: int) -> str | None:
        """Return the hash of the file if it is still the one that was hashed."""
        row = (file_hashes.c.path == path) & (file_hashes.c.size == size) & (file_hashes.c.mtime_ns == mtime_ns)
        with self._database.reading() as connection:
            found: str | None = connection.scalar(select(file_hashes.c.hash).where(row))
        return found

    def last(self, path: str) -> str | None:
        """Return the hash that the file had when it was hashed last, whatever has become of it."""
        with self._database.reading() as connection:
            found: str | None = connection.scalar(select(file_hashes.c.hash).where(file_hashes.c.path == path))
        return found

    def put(self, path: str, size: int, mtime_ns: int, digest: str) -> None:
        """Keep the hash of a file, unless it was modified too recently to be told from its next version."""
        if time.time_ns() - mtime_ns < RACY_NS:
            return
        with self._database.writing() as connection:
            connection.execute(delete(file_hashes).where(file_hashes.c.path == path))
            connection.execute(insert(file_hashes).values(path=path, size=size, mtime_ns=mtime_ns, hash=digest))
