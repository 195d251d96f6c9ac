"""The ZIP records of bundles, which have exactly one possible form.

Every file is stored without compression, extra fields or comments, dated 1980-01-01, with the mode of a regular file.
So equal contents give equal bytes with every version of Python and zlib, and a reader can compare a record with the
only possible one. The format is that of PKWARE's APPNOTE 6.3, sections 4.3.7, 4.3.12 and 4.3.16.
"""

import struct
from dataclasses import dataclass
from typing import NamedTuple

LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s2B5H3I5H2I")
END = struct.Struct("<4s4H2IH")
LOCAL_MARK, CENTRAL_MARK, END_MARK = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"

MOST_ARCHIVE_BYTES = 2**31 - 1
"""Most bytes of an archive, so that sizes and offsets fit into the records without the 64-bit extension."""

VERSION, UNIX, STORED = 20, 3, 0
DATE = (1 << 5) | 1
"""1980-01-01, the first day of the format."""
ATTRIBUTES = 0o100644 << 16
UTF8_NAME = 0x800


class CentralRecord(NamedTuple):
    """The fields of a record of the central directory, in order."""

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
    """A file in an archive: its name, its size in bytes, the CRC-32 of its content, and the offset of its record."""

    name: str
    size: int
    crc: int
    offset: int

    @property
    def content_offset(self) -> int:
        """The offset of its content."""
        return self.offset + LOCAL.size + len(self.name.encode())

    @property
    def end(self) -> int:
        """The offset of the next record."""
        return self.content_offset + self.size

    def to_local(self) -> bytes:
        """Return the local record, which precedes its content."""
        name, flags = _encode_name(self.name)
        sizes = (self.crc, self.size, self.size)
        return LOCAL.pack(LOCAL_MARK, VERSION, flags, STORED, 0, DATE, *sizes, len(name), 0) + name

    def to_central(self) -> bytes:
        """Return its record in the central directory at the end of the archive."""
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
    """Return the last record, with the number of files, and size and offset of the central directory in bytes."""
    return END.pack(END_MARK, 0, 0, number, number, size, offset, 0)


def _encode_name(name: str) -> tuple[bytes, int]:
    return name.encode(), 0 if name.isascii() else UTF8_NAME
