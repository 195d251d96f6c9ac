"""A temporary copy of the state, in which dry runs write: the state itself never changes.

SQLite's backup copies the rows, so the copy is consistent even while another process writes. Files of the state are
never rewritten, so links to them suffice. A read-only mode of the store was rejected because one forgotten write
would be enough to break it.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.store.errors import build_store_error, check_database_file, name_original, translate_errors

COPY_TRIES = 5
COPIED_FOLDERS = ("models", "evaluations", "snapshots", "rows")


@contextmanager
def copy_state(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder with a copy of the state in `folder`, without runs and locks; it is removed at exit.

    Raises
    ------
    StoreError
        The state cannot be read.
    """
    folder = folder.absolute()
    with TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True) as temporary:
        copy = Path(temporary)
        check_database_file(folder)
        with translate_errors(folder):
            if (folder / "state.db").exists():
                _copy_rows(folder / "state.db", copy / "state.db")
            for part in COPIED_FOLDERS:
                if (folder / part).is_dir():
                    shutil.copytree(folder / part, copy / part, copy_function=os.symlink)
        with name_original(copy, folder):
            yield copy


def is_writable_state(folder: Path) -> bool:
    """Tell whether this user can write a state in `folder`, which need not exist yet."""
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    files = [path for path in (folder / "state.db", folder / "locks", folder / "staging") if path.exists()]
    return os.access(existing, os.W_OK | os.X_OK) and all(os.access(path, os.R_OK | os.W_OK) for path in files)


def _copy_rows(source: Path, target: Path) -> None:
    try:
        with closing(sqlite3.connect(source)) as rows, closing(sqlite3.connect(target)) as copy:
            rows.backup(copy)
    except sqlite3.OperationalError as error:
        # SQLite needs to write beside a database to read it. Where it cannot, there is no writer here either; one of
        # another machine or user may write meanwhile, so the files are copied until they stay the same.
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise
        _copy_files(source, target)


def _copy_files(source: Path, target: Path) -> None:
    """Copy a database with its write-ahead log, which holds what was committed last."""
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
