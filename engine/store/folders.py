"""The folders beside the database: written in a staging folder, synced, then renamed into place.

Files and rows cannot change in one transaction, so the database serves as the journal. Adding: the folder's path is
inserted into `unfinished_folders`, the folder is renamed into place, and one transaction deletes the path and inserts
the row that owns the folder. Removing: one transaction deletes the row and inserts the path, then the folder is
deleted. Every process that works on files holds the lock `files` shared. When a state is opened and no process holds
that lock, the paths in `unfinished_folders` and the folders in `staging` belong to killed processes and are removed.
"""

import errno
import hashlib
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, delete, insert, select

from engine.atomic_files import sync_path
from engine.errors import StoreError
from engine.store.databases.database import Database, split_rows
from engine.store.databases.errors import ERRNO_CAUSES, build_store_error, translate_errors
from engine.store.locks import hold_file_lock, release_lock, try_lock
from engine.store.tables import unfinished_folders

SUBFOLDERS = ("models", "evaluations", "snapshots", "rows", "runs", "locks", "staging")


def safe_name(name: str) -> str:
    """Return a folder name for any text: the text itself if it is safe on every file system, else a slug and a hash."""
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", name):
        return name
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40]
    return f"{slug}.{hashlib.blake2b(name.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"


class Folders:
    """Staging folders, and folders that belong to rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @contextmanager
    def stage(self) -> Iterator[Path]:
        """Yield a temporary folder on the state's file system; it is removed at the end unless it was moved away."""
        with hold_file_lock(self._database.folder, "files", shared=True):
            with translate_errors(self._database.folder):
                folder = self._database.folder / "staging" / secrets.token_hex(8)
                folder.mkdir()
            try:
                yield folder
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                    raise  # an error in the files of the caller
                raise build_store_error(self._database.folder, *ERRNO_CAUSES[error.errno], found=str(error)) from error
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def adopt(self, files: Path, choose: Callable[[Connection], str]) -> Iterator[tuple[Connection, str]]:
        """Move `files` to the path that `choose` returns; yield the transaction that must insert the folder's row."""
        with self._adopt(lambda connection: {choose(connection): files}) as (connection, paths):
            yield connection, paths[0]

    @contextmanager
    def adopt_all(self, folders: Mapping[str, Path]) -> Iterator[Connection]:
        """Move folders to the paths that are their keys, and yield the transaction that must insert their rows."""
        with self._adopt(lambda _: folders) as (connection, _):
            yield connection

    @contextmanager
    def _adopt(self, choose: Callable[[Connection], Mapping[str, Path]]) -> Iterator[tuple[Connection, list[str]]]:
        with hold_file_lock(self._database.folder, "files", shared=True):
            with self._database.begin_write() as connection:
                folders = choose(connection)
                paths = list(folders)
                for path in paths:
                    if (self._database.folder / path).exists():
                        raise build_store_error(
                            self._database.folder, f"{path} is already there", "move it away, then run again"
                        )
                    connection.execute(insert(unfinished_folders).values(path=path))
            try:
                with translate_errors(self._database.folder):
                    for path, files in folders.items():
                        sync_tree(files)
                        move_folder(files, self._database.folder / path)
                with self._database.begin_write() as connection:
                    yield connection, paths
                    connection.execute(delete(unfinished_folders).where(unfinished_folders.c.path.in_(paths)))
            except Exception:
                with suppress(StoreError):  # report the first error; the next opening removes the folders
                    for path in paths:
                        self.discard(path)
                raise

    @contextmanager
    def remove(self) -> Iterator[tuple[Connection, list[str]]]:
        """Yield a transaction, which deletes rows that own folders, and a list, to which it adds the folders' paths.

        The paths are recorded in that transaction, and the folders are removed after it. If this process is killed
        meanwhile, the next opening removes them.
        """
        paths: list[str] = []
        with hold_file_lock(self._database.folder, "files", shared=True):
            with self._database.begin_write() as connection:
                yield connection, paths
                known = set(connection.scalars(select(unfinished_folders.c.path)))  # recorded by a killed process
                if new := [{"path": path} for path in paths if path not in known]:
                    connection.execute(insert(unfinished_folders), new)
            self._discard_folders(paths)

    def _discard_folders(self, paths: Sequence[str]) -> None:
        with translate_errors(self._database.folder):
            for path in paths:
                if (self._database.folder / path).exists():
                    shutil.rmtree(self._database.folder / path)
        with self._database.begin_write() as connection:
            for some in split_rows(paths):
                connection.execute(delete(unfinished_folders).where(unfinished_folders.c.path.in_(some)))

    def discard(self, path: str) -> None:
        """Remove the folder at `path` if it is listed as unfinished."""
        with self._database.begin_read() as connection:
            listed = connection.scalar(select(unfinished_folders.c.path).where(unfinished_folders.c.path == path))
        if listed is None:
            return
        self._discard_folders([path])

    def remove_leftovers(self) -> None:
        """Remove the folders that killed processes left, unless a process is working on files now."""
        left = self._list_unfinished()
        with translate_errors(self._database.folder):
            staged = list((self._database.folder / "staging").iterdir())
            if not left and not staged:
                return
            lock = try_lock(self._database.folder / "locks" / "files.lock")
        if lock is None:
            return
        try:
            self._discard_folders(self._list_unfinished())  # not `left`: another process may have finished its own
            for folder in staged:
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            release_lock(lock)

    def _list_unfinished(self) -> list[str]:
        with self._database.begin_read() as connection:
            return list(connection.scalars(select(unfinished_folders.c.path)))


def move_folder(files: Path, target: Path) -> None:
    """Move a synced folder to `target`, whose parent may be new, so that the move survives a loss of power."""
    target.parent.mkdir(parents=True, exist_ok=True)
    files.rename(target)
    sync_path(target.parent)
    sync_path(target.parent.parent)


def sync_tree(files: Path) -> None:
    """Sync a tree of files to the disk, so that a rename never survives a loss of power without their content."""
    for parent, _, names in os.walk(files):
        for name in names:
            sync_path(Path(parent, name))
        sync_path(Path(parent))
