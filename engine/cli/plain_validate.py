"""`engine validate` with its arguments in their plain form: read here, because a parser of arguments takes longer.

All other forms, and all mistakes in arguments, are left to the verb, which gives the same answer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import cast, get_args

from engine.cli.verdicts import answer_validate
from engine.outcome import ExitCode
from engine.spec.diagnostics import DiagnosticFormat
from engine.spec.moment import parse_moment

_OPTIONS = ("--var", "--as-of", "--format")


def answer_plain_validate(arguments: Sequence[str]) -> ExitCode | None:
    """Print what the verb would print with these arguments; return None if they are left to it."""
    if not arguments or arguments[0] != "validate" or (read := _read_arguments(arguments[1:])) is None:
        return None
    specs, options = read
    form = next(iter(options["--format"]), "text")
    as_of = next(iter(options["--as-of"]), None)
    if not specs or form not in get_args(DiagnosticFormat) or any("=" not in text[1:] for text in options["--var"]):
        return None
    try:
        moment = None if as_of is None else parse_moment(as_of)
    except ValueError:
        return None
    variables = {name.strip(): value for name, _, value in (text.partition("=") for text in options["--var"])}
    paths = [Path(one) for one in specs]
    return answer_validate(paths, variables, moment, cast("DiagnosticFormat", form))


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
