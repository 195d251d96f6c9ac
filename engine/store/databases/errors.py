"""Errors of the database and the file system as messages for users: which folder, what happened, what to do.

Every access is translated, so that callers never see an error of a driver. An error that these tables do not list is a
bug and is raised unchanged.
"""

import errno
import json
import re
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from engine.errors import StoreError
from engine.store.tables import metadata

DISK_FULL = "the disk is full", "free some space and run again; everything committed before is complete"
DAMAGED = (
    "state.db is damaged",
    "restore it from a backup, or move the folder away to start with an empty state (without evaluations and history)",
)
UNREADABLE = "a file or folder in it cannot be read", "give this user read access to it"
UNWRITABLE = "the folder cannot be written", "give this user write access to it, or set another `state: {path: …}`"
RECORD_EXISTS = "this record already exists", "run again: the run reuses what was already written"

SQLITE_CAUSES = {
    sqlite3.SQLITE_BUSY: (
        "state.db is locked by another process that is writing",
        "wait for it to end, or end it; then run again",
    ),
    sqlite3.SQLITE_FULL: DISK_FULL,
    sqlite3.SQLITE_NOTADB: (
        "state.db is not a database",
        "if it was overwritten, restore it from a backup; else choose another folder with `state: {path: …}`",
    ),
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_READONLY: UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: UNWRITABLE,
    sqlite3.SQLITE_PERM: UNWRITABLE,
    sqlite3.SQLITE_IOERR: ("reading or writing the disk failed", "check the disk and its file system; then run again"),
    sqlite3.SQLITE_NOMEM: ("there is not enough memory", "free some memory, or give this process more; then run again"),
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: RECORD_EXISTS,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: RECORD_EXISTS,
}
ERRNO_CAUSES = {
    errno.ENOSPC: DISK_FULL,
    errno.EDQUOT: ("this user's disk quota is used up", DISK_FULL[1]),
    errno.EACCES: UNWRITABLE,
    errno.EPERM: UNWRITABLE,
    errno.EROFS: UNWRITABLE,
    errno.EFBIG: ("a file may not grow further", "raise the limit on the size of files (`ulimit -f`), then run again"),
    errno.ENOMEM: SQLITE_CAUSES[sqlite3.SQLITE_NOMEM],
    errno.ENOTDIR: ("a part of this path is a file, not a folder", "set another `state: {path: …}`"),
    errno.EEXIST: ("a file or folder of another kind has this name", "set another `state: {path: …}`"),
    errno.ENOTEMPTY: ("a folder that must be new already exists", "move it away, then run again"),
    errno.EISDIR: ("a folder is where a file of the state belongs", "move it away, then run again"),
    errno.ENOENT: (
        "a file or folder of the state is gone",
        "run again, which creates it again; if something removes this folder at times, set another `state: {path: …}`",
    ),
    errno.ELOOP: ("this path is a link that refers to itself", "set another `state: {path: …}`"),
    errno.ENAMETOOLONG: ("this path is too long", "set another `state: {path: …}`"),
    errno.EIO: SQLITE_CAUSES[sqlite3.SQLITE_IOERR],
    errno.EMFILE: ("too many files are open", "raise the limit (`ulimit -n`), then run again"),
}

_copies: dict[Path, Path] = {}
"""The temporary copies of states that are in use now, with the folders of the originals."""


def build_store_error(folder: Path, cause: str, remedy: str, found: str = "") -> StoreError:
    """Return an error with the folder, the cause, the message of the system (`found`), and what to do."""
    said = f"{cause} ({found})" if found else cause
    text = f"state folder {folder}: {said}{'' if said.endswith('?') else '.'} What to do: {remedy}."
    for copy, original in _copies.items():
        text = text.replace(str(copy), str(original))
    return StoreError(text)


@contextmanager
def name_original(copy: Path, original: Path) -> Iterator[None]:
    """Replace `copy`, a temporary copy of a state, by the folder `original` in error messages during the block."""
    _copies[copy] = original
    try:
        yield
    finally:
        del _copies[copy]


def is_temporary_copy(folder: Path) -> bool:
    """Return whether a state is a temporary copy of another one."""
    return folder in _copies


def check_database_file(folder: Path) -> None:
    """Check that state.db is a file or can be created; the message of SQLite would only be that it cannot open it.

    Raises
    ------
    StoreError
        It is a folder or a device, or a link that leads to no folder.
    """
    path = folder / "state.db"
    with translate_errors(folder):
        try:
            mode = path.stat().st_mode
        except FileNotFoundError:
            if path.is_symlink() and not path.resolve().parent.is_dir():
                remedy = "restore the file that it refers to, or remove the link"
                raise build_store_error(folder, "state.db is a link to a file that does not exist", remedy) from None
            return
    if not stat.S_ISREG(mode):
        cause = ERRNO_CAUSES[errno.EISDIR] if stat.S_ISDIR(mode) else ("state.db is not a file", "move it away")
        raise build_store_error(folder, *cause)


def _lacks_a_table(message: str) -> bool:
    """Return whether a message of SQLite is about a missing table or column, or a text that is not UTF-8."""
    found = re.match(r"no such (?:table|column): (\w+)|table (\w+) has no column|Could not decode to UTF-8", message)
    return found is not None and (found[1] or found[2] or "runs") in metadata.tables


@contextmanager
def translate_errors(folder: Path, *, reading: bool = False) -> Iterator[None]:
    """Raise the errors of the database and of the file system as StoreError.

    Parameters
    ----------
    reading
        Whether the folder is only read, so that a permission that is missing is that to read.
    """
    try:
        yield
    except (DBAPIError, sqlite3.Error) as error:
        found = getattr(error, "orig", error)
        code = getattr(found, "sqlite_errorcode", 0)
        code = code if code in SQLITE_CAUSES else code & 0xFF  # the primary code of an extended result code
        if code == sqlite3.SQLITE_IOERR and shutil.disk_usage(folder).free < 2**20:
            code = sqlite3.SQLITE_FULL  # SQLite reports a write-ahead log that cannot grow as an I/O error
        if _lacks_a_table(str(found)):
            code = sqlite3.SQLITE_CORRUPT
        if code not in SQLITE_CAUSES:
            raise
        raise build_store_error(folder, *SQLITE_CAUSES[code], found=str(found)) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise build_store_error(folder, *DAMAGED, found=str(error)) from error
    except shutil.Error as error:  # from copytree, with one entry per file that could not be read
        raise build_store_error(folder, *UNREADABLE, found=str(error.args[0][0][2])) from error
    except OSError as error:
        if error.errno not in ERRNO_CAUSES:
            raise
        closed = reading and error.errno in (errno.EACCES, errno.EPERM)
        cause = UNREADABLE if closed else ERRNO_CAUSES[error.errno]
        raise build_store_error(folder, *cause, found=str(error)) from error
