"""A cache of snapshots of references, in folders named by fingerprint. It needs no rows in the database.

A folder appears by one rename, so a killed process never leaves half of it. Two processes that write the same
fingerprint write the same content.
"""

from pathlib import Path

from engine.store.folders import Folders, move, sync
from engine.store.trouble import in_words


class Snapshots(Folders):
    """The cached snapshots of references."""

    def snapshot(self, fingerprint: str) -> Path | None:
        """Return the folder of this fingerprint, or None."""
        folder = self.folder / "snapshots" / fingerprint
        return folder if folder.is_dir() else None

    def add_snapshot(self, fingerprint: str, files: Path) -> None:
        """Move the folder `files` (from `staging`) into the cache; an existing folder of that fingerprint is kept."""
        with in_words(self.folder):
            sync(files)
            target = self.folder / "snapshots" / fingerprint
            try:
                move(files, target)
            except OSError:
                if not target.is_dir():
                    raise
