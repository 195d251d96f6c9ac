"""Write files atomically: written next to their place, synced, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Yield the path of a new file in the same folder, which replaces `path` at the end of the block.

    If the block raises, the new file is removed and `path` stays unchanged. The name contains the process id, so that
    two processes never write the same file.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield part
        sync_path(part)  # so that a rename does not survive a power failure without the content
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def remove_parts(path: Path) -> None:
    """Remove what killed processes have left of a file that they had not replaced yet.

    Only for a caller that is the only writer of the file now.
    """
    for part in path.parent.glob(f".{escape(path.name)}.*"):
        if part.suffix[1:].isdecimal():
            part.unlink(missing_ok=True)


def sync_path(path: Path) -> None:
    """Write a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
