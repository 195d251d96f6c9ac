"""The lock that a server holds to serve a project; the operating system releases it when the server ends."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.errors import EngineError
from engine.service.watch.network_folders import find_network_type, read_mounts
from engine.store import utc_now
from engine.store.databases.errors import translate_errors
from engine.store.locks import SERVER_LOCK, Locks, lock_path, release_lock, try_lock


@dataclass(frozen=True, slots=True)
class Leader:
    """The server of a project: its process id, and the revision of the deployment that it serves.

    The revision is None before the server evaluates triggers, and 0 for a project that is not deployed.
    """

    pid: int
    revision: int | None


def find_leader(folder: Path) -> Leader | None:
    """Return the server that serves the project of a state folder; None if there is none."""
    if not Locks(folder, utc_now).is_held(SERVER_LOCK):
        return None
    try:
        found = json.loads(lock_path(folder, SERVER_LOCK).read_text(encoding="utf-8"))
        return Leader(found["pid"], found["revision"])
    except (OSError, ValueError, TypeError, KeyError):  # not written yet
        return Leader(0, None)


class LeaderLock:
    """The lock of a state folder for its server. The lock file contains the process id and the revision."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this server holds the lock."""
        return self._lock is not None

    def try_take(self) -> bool:
        """Take the lock if no other server holds it; return whether this one does now.

        Raises
        ------
        StoreError
            The folder cannot be used.
        """
        if self._lock is None:
            with translate_errors(self.folder):
                path = lock_path(self.folder, SERVER_LOCK)
                path.parent.mkdir(parents=True, exist_ok=True)
                self._lock = try_lock(path)
                self.note_revision(None)
        return self.is_held

    def note_revision(self, revision: int | None) -> None:
        """Write the revision that this server serves into the lock file."""
        if self._lock is not None:
            with translate_errors(self.folder):
                os.ftruncate(self._lock, 0)
                os.pwrite(self._lock, json.dumps(asdict(Leader(os.getpid(), revision))).encode(), 0)

    def release(self) -> None:
        """Let another server serve the project."""
        if self._lock is not None:
            release_lock(self._lock)
            self._lock = None


def refuse_network_folder(
    folder: Path,
    what: str = "state folder",
    remedy: str = "set `state: {path: …}` to a folder",
    mounts: dict[Path, str] | None = None,
) -> None:
    """Check that a folder with a database is on a disk of this machine.

    Parameters
    ----------
    mounts
        The type of the file system at each mount point; by default those of this machine.

    Raises
    ------
    EngineError
        The folder is on a network file system, where file locks and the journal of the database are not reliable.
    """
    kind = find_network_type(folder.resolve(), read_mounts() if mounts is None else mounts)
    if kind is not None:
        raise EngineError(
            f"{what} {folder} is on a file system of type {kind}, where the locks of a server and the journal of "
            f"its database do not hold. What to do: {remedy} on a disk of this machine"
        )
