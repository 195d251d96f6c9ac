"""The folders of a deployment, and the link to its active revision.

    <infrastructure>/bundles/<id>.zip, staging/
    <infrastructure>/deployments/<slug>/releases/<id>/, revisions/<n>.yaml, current.yaml, home/, state/

The link is replaced by a rename, so exactly one revision is active at any moment, even after a crash.
"""

import os
import re
from contextlib import suppress
from pathlib import Path

from engine.atomic_files import replace_file, sync_path
from engine.bundles.extraction import remove_extracted
from engine.spec.revisions.revision_file import RELEASES_FOLDER, REVISIONS_FOLDER, Revision
from engine.store import safe_name

NODE_FILE = "node.db"
"""The database of an infrastructure, with its current and earlier deployments; it marks the folder."""

POINTER = "current.yaml"


class DeploymentPlaces:
    """The folders of one deployment.

    Parameters
    ----------
    node_folder
        The folder of the infrastructure.
    deployment
        The name of the deployment.
    """

    def __init__(self, node_folder: Path, deployment: str) -> None:
        self.node_folder = node_folder
        self.folder = node_folder / "deployments" / safe_name(deployment)
        self.releases = self.folder / RELEASES_FOLDER
        self.revisions = self.folder / REVISIONS_FOLDER
        self.pointer = self.folder / POINTER
        self.home = self.folder / "home"
        self.state = self.folder / "state"

    def archive_of(self, bundle: str) -> Path:
        """Return the path of a bundle's archive."""
        return self.node_folder / "bundles" / f"{bundle}.zip"

    def release_of(self, bundle: str) -> Path:
        """Return the folder with the extracted files of a bundle."""
        return self.releases / bundle

    def revision_of(self, number: int) -> Path:
        """Return the file of a revision."""
        return self.revisions / f"{number}.yaml"

    def write_revision(self, revision: Revision) -> Path:
        """Write the file of a revision and return its path; raise OSError if that fails."""
        for folder in (self.revisions, self.home, self.state):
            folder.mkdir(parents=True, exist_ok=True)
        path = self.revision_of(revision.number)
        with replace_file(path) as part:
            part.write_text(revision.to_text(), encoding="utf-8")
        return path

    def read_pointer(self) -> int | None:
        """Return the number of the active revision; None if there is none."""
        try:
            found = re.fullmatch(rf"{REVISIONS_FOLDER}/([0-9]+)\.yaml", str(self.pointer.readlink()))
        except OSError:  # there is no link
            return None
        return int(found[1]) if found else None

    def find_newest_revision(self) -> Path | None:
        """Return the file of the newest revision; None if there is none."""
        numbered = [one for one in self.revisions.glob("*.yaml") if one.stem.isdigit()]
        return max(numbered, key=lambda path: int(path.stem), default=None)

    def list_parts(self, *, without_state: bool) -> list[Path]:
        """Return the paths in the folder of the deployment; `without_state` leaves out those of its state."""
        return [one for one in self.folder.glob("*") if not (without_state and one == self.state)]

    def move_pointer(self, number: int) -> None:
        """Activate a revision; raise OSError if that fails."""
        part = self.pointer.with_name(f".{POINTER}.{os.getpid()}")
        part.unlink(missing_ok=True)
        part.symlink_to(f"{REVISIONS_FOLDER}/{number}.yaml")
        part.replace(self.pointer)
        sync_path(self.folder)

    def sweep_unfinished(self) -> None:
        """Remove unfinished files of killed processes; the caller holds the lock of the deployment."""
        for folder in (self.folder, self.revisions, self.releases):
            for left in folder.glob(".*"):
                if left.is_dir() and not left.is_symlink():
                    with suppress(FileNotFoundError):
                        remove_extracted(left)
                else:
                    left.unlink(missing_ok=True)
