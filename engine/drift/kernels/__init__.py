"""The few loops that numpy cannot say: compiled by numba, cached, explicit signatures, arrays in, numbers out.

The compiled code is kept in the user's cache directory, not beside the source: an installation may be read-only, and
then numba's own choice fails in places where no home directory exists. Compiling all of it takes seconds, once.
"""

import os
import tempfile
from pathlib import Path

import numba


def _cache_folder() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or str(Path("~").expanduser() / ".cache")
    folder = Path(root) / "engine" / "numba"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):
        pass
    # A fresh folder, never a guessable shared one: what numba finds in its cache is code that it will run.
    return Path(tempfile.mkdtemp(prefix="engine-numba-"))


if not os.environ.get("NUMBA_CACHE_DIR"):
    numba.config.CACHE_DIR = str(_cache_folder())  # type: ignore[attr-defined]  # numba sets its options at run time
