"""A temporary copy of the state, in which plans and dry runs write: the state itself never changes.

SQLite's backup copies the rows, so the copy is consistent even while another process writes. Files of the state are
never rewritten, so links to them suffice. A read-only mode of the store was rejected because one forgotten write
would be enough to break it.
"""

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.store.errors import translate_errors

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
        with translate_errors(folder):
            if (folder / "state.db").exists():
                _copy_rows(folder / "state.db", copy / "state.db")
            for part in COPIED_FOLDERS:
                if (folder / part).is_dir():
                    shutil.copytree(folder / part, copy / part, copy_function=os.symlink)
        yield copy


def _copy_rows(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as rows, closing(sqlite3.connect(target)) as copy:
        rows.backup(copy)
