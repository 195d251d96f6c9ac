"""Compile a function with numba, or load the code that an earlier process compiled.

The cache is in the user's cache folder, not beside the source: an installation may be read-only, and numba's default
fails where no home directory exists. The logger `engine.drift` warns before the first compilation of a process, because
compiling takes seconds.
"""

import atexit
import logging
import os
import sys
from collections.abc import Callable
from functools import cache
from hashlib import sha1
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from types import FunctionType
from typing import Any

_temporary_folders: list[str] = []


@cache
def cache_folder() -> str:
    """Return the folder of compiled kernels: if none is writable, a temporary folder that is removed at exit."""
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return chosen
    try:
        root = os.environ.get("XDG_CACHE_HOME") or str(Path("~").expanduser() / ".cache")
        folder = Path(root) / "engine" / "numba"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return str(folder)
    except (OSError, RuntimeError):  # RuntimeError: a user without a name and without HOME has no home folder
        pass
    # A fresh folder, never a shared one with a guessable name: numba executes the code that it finds in its cache.
    folder_of_this_process = mkdtemp(prefix="engine-numba-")
    atexit.register(rmtree, folder_of_this_process, ignore_errors=True)
    _temporary_folders.append(folder_of_this_process)
    return folder_of_this_process


@cache
def _numba() -> Any:
    """Return the numba module with its cache folder set and the warning before the first compilation installed."""
    import numba
    from numba.core import event

    numba.config.CACHE_DIR = cache_folder()  # type: ignore[attr-defined]  # numba sets its options at run time

    class CompilationWarning(event.Listener):
        """Warns once; numba starts this event for a compilation, not for loading from the cache."""

        def on_start(self, _: event.Event) -> None:
            event.unregister("numba:compile", self)  # type: ignore[no-untyped-call]  # numba's
            kept = (
                "which every run repeats, because no folder can keep it: set NUMBA_CACHE_DIR"
                if cache_folder() in _temporary_folders
                else "which is then kept for later runs"
            )
            message = f"compiling numerical code, {kept}: this takes some seconds"
            logging.getLogger("engine.drift").warning(message)

        def on_end(self, _: event.Event) -> None:
            pass

    event.register("numba:compile", CompilationWarning())  # type: ignore[no-untyped-call]  # numba's
    return numba


def is_numba_loaded() -> bool:
    """Return whether this process has imported numba."""
    return bool(_numba.cache_info().currsize)


@cache
def _cache_class() -> type[Any]:
    """Return numba's cache class, changed to load compiled code without preparing to compile.

    numba's own class first imports, registers and compiles what compiling may need, which takes .3 s per process.
    """
    from llvmlite import binding
    from numba.core.caching import FunctionCache
    from numba.core.runtime import _nrt_python  # type: ignore[attr-defined]  # an extension module

    # The functions in C with which compiled code allocates arrays. What numba compiles around them for each process is
    # part of the compiled code already.
    for name, address in _nrt_python.c_helpers.items():
        binding.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)

    class CacheOfCompiledCode(FunctionCache):
        def load_overload(self, sig: Any, target_context: Any) -> Any:
            with self._guard_against_spurious_io_errors():
                return self._load_overload(sig, target_context)  # type: ignore[no-untyped-call]  # numba's

    return CacheOfCompiledCode


def compile_for_python(function: Callable[..., Any], signature: str, name: str) -> Any:
    """Return the dispatcher of a function for one signature, loaded or compiled; `name` identifies it in the cache."""
    copied = FunctionType(function.__code__, function.__globals__, None, None, function.__closure__)
    copied.__qualname__ = _name_in_cache(name)
    dispatcher = _numba().njit(nogil=True, no_cfunc_wrapper=True)(copied)  # nothing calls it through a C pointer
    dispatcher._cache = _cache_class()(copied)
    dispatcher.compile(signature)
    dispatcher.disable_compile()
    return dispatcher


def compile_for_kernels(function: Callable[..., Any], signature: str | None) -> Any:
    """Return the dispatcher of a function that only compiled code calls; without a signature it takes any types."""
    # no wrapper for calls from Python: it is half of the time that compiling a small function takes
    return _numba().njit(signature, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def is_cached(function: Callable[..., Any], name: str) -> bool:
    """Return whether the cache folder holds the code of `name`; does not need numba."""
    # numba's index of a function: FOLDER_SHA1/FILE.FUNCTION-LINE.pyVERSION.nbi
    code = function.__code__
    path = Path(code.co_filename).absolute()
    folder = f"{path.parent.name}_{sha1(str(path.parent).encode(), usedforsecurity=False).hexdigest()}"
    version = f"py{sys.version_info.major}{sys.version_info.minor}{sys.abiflags}"
    index = f"{path.stem}.{_name_in_cache(name)}-{code.co_firstlineno}.{version}.nbi"
    return (Path(cache_folder()) / folder / index).exists()


def _name_in_cache(name: str) -> str:
    """Return `name` with a digest of all kernels: numba notices only changes in the kernel's own file."""
    return f"{name}_{_digest_of_sources()}"


@cache
def _digest_of_sources() -> str:
    """Return a digest of the sources of all kernels: compiled code contains that of helpers in other files."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return sha1(b"".join(source.read_bytes() for source in sources), usedforsecurity=False).hexdigest()[:12]
