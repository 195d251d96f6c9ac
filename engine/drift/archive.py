"""One file of named arrays and a JSON header: a zip with fixed times, written whole or not at all.

Pickle would run what it reads; a format of our own would need a parser. The zip's checksums find damage, the header
says the version, and what is read is bounded before it is unpacked.
"""

import json
import re
import zipfile
import zlib
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import StoreError

FORMAT = "engine profile"
VERSION = 2
READABLE = (1, 2)
LARGEST = 1 << 34
"""Bytes that all members of a file may have together when unpacked: 16 GiB."""

_NPY_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..{'descr': '(<f8|<i[48]|<u[248]|\|u1)', 'fortran_order': False, 'shape': \((\d+),\), } *\n",
    re.DOTALL,
)

_EPOCH = (1980, 1, 1, 0, 0, 0)


def write(path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write `header` and `arrays` to `path`, replacing it in one step.

    Raises
    ------
    StoreError
        The file cannot be written, such as on a full disk; what was there stays.
    """
    partial = path.with_name(path.name + ".part")
    try:
        _pack(partial, header, arrays)
        partial.replace(path)
    except OSError as problem:
        partial.unlink(missing_ok=True)
        raise StoreError(f"{path}: cannot be written: {problem.strerror or problem}") from problem


def _pack(path: Path, header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        text = json.dumps({"format": FORMAT, "version": VERSION, **header}, ensure_ascii=False, sort_keys=True)
        file.writestr(zipfile.ZipInfo("header.json", _EPOCH), text, zipfile.ZIP_DEFLATED)
        for name, array in arrays.items():
            with file.open(zipfile.ZipInfo(f"{name}.npy", _EPOCH), "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, version=(1, 0), allow_pickle=False)


def digest(header: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the BLAKE2b hex digest of what would be written."""
    content = blake2b(repr(header).encode(), digest_size=32)
    for name, array in arrays.items():
        content.update(f"{name} {array.dtype.str} {array.shape}".encode())
        content.update(np.ascontiguousarray(array).view(np.uint8).data)
    return content.hexdigest()


def _array(data: bytes) -> NDArray[Any]:
    """Read one .npy member; a header that claims more than there is allocates nothing."""
    # numpy reads a header as Python, and what is none raises whatever Python's parser does
    header = _NPY_HEADER.match(data)
    if header is None:
        raise ValueError("no array of numbers")
    dtype, size = np.dtype(header[1].decode()), int(header[2])
    if size * dtype.itemsize != len(data) - header.end():
        raise ValueError(f"an array of {size} {dtype} in {len(data)} bytes")
    return np.frombuffer(data, dtype, offset=header.end()).copy()


def read(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Return the header and the arrays of a file that `write` made.

    Raises
    ------
    StoreError
        The file is missing, damaged, not a profile, too large, or newer than this engine.
    """
    try:
        with zipfile.ZipFile(path) as file:
            if sum(member.file_size for member in file.infolist()) > LARGEST:
                raise StoreError(f"{path}: larger than {LARGEST >> 30} GiB unpacked: not a profile of this engine")
            if not {member.compress_type for member in file.infolist()} <= {zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED}:
                raise ValueError("packed in an unknown way")
            header = json.loads(file.read("header.json"))
            if not isinstance(header, dict) or header.get("format") != FORMAT:
                raise StoreError(f"{path}: not a profile")
            if header.get("version") not in READABLE:
                raise StoreError(
                    f"{path}: a profile of version {header.get('version')!r}; this engine reads up to {VERSION}. "
                    "Upgrade the engine, or build the reference again"
                )
            arrays = {
                member.filename.removesuffix(".npy"): _array(file.read(member))
                for member in file.infolist()
                if member.filename.endswith(".npy")
            }
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file; build the reference again") from None
    except (zipfile.BadZipFile, zlib.error, KeyError, ValueError, EOFError, OSError, RuntimeError) as problem:
        raise StoreError(f"{path}: damaged profile ({problem}); build the reference again") from problem
    return header, arrays
