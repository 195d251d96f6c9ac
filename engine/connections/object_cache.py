"""Copies of the objects of a store in the state folder, which are then read as files.

A copy is identified by the ETag, version and size of its object and is fetched once. It has the path of the object
below a folder of its connection, so that fingerprints, partitions and messages are those of files. A copy is replaced
when its object has changed; readers detect that as with any file. Polars does not read the remote files itself: CSV is
read several times, and the bytes read must be those that were hashed.
"""

import fcntl
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from secrets import token_hex

from engine.atomic_files import replace_file
from engine.connections.object_store import ObjectFolder, StoredObject
from engine.errors import DataError

FETCHED_AT_ONCE = 8

SPARED_SECONDS = 3600.0
"""Copies used within this time are kept, even above the size limit: a run may be reading them."""


class ObjectCache:
    """The copies of one project.

    Parameters
    ----------
    folder
        The folder of the copies; created with the first one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fetch(self, source: ObjectFolder, root: Path, objects: Sequence[StoredObject], limit: int) -> int:
        """Copy objects to below `root` unless they are there already; return how many bytes were fetched.

        Parameters
        ----------
        limit
            Most bytes of all copies together; above it, the least recently used ones are removed.

        Raises
        ------
        ObjectChangedError
            An object has changed since it was listed.
        DataError
            An object cannot be fetched, or its copy cannot be written.
        """
        with self._hold(root), self._open_index() as index:
            known = dict(index.execute("SELECT path, state FROM objects WHERE root = ?", (root.name,)))
            absent = [one for one in objects if not _is_copied(root / one.path, known.get(one.path), one)]
            self._check_room(absent)
            with ThreadPoolExecutor(FETCHED_AT_ONCE) as pool:
                fetched = pool.map(lambda one: self._fetch_one(source, root, one), absent)
                try:
                    for one in fetched:
                        self._note(index, root, one)
                finally:
                    pool.shutdown(cancel_futures=True)
            now = time.time()
            index.executemany(
                "UPDATE objects SET used = ? WHERE root = ? AND path = ? AND used < ?",
                [(now, root.name, one.path, now - SPARED_SECONDS / 4) for one in objects],
            )
            self._sweep(index, limit, now)
        return sum(one.size for one in absent)

    def _fetch_one(self, source: ObjectFolder, root: Path, one: StoredObject) -> StoredObject:
        target = root / one.path
        part = self._stage(root)
        try:
            _make_place(source, one, target)
            source.download(one, part)
            with replace_file(target) as copy:
                part.rename(copy)
        except (IsADirectoryError, NotADirectoryError, FileExistsError):  # created at the same time
            raise _build_clash_error(source, one, target) from None
        finally:
            part.unlink(missing_ok=True)
        return one

    def adopt(self, root: Path, one: StoredObject, file: Path) -> None:
        """Use a file that was uploaded as the copy of its object."""
        with self._hold(root), self._open_index() as index:
            target = root / one.path
            target.parent.mkdir(parents=True, exist_ok=True)
            file.replace(target)
            self._note(index, root, one)

    def forget(self, root: Path, path: str) -> None:
        """Remove the copy of an object that no longer exists."""
        with self._hold(root), self._open_index() as index:
            index.execute("DELETE FROM objects WHERE root = ? AND path = ?", (root.name, path))
            (root / path).unlink(missing_ok=True)

    @contextmanager
    def stage(self, root: Path) -> Iterator[Path]:
        """Yield the path of a new file, which is removed at the end unless it was moved away."""
        with self._translate_errors():
            part = self._stage(root)
        try:
            yield part
        finally:
            part.unlink(missing_ok=True)

    def _stage(self, root: Path) -> Path:
        folder = self.folder / "parts"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{root.name}.{token_hex(8)}"

    def _note(self, index: sqlite3.Connection, root: Path, one: StoredObject) -> None:
        row = (root.name, one.path, one.state, one.size, time.time())
        index.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)", row)

    def _check_room(self, absent: Iterable[StoredObject]) -> None:
        needed, free = sum(one.size for one in absent), shutil.disk_usage(self.folder).free
        if needed > free:
            raise DataError(
                f"the objects have {needed:,} bytes, but the disk of {self.folder} has only {free:,} left: free some "
                "space, or read fewer of them"
            )

    def _sweep(self, index: sqlite3.Connection, limit: int, now: float) -> None:
        """Remove the least recently used copies, and leftovers of killed processes."""
        for part in (self.folder / "parts").glob("*"):
            with suppress(FileNotFoundError):
                if now - part.stat().st_mtime > SPARED_SECONDS:
                    part.unlink()
        size = index.execute("SELECT coalesce(sum(size), 0) FROM objects").fetchone()[0]
        old = index.execute(
            "SELECT root, path, size FROM objects WHERE used < ? ORDER BY used", (now - SPARED_SECONDS,)
        )
        for root, path, bytes_ in old.fetchall():
            if size <= limit:
                return
            (self.folder / root / path).unlink(missing_ok=True)
            index.execute("DELETE FROM objects WHERE root = ? AND path = ?", (root, path))
            size -= bytes_

    @contextmanager
    def _hold(self, root: Path) -> Iterator[None]:
        """Lock the copies of a connection, so that two processes that need the same objects fetch them once."""
        with self._translate_errors():
            root.mkdir(parents=True, exist_ok=True)
            with (self.folder / f"{root.name}.lock").open("wb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                yield

    @contextmanager
    def _open_index(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.folder / "index.db", timeout=60, isolation_level=None)) as index:
            index.execute("PRAGMA journal_mode = WAL")
            index.execute("PRAGMA synchronous = NORMAL")
            index.execute(
                "CREATE TABLE IF NOT EXISTS objects (root TEXT, path TEXT, state TEXT, size INTEGER, used REAL, "
                "PRIMARY KEY (root, path))"
            )
            yield index

    @contextmanager
    def _translate_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(f"{error.filename or self.folder} cannot be written: {error.strerror or error}") from error
        except sqlite3.Error as error:
            raise DataError(f"{self.folder / 'index.db'} cannot be used ({error}): remove {self.folder}") from error


def _is_copied(path: Path, state: str | None, one: StoredObject) -> bool:
    try:
        return state == one.state and path.stat().st_size == one.size
    except OSError:
        return False


def _make_place(source: ObjectFolder, one: StoredObject, target: Path) -> None:
    """Create the folder of a copy; raise a DataError if the names of two objects clash as file names."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.is_dir():
        raise _build_clash_error(source, one, target)


def _build_clash_error(source: ObjectFolder, one: StoredObject, target: Path) -> DataError:
    return DataError(
        f"{source.name(one.path)} cannot be copied to {target}, because another object has the name of its folder, or "
        f"is below it: rename one; if one is gone by now, remove {target.parent}"
    )
