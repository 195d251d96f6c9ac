"""Reading a file whose path a user gives: one that leads to a folder, a pipe or something huge blocks nothing."""

import os
import stat


class IrregularFileError(OSError):
    """A path leads to no file of bytes; the message says to what."""


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
