"""Functions that numba compiles when their first large input arrives, instead of when they are imported.

Compiling all kernels at import took over twenty seconds, for a first run that needs a few of them and gives most of
these some thousand values. A `Kernel` runs as Python while that is cheap, then compiles the one signature that is
asked for, or loads it from the cache on disk. Both ways give the same bits: no kernel may use `fastmath`.

The cache is in the user's cache folder, not beside the source: an installation may be read-only, and then numba's own
choice fails in places where no home directory exists. Before the first compilation of a process the logger
`engine.drift` warns, because compiling takes seconds.
"""

import atexit
import logging
import os
import re
from collections.abc import Callable, Mapping
from functools import cache, update_wrapper
from hashlib import sha1
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from threading import RLock
from time import thread_time
from types import FunctionType
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

F = TypeVar("F", bound=Callable[..., Any])

LARGE = 10_000
"""Work (elements of the longest array, unless the kernel measures it otherwise) above which a call is compiled."""

SECONDS_BEFORE_COMPILING = 0.1
"""CPU seconds that a kernel may run as Python in a process: less than compiling takes, because each process pays it."""

SECONDS_BEFORE_LOADING = 0.005
"""The same where the cache holds the kernel and the process has used numba: about what loading it takes."""

SECONDS_BEFORE_STARTING = 0.05
"""The same where the cache holds the kernel and numba, whose start takes half a second, may not be needed at all."""

_PARAMETER = re.compile(r"(const )?(\w+)(?:\[([^\]]*)\])?")
_PYTHON_SCALARS: dict[str, Callable[[Any], Any]] = {"f8": float, "i8": int, "u8": np.uint64, "b1": bool}
_NUMPY_SCALARS = _PYTHON_SCALARS | {"f8": np.float64, "i8": np.int64}
_lock = RLock()
"""Reentrant: compiling a kernel makes the dispatchers of those that it calls."""


class _Parameter(NamedTuple):
    """A parameter of a signature: `convert` is for scalars, the rest for arrays."""

    convert: Callable[[Any], Any] | None
    dtype: Any = None
    dimensions: int = 0
    writable: bool = False

    def accepts(self, argument: Any) -> bool:
        if self.convert is not None:
            return not isinstance(argument, np.ndarray)
        return (
            isinstance(argument, np.ndarray)
            and argument.dtype == self.dtype
            and argument.ndim == self.dimensions
            and argument.flags.c_contiguous
            and (argument.flags.writeable or not self.writable)
        )


def _parse_parameters(signature: str, scalars: Mapping[str, Callable[[Any], Any]]) -> tuple[_Parameter, ...]:
    """Return the parameters of a signature, which are the last part of it in parentheses."""
    found = []
    for const, kind, shape in _PARAMETER.findall(signature.rpartition("(")[2]):
        if shape:
            found.append(_Parameter(None, np.dtype(kind), shape.count(",") + 1, not const))
        else:
            found.append(_Parameter(scalars[kind]))
    return tuple(found)


def _accept(parameters: tuple[_Parameter, ...], arguments: tuple[Any, ...]) -> bool:
    return len(parameters) == len(arguments) and all(map(_Parameter.accepts, parameters, arguments))


def _to_python(result: Any) -> Any:
    """Return numpy scalars as Python's numbers, which is what compiled code returns."""
    if isinstance(result, tuple):
        return tuple(map(_to_python, result))
    return result.item() if isinstance(result, np.generic) else result


def longest_array(*arguments: Any) -> int:
    """Return the size of the largest array among the arguments, 0 without any."""
    return max((argument.size for argument in arguments if isinstance(argument, np.ndarray)), default=0)


@cache
def cache_folder() -> str:
    """Return the folder that compiled kernels are kept in; one of this process where no other is writable."""
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return chosen
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


@cache
def _numba() -> Any:
    """Return the module numba, set up: where to cache, and a warning before the first compilation."""
    import numba
    from numba.core import event

    numba.config.CACHE_DIR = cache_folder()  # type: ignore[attr-defined]  # numba sets its options at run time

    class CompilationWarning(event.Listener):
        """Warns once; numba starts this event for a compilation, not for loading from the cache."""

        def on_start(self, _: event.Event) -> None:
            event.unregister("numba:compile", self)  # type: ignore[no-untyped-call]  # numba's
            message = "compiling numerical code, which is then kept for later runs: this takes some seconds"
            logging.getLogger("engine.drift").warning(message)

        def on_end(self, _: event.Event) -> None:
            pass

    event.register("numba:compile", CompilationWarning())  # type: ignore[no-untyped-call]  # numba's
    return numba


