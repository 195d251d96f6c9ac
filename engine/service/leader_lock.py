"""The right to serve a project: one server at a time holds it, and the system releases it when that server ends."""

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
    """The server that serves a project: its process, and the revision of the deployment whose triggers it looks at.

    None: it looks at none yet. 0: the project is not deployed.
    """

    pid: int
    revision: int | None


def find_leader(folder: Path) -> Leader | None:
    """Return the server that serves the project of a state folder; None if none does."""
    if not Locks(folder, utc_now).is_held(SERVER_LOCK):
        return None
    try:
        found = json.loads(lock_path(folder, SERVER_LOCK).read_text(encoding="utf-8"))
        return Leader(found["pid"], found["revision"])
    except (OSError, ValueError, TypeError, KeyError):  # it has not written that yet
        return Leader(0, None)


class LeaderLock:
    """The lock of a state folder that the server which serves it holds. Its file says which spec that server uses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether this server is the one that serves the project."""
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
        """Write which revision this server looks at the triggers of."""
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
    """Check that a folder of a state, or of another database, is on a disk of this machine.

    Parameters
    ----------
    mounts
        The type of the file system at each mount point; by default those of this machine.

    Raises
    ------
    EngineError
        It is on a file system of a network, where neither locks nor the journal of the database hold.
    """
    kind = find_network_type(folder.resolve(), read_mounts() if mounts is None else mounts)
    if kind is not None:
        raise EngineError(
            f"{what} {folder} is on a file system of type {kind}, where the locks of a server and the journal of "
            f"its database do not hold. What to do: {remedy} on a disk of this machine"
        )
