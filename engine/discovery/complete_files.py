"""Check from a file's last bytes whether it was written to its end.

Parquet, Arrow and ZIP files (a skops model is one) end with a mark. A CSV or NDJSON file that was cut between two lines
is read without an error, so it cannot be recognized as incomplete.
"""

import os
import zipfile
from pathlib import Path

from engine.discovery.file_endings import detect_format

_FOOTER_BYTES = 12
"""A Parquet file ends with the length of its footer (4 bytes) and PAR1; an Arrow file with the length and ARROW1."""

_END_OF_STREAM = b"\xff\xff\xff\xff\0\0\0\0"


def has_proven_end(path: Path) -> bool | None:
    """Return whether a file was written to its end; None if files of its format cannot show it.

    Raises
    ------
    OSError
        The file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(8)
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _FOOTER_BYTES))
        tail = file.read()
    if head.startswith(b"PAR1"):
        return tail.endswith(b"PAR1") and int.from_bytes(tail[-8:-4], "little") + _FOOTER_BYTES <= size
    if head.startswith(b"ARROW1"):
        return tail.endswith(b"ARROW1") and int.from_bytes(tail[-10:-6], "little") + _FOOTER_BYTES <= size
    if head.startswith(b"\xff\xff\xff\xff"):
        return True if tail.endswith(_END_OF_STREAM) else None
    if head.startswith(b"PK\x03\x04") or path.suffix == ".skops":
        return zipfile.is_zipfile(path)
    return False if detect_format(path.name) in ("parquet", "arrow") else None
