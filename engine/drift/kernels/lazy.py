"""Functions that numba compiles at their first large input, not at import.

Compiling all kernels at import took over twenty seconds, although a first run needs few of them and calls most of these
with some thousand values. A `Kernel` runs as Python while that is cheap, then compiles the needed signature or loads it
from the cache on disk. Both ways give the same bits: no kernel may use `fastmath`.
"""

import re
from collections.abc import Callable, Mapping
from functools import update_wrapper
from importlib import import_module
from threading import RLock
from time import thread_time
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from engine.drift.kernels.compilation import compile_for_kernels, compile_for_python, is_cached, is_numba_loaded

F = TypeVar("F", bound=Callable[..., Any])

LARGE = 10_000
"""Estimated work from which a call is compiled, in units of about a microsecond of Python. By default a call has one
unit per element of its longest array (see `kernel`)."""

SECONDS_BEFORE_COMPILING = 0.05
"""CPU seconds that a kernel may run as Python per process: less than compiling takes, since each process pays it."""

SECONDS_BEFORE_LOADING = 0.003
"""The same if the cache holds the kernel and the process has imported numba: about the time of loading it."""

SECONDS_BEFORE_STARTING = 0.05
"""The same if the cache holds the kernel but the process has not imported numba yet, which takes .15 s."""

_PARAMETER = re.compile(r"(const )?(\w+)(?:\[([^\]]*)\])?")
_PYTHON_SCALARS: dict[str, Callable[[Any], Any]] = {"f8": float, "i8": int, "u8": np.uint64, "b1": bool}
_NUMPY_SCALARS = _PYTHON_SCALARS | {"f8": np.float64, "i8": np.int64}
_lock = RLock()
"""Reentrant, because compiling a kernel makes the dispatchers of the kernels and helpers that it calls."""


class _Parameter(NamedTuple):
    """A parameter of a signature: `convert` converts a scalar to its type (None: an array); the rest is for arrays."""

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
    """Return the parameters of a signature: the types in its last pair of parentheses."""
    parameters = []
    for const, kind, shape in _PARAMETER.findall(signature.rpartition("(")[2]):
        if shape:
            parameters.append(_Parameter(None, np.dtype(kind), shape.count(",") + 1, not const))
        else:
            parameters.append(_Parameter(scalars[kind]))
    return tuple(parameters)


def _accept_arguments(parameters: tuple[_Parameter, ...], arguments: tuple[Any, ...]) -> bool:
    return len(parameters) == len(arguments) and all(map(_Parameter.accepts, parameters, arguments))


def _to_python(result: Any) -> Any:
    """Return numpy scalars as Python numbers, as compiled code does."""
    if isinstance(result, tuple):
        return tuple(map(_to_python, result))
    return result.item() if isinstance(result, np.generic) else result


def longest_array(*arguments: Any) -> int:
    """Return the size of the largest array among the arguments, 0 without any."""
    return max((argument.size for argument in arguments if isinstance(argument, np.ndarray)), default=0)


