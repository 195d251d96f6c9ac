"""A cache of file hashes. A file counts as unchanged while its identity (see `engine.file_identity`) is the same.

If the identity cannot be trusted, the hash is stored without the ctime: it then only shows what was read last, and the
next run hashes the file again. This concerns files that were changed just before they were hashed, and file systems
that do not record changes.
"""

from sqlalchemy import delete, insert, select

from engine.file_identity import FileIdentity
from engine.store.databases.database import Database
from engine.store.tables import file_hashes


class FileHashCache:
    """A cache of file hashes by path and identity."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, path: str, identity: FileIdentity) -> str | None:
        """Return the hash of the file, or None if the file is new or has changed."""
        row = [file_hashes.c[name] == value for name, value in _make_row(path, identity).items()]
        with self._database.begin_read() as connection:
            found: str | None = connection.scalar(select(file_hashes.c.hash).where(*row))
        return found

    def was_touched(self, path: str, identity: FileIdentity, digest: str) -> bool:
        """Return whether the file was hashed before with another modification time, but the same hash."""
        with self._database.begin_read() as connection:
            last = connection.execute(select(file_hashes).where(file_hashes.c.path == path)).first()
        return last is not None and last.hash == digest and last.mtime_ns != identity.mtime_ns

    def put(self, path: str, identity: FileIdentity, digest: str, *, settled: bool) -> None:
        """Store the hash of a file, with its whole identity only if that would show any later change.

        Nothing is stored in a state that is only read.
        """
        row = _make_row(path, identity)
        if not (settled and identity.has_own_change_time):
            row["ctime_ns"] = None
        if self._database.unwritable is not None or self._database.read_only:
            return
        with self._database.begin_write() as connection:
            connection.execute(delete(file_hashes).where(file_hashes.c.path == path))
            connection.execute(insert(file_hashes).values(**row, hash=digest))


def _make_row(path: str, identity: FileIdentity) -> dict[str, str | int | None]:
    """Return the columns that identify a file."""
    return {"path": path, **identity._asdict(), "inode": str(identity.inode)}