@cache
def _digest_of_sources() -> str:
    """Return a digest of all kernels: the code of one contains that of the helpers in other files."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return sha1(b"".join(source.read_bytes() for source in sources), usedforsecurity=False).hexdigest()[:12]


class Kernel:
    """A function that is run as Python while its input is small, and compiled when that is no longer cheap.

    Attributes
    ----------
    py_func
        The function as it is written, which is what numba compiles.
    small
        What runs small inputs: `py_func`, or a version of it in numpy that gives the same bits.
    """

    def __init__(
        self, py_func: Callable[..., Any], signatures: tuple[str, ...], small: Callable[..., Any] | None, work: Any
    ) -> None:
        update_wrapper(self, py_func)
        self.py_func, self.small = py_func, small or py_func
        self.signatures = signatures
        # with a signature per type of values, a scalar is such a value too, whose differences must wrap as in arrays
        scalars = _PYTHON_SCALARS if len(signatures) == 1 else _NUMPY_SCALARS
        self._parameters = tuple(_parse_parameters(signature, scalars) for signature in signatures)
        self._work = work
        self._spent = 0.0
        self._compiled: list[Any] = [None] * len(signatures)
        self._cached: dict[int, bool] = {}

    def __call__(self, *arguments: Any) -> Any:
        at = 0 if len(self._compiled) == 1 and self._compiled[0] else self._match(arguments)
        if self._compiled[at] is None:
            if self._work and self._spent <= self._affordable(at) and self._work(*arguments) <= LARGE:
                return self.interpret(*arguments)
            self.compile(at)
        return self._compiled[at](*arguments)

    def interpret(self, *arguments: Any) -> Any:
        """Return the result without compiled code."""
        parameters = self._parameters[self._match(arguments)]
        converted = [a if p.convert is None else p.convert(a) for p, a in zip(parameters, arguments, strict=True)]
        began = thread_time()
        with np.errstate(all="ignore"):  # compiled code wraps and overflows without a warning
            result = self.small(*converted)
        self._spent += thread_time() - began
        return _to_python(result)

    def compile(self, at: int) -> Any:
        """Return a signature's dispatcher, whose code is loaded or compiled once per process."""
        with _lock:
            if self._compiled[at] is None:
                source = self.py_func
                function = FunctionType(source.__code__, source.__globals__, None, None, source.__closure__)
                function.__qualname__ = self._name(at)
                signature = re.sub(r"const (\w+)\[::1\]", r"Array(\1, 1, 'C', True)", self.signatures[at])
                self._compiled[at] = _numba().njit(signature, cache=True, nogil=True)(function)
        return self._compiled[at]

    def _match(self, arguments: tuple[Any, ...]) -> int:
        for at, parameters in enumerate(self._parameters):
            if _accept(parameters, arguments):
                return at
        given = ", ".join(f"{a.dtype}[{a.ndim}]" if isinstance(a, np.ndarray) else type(a).__name__ for a in arguments)
        raise TypeError(f"{self.py_func.__name__}({given}): its signatures are {', '.join(self.signatures)}")

    def is_cached(self, at: int) -> bool:
        """Return whether the cache folder has the code of a signature, so that it need not be compiled."""
        # numba's index of a function: FOLDER_SHA1/FILE.FUNCTION-LINE.pyVERSION.nbi
        code = self.py_func.__code__
        path = Path(code.co_filename).absolute()
        digest = sha1(str(path.parent).encode(), usedforsecurity=False).hexdigest()
        index = f"*_{digest}/{path.stem}.{self._name(at)}-{code.co_firstlineno}.py*.nbi"
        return any(Path(cache_folder()).glob(index))

    def _name(self, at: int) -> str:
        """Return the name of a signature's code in the cache; numba itself looks at changes of one file only."""
        return f"{self.py_func.__name__}_{at}_{_digest_of_sources()}"

    def _affordable(self, at: int) -> float:
        """Return the seconds that this kernel may run as Python before a signature is loaded or compiled."""
        if at not in self._cached:
            self._cached[at] = self.is_cached(at)
        if not self._cached[at]:
            return SECONDS_BEFORE_COMPILING
        return SECONDS_BEFORE_LOADING if _numba.cache_info().currsize else SECONDS_BEFORE_STARTING

    @property
    def _numba_type_(self) -> Any:
        """What numba asks for where a kernel calls another one: the type of its dispatcher."""
        return self.compile(0)._numba_type_


class Helper:
    """A function that kernels call: compiled along with them, and run as Python when Python calls it.

    It has one signature, or none: then it is compiled for whatever types a kernel calls it with.
    """

    def __init__(self, py_func: Callable[..., Any], signature: str | None) -> None:
        update_wrapper(self, py_func)
        self.py_func, self._signature = py_func, signature
        self._converters = [p.convert for p in _parse_parameters(signature, _PYTHON_SCALARS)] if signature else None
        self._dispatcher: Any = None

    def __call__(self, *arguments: Any) -> Any:
        if self._converters is None:
            return self.py_func(*arguments)
        # as in compiled code: a whole number given for an f8 is a float from here on
        return self.py_func(*[c(a) if c else a for c, a in zip(self._converters, arguments, strict=True)])

    @property
    def _numba_type_(self) -> Any:
        with _lock:
            if self._dispatcher is None:
                # no entry for Python: half of what a small function takes to compile
                options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
                self._dispatcher = _numba().njit(self._signature, **options)(self.py_func)
        return self._dispatcher._numba_type_


def kernel(
    *signatures: str, small: Callable[..., Any] | None = None, work: Callable[..., float] | None = longest_array
) -> Callable[[F], F]:
    """Declare a kernel.

    Parameters
    ----------
    signatures
        As numba writes them, and `const f8[::1]` for arrays that may be read-only. Other types are a TypeError.
    small
        What to run instead of the function where there is little to do; it must give the same bits.
    work
        From the arguments, how much there is to do, in steps of a microsecond; None: never run as Python.
    """

    def declare(function: F) -> F:
        return cast(F, Kernel(function, signatures, small, work))

    return declare


def helper(signature: str | None = None) -> Callable[[F], F]:
    """Declare a function that kernels call, with the types it is compiled for."""

    def declare(function: F) -> F:
        return cast(F, Helper(function, signature))

    return declare
