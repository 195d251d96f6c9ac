"""Functions written by users: `module:function`, in a Python file beside the spec.

Each call of `load_function` runs the module again, and the returned function keeps the imported modules. So two folders
may both have a `helpers.py`, an edited file takes effect, and `sys.path` and `sys.modules` are left unchanged.
`import_module` with the folder on the path would find the first `helpers.py` for both folders, and never reload it.
"""

import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.machinery import SourceFileLoader
from pathlib import Path
from traceback import extract_tb
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from engine.data.polars_errors import describe_error
from engine.errors import DataError, EngineError
from engine.formatting.hints import suggest_name
from engine.spec.code_folder import CodeFolder

if TYPE_CHECKING:
    from pyspark.sql import DataFrame as SparkDataFrame


def find_module_file(folder: Path, name: str) -> Path:
    """Return the file of module `name` in `folder`.

    Raises
    ------
    DataError
        The folder has no such module.
    """
    stem = folder.joinpath(*name.split("."))
    for path in (stem.with_name(f"{stem.name}.py"), stem / "__init__.py"):
        if path.is_file():
            return path
    known = sorted(path.stem for path in folder.glob("*.py"))
    others = suggest_name(name, known) if known else ", nor does any other Python file in its folder"
    raise DataError(f"there is no module {name!r}: {stem}.py does not exist{others}")


class _UncachedLoader(SourceFileLoader):
    """Compiles the source each time: Python's bytecode cache identifies a source only by size and time in seconds."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def load_function(code: CodeFolder, reference: str) -> Callable[..., Any]:
    """Return the function named by `reference`, "module:function", in the folder of `code`.

    When called, the function can import the modules of the folder, and an exception in it becomes a DataError that
    names the user's file and line.

    Raises
    ------
    DataError
        The module or the function does not exist, importing the module fails, or its code may not run here.
    """
    if code.refusal:
        raise DataError(f"{reference} is not called here: {code.refusal}")
    module_name, _, name = reference.partition(":")
    folder = code.path.absolute()
    path = find_module_file(folder, module_name)
    modules: dict[str, ModuleType] = {}
    importing = translate_user_code_errors(folder, f"importing {path.name}")
    with _restore_process_state(), _importable(folder, modules), importing:
        spec = importlib.util.spec_from_file_location(module_name, path, loader=_UncachedLoader(module_name, str(path)))
        assert spec is not None  # noqa: S101  # a .py file always has a loader
        assert spec.loader is not None  # noqa: S101
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise DataError(f"{path} has no function {name!r}{suggest_name(name, known)}")

    def call(*arguments: Any, **keywords: Any) -> Any:
        process = os.getpid()
        with _restore_process_state(), _importable(folder, modules), translate_user_code_errors(folder, reference):
            try:
                return function(*arguments, **keywords)
            finally:
                if os.getpid() != process:
                    os._exit(0)  # a process forked by the function, and not ended, would continue with the run too

    return call


def call_frame_function(
    code: CodeFolder, reference: str, arguments: Mapping[str, Any]
) -> "pl.DataFrame | pl.LazyFrame | SparkDataFrame":
    """Call a user's function and return the frame of a `python` dataset.

    Raises
    ------
    DataError
        The function cannot be loaded, raises, or returns something other than a polars DataFrame or LazyFrame, or a
        Spark DataFrame.
    """
    frame = load_function(code, reference)(**arguments)
    if isinstance(frame, pl.DataFrame | pl.LazyFrame):
        return frame
    from engine.drift.reading.sources import is_spark_frame

    if not is_spark_frame(frame):
        kind = f"{type(frame).__module__}.{type(frame).__name__}".removeprefix("builtins.")
        convertible = kind.partition(".")[0] in ("pandas", "pyarrow")
        converter = f"polars.from_{'pandas' if kind.startswith('pandas') else 'arrow'}(…)"
        hint = f"; convert it with {converter}" if convertible else ""
        raise DataError(f"{reference} returned {kind}; it must return a polars DataFrame or LazyFrame{hint}")
    return cast("SparkDataFrame", frame)


@contextmanager
def _restore_process_state() -> Iterator[None]:
    """Restore process-wide settings that user code may change and on which the engine depends.

    These are the working folder (relative paths), the mask of new files' permissions, the filters of warnings and
    numpy's handling of floating-point errors. Environment variables stay: frames that are read later may need them.
    """
    import numpy as np

    here = Path.cwd()
    mask = os.umask(0o022)
    os.umask(mask)
    try:
        with warnings.catch_warnings(), np.errstate():
            yield
    finally:
        os.umask(mask)
        os.chdir(here)


@contextmanager
def _importable(folder: Path, modules: dict[str, ModuleType]) -> Iterator[None]:
    """Make the modules of `folder` importable inside the `with` block, and restore the import system afterwards.

    `modules` holds the modules of the folder that earlier blocks imported. They are treated as imported again; those
    that this block imports are added. Modules from elsewhere (libraries) stay imported.
    """
    before, bytecode = {**sys.modules}, sys.dont_write_bytecode
    # The folder's modules for this function replace modules of the same name from another folder.
    sys.modules.update(modules)
    sys.path.insert(0, str(folder))
    # No .pyc: a file edited within the same second, with the same length, would be taken for the compiled one.
    sys.dont_write_bytecode = True
    # The finders cache folder listings; without this, a file written just now would not be found.
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.dont_write_bytecode = bytecode
        with suppress(ValueError):  # the code may have removed it, or replaced the list
            sys.path.remove(str(folder))
        # Modules imported by the block: keep those of the folder for the next block …
        new = [name for name, module in sys.modules.items() if before.get(name) is not module]
        modules.update({name: sys.modules[name] for name in new if _belongs_to_folder(folder, name)})
        # … and remove them from sys.modules, restoring modules of the same name.
        for name in modules:
            sys.modules.pop(name, None)
            if name in before:
                sys.modules[name] = before[name]


def _belongs_to_folder(folder: Path, name: str) -> bool:
    """Return whether a module, or the package that contains it, is directly in the folder.

    A library in a virtual environment inside the folder does not count.
    """
    top = name.partition(".")[0]
    module = sys.modules.get(top)
    # A namespace package has no file, but a search path.
    where = getattr(module, "__file__", None) or next(iter(getattr(module, "__path__", ())), "")
    return Path(where) in (folder / f"{top}.py", folder / top, folder / top / "__init__.py")


@contextmanager
def translate_user_code_errors(folder: Path, doing: str) -> Iterator[None]:
    """Translate an exception of user code into a DataError that names the innermost line in the user's files.

    `doing` is the start of the message: "importing made.py" gives "importing made.py failed: …".
    """
    try:
        yield
    except (EngineError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # also SystemExit, and library exceptions derived from BaseException
        if isinstance(error, SyntaxError):
            where, text = f"{error.filename}:{error.lineno}: ", error.msg
        else:
            users = [frame for frame in extract_tb(error.__traceback__) if _is_user_file(folder, frame.filename)]
            where, text = f"{users[-1].filename}:{users[-1].lineno}: " if users else "", describe_error(error)
        raise DataError(f"{doing} failed: {where}{type(error).__name__}: {text}") from error


def _is_user_file(folder: Path, file: str) -> bool:
    return folder in Path(file).parents and "site-packages" not in file
