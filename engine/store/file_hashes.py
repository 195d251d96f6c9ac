"""A cache of file hashes. A file counts as unchanged while its size and modification time are the same.

A file can be written twice within one tick of its file system's clock, without a visible change of its time. So the
hash of a file that was modified less than two seconds ago is not kept, and the next run hashes the file again.
"""

import time

from sqlalchemy import delete, insert, select

from engine.store.database import Database
from engine.store.tables import file_hashes

RACY_WINDOW_NS = 2_000_000_000


class FileHashCache:
    """A cache of file hashes by path, size and modification time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, path: str, size: int, mtime_ns: int) -> str | None:
        """Return the hash of the file, or None if the file is new or has changed."""
        row = (file_hashes.c.path == path) & (file_hashes.c.size == size) & (file_hashes.c.mtime_ns == mtime_ns)
        with self._database.begin_read() as connection:
            found: str | None = connection.scalar(select(file_hashes.c.hash).where(row))
        return found

    def last_hash(self, path: str) -> str | None:
        """Return the hash that was last computed for that path, even if the file has changed or is gone."""
        with self._database.begin_read() as connection:
            found: str | None = connection.scalar(select(file_hashes.c.hash).where(file_hashes.c.path == path))
        return found

    def put(self, path: str, size: int, mtime_ns: int, digest: str) -> None:
        """Keep the hash of a file, unless the file was modified so recently that a later change could go unnoticed."""
        if time.time_ns() - mtime_ns < RACY_WINDOW_NS:
            return
        with self._database.begin_write() as connection:
            connection.execute(delete(file_hashes).where(file_hashes.c.path == path))
            connection.execute(insert(file_hashes).values(path=path, size=size, mtime_ns=mtime_ns, hash=digest))