class Kernel:
    """A function that runs as Python while its inputs are small, and is compiled when that is no longer cheap.

    Attributes
    ----------
    py_func
        The Python function, which numba compiles.
    small
        The function for small inputs: `py_func`, or a numpy version of it that gives the same bits.
    """

    def __init__(
        self, py_func: Callable[..., Any], signatures: tuple[str, ...], small: Callable[..., Any] | None, work: Any
    ) -> None:
        update_wrapper(self, py_func)
        self.py_func, self.small = py_func, small or py_func
        self.signatures = signatures
        # A kernel with several signatures takes float64 or int64 values, and its scalars have that type too. They stay
        # numpy scalars, so that int64 differences wrap around as in compiled code.
        scalars = _PYTHON_SCALARS if len(signatures) == 1 else _NUMPY_SCALARS
        self._parameters = tuple(_parse_parameters(signature, scalars) for signature in signatures)
        # the type of the first argument selects one of several signatures
        self._index_by_type = {found[0].dtype: index for index, found in enumerate(self._parameters)}
        self._work = work
        self._spent = 0.0
        self._compiled: list[Any] = [None] * len(signatures)
        self._cached: dict[int, bool] = {}

    def __call__(self, *arguments: Any) -> Any:
        # compiled code checks its arguments itself
        index = self._index_by_type.get(getattr(arguments[0], "dtype", None), 0)
        if self._compiled[index] is not None:
            return self._compiled[index](*arguments)
        index = self._match_signature(arguments)
        if self._compiled[index] is None:
            affordable = self._affordable_seconds(index)
            if self._work and self._spent <= affordable and self._work(*arguments) <= min(LARGE, affordable * 1e6):
                return self.interpret(*arguments)
            self.compile(index)
        return self._compiled[index](*arguments)

    def interpret(self, *arguments: Any) -> Any:
        """Run the function as Python, and count the CPU time that it takes."""
        parameters = self._parameters[self._match_signature(arguments)]
        converted = [a if p.convert is None else p.convert(a) for p, a in zip(parameters, arguments, strict=True)]
        start = thread_time()
        with np.errstate(all="ignore"):  # compiled code wraps and overflows without a warning
            result = self.small(*converted)
        self._spent += thread_time() - start
        return _to_python(result)

    def compile(self, index: int) -> Any:
        """Return the dispatcher of a signature, given by its position; it is loaded or compiled once per process."""
        with _lock:
            if self._compiled[index] is None:
                signature = re.sub(r"const (\w+)\[::1\]", r"Array(\1, 1, 'C', True)", self.signatures[index])
                self._compiled[index] = compile_for_python(self.py_func, signature, self._name(index))
        return self._compiled[index]

    def is_compiled(self, index: int) -> bool:
        """Return whether this process has the compiled code of a signature."""
        return self._compiled[index] is not None

    def _match_signature(self, arguments: tuple[Any, ...]) -> int:
        """Return the position of the first signature that accepts the arguments."""
        for index, parameters in enumerate(self._parameters):
            if _accept_arguments(parameters, arguments):
                return index
        given = ", ".join(f"{a.dtype}[{a.ndim}]" if isinstance(a, np.ndarray) else type(a).__name__ for a in arguments)
        raise TypeError(f"{self.py_func.__name__}({given}): its signatures are {', '.join(self.signatures)}")

    def is_cached(self, index: int) -> bool:
        """Return whether the cache folder has the code of a signature, so that it need not be compiled."""
        return is_cached(self.py_func, self._name(index))

    def _name(self, index: int) -> str:
        return f"{self.py_func.__name__}_{index}"

    def _affordable_seconds(self, index: int) -> float:
        """Return the seconds that this kernel may still run as Python before a signature is loaded or compiled."""
        if index not in self._cached:
            self._cached[index] = self.is_cached(index)
        if not self._cached[index]:
            return SECONDS_BEFORE_COMPILING
        return SECONDS_BEFORE_LOADING if is_numba_loaded() else SECONDS_BEFORE_STARTING

    @property
    def _numba_type_(self) -> Any:
        """The type of the dispatcher, which numba reads if a kernel calls another."""
        return self.compile(0)._numba_type_


class Helper:
    """A function that kernels call: compiled with them, and run as Python when Python calls it.

    It has one signature, or none: then it is compiled for the types of each call.
    """

    def __init__(self, py_func: Callable[..., Any], signature: str | None) -> None:
        update_wrapper(self, py_func)
        self.py_func, self._signature = py_func, signature
        self._converters = [p.convert for p in _parse_parameters(signature, _PYTHON_SCALARS)] if signature else None
        self._dispatcher: Any = None

    def __call__(self, *arguments: Any) -> Any:
        if self._converters is None:
            return self.py_func(*arguments)
        # as in compiled code: a whole number given for an f8 becomes a float
        return self.py_func(*[c(a) if c else a for c, a in zip(self._converters, arguments, strict=True)])

    @property
    def _numba_type_(self) -> Any:
        with _lock:
            if self._dispatcher is None:
                self._dispatcher = compile_for_kernels(self.py_func, self._signature)
        return self._dispatcher._numba_type_


_declared: list[Kernel] = []
"""Every kernel whose module has been imported."""


def kernel(
    *signatures: str, small: Callable[..., Any] | None = None, work: Callable[..., float] | None = longest_array
) -> Callable[[F], F]:
    """Declare a kernel.

    Parameters
    ----------
    signatures
        In numba's notation, with `const f8[::1]` for arrays that may be read-only. Other argument types raise a
        TypeError.
    small
        The function to run instead where there is little work; it must give the same bits.
    work
        Estimates the work of a call from its arguments, in units of about a microsecond of Python (see `LARGE`). None
        if the kernel must never run as Python.
    """

    def declare(function: F) -> F:
        declared = Kernel(function, signatures, small, work)
        _declared.append(declared)
        return cast(F, declared)

    return declare


def list_compiled_kernels() -> list[tuple[str, str, int]]:
    """Return the signatures that this process has compiled or loaded, as (module, name, position of the signature)."""
    return [
        (one.py_func.__module__, one.py_func.__name__, index)
        for one in _declared
        for index in range(len(one.signatures))
        if one.is_compiled(index)
    ]


def load_kernel(module: str, name: str, index: int) -> None:
    """Load the compiled code of a signature in advance; the arguments are as in `list_compiled_kernels`."""
    declared: Kernel = getattr(import_module(module), name)
    declared.compile(index)


def helper(signature: str | None = None) -> Callable[[F], F]:
    """Declare a function that kernels call; without a signature it is compiled for the types of each call."""

    def declare(function: F) -> F:
        return cast(F, Helper(function, signature))

    return declare
