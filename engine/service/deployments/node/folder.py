"""What the folder of a node receives and loses while its server answers: bundles come, bundles and deployments go.

A bundle is in `staging/` until every byte of it was checked, then it is moved into place; its row is written before.
What is removed is moved into `staging/` first, which takes a moment however large it is, and removed by a thread.
"""

import fcntl
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from engine.atomic_files import sync_path
from engine.bundles.archive_checks import read_signatures, verify_archive
from engine.bundles.archive_records import MOST_ARCHIVE_BYTES
from engine.bundles.extraction import remove_extracted
from engine.bundles.registry import brings_signatures
from engine.bundles.signatures import load_trusted_keys
from engine.errors import BundleError, EngineError, UsageError
from engine.formatting.numbers import format_bytes
from engine.service.deployments.bundle_retention import list_used_bundles, remove_bundle, remove_spare_bundles
from engine.service.deployments.places import DeploymentPlaces
from engine.service.deployments.release_retention import has_running_runs
from engine.service.deployments.removal import find_server_rows, remove_rows
from engine.spec.reading.node_file import NodeSpec
from engine.store.node import Node, ReceivedBundle

SPARE_BYTES = 256 * 1024**2
"""So much must stay free on the disk: databases and logs need it."""

UPLOAD, DELETED = "upload-", "deleted-"
LOCK_SECONDS = 1.0


class NoRoomError(EngineError):
    """The disk has no room for a bundle."""


