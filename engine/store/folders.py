"""The files beside the database: staged in a temporary folder, synced, then adopted whole or not at all.

Files and rows can't be one transaction, so the database is the journal: a folder's path stands in
`unfinished_folders` before the folder is renamed into place, and leaves it in the transaction that writes its row
(or, when removing, enters in the one that deletes it). What a killed process left in that table, or in `staging`, is
removed at the next opening, once no process is at work on files: all of them hold the lock `files` shared.
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
    """Return a folder name for any text: itself where that is safe everywhere, else with a hash of it."""
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
        return name
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{slug}.{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}"


class Folders(Database):
    """Temporary folders, and folders that belong to rows."""

    @contextmanager
    def staging(self) -> Iterator[Path]:
        """Give a temporary folder on the state's file system; removed at the end unless it was adopted."""
        with file_lock(self.folder, "files", shared=True):
            with in_words(self.folder):
                folder = self.folder / "staging" / secrets.token_hex(8)
                folder.mkdir()
            try:
                yield folder
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise  # the caller's own affair
                raise store_error(self.folder, *SYSTEM[error.errno], found=str(error)) from error
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _adopting(self, files: Path, choose: Callable[[Connection], str]) -> Iterator[tuple[Connection, str]]:
        """Move `files` to the path that `choose` finds free; give the transaction that is to write its row."""
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
                with suppress(StoreError):  # the first error is the one to tell; the next opening tries again
                    self._discard(path)
                raise

    def _discard(self, path: str) -> None:
        """Remove the folder at `path` if it has no row."""
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
        """Remove what killed processes left behind, unless some process is at work on files."""
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
    """Move a synced folder to `target`, whose parent may be new, so that it is there after a loss of power too."""
    target.parent.mkdir(parents=True, exist_ok=True)
    files.rename(target)
    _sync_one(target.parent)
    _sync_one(target.parent.parent)


def sync(files: Path) -> None:
    """Bring a tree of files to the disk, so that no rename can outlive their content."""
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
