"""Reads a file at a user's path safely: folders, pipes and huge files do not block."""

import os
import stat


class IrregularFileError(OSError):
    """A path is not a regular file; the message says what it is."""


def read_regular_file(path: str | os.PathLike[str], most: int) -> bytes:
    """Return the first `most` bytes of a file.

    Raises
    ------
    IrregularFileError
        It is a folder, a pipe or a device.
    OSError, ValueError
        It cannot be read; the name cannot be that of a file.
    """
    # O_NONBLOCK: opening a pipe without a writer would block otherwise
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise IrregularFileError("this is a folder, not a file" if stat.S_ISDIR(mode) else "this is not a regular file")
    with os.fdopen(descriptor, "rb") as stream:
        return stream.read(most)
