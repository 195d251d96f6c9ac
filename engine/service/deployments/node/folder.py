"""Changes the folder of a node while its server runs: receives bundles, deletes bundles and deployments.

A bundle stays in `staging/` until all of it is checked; then its row is written and it is moved into place. A deleted
folder is first moved into `staging/`, which is fast for any size, and then removed by a thread.
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
from engine.store.node import TIDYING_SECONDS, Node, ReceivedBundle

SPARE_BYTES = 256 * 1024**2
"""Bytes of the disk that must stay free for databases and logs."""

UPLOAD, DELETED = "upload-", "deleted-"


class NoRoomError(EngineError):
    """The disk has no room for a bundle."""


class Upload:
    """A bundle that is being received, in its own folder; it is not used before it is checked."""

    def __init__(self, staging: Path, id_: str) -> None:
        self.id = id_
        self.folder = staging / f"{UPLOAD}{secrets.token_hex(8)}"
        self.folder.mkdir()
        self.path = self.folder / f"{id_}.zip"
        self._file = self.path.open("xb")
        fcntl.flock(self._file, fcntl.LOCK_EX)  # marks it as not abandoned

    def write(self, part: bytes) -> None:
        """Write the next bytes; raise NoRoomError if they would fill the disk."""
        _require_room(self.folder, len(part))
        self._file.write(part)

    def finish(self) -> None:
        """Flush the written bytes to the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def remove(self) -> None:
        """Remove the files of the upload."""
        self._file.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class NodeFolder:
    """The folder of a node; `get_settings` returns the last valid content of the node file."""

    node: Node
    get_settings: Callable[[], NodeSpec]

    @property
    def most_bytes(self) -> int:
        """The largest accepted size of a bundle."""
        return min(int(self.get_settings().resources.limits.bundle_megabytes * 1e6), MOST_ARCHIVE_BYTES)

    @property
    def _staging(self) -> Path:
        return self.node.folder / "staging"

    # --- bundles

    def find_bundle(self, id_: str) -> ReceivedBundle | None:
        """Return a bundle whose archive exists; None if it does not."""
        return next((one for one in self.node.list_bundles() if one.id == id_), None)

    def open_upload(self, id_: str, size: int) -> Upload:
        """Start an upload of a bundle; `size` is its declared size if known.

        Raises
        ------
        NoRoomError
            The disk has no room for it.
        """
        _require_room(self._staging, size)
        return Upload(self._staging, id_)

    def keep_upload(self, upload: Upload, by: str) -> tuple[ReceivedBundle, bool]:
        """Check an upload and keep it, also for new signatures; return the bundle, and whether it is new.

        Raises
        ------
        BundleError
            It is not the bundle, or lacks required signatures.
        """
        upload.finish()
        settings = self.get_settings()
        keys = load_trusted_keys(settings.resources.trusted_keys, settings.folder)
        try:
            verified = verify_archive(upload.path, keys, settings.resources.require)
        except BundleError as problem:  # its path on the node does not help the sender
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
        """Remove a bundle; raise UsageError if it is in use."""
        with self.node.lock_archives():
            if id_ in list_used_bundles(self.node):
                raise UsageError(f"the bundle {id_[:12]} is in use: a deployment has a release of it")
            remove_bundle(self.node, id_)

    def get_archive(self, id_: str) -> Path:
        """Return the path of the archive of a bundle, which may not exist."""
        return self.node.folder / "bundles" / f"{id_}.zip"

    # --- deployments

    def delete_deployment(self, name: str, reload: Callable[[], object], *, keep_state: bool = False) -> str:
        """Remove a deployment completely; return where the rows of its state are or were, if on a server.

        Parameters
        ----------
        keep_state
            Keep its state for the next deployment of this name.
        reload
            Reloads what the server serves, so that it releases the deployment.

        Raises
        ------
        UsageError
            It has active runs, or its rows cannot be removed.
        LockBusy
            An operation on it is running.
        """
        with self.node.lock(name, wait=TIDYING_SECONDS):
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
        """Stop serving a deployment, unless the block fails; yield the file of its revision.

        Raise UsageError if it has active runs.
        """
        active = places.read_pointer()
        if active is None:
            yield places.find_newest_revision()
            return
        working = UsageError(f"{name}: it has running runs; wait until they have ended, or abort them")
        if has_running_runs(places):
            raise working
        places.pointer.unlink()
        try:
            reload()
            spec = places.revision_of(active)
            if has_running_runs(places, spec):  # a trigger started one meanwhile
                raise working
            yield spec
        except BaseException:
            places.move_pointer(active)
            reload()
            raise

    # --- what was left

    def sweep(self) -> None:
        """Remove the leftovers of uploads and deletions of a killed server."""
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
