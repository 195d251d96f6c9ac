"""Extracts the files of a bundle into a new folder, atomically."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from engine.atomic_files import sync_path
from engine.bundles.archive_checks import BundleArchive, open_archive
from engine.bundles.manifest import Manifest
from engine.errors import BundleError
from engine.store.folders import sync_tree

FILE_MODE, FOLDER_MODE = 0o444, 0o555
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def extract_archive(path: Path, folder: Path, expected_id: str) -> Manifest:
    """Extract the files of a bundle into a new folder without write permissions.

    They are written to a temporary folder beside it, named by a dot and the name of `folder`, then checked, synced and
    renamed. A killed process may leave such a folder. Signatures are not checked here, but by `verify_archive`.

    Parameters
    ----------
    folder
        The folder to create; it must not exist.
    expected_id
        The id of the wanted bundle.

    Raises
    ------
    BundleError
        The archive is damaged or is another bundle, or the folder exists or cannot be written.
    """
    with open_archive(path) as archive:
        if archive.id != expected_id:
            message = f"{path} holds the bundle {archive.id[:12]}…, but {expected_id[:12]}… was asked for"
            raise BundleError(message)
        try:
            if folder.is_symlink() or folder.exists():
                raise BundleError(f"{folder} is already there")
            folder.parent.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
            try:
                _write_files(archive, staging)
                staging.rename(folder)
            except BaseException:
                remove_extracted(staging)
                raise
            sync_path(folder.parent)
        except OSError as error:
            raise BundleError(f"the bundle cannot be laid down in {folder}: {error.strerror}") from error
        return archive.manifest


def remove_extracted(folder: Path) -> None:
    """Remove the folder of an extracted bundle, which has no write permissions."""
    for parent, _, _ in os.walk(folder):
        Path(parent).chmod(0o700)
    shutil.rmtree(folder)


def _write_files(archive: BundleArchive, staging: Path) -> None:
    root = os.open(staging, _FOLDER_FLAGS)
    try:
        for name in archive.manifest.files:
            with _create_file(name, root) as file:
                archive.copy_file(name, file.write)
        for name, content in archive.own_files.items():
            with _create_file(name, root) as file:
                file.write(content)
    finally:
        os.close(root)
    for parent, _, _ in os.walk(staging, topdown=False):
        Path(parent).chmod(FOLDER_MODE)
    sync_tree(staging)


@contextmanager
def _create_file(name: str, root: int) -> Iterator[BinaryIO]:
    """Yield a new file below an open folder. Each folder of the path is opened separately, so no link is followed."""
    *folders, base = name.split("/")
    parent = os.dup(root)
    try:
        for part in folders:
            with suppress(FileExistsError):
                os.mkdir(part, 0o700, dir_fd=parent)
            inner = os.open(part, _FOLDER_FLAGS, dir_fd=parent)
            os.close(parent)
            parent = inner
        with os.fdopen(os.open(base, _NEW_FILE_FLAGS, FILE_MODE, dir_fd=parent), "wb") as file:
            yield file
            os.fchmod(file.fileno(), FILE_MODE)  # independent of the umask
    finally:
        os.close(parent)
