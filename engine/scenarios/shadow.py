"""A copy of the state to plan and to try on: whatever happens in it, the state itself stays as it is.

Rows are copied by SQLite itself, so that a copy made while others write is whole. Files are never rewritten once they
are there, so links to them will do. Teaching every part of the store not to write was refused: one place forgotten
would be enough.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.store.trouble import in_words

KEPT = ("models", "evaluations", "snapshots")


@contextmanager
def shadow(folder: Path) -> Iterator[Path]:
    """Give a folder that holds what the state in `folder` holds, but for runs and locks; it is removed at exit.

    Raises
    ------
    StoreError
        The state cannot be read.
    """
    folder = folder.absolute()
    with TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True) as temporary:
        copy = Path(temporary)
        with in_words(folder):
            if (folder / "state.db").exists():
                _copy_rows(folder / "state.db", copy / "state.db")
            for part in KEPT:
                if (folder / part).is_dir():
                    shutil.copytree(folder / part, copy / part, copy_function=os.symlink)
        yield copy


def _copy_rows(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as rows, closing(sqlite3.connect(target)) as copy:
        rows.backup(copy)
