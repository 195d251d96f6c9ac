"""A cache of snapshots of references, in folders named by fingerprint. It needs no rows in the database.

A folder is renamed into place, so a killed process never leaves an incomplete one. Two processes that write the same
fingerprint write the same content.
"""

import shutil
from pathlib import Path

from engine.store.databases.database import Database
from engine.store.databases.errors import translate_errors
from engine.store.folders import move_folder, sync_tree


class Snapshots:
    """The cached snapshots of references."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, fingerprint: str) -> Path | None:
        """Return the folder of this fingerprint, or None."""
        folder = self._database.folder / "snapshots" / fingerprint
        return folder if folder.is_dir() else None

    def add(self, fingerprint: str, files: Path) -> None:
        """Move the folder `files` (from `staging`) into the cache; an existing folder of that fingerprint is kept."""
        with translate_errors(self._database.folder):
            sync_tree(files)
            target = self._database.folder / "snapshots" / fingerprint
            if target.is_file():  # not written by the engine
                target.unlink()
            try:
                move_folder(files, target)
            except OSError:
                if not target.is_dir():
                    raise

    def remove(self, fingerprint: str) -> None:
        """Remove a damaged snapshot, so that it is made again."""
        with translate_errors(self._database.folder):
            folder = self._database.folder / "snapshots" / fingerprint
            if folder.is_dir():
                shutil.rmtree(folder)
