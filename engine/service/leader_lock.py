"""The right to serve a project: one server at a time holds it, and the system releases it when that server ends."""

from pathlib import Path

from engine.errors import EngineError
from engine.service.watch.network_folders import find_network_type, read_mounts
from engine.store.errors import translate_errors
from engine.store.locks import SERVER_LOCK, lock_path, release_lock, try_lock


class LeaderLock:
    """The lock of a state folder that the server which serves it holds."""

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
        return self.is_held

    def release(self) -> None:
        """Let another server serve the project."""
        if self._lock is not None:
            release_lock(self._lock)
            self._lock = None


def refuse_network_folder(
    folder: Path, what: str = "state folder", remedy: str = "set `state: {path: …}` to a folder"
) -> None:
    """Check that a folder of a state, or of another database, is on a disk of this machine.

    Raises
    ------
    EngineError
        It is on a file system of a network, where neither locks nor the journal of the database hold.
    """
    kind = find_network_type(folder.resolve(), read_mounts())
    if kind is not None:
        raise EngineError(
            f"{what} {folder} is on a file system of type {kind}, where the locks of a server and the journal of "
            f"its database do not hold. What to do: {remedy} on a disk of this machine"
        )
