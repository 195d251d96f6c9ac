"""The Python files that users' functions need: their modules, and the modules that these import from the same folder.

The files are read, never run. Imports from outside the folder are installed packages.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from engine.data.user_code.functions import find_module_file
from engine.errors import DataError

_IMPORTING_CALLS = ("import_module", "__import__")


def list_module_files(folder: Path, functions: Iterable[str]) -> list[Path]:
    """Return the files in `folder` that functions written as `module:function` need, in order.

    Raises
    ------
    DataError
        A module does not exist, or a file is not Python.
    """
    waiting = [reference.partition(":")[0] for reference in functions]
    for module in waiting:
        find_module_file(folder, module)
    seen: set[str] = set()
    files: set[Path] = set()
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        for path, package in _find_files(folder, module):
            if path not in files:
                files.add(path)
                waiting += _list_imports(path, package)
    return sorted(files)


def _find_files(folder: Path, module: str) -> Iterator[tuple[Path, str]]:
    """Yield the files in the folder that importing a module runs, each with the name of its package."""
    parts = module.split(".")
    for depth in range(1, len(parts) + 1):
        stem = folder.joinpath(*parts[:depth])
        package = ".".join(parts[:depth])
        if (stem / "__init__.py").is_file():
            yield stem / "__init__.py", package
        elif depth == len(parts) and (file := stem.with_name(f"{stem.name}.py")).is_file():
            yield file, ".".join(parts[: depth - 1])


def _list_imports(path: Path, package: str) -> Iterator[str]:
    """Yield the modules that a file may import; a name imported from a module may be a module too."""
    try:
        tree = ast.parse(path.read_bytes(), str(path))
    except (SyntaxError, ValueError) as error:
        raise DataError(f"{path} is not Python: {error}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: -(node.level - 1) or None] if node.level and package else []
            base = ".".join(filter(None, [*above, node.module or ""]))
            yield from filter(None, [base, *(f"{base}.{alias.name}".strip(".") for alias in node.names)])
        elif isinstance(node, ast.Call) and _names_import(node.func):
            yield from (
                one.value for one in node.args[:1] if isinstance(one, ast.Constant) and isinstance(one.value, str)
            )


def _names_import(called: ast.expr) -> bool:
    name = called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
    return name in _IMPORTING_CALLS