class Upload:
    """A bundle that comes, in a folder of its own; nothing of it is used before it was checked."""

    def __init__(self, staging: Path, id_: str) -> None:
        self.id = id_
        self.folder = staging / f"{UPLOAD}{secrets.token_hex(8)}"
        self.folder.mkdir()
        self.path = self.folder / f"{id_}.zip"
        self._file = self.path.open("xb")
        fcntl.flock(self._file, fcntl.LOCK_EX)  # so that nobody takes it for one that was left

    def write(self, part: bytes) -> None:
        """Write the next bytes; raises NoRoomError if they would fill the disk."""
        _require_room(self.folder, len(part))
        self._file.write(part)

    def finish(self) -> None:
        """Bring what was written to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def remove(self) -> None:
        """Remove what is left of it."""
        self._file.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class NodeFolder:
    """The folder of a node; `get_settings` returns the file of the node as it was last valid."""

    node: Node
    get_settings: Callable[[], NodeSpec]

    @property
    def most_bytes(self) -> int:
        """The size of the largest bundle that is taken."""
        return min(int(self.get_settings().resources.limits.bundle_megabytes * 1e6), MOST_ARCHIVE_BYTES)

    @property
    def _staging(self) -> Path:
        return self.node.folder / "staging"

    # --- bundles

    def find_bundle(self, id_: str) -> ReceivedBundle | None:
        """Return a bundle whose archive is here; None if it is not."""
        return next((one for one in self.node.list_bundles() if one.id == id_), None)

    def open_upload(self, id_: str, size: int) -> Upload:
        """Return where a bundle is written to; `size` is how large it will be, as far as that is known.

        Raises
        ------
        NoRoomError
            The disk has no room for it.
        """
        _require_room(self._staging, size)
        return Upload(self._staging, id_)

    def keep_upload(self, upload: Upload, by: str) -> tuple[ReceivedBundle, bool]:
        """Check what has come, and keep it, also for its signatures; return the bundle, and whether it is new.

        Raises
        ------
        BundleError
            It is not a bundle, or another one, or it is not signed as it must be.
        """
        upload.finish()
        settings = self.get_settings()
        keys = load_trusted_keys(settings.resources.trusted_keys, settings.folder)
        try:
            verified = verify_archive(upload.path, keys, settings.resources.require)
        except BundleError as problem:  # where it is on the disk of the node is of no use to whoever has sent it
            text = str(problem).replace(str(upload.path), "the bundle").replace("the bundle the bundle", "the bundle")
            raise BundleError(text) from None
        if verified.manifest.id != upload.id:
            raise BundleError(f"this is the bundle {verified.manifest.id}, not {upload.id}")
        with self.node.lock_archives():
            known = self.find_bundle(upload.id)
            signed = read_signatures(upload.path)
            if known is not None and not brings_signatures(self.get_archive(upload.id), upload.id, signed, "the node"):
                return known, False
            bundle = ReceivedBundle(
                id=upload.id,
                project=verified.manifest.project,
                name=upload.id[:12],
                size=upload.path.stat().st_size,
                received=self.node.database.now(),
                by=by,
                signers=verified.signers,
            )
            self.node.add_bundle(bundle)
            upload.path.replace(self.get_archive(upload.id))
            sync_path(self.node.folder / "bundles")
            remove_spare_bundles(self.node, settings.resources.limits.bundles, keeping=upload.id)
        return bundle, known is None

    def delete_bundle(self, id_: str) -> None:
        """Remove a bundle; raises UsageError if it is in use."""
        with self.node.lock_archives():
            if id_ in list_used_bundles(self.node):
                raise UsageError(f"the bundle {id_[:12]} is in use: a deployment has a release of it")
            remove_bundle(self.node, id_)

    def get_archive(self, id_: str) -> Path:
        """Return where the archive of a bundle is, or would be."""
        return self.node.folder / "bundles" / f"{id_}.zip"

    # --- deployments

    def delete_deployment(self, name: str, reload: Callable[[], object], *, keep_state: bool = False) -> str:
        """Remove a deployment with all that it has; return where the rows of its state are or were, if on a server.

        Parameters
        ----------
        keep_state
            Let its state stay, where a deployment of this name finds it.
        reload
            Lets the server read again what it serves, so that it lets go of the deployment.

        Raises
        ------
        UsageError
            Runs of it are at work, or its rows cannot be removed.
        LockBusy
            An operation on it is at work.
        """
        with self.node.lock(name, wait=LOCK_SECONDS):
            places = DeploymentPlaces(self.node.folder, name)
            rows = find_server_rows(places)
            with self._let_go(name, places, reload) as spec:
                if rows and not keep_state:
                    remove_rows(name, spec, os.environ)
            gone = self._staging / f"{DELETED}{secrets.token_hex(8)}"
            gone.mkdir()
            for part in places.list_parts(without_state=keep_state):
                part.rename(gone / part.name)
            if not keep_state and places.folder.exists():
                places.folder.rmdir()
            self.node.delete_deployment(name)
        self._remove_later([gone])
        return rows

    @contextmanager
    def _let_go(self, name: str, places: DeploymentPlaces, reload: Callable[[], object]) -> Iterator[Path | None]:
        """Let the server serve a deployment no more, unless the block fails; give the file of its revision.

        Raises UsageError if runs of it are at work.
        """
        active = places.read_pointer()
        if active is None:
            yield places.find_newest_revision()
            return
        working = UsageError(f"{name}: runs of it are at work; wait until they have ended, or abort them")
        if has_running_runs(places):
            raise working
        places.pointer.unlink()
        try:
            reload()
            spec = places.revision_of(active)
            if has_running_runs(places, spec):  # a trigger was faster
                raise working
            yield spec
        except BaseException:
            places.move_pointer(active)
            reload()
            raise

    # --- what was left

    def sweep(self) -> None:
        """Remove what a killed server has left of uploads and deletions."""
        left = list(self._staging.glob(f"{DELETED}*"))
        left += [one for one in self._staging.glob(f"{UPLOAD}*") if not _is_locked(one)]
        self._remove_later(left)

    def _remove_later(self, folders: list[Path]) -> None:
        threading.Thread(target=_remove_folders, args=(folders,), name="removal", daemon=True).start()


def _remove_folders(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):  # the next start tries again
            for release in folder.glob("releases/*"):
                remove_extracted(release)
            shutil.rmtree(folder)


def _is_locked(upload: Path) -> bool:
    for path in upload.iterdir():
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
    return False


def _require_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size + SPARE_BYTES:
        raise NoRoomError(
            f"the disk of the node has no room: {format_bytes(free)} are free, of which {format_bytes(SPARE_BYTES)} "
            f"are kept, and {format_bytes(size)} are needed"
        )
