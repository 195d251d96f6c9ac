"""Read the files of a project from a folder or from an untrusted zip archive, within limits.

Three containers have the same content (`params.json`, `datasets/`, `scenarios/`, …): a folder that is synchronized with
git or unpacked, an export with the content under `project_config/`, and a bundle. An archive is never unpacked: its
directory is checked, and single files are read.
"""

import os
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from engine.bundles.bundle_paths import MOST_DEPTH, find_collision, find_path_problem
from engine.errors import BundleError, UsageError
from engine.formatting.control_characters import single_line
from engine.formatting.numbers import format_bytes

MOST_FILES = 50_000
MOST_ARCHIVE_BYTES = 2**31 - 1
MOST_UNPACKED_BYTES = 2**33
"""Maximum unpacked size of all files of an archive, in bytes."""
MOST_TEXT_BYTES = 16 * 2**20
"""Maximum size in bytes of a file that is read into memory."""
MOST_DIRECTORY_BYTES = 32 * 2**20

MANIFEST_FILE = "export-manifest.json"

NEVER_READ = frozenset({"apikeys.json"})
"""Files that contain keys."""

_CONTENT = ("datasets/", "scenarios/", "recipes/", "saved_models/", "model_evaluation_stores/")
"""Folders of the content."""

_END = struct.Struct("<4s4H2IH")
_LOCAL_BYTES = 30
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ProjectFiles:
    """The files of a project.

    Attributes
    ----------
    files
        The size in bytes, by path in the folder or archive.
    root
        The prefix of the content's paths: empty, or a folder with a slash at its end.
    skipped
        Paths that are not read, and the reason: links, devices.
    name
        The name of the folder or archive.
    """

    files: dict[str, int]
    root: str
    skipped: dict[str, str]
    open_file: Callable[[str], IO[bytes]]
    name: str

    @property
    def base(self) -> str:
        """The prefix of paths beside the content, where an export has its manifest and its data."""
        return self.root.removesuffix("project_config/")

    @property
    def has_manifest(self) -> bool:
        """Whether there is the manifest of an export."""
        return self.base + MANIFEST_FILE in self.files

    def list_content(self, folder: str) -> list[str]:
        """Return the paths, below the root, of the JSON files directly in a folder of the content, in order."""
        start = f"{self.root}{folder}/"
        inside = (path.removeprefix(start) for path in self.files if path.startswith(start) and path.endswith(".json"))
        return sorted(f"{folder}/{name}" for name in inside if "/" not in name)

    def count_by_folder(self) -> dict[str, int]:
        """Return the number of files in each folder of the content, by its name, without hidden folders and data."""
        inside = (path.removeprefix(self.root).split("/") for path in self.files if path.startswith(self.root))
        folders = (parts[0] for parts in inside if len(parts) > 1)
        return dict(sorted(Counter(one for one in folders if not one.startswith(".") and one != "other-files").items()))

    def has_content(self, path: str) -> bool:
        """Return whether the content has a file."""
        return self.root + path in self.files

    def list_other_files(self, folder: str) -> list[str]:
        """Return the full paths of the files below `other-files/`, which are data and models."""
        return sorted(path for path in self.files if path.startswith(f"{self.base}other-files/{folder}/"))

    def read_content(self, path: str) -> bytes:
        """Return the bytes of a file of the content.

        Raises
        ------
        BundleError
            The file is too large, or damaged, or one that is never read.
        """
        if path.rpartition("/")[2] in NEVER_READ:
            raise BundleError(f"{path} holds keys and is never read")
        return self.read_other(self.root + path)

    def read_other(self, path: str) -> bytes:
        """Return the bytes of a file by its full path; BundleError if it is too large or damaged."""
        if self.files[path] > MOST_TEXT_BYTES:
            raise BundleError(f"{_show_path(path)} is larger than {format_bytes(MOST_TEXT_BYTES)}")
        return b"".join(self._read_parts(path))

    def read_manifest(self) -> bytes:
        """Return the bytes of the manifest of an export; BundleError if it is too large or damaged."""
        return self.read_other(self.base + MANIFEST_FILE)

    def copy_file(self, path: str, target: Path) -> None:
        """Copy a file, by its full path, to a new file.

        Raises
        ------
        BundleError
            It is damaged.
        OSError
            The new file exists already or cannot be written.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            for part in self._read_parts(path):
                file.write(part)

    def _read_parts(self, path: str) -> Iterator[bytes]:
        left = self.files[path]
        try:
            with self.open_file(path) as file:
                while part := file.read(min(_CHUNK_BYTES, left + 1)):
                    left -= len(part)
                    if left < 0:
                        raise BundleError(f"{_show_path(path)} is larger than its record says")
                    yield part
        except (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise BundleError(f"{_show_path(path)} cannot be read: it is damaged or unreadable") from error


@contextmanager
def open_project_files(path: Path) -> Iterator[ProjectFiles]:
    """Open the folder or archive of a project.

    Raises
    ------
    UsageError
        The path does not exist, or contains no project.
    BundleError
        The archive is rejected: it is damaged, too large, or has files that no export has.
    """
    if path.is_dir():
        files, skipped = _list_folder(path)
        yield ProjectFiles(
            files, _find_root(files, path), skipped, lambda name: _open_in_folder(path, name), path.absolute().name
        )
        return
    if not path.is_file():
        raise UsageError(f"{path} is neither a folder nor a file")
    _check_end(path)
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, NotImplementedError, UnicodeDecodeError, ValueError, struct.error) as error:
        raise BundleError(f"{path} is refused: it is not a zip archive, or its directory is damaged") from error
    with archive:
        try:
            files = _check_records(archive)
        except BundleError as error:
            raise BundleError(f"{path} is refused: {error}") from None
        yield ProjectFiles(files, _find_root(files, path), {}, archive.open, path.stem)


def _find_root(files: dict[str, int], path: Path) -> str:
    """Return the prefix of the content's paths: the shallowest folder with `params.json` and content beside it.

    Without `params.json`, it is the shallowest folder with two kinds of content.
    """
    roots = {name.removesuffix("params.json") for name in files if name.rpartition("/")[2] == "params.json"}
    found = [root for root in roots if any(_lies_in(name, root) for name in files)] or _find_folders_of_content(files)
    if not found:
        raise UsageError(
            f"{path} holds no project of Dataiku DSS: a params.json beside datasets/ or scenarios/ is missing. "
            "Give the folder of a git-synchronized project, an export, or a bundle"
        )
    return min(found, key=lambda root: (root.count("/"), root))


def _lies_in(name: str, root: str) -> bool:
    return name.startswith(tuple(root + one for one in (*_CONTENT, "lib/external-libraries.json")))


def _find_folders_of_content(files: dict[str, int]) -> list[str]:
    kinds: dict[str, set[str]] = {}
    for name in files:
        for one in _CONTENT:
            root, inside, file = name.rpartition(one)
            if inside and file.endswith(".json") and "/" not in file and (not root or root.endswith("/")):
                kinds.setdefault(root, set()).add(one)
    return [root for root, found in kinds.items() if len(found) > 1]


def _list_folder(folder: Path) -> tuple[dict[str, int], dict[str, str]]:
    """Return the regular files below a folder with their sizes, and what is not read. No link is followed."""
    files: dict[str, int] = {}
    skipped: dict[str, str] = {}
    for parent, folders, names in os.walk(folder):
        here = Path(parent).relative_to(folder)
        folders[:] = sorted(name for name in folders if name != ".git")
        if len(here.parts) >= MOST_DEPTH:
            raise BundleError(f"{folder} is deeper than {MOST_DEPTH} folders")
        for name in [*folders, *sorted(names)]:
            path = (here / name).as_posix()
            try:
                found = (folder / path).lstat()
            except OSError as error:
                skipped[path] = f"it cannot be read: {error.strerror}"
                continue
            if stat.S_ISREG(found.st_mode):
                files[path] = found.st_size
            elif not stat.S_ISDIR(found.st_mode):
                skipped[path] = "it is a link or a device"
            if len(files) > MOST_FILES:
                raise BundleError(f"{folder} has more than {MOST_FILES:,} files")
    return files, skipped


def _open_in_folder(folder: Path, name: str) -> IO[bytes]:
    return os.fdopen(os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb")


def _check_end(path: Path) -> None:
    """Check the size of an archive and of its directory, before the directory is read into memory."""
    total = path.stat().st_size
    if total > MOST_ARCHIVE_BYTES:
        most = format_bytes(MOST_ARCHIVE_BYTES)
        raise BundleError(f"{path} is refused: it has {format_bytes(total)}, but at most {most} are allowed")
    with path.open("rb") as file:
        file.seek(max(0, total - 65_536 - _END.size))
        tail = file.read()
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or place + _END.size > len(tail):
        raise BundleError(f"{path} is refused: it is not a zip archive, or its end is missing")
    *_, number, size, _, _ = _END.unpack_from(tail, place)
    if number > MOST_FILES or size > MOST_DIRECTORY_BYTES:
        raise BundleError(f"{path} is refused: it has more than {MOST_FILES:,} files, or very long names")


def _check_records(archive: zipfile.ZipFile) -> dict[str, int]:
    """Return the files of an archive with their sizes, after checking its directory."""
    files: dict[str, int] = {}
    end = 0
    for info in sorted(archive.infolist(), key=lambda one: one.header_offset):
        name = info.filename.removesuffix("/")
        if problem := find_path_problem(name) or _find_record_problem(info):
            raise BundleError(f"{_show_path(name)}: {problem}")
        if info.header_offset < end:
            raise BundleError(f"{_show_path(name)} overlaps the file before it")
        end = info.header_offset + _LOCAL_BYTES + len(info.orig_filename) + info.compress_size
        if not info.is_dir():
            if name in files:
                raise BundleError(f"{_show_path(name)} stands in it twice")
            files[name] = info.file_size
    if sum(files.values()) > MOST_UNPACKED_BYTES:
        raise BundleError(f"unpacked it has more than {format_bytes(MOST_UNPACKED_BYTES)}")
    if collision := find_collision(files):
        raise BundleError(f"{_show_path(collision[0])} and {_show_path(collision[1])} cannot stand in one folder")
    return files


def _find_record_problem(info: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & 1:
        return "the file is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "the file is compressed in another way than zip's usual one"
    return "the path is a link or a device" if kind not in (0, stat.S_IFREG, stat.S_IFDIR) else None


def _show_path(path: str) -> str:
    return single_line(ascii(path), 120)
