"""Users' own functions: `module:function`, a file beside the spec.

Each call of `load_function` runs the module anew, and its modules live in the function that it returns: two folders
may both have a `helpers.py`, an edited file takes effect, and neither `sys.path` nor `sys.modules` keeps a trace. A
plain `import_module` with the folder put on the path would mix them up.
"""

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from traceback import extract_tb
from types import ModuleType
from typing import Any

import polars as pl

from engine.data.wording import meant, words
from engine.errors import DataError, EngineError


def module_file(folder: Path, name: str) -> Path:
    """Return the file of module `name` in `folder`.

    Raises
    ------
    DataError
        There is none.
    """
    stem = folder.joinpath(*name.split("."))
    for path in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
        if path.is_file():
            return path
    known = sorted(path.stem for path in folder.glob("*.py"))
    raise DataError(f"there is no module {name!r}: {stem}.py does not exist{meant(name, known)}")


def load_function(folder: Path, reference: str) -> Callable[..., Any]:
    """Return the function that `reference`, "module:function", names in `folder`.

    The function runs with the folder's modules importable. What it raises becomes a DataError that names the user's
    file and line.

    Raises
    ------
    DataError
        The module or the function does not exist, or importing the module fails.
    """
    module_name, _, name = reference.partition(":")
    folder = folder.absolute()
    path = module_file(folder, module_name)
    modules: dict[str, ModuleType] = {}
    with _beside(folder, modules), blaming(folder, f"importing {path.name}"):
        spec = importlib.util.spec_from_file_location(module_name, path)
        assert spec is not None  # noqa: S101  # a .py file always has a loader
        assert spec.loader is not None  # noqa: S101
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise DataError(f"{path} has no function {name!r}{meant(name, known)}")

    def call(*arguments: Any, **keywords: Any) -> Any:
        with _beside(folder, modules), blaming(folder, reference):
            return function(*arguments, **keywords)

    return call


def frame_of(folder: Path, reference: str, arguments: Mapping[str, Any]) -> pl.DataFrame | pl.LazyFrame:
    """Call a user's function for the frame of a `python` dataset.

    Raises
    ------
    DataError
        It cannot be loaded, raises, or returns anything but a polars DataFrame or LazyFrame.
    """
    frame = load_function(folder, reference)(**arguments)
    if not isinstance(frame, pl.DataFrame | pl.LazyFrame):
        kind = f"{type(frame).__module__}.{type(frame).__name__}".removeprefix("builtins.")
        known = kind.partition(".")[0] in ("pandas", "pyarrow")
        hint = f"; polars.from_{'pandas' if kind.startswith('pandas') else 'arrow'}(…) makes one of it" if known else ""
        raise DataError(f"{reference} returned {kind}; it must return a polars DataFrame or LazyFrame{hint}")
    return frame


@contextmanager
def _beside(folder: Path, modules: dict[str, ModuleType]) -> Iterator[None]:
    """Make `folder` importable, with `modules` of it already imported; put everything back and keep the new ones."""
    before, bytecode = {**sys.modules}, sys.dont_write_bytecode
    sys.modules.update(modules)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.dont_write_bytecode = bytecode
        sys.path.remove(str(folder))
        new = [name for name, module in sys.modules.items() if before.get(name) is not module]
        modules.update({name: sys.modules[name] for name in new if _lives_in(folder, name)})
        for name in modules:
            sys.modules.pop(name, None)
            if name in before:
                sys.modules[name] = before[name]


def _lives_in(folder: Path, name: str) -> bool:
    """Tell whether a module, or the package that it is part of, is a file of the folder itself: not of a venv in it."""
    top = name.partition(".")[0]
    module = sys.modules.get(top)
    where = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), "")
    return Path(where) in (folder / f"{top}.py", folder / top, folder / top / "__init__.py")


@contextmanager
def blaming(folder: Path, doing: str) -> Iterator[None]:
    """Turn what user code raises into a DataError with the last of the user's own lines that it passed."""
    try:
        yield
    except EngineError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, SyntaxError):
            where, said = f"{error.filename}:{error.lineno}: ", error.msg
        else:
            passed = [frame for frame in extract_tb(error.__traceback__) if _is_own(folder, frame.filename)]
            where, said = f"{passed[-1].filename}:{passed[-1].lineno}: " if passed else "", words(error)
        raise DataError(f"{doing} failed: {where}{type(error).__name__}: {said}") from error


def _is_own(folder: Path, file: str) -> bool:
    return folder in Path(file).parents and "site-packages" not in file
