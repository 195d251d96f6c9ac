"""Read compressed data files, with a limit on the unpacked size.

polars reads gzip and Zstandard itself, in parts. zip and bzip2 are unpacked by Python's standard library into memory:
so their size is limited, whatever the file claims.
"""

import bz2
import gzip
import zipfile
import zlib
from pathlib import Path
from typing import IO, cast

from engine.discovery.file_endings import find_compression
from engine.errors import DataError

MAX_UNPACKED_BYTES = 1 << 30
"""Maximum unpacked size of a zip or bzip2 file, in bytes."""

UNPACK_ERRORS = (EOFError, OSError, zlib.error, zipfile.BadZipFile, NotImplementedError, RuntimeError)
"""Errors of the standard library for files that are damaged, encrypted, or compressed by an unsupported method."""


def open_bytes(path: Path, declared: str | None = None) -> IO[bytes]:
    """Open a file for reading, unpacked; a Zstandard file is not unpacked, since the standard library cannot do it.

    Raises
    ------
    DataError
        A zip archive holds no file, or several.
    """
    match find_compression(path, declared):
        case "gz":
            return cast("IO[bytes]", gzip.open(path))
        case "bz2":
            return cast("IO[bytes]", bz2.open(path))
        case "zip":
            with zipfile.ZipFile(path) as archive:
                return archive.open(_name_member(path, archive))
    return path.open("rb")


def read_unpacked(path: Path, declared: str | None = None, most: int = MAX_UNPACKED_BYTES) -> bytes:
    """Return the bytes of a compressed file, unpacked.

    Raises
    ------
    DataError
        The file is damaged, or larger than `most` bytes when unpacked.
    """
    content = read_unpacked_head(path, declared, most + 1)
    if len(content) > most:
        raise DataError(
            f"{path} is larger than {most >> 20} MiB when it is unpacked: unpack it, or compress it with gzip or "
            "Zstandard, which are read in parts"
        )
    return content


def read_unpacked_head(path: Path, declared: str | None, count: int) -> bytes:
    """Return the first bytes of a compressed file, unpacked; DataError if it is damaged."""
    try:
        with open_bytes(path, declared) as file:
            return file.read(count)
    except FileNotFoundError:
        raise
    except UNPACK_ERRORS as error:
        raise DataError(f"{path} cannot be unpacked, it may be damaged: {error}") from error


def find_member(path: Path) -> str:
    """Return the name of the only file in a zip archive; DataError if it is damaged, or holds none or several."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _name_member(path, archive)
    except zipfile.BadZipFile as error:
        raise DataError(f"{path} cannot be unpacked, it may be damaged: {error}") from error


def _name_member(path: Path, archive: zipfile.ZipFile) -> str:
    """Return the name of the only file; hidden files and those that macOS adds are ignored."""
    names = [one for one in archive.namelist() if not one.endswith("/") and not one.startswith("__MACOSX/")]
    names = [one for one in names if not one.rpartition("/")[2].startswith(".")]
    if len(names) != 1:
        found = "no file" if not names else f"{len(names)} files"
        raise DataError(f"{path} holds {found}, and a zip archive is read if it holds one: unpack it into a folder")
    return names[0]
