"""A temporary copy of the state, in which plans and dry runs write: the state itself never changes.

Files of the state are never rewritten, so links to them suffice. A read-only mode of the store was rejected because
one forgotten write would be enough to break it.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from engine.store.database_files import copy_database
from engine.store.errors import name_original, translate_errors

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
        copy_database(folder, copy)
        with translate_errors(folder):
            for part in COPIED_FOLDERS:
                if (folder / part).is_dir():
                    shutil.copytree(folder / part, copy / part, copy_function=os.symlink)
        with name_original(copy, folder):
            yield copy
