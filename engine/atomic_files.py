"""Write files atomically: written next to their place, synced, then renamed."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from tempfile import mkdtemp


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


@contextmanager
def replace_files(folder: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a new folder inside `folder`, which is created if missing; at the end of the block its files are moved up.

    If the block raises, the files of `folder` stay unchanged, so that a full disk leaves no part of the new files.

    Parameters
    ----------
    overwrite
        Whether existing files are replaced.

    Raises
    ------
    OSError
        A file cannot be written; FileExistsError if it exists and `overwrite` is false. It names the final place.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part = Path(mkdtemp(prefix=".new.", dir=folder))
    try:
        yield part
        files = [path.relative_to(part) for path in part.rglob("*") if path.is_file()]
        for file in files:
            if not overwrite and os.path.lexists(folder / file):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(folder / file))
            sync_path(part / file)
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (part / file).replace(folder / file)
    except OSError as error:
        if error.filename and (path := Path(error.filename)).is_relative_to(part):
            error.filename = str(folder / path.relative_to(part))
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)


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
