"""The counted rows of the latest batches of each dataset, as files: `rows/<dataset>/<number>-<fingerprint>`.

The numbers give the order in which batches were first measured, so that the previous batch is known although results of
unchanged batches are reused. The files need no rows in the database: without a file, a metric has no value, but never a
wrong one.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from engine.store.databases.database import Database
from engine.store.databases.errors import translate_errors
from engine.store.folders import Folders, move_folder, safe_name, sync_tree

KEPT_BATCHES = 3
"""Number of batches per dataset whose rows are kept: one to compare with, and two in case batches are remeasured."""


class BatchRows:
    """The counted rows of the latest batches of each dataset."""

    def __init__(self, database: Database, folders: Folders) -> None:
        self._database = database
        self._folders = folders

    def find_before(self, dataset: str, fingerprint: str) -> Path | None:
        """Return the file of the batch before the one with this fingerprint, by order of first measurement, or None.

        For a batch that was not measured yet, this is the newest one.
        """
        batches = self._list_batches(dataset)
        known = [place for place, folder in enumerate(batches) if _read_fingerprint(folder) == fingerprint]
        earlier = batches[: known[0]] if known else batches
        return earlier[-1] / "rows.npz" if earlier else None

    def add(self, dataset: str, fingerprint: str, save: Callable[[Path], None]) -> None:
        """Keep the rows of a batch, which `save` writes to a file, and remove those of the oldest batches."""
        batches = self._list_batches(dataset)
        if any(_read_fingerprint(folder) == fingerprint for folder in batches):
            return
        number = int(batches[-1].name.partition("-")[0]) + 1 if batches else 1
        with self._folders.stage() as files, translate_errors(self._database.folder):
            save(files / "rows.npz")
            sync_tree(files)
            target = self._database.folder / "rows" / safe_name(dataset) / f"{number:08}-{fingerprint}"
            try:
                move_folder(files, target)
            except OSError:
                if not target.is_dir():  # else another process has measured the same batch meanwhile
                    raise
            for old in self._list_batches(dataset)[:-KEPT_BATCHES]:
                shutil.rmtree(old, ignore_errors=True)  # another process may be removing it too

    def _list_batches(self, dataset: str) -> list[Path]:
        return find_rows_folders(self._database.folder, dataset)


def find_rows_folders(state: Path, dataset: str, fingerprint: str = "*") -> list[Path]:
    """Return the folders with the counted rows of a dataset's batches, in the order in which they were measured."""
    folder = state / "rows" / safe_name(dataset)
    return sorted(folder.glob(f"[0-9]*-{fingerprint}")) if folder.is_dir() else []


def _read_fingerprint(folder: Path) -> str:
    return folder.name.partition("-")[2]
