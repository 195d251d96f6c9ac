"""Names of the code: one thing, one name; and a function's name says what it does and to what."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import engine

ROOT = Path(engine.__file__).parent

PER_KIND = {("cli", "command"), ("scenarios", "run"), ("notifications", "send"), ("notifications", "describe")}
"""Functions that a table of kinds asks of each of its modules."""

HOOKS = {"upgrade"}
"""Functions that Alembic calls by their name."""

ONE_WORD = {
    *("load", "run", "main"),  # the calls of the package and of the command line
    *("command", "send", "describe"),  # of each kind
    *("compare", "profile", "roles", "sample"),  # the calls of engine.drift
    *("kernel", "helper"),  # decorators
}


def _functions_and_classes() -> Iterator[tuple[str, str, bool, Path]]:
    """Yield package, name, whether it is a function, and file of everything at module level."""
    for path in sorted(ROOT.rglob("*.py")):
        package = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if package == "examples":
            continue  # an installed package has the files of `engine init --example` there, which are those of specs/
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name not in HOOKS:
                yield package, node.name, not isinstance(node, ast.ClassDef), path.relative_to(ROOT)


def test_a_name_stands_once_in_its_package() -> None:
    places = defaultdict(list)
    for package, name, _, path in _functions_and_classes():
        places[package, name].append(str(path))
    assert {key: paths for key, paths in places.items() if len(paths) > 1 and key not in PER_KIND} == {}


def test_functions_of_one_word_are_those_listed() -> None:
    found = {name for _, name, function, _ in _functions_and_classes() if function and "_" not in name}
    assert found == ONE_WORD
