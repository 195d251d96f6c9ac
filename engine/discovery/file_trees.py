"""The places where files are looked for: on disk, or in a list of objects of a store.

The rules of `listing.py` are the same for both. A tree lists what exists, and provides the files that are opened: a
tree of objects downloads them then.
"""

from collections.abc import Sequence
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Protocol

from engine.discovery.path_patterns import match_paths, walk_folders
from engine.errors import DataError


class FileTree(Protocol):
    """Files in folders; each path begins with the path of the tree."""

    def is_file(self, path: Path) -> bool:
        """Return whether there is a file."""

    def is_folder(self, path: Path) -> bool:
        """Return whether there is a folder."""

    def list_files(self, folder: Path) -> list[Path]:
        """Return the files below a folder at any depth, including broken links.

        Raises
        ------
        OSError
            A folder cannot be read; its files must not seem to be absent.
        """

    def match_files(self, pattern: Path) -> list[Path]:
        """Return the files that match a pattern, including broken links; raises OSError as `list_files`."""

    def list_names(self, folder: Path) -> list[str]:
        """Return the names of the entries of a folder."""

    def read_size(self, path: Path) -> int:
        """Return the size of a file in bytes; raises FileNotFoundError."""

    def read_changed(self, path: Path) -> int:
        """Return the time of a file's last change, in nanoseconds; raises FileNotFoundError."""

    def provide(self, paths: Sequence[Path]) -> None:
        """Make sure that files can be opened.

        Raises
        ------
        DataError
            A file is empty, not a regular file, or cannot be fetched.
        OSError
            A file does not exist, or cannot be opened.
        """


class DiskTree:
    """The files of this machine."""

    def is_file(self, path: Path) -> bool:
        """Return whether there is a file."""
        return path.is_file()

    def is_folder(self, path: Path) -> bool:
        """Return whether there is a folder."""
        return path.is_dir()

    def list_files(self, folder: Path) -> list[Path]:
        """Return the files below a folder."""
        return _keep_files([inside / name for inside, names in walk_folders(folder, folder) for name in names])

    def match_files(self, pattern: Path) -> list[Path]:
        """Return the files that match a pattern."""
        return _keep_files(match_paths(pattern))

    def list_names(self, folder: Path) -> list[str]:
        """Return the names of the entries of a folder."""
        return [one.name for one in folder.iterdir()]

    def read_size(self, path: Path) -> int:
        """Return the size of a file in bytes."""
        return path.stat().st_size

    def read_changed(self, path: Path) -> int:
        """Return the time of a file's last change, in nanoseconds."""
        return path.stat().st_mtime_ns

    def provide(self, paths: Sequence[Path]) -> None:
        """Raise a DataError for an empty file, or one that is not a regular file."""
        for path in paths:
            state = path.stat()
            if S_ISDIR(state.st_mode) or not S_ISREG(state.st_mode):
                raise DataError(
                    f"{path} is not a regular file: a pipe or device cannot be read twice, as a dataset must be"
                )
            with path.open("rb"):
                pass
            if not state.st_size:
                raise DataError(f"{path} is empty (0 bytes)")


def _keep_files(found: list[Path]) -> list[Path]:
    return [one for one in found if one.is_file() or not one.exists()]


DISK = DiskTree()
