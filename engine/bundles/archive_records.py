"""The records of a ZIP archive as bundles have them: one form, with nothing left to choose.

Every file is stored as it is, without compression, extra fields or comments, dated 1980-01-01, with the mode of a
plain file. So equal contents give equal bytes with every version of Python and zlib, and a reader can compare a record
with the only one that is possible. The format is that of PKWARE's APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s2B5H3I5H2I")
END = struct.Struct("<4s4H2IH")
LOCAL_MARK, CENTRAL_MARK, END_MARK = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"

MOST_ARCHIVE_BYTES = 2**31 - 1
"""Bytes of the largest archive. Sizes and places fit into the records; the 64-bit extension is never needed."""

VERSION, UNIX, STORED = 20, 3, 0
DATE = (1 << 5) | 1
"""1980-01-01, the first day that the format has."""
ATTRIBUTES = 0o100644 << 16
UTF8_NAME = 0x800


class CentralRecord(NamedTuple):
    """The numbers of a record of the directory, in their order."""

    mark: bytes
    version: int
    system: int
    needed: int
    flags: int
    method: int
    time: int
    date: int
    crc: int
    packed: int
    size: int
    name_bytes: int
    extra_bytes: int
    comment_bytes: int
    disk: int
    internal: int
    attributes: int
    offset: int


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """A file in an archive: its name, its size in bytes, the CRC-32 of its bytes, and where its record begins."""

    name: str
    size: int
    crc: int
    offset: int

    @property
    def content_offset(self) -> int:
        """Where its bytes begin."""
        return self.offset + LOCAL.size + len(self.name.encode())

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.content_offset + self.size

    def to_local(self) -> bytes:
        """Return the record before its bytes."""
        name, flags = _encode_name(self.name)
        sizes = (self.crc, self.size, self.size)
        return LOCAL.pack(LOCAL_MARK, VERSION, flags, STORED, 0, DATE, *sizes, len(name), 0) + name

    def to_central(self) -> bytes:
        """Return its record in the directory at the end of the archive."""
        name, flags = _encode_name(self.name)
        sizes = (self.crc, self.size, self.size)
        return (
            CENTRAL.pack(
                *(CENTRAL_MARK, VERSION, UNIX, VERSION, flags, STORED, 0, DATE, *sizes),
                *(len(name), 0, 0, 0, 0, ATTRIBUTES, self.offset),
            )
            + name
        )


def build_end(number: int, size: int, offset: int) -> bytes:
    """Return the last record: how many files there are, and size and place of the directory in bytes."""
    return END.pack(END_MARK, 0, 0, number, number, size, offset, 0)


def _encode_name(name: str) -> tuple[bytes, int]:
    return name.encode(), 0 if name.isascii() else UTF8_NAME
