"""The format of a data file: by the ending of its name, else by its first bytes.

The ending suffices to validate a spec. If it is not known, or the first bytes are those of another binary format, the
bytes decide. A file that cannot be read (a spreadsheet, a ZIP archive) is rejected with advice.
"""

import re
import zipfile
from os import SEEK_END
from pathlib import Path

from engine.discovery.compression import find_member, read_unpacked_head
from engine.discovery.file_endings import (
    ARCHIVES,
    SAVE_AS_CSV,
    SPREADSHEETS,
    UNPACK,
    detect_format,
    find_compression,
    is_unpacked_here,
)
from engine.errors import DataError

_COMPRESSED_WHOLE = "is compressed as a whole: unpack it; Parquet and Arrow compress inside the file"

_HEAD_BYTES = 4096
_BLOCK_BYTES = 4096
"""The smallest block that file systems reserve, other than very small ones."""

_FOREIGN_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"\xd0\xcf\x11\xe0", "a spreadsheet", SAVE_AS_CSV),
    (b"FEA1", "a Feather file of version 1", "write it as Parquet, or as Feather of version 2"),
    (b"PARE", "an encrypted Parquet file", "decrypt it, or read it with a Python function (kind: python)"),
    (b"Obj\x01", "an Avro file", "write it as Parquet, or read it with a Python function (kind: python)"),
    (b"ORC", "an ORC file", "write it as Parquet, or read it with a Python function (kind: python)"),
    (b"SQLite format 3", "an SQLite database", "read a table of it in a function of yours with kind: python"),
    (b"\x89HDF", "an HDF5 file", "write it as Parquet, or read it with a Python function (kind: python)"),
    (b"7z\xbc\xaf", "an archive", UNPACK),
    (b"BZh", "a file compressed with bzip2", "let its name end in .bz2, or declare compression: bz2"),
    (b"\xfd7zXZ", "a file compressed with xz", "unpack it, or compress it with gzip or Zstandard"),
)


def recognize_format(path: Path, compression: str | None) -> str:
    """Return the format of a file: csv, parquet, ndjson or arrow.

    Parameters
    ----------
    compression
        The compression of the file; None to find it by the ending.

    Raises
    ------
    DataError
        The file is a spreadsheet, an archive, of another format, or of an unknown format.
    OSError
        The file cannot be read.
    """
    if compression is not None or is_unpacked_here(path):
        return _recognize_inside(path, find_compression(path, compression))
    head = read_head(path)
    if signed := recognize_signature(path, head):
        return signed
    if by_ending := detect_format(path.name):
        return by_ending
    if path.name.lower().endswith((*SPREADSHEETS, *ARCHIVES)):
        spreadsheet = path.suffix.lower() in SPREADSHEETS
        what, advice = ("a spreadsheet", SAVE_AS_CSV) if spreadsheet else ("an archive", UNPACK)
        raise DataError(f"{path} is named like {what}, which cannot be read: {advice}")
    compressed = find_compression(path) is not None
    if b"\0" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")) and not compressed:
        raise DataError(
            f"{path}: the format is not clear from its ending or from its first bytes; declare format: csv, parquet, "
            "ndjson or arrow"
        )
    return _recognize_text(path, head)


def _recognize_inside(path: Path, compression: str | None) -> str:
    """Return the format of a compressed file, by its ending or that of the file inside, else by its first bytes."""
    format_ = detect_format(path.name) or (detect_format(find_member(path)) if compression == "zip" else None)
    if format_ in ("parquet", "arrow"):
        raise DataError(f"{path} {_COMPRESSED_WHOLE}")
    if format_ is None and compression != "zst":
        return _recognize_text(path, read_unpacked_head(path, compression, _HEAD_BYTES))
    return format_ or "csv"


