"""The folder in which this user's processes keep what they would else compute anew: nothing in it is ever needed."""

import os
from functools import cache
from pathlib import Path


@cache
def find_user_cache() -> Path | None:
    """Return the folder, which is made if it is missing; None if this user can write none."""
    try:
        root = os.environ.get("XDG_CACHE_HOME") or str(Path("~").expanduser() / ".cache")
        folder = Path(root) / "engine"
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: a user without a name and without HOME has no home folder
        return None
    return folder if os.access(folder, os.W_OK) else None
