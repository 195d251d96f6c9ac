"""The folder where this user's processes cache results; nothing in it is required.

The content reveals parts of the user's specs. So it is in folders that nobody else may enter, and a folder to which
somebody else could have written is not used.
"""

import os
import stat
from contextlib import suppress
from functools import cache
from pathlib import Path


@cache
def find_user_cache() -> Path | None:
    """Return the folder, which is created if missing; None if this user cannot write to one."""
    try:
        root = os.environ.get("XDG_CACHE_HOME") or str(Path("~").expanduser() / ".cache")
        folder = Path(root) / "engine"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: a user without a name and without HOME has no home folder
        return None
    return folder if os.access(folder, os.W_OK) else None


def read_kept(kind: str, name: str) -> bytes | None:
    """Return the cached bytes of a kind under a name; None if there are none, or if they cannot be read."""
    folder = _find_private_folder(kind)
    try:
        return None if folder is None else (folder / name).read_bytes()
    except OSError:
        return None


def keep_bytes(kind: str, name: str, content: bytes, most: int) -> None:
    """Cache bytes of a kind under a name, if possible. Of more than `most` files, the older half is removed."""
    folder = _find_private_folder(kind)
    if folder is None:
        return
    part = folder / f".{name}.{os.getpid()}"
    with suppress(OSError):  # a full disk, or another process removes the same files
        part.write_bytes(content)
        part.replace(folder / name)
        found = list(folder.iterdir())
        if len(found) > most:
            for path in sorted(found, key=lambda one: one.stat().st_mtime)[: len(found) // 2]:
                path.unlink(missing_ok=True)


def _find_private_folder(kind: str) -> Path | None:
    """Return the folder for a kind, which belongs to this user alone; None if there is none."""
    root = find_user_cache()
    if root is None:
        return None
    folder = root / kind
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
    except OSError:
        return None
    private = stat.S_ISDIR(state.st_mode) and state.st_uid == os.geteuid() and not state.st_mode & 0o077
    return folder if private else None
