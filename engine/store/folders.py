"""The folders beside the database: written in a staging folder, synced, then renamed into place.

Files and rows cannot change in one transaction, so the database serves as the journal. Adding: the folder's path is
inserted into `unfinished_folders`, the folder is renamed into place, and one transaction deletes the path and inserts
the row that owns the folder. Removing: one transaction deletes the row and inserts the path, then the folder is
deleted. Every process that works on files holds the lock `files` shared. When a state is opened and nobody holds that
lock, the paths in `unfinished_folders` and the folders in `staging` belong to killed processes and are removed.
"""

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select

from engine.errors import StoreError
from engine.store.database import Database
from engine.store.locks import file_lock, try_lock
from engine.store.tables import unfinished_folders
from engine.store.trouble import SYSTEM, in_words, store_error

LAYOUT = ("models", "evaluations", "snapshots", "runs", "locks", "staging")


def safe_name(name: str) -> str:
    """Return a folder name for any text: the text itself if it is safe on every file system, else a slug and a hash."""
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
        return name
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{slug}.{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}"


class Folders(Database):
    """Staging folders, and folders that belong to rows."""

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Give a temporary folder on the state's file system; it is removed at the end unless it was moved away."""
        with file_lock(self.folder, "files", shared=True):
            with in_words(self.folder):
                folder = self.folder / "staging" / secrets.token_hex(8)
                folder.mkdir()
            try:
                yield folder
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise  # an error of the caller's own files
                raise store_error(self.folder, *SYSTEM[error.errno], found=str(error)) from error
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _adopting(self, files: Path, choose: Callable[[Connection], str]) -> Iterator[tuple[Connection, str]]:
        """Move `files` to the path that `choose` returns; give the transaction that must insert its row."""
        with file_lock(self.folder, "files", shared=True):
            with in_words(self.folder):
                sync(files)
            with self.writing() as connection:
                path = choose(connection)
                target = self.folder / path
                if target.exists():
                    raise store_error(self.folder, f"{path} is already there", "move it away, then run again")
                connection.execute(insert(unfinished_folders).values(path=path))
            try:
                with in_words(self.folder):
                    move(files, target)
                with self.writing() as connection:
                    yield connection, path
                    connection.execute(delete(unfinished_folders).where(unfinished_folders.c.path == path))
            except Exception:
                with suppress(StoreError):  # report the first error; the next opening removes the folder
                    self._discard(path)
                raise

    def _discard(self, path: str) -> None:
        """Remove the folder at `path` if it is listed as unfinished."""
        with self.reading() as connection:
            known = connection.scalar(select(unfinished_folders.c.path).where(unfinished_folders.c.path == path))
        if known is None:
            return
        with in_words(self.folder):
            if (self.folder / path).exists():
                shutil.rmtree(self.folder / path)
        with self.writing() as connection:
            connection.execute(delete(unfinished_folders).where(unfinished_folders.c.path == path))

    def _sweep(self) -> None:
        """Remove what killed processes left, unless a process is working on files now."""
        with self.reading() as connection:
            left = list(connection.scalars(select(unfinished_folders.c.path)))
        with in_words(self.folder):
            staged = list((self.folder / "staging").iterdir())
            if not left and not staged:
                return
            lock = try_lock(self.folder / "locks" / "files.lock")
        if lock is None:
            return
        try:
            for path in left:
                self._discard(path)
            for folder in staged:
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)


def move(files: Path, target: Path) -> None:
    """Move a synced folder to `target`, whose parent may be new, so that the move survives a loss of power."""
    target.parent.mkdir(parents=True, exist_ok=True)
    files.rename(target)
    _sync_one(target.parent)
    _sync_one(target.parent.parent)


def sync(files: Path) -> None:
    """Write a tree of files to the disk, so that a later rename never survives without their content."""
    for parent, _, names in os.walk(files):
        for name in names:
            _sync_one(Path(parent, name))
        _sync_one(Path(parent))


def _sync_one(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
