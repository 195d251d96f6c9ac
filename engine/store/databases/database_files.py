"""The SQLite files of a state: tests whether they can be written, and copies them.

SQLite's backup copies the rows, so a copy is consistent even while another process writes.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from engine.store.databases.errors import build_store_error, check_database_file, translate_errors

COPY_TRIES = 5


def is_writable_state(folder: Path) -> bool:
    """Return whether this user can write a state in `folder`, which need not exist yet."""
    existing = folder.absolute()
    exists = os.path.exists  # Path.exists raises in a closed folder
    while not exists(existing) and existing != existing.parent:
        existing = existing.parent
    files = [path for path in (folder / "state.db", folder / "locks", folder / "staging") if exists(path)]
    return os.access(existing, os.W_OK | os.X_OK) and all(os.access(path, os.R_OK | os.W_OK) for path in files)


def copy_database(folder: Path, copy: Path) -> None:
    """Copy the rows of the state in `folder`, if it has any yet, into the folder `copy`.

    Raises
    ------
    StoreError
        The rows cannot be read.
    """
    check_database_file(folder)
    with translate_errors(folder, reading=True):
        if (folder / "state.db").exists():
            _copy_rows(folder / "state.db", copy / "state.db")


def _copy_rows(source: Path, target: Path) -> None:
    try:
        with closing(sqlite3.connect(source)) as rows, closing(sqlite3.connect(target)) as copy:
            rows.backup(copy)
    except sqlite3.OperationalError as error:
        # SQLite must write files beside a database even to read it. If it cannot, this user cannot write there, but
        # another user or machine may, so the files are copied until they did not change meanwhile.
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise
        _copy_files(source, target)


def _copy_files(source: Path, target: Path) -> None:
    """Copy a database with its write-ahead log, which contains the last commits."""
    files = {Path(f"{source}{part}"): Path(f"{target}{part}") for part in ("", "-wal")}
    for _ in range(COPY_TRIES):
        before = _stat_files(files)
        for path, copy in files.items():
            copy.unlink(missing_ok=True)
            if path.exists():
                shutil.copyfile(path, copy)
        if _stat_files(files) == before:
            return
    raise build_store_error(source.parent, "state.db is being written, and cannot be copied", "try again later")


def _stat_files(files: Iterable[Path]) -> list[tuple[int, int] | None]:
    states = [path.stat() if path.exists() else None for path in files]
    return [state and (state.st_size, state.st_mtime_ns) for state in states]
