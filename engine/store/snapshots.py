"""What was seen of references, kept under a fingerprint of what was looked at: a cache that needs no rows.

A folder appears by one rename, whole, so a killed process leaves nothing half; two that make the same make it equal.
"""

from pathlib import Path

from engine.store.folders import Folders, move, sync
from engine.store.trouble import in_words


class Snapshots(Folders):
    """The kept snapshots."""

    def snapshot(self, fingerprint: str) -> Path | None:
        """Return the folder that was kept under this fingerprint."""
        folder = self.folder / "snapshots" / fingerprint
        return folder if folder.is_dir() else None

    def add_snapshot(self, fingerprint: str, files: Path) -> None:
        """Keep the folder `files` (from `staging`); one that is there already is as good."""
        with in_words(self.folder):
            sync(files)
            target = self.folder / "snapshots" / fingerprint
            try:
                move(files, target)
            except OSError:
                if not target.is_dir():
                    raise
