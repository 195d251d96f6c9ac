"""Files that appear whole or not at all: written beside their place, synced, then renamed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replace_file(path: Path) -> Iterator[Path]:
    """Give the path of a new file in the same folder, which replaces `path` at the end of the block.

    If the block raises, the new file is removed and `path` stays as it was. The name has the process id, so that two
    processes never write the same file.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield part
        descriptor = os.open(part, os.O_RDONLY)
        try:
            os.fsync(descriptor)  # a rename must not survive a loss of power without the content
        finally:
            os.close(descriptor)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
