"""The profile file: a zip archive of a JSON header and named arrays, written atomically.

Pickle would execute code from the file, and another format would need a parser. The checksums of the zip detect
damage, the header holds the format version, and sizes are checked before anything is unpacked. Timestamps are fixed,
so equal content gives equal bytes.
"""

import json
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.atomic_files import replace_file
from engine.errors import StoreError

FORMAT_NAME = "engine profile"
FORMAT_VERSION = 2
READABLE_VERSIONS = (1, 2)
MAX_UNPACKED_BYTES = 1 << 34
"""Maximum unpacked size of all members of a file together: 16 GiB, in bytes."""

_NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..{'descr': '(<f8|<i[48]|<u[248]|\|u1)', 'fortran_order': False, 'shape': \((\d+),\), } *\n",
    re.DOTALL,
)

_ZIP_TIMESTAMP = (1980, 1, 1, 0, 0, 0)


def write_archive(path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write `header` and `arrays` to `path`, replacing it in one step.

    Raises
    ------
    StoreError
        The file cannot be written, for example because the disk is full. An earlier file at `path` stays as it was.
    """
    try:
        with replace_file(path) as part:
            _write_zip(part, header, arrays)
    except OSError as problem:
        raise StoreError(f"{path}: cannot be written: {problem.strerror or problem}") from problem


def _write_zip(path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        text = json.dumps(
            {"format": FORMAT_NAME, "version": FORMAT_VERSION, **header}, ensure_ascii=False, sort_keys=True
        )
        file.writestr(zipfile.ZipInfo("header.json", _ZIP_TIMESTAMP), text, zipfile.ZIP_DEFLATED)
        for name, array in arrays.items():
            with file.open(zipfile.ZipInfo(f"{name}.npy", _ZIP_TIMESTAMP), "w", force_zip64=True) as member:
                member.write(_write_npy_header(array.dtype.str, array.shape))
                member.write(np.ascontiguousarray(array).data)


@lru_cache(1024)
def _write_npy_header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Return the header of a .npy member, cached: thousands of small arrays have few different headers."""
    header = BytesIO()
    description = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, description)
    return header.getvalue()


def digest_content(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the BLAKE2b hex digest of the header and of the names, types, shapes and bytes of the arrays."""
    content = blake2b(repr(header).encode(), digest_size=32)
    for name, array in arrays.items():
        content.update(f"{name} {array.dtype.str} {array.shape}".encode())
        content.update(np.ascontiguousarray(array).view(np.uint8).data)
    return content.hexdigest()


def _parse_npy(data: bytes) -> NDArray[Any]:
    """Parse one .npy member.

    Its header must match one strict pattern and the size of the data before memory is allocated. The reader of numpy
    evaluates the header as a Python literal, so a damaged one can raise any error of Python's parser.
    """
    header = _NPY_HEADER.match(data)
    if header is None:
        raise ValueError("a member is not an array of numbers")
    dtype, size = np.dtype(header[1].decode()), int(header[2])
    if size * dtype.itemsize != len(data) - header.end():
        raise ValueError(f"an array of {size} {dtype} values cannot have {len(data)} bytes")
    return np.frombuffer(data, dtype, offset=header.end()).copy()


_DAMAGES = (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, OSError, RuntimeError)
"""The errors that reading a damaged file raises."""


class Archive:
    """A file written by `write_archive`, kept open so that arrays can be read when needed.

    The arrays always come from the file that was opened, even if it is replaced meanwhile; each is checked when it is
    read.

    Raises
    ------
    StoreError
        The file is missing, damaged, not a profile, too large, or newer than this engine.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._file = zipfile.ZipFile(path)
            members = self._file.infolist()
            if sum(member.file_size for member in members) > MAX_UNPACKED_BYTES:
                raise StoreError(
                    f"{path}: not a profile of this engine: it unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB"
                )
            if not {member.compress_type for member in members} <= {zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED}:
                raise ValueError("it uses an unknown compression method")
            self.names = {member.filename.removesuffix(".npy") for member in members} - {"header.json"}
            self.header = json.loads(self._file.read("header.json"))
        except FileNotFoundError:
            raise StoreError(f"{path}: there is no such file; build the reference again") from None
        except _DAMAGES as problem:
            raise self.describe_damage(problem) from problem
        self._unread = set(self.names)
        if not isinstance(self.header, dict) or self.header.get("format") != FORMAT_NAME:
            raise StoreError(f"{path}: not a profile of this engine")
        if self.header.get("version") not in READABLE_VERSIONS:
            raise StoreError(
                f"{path}: the profile has format version {self.header.get('version')!r}, and this engine reads "
                f"versions up to {FORMAT_VERSION}; upgrade the engine, or build the reference again"
            )

    def read(self, name: str) -> NDArray[Any]:
        """Return an array.

        Raises
        ------
        StoreError
            The array is missing or damaged.
        """
        self._unread.discard(name)
        try:
            return _parse_npy(self._file.read(f"{name}.npy"))
        except _DAMAGES as problem:
            raise self.describe_damage(problem) from problem

    def read_rest(self) -> None:
        """Read the arrays not read yet, to detect damaged names: an optional array would just seem to be missing.

        Raises
        ------
        StoreError
            An array is damaged.
        """
        for name in sorted(self._unread):
            self.read(name)

    def describe_damage(self, problem: object) -> StoreError:
        """Return the error for a damaged file with this problem."""
        return StoreError(f"{self._path}: damaged profile ({problem}); build the reference again")


class ArrayGroup(Mapping[str, NDArray[Any]]):
    """The arrays of an archive with a common prefix, by the rest of their names; each is read when accessed.

    Raises
    ------
    StoreError
        An array is damaged or missing.
    """

    def __init__(self, archive: Archive, prefix: str) -> None:
        self._archive, self._prefix = archive, prefix

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._archive.read(self._prefix + name)

    def __contains__(self, name: object) -> bool:
        return f"{self._prefix}{name}" in self._archive.names

    def __iter__(self) -> Iterator[str]:
        return (name.removeprefix(self._prefix) for name in self._archive.names if name.startswith(self._prefix))

    def __len__(self) -> int:
        return sum(1 for _ in self)