def _recognize_text(path: Path, head: bytes) -> str:
    """Return the format of a text file: ndjson or csv."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    json = text.startswith(b"{") or (text.startswith(b"[") and text[1:].lstrip().startswith((b"{", b"]")))
    return "ndjson" if json or ".json" in path.name.lower() else "csv"


def recognize_signature(path: Path, head: bytes) -> str | None:
    """Return the binary format of a file's signature; None for text and for a compressed file.

    Raises
    ------
    DataError
        The signature belongs to a format that cannot be read.
    """
    if is_text(head):  # the first column of a CSV file may be named PAR1 or ORC
        return None
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", b"\xff\xff\xff\xff")):
        return "arrow"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        what, advice = _describe_zip(path)
        raise DataError(f"{path} is {what}, which cannot be read: {advice}")
    for signature, what, advice in _FOREIGN_SIGNATURES:
        if head.startswith(signature):
            raise DataError(f"{path} is {what}, which cannot be read: {advice}")
    if head.startswith(b"\x1f\x8b"):
        if _read_gzip_head(path).startswith((b"PAR1", b"ARROW1")):
            raise DataError(f"{path} {_COMPRESSED_WHOLE}")
        if path.suffix.lower() != ".gz":
            raise DataError(
                f"{path} is compressed with gzip: let its name end in .gz, or unpack it, or declare compression: gz"
            )
    return None


def is_text(head: bytes) -> bool:
    """Return whether the first bytes of a file may be text in UTF-8 or in a single-byte code page."""
    return re.fullmatch(rb"[\t\n\r\x20-\x7e\x80-\xfe]*", head) is not None


def refuse_zeros_at_end(path: Path) -> None:
    """Raise a DataError for a text file that ends in zero bytes, which some programs and file systems leave in it.

    They would be read as one value, of any size. No text in any encoding ends in four of them.
    """
    with path.open("rb") as file:
        file.seek(-min(path.stat().st_size, 4), SEEK_END)
        if file.read() == bytes(4):
            raise DataError(
                f"{path} ends in zero bytes, so it is not complete: a download that reserves space leaves them, and so "
                "does a loss of power; deliver the file again"
            )


def find_zeros_inside(path: Path) -> str | None:
    """Describe zero bytes in the middle of a text file, which a loss of power leaves where blocks were reserved for it.

    polars reads them as a part of a value, and the rows that were there are missing without an error. They end with a
    block, so one byte per block is examined, which takes less than a hundredth of the time to read the file. No text in
    any encoding has four of them in a row.
    """
    part = bytearray(256 * _BLOCK_BYTES)
    before = 0
    with path.open("rb") as file:
        while size := file.readinto(part):
            ends = part[_BLOCK_BYTES - 1 : size : _BLOCK_BYTES]
            block = -1
            while (block := ends.find(0, block + 1)) >= 0:
                end = (block + 1) * _BLOCK_BYTES
                if part[end - 4 : end] == bytes(4):
                    return (
                        f"{path}, line {_count_lines(path, before + end)} has zero bytes before byte {before + end:,}, "
                        "so a part of the file is missing: a loss of power leaves them, and so does an interrupted "
                        "download; deliver the file again"
                    )
            before += size
    return None


def _count_lines(path: Path, size: int) -> int:
    """Return the number of lines in the first bytes of a file, the last of which may be incomplete."""
    with path.open("rb") as file:
        return file.read(size).count(b"\n") + 1


def read_head(path: Path) -> bytes:
    """Return the first bytes of a file, as stored."""
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _read_gzip_head(path: Path) -> bytes:
    try:
        return read_unpacked_head(path, "gz", 8)
    except DataError:
        return b""  # a damaged file is reported when it is read


def _describe_zip(path: Path) -> tuple[str, str]:
    """Return what kind of file a ZIP file is, and advice: spreadsheets are ZIP files too."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        names = []
    if any(name.startswith("xl/") for name in names) or path.suffix.lower() in SPREADSHEETS:
        return "a spreadsheet", SAVE_AS_CSV
    files = [name for name in names if not name.endswith("/")]
    if len(files) == 1:
        return "a ZIP archive", f"{UNPACK}: {files[0][:60]}, or declare compression: zip"
    return "a ZIP archive", UNPACK
