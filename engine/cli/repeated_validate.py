"""`engine validate` asked again: answered from kept verdicts, before the language or a parser of arguments is imported.

Only arguments in their plain form are read here: all others, and all mistakes, are left to the verb itself.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from engine.cli.kept_verdicts import Question, find_kept_verdict
from engine.cli.verdicts import print_verdicts
from engine.outcome import ExitCode
from engine.spec.diagnostics import DiagnosticFormat

_OPTIONS = ("--var", "--as-of", "--format")


def repeat_validate(arguments: Sequence[str]) -> ExitCode | None:
    """Print the kept verdicts on the specs of these arguments; return None if not all of them are kept."""
    if not arguments or arguments[0] != "validate" or (read := _read_arguments(arguments[1:])) is None:
        return None
    specs, options = read
    form = next(iter(options["--format"]), "text")
    as_of = next(iter(options["--as-of"]), None)
    if not specs or form not in get_args(DiagnosticFormat):
        return None
    paths, verdicts = [Path(one) for one in specs], []
    for path in paths:
        verdict = find_kept_verdict(Question(path, tuple(options["--var"]), as_of))
        if verdict is None:
            return None
        verdicts.append(verdict)
    return print_verdicts(paths, verdicts, cast("DiagnosticFormat", form))


def _read_arguments(arguments: Sequence[str]) -> tuple[list[str], dict[str, list[str]]] | None:
    """Return the specs, and the values of options; None if they are not in their plain form."""
    specs: list[str] = []
    options: dict[str, list[str]] = {name: [] for name in _OPTIONS}
    rest = iter(arguments)
    for argument in rest:
        into = options.get(argument, specs)
        value = argument if into is specs else next(rest, "")
        if not value or value.startswith("-") or (into and argument in ("--as-of", "--format")):
            return None
        into.append(value)
    return specs, options
