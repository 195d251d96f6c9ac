"""The few loops that numpy cannot say: compiled by numba, cached, explicit signatures, arrays in, numbers out.

The compiled code is kept in the user's cache directory, not beside the source: an installation may be read-only, and
then numba's own choice fails in places where no home directory exists. Compiling all of it takes ten to twenty
seconds, once, and says so: a warning of the logger `engine.drift`, which Python prints unless told otherwise.
"""

import atexit
import logging
import os
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import numba
from numba.core import event


def _cache_folder() -> str:
    root = os.environ.get("XDG_CACHE_HOME") or str(Path("~").expanduser() / ".cache")
    folder = Path(root) / "engine" / "numba"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return str(folder)
    except (OSError, RuntimeError):
        pass
    # A fresh folder, never a guessable shared one: what numba finds in its cache is code that it will run.
    folder_of_this_process = mkdtemp(prefix="engine-numba-")
    atexit.register(rmtree, folder_of_this_process, ignore_errors=True)
    return folder_of_this_process


if not os.environ.get("NUMBA_CACHE_DIR"):
    numba.config.CACHE_DIR = _cache_folder()  # type: ignore[attr-defined]  # numba sets its options at run time


class _Compiling(event.Listener):
    """Says so when the first kernel is compiled, as none is that the cache holds."""

    def on_start(self, _: event.Event) -> None:
        event.unregister("numba:compile", self)  # type: ignore[no-untyped-call]  # numba's
        logging.getLogger("engine.drift").warning("compiling kernels, once on this machine: this takes some seconds")

    def on_end(self, _: event.Event) -> None:
        pass


event.register("numba:compile", _Compiling())  # type: ignore[no-untyped-call]  # numba's
