"""`engine validate` and `engine run` with plain arguments, parsed here because an argument parser takes longer.

All other forms, and all mistakes in arguments, are left to the verb, which gives the same result.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import cast, get_args

from engine.outcome import ExitCode
from engine.spec.diagnostics import DiagnosticFormat
from engine.spec.variables.moment import parse_moment

_OPTIONS = ("--var", "--as-of", "--format")


def answer_plain_arguments(arguments: Sequence[str]) -> ExitCode | None:
    """Do and print what the verb would with these arguments; return None if they are left to the verb."""
    answer = {"validate": _validate, "run": _run}.get(arguments[0]) if arguments else None
    if answer is None or (read := _read_arguments(arguments[1:])) is None:
        return None
    names, options = read
    form = next(iter(options["--format"]), "text")
    as_of = next(iter(options["--as-of"]), None)
    if not names or form not in get_args(DiagnosticFormat) or any("=" not in text[1:] for text in options["--var"]):
        return None
    try:
        moment = None if as_of is None else parse_moment(as_of)
    except ValueError:
        return None
    variables = {name.strip(): value for name, _, value in (text.partition("=") for text in options["--var"])}
    return answer(names, variables, moment, cast("DiagnosticFormat", form))


def _read_arguments(arguments: Sequence[str]) -> tuple[list[str], dict[str, list[str]]] | None:
    """Return the names of specs and scenarios, and the values of options; None if they are not in plain form."""
    names: list[str] = []
    options: dict[str, list[str]] = {name: [] for name in _OPTIONS}
    rest = iter(arguments)
    for argument in rest:
        into = options.get(argument, names)
        value = argument if into is names else next(rest, "")
        if not value or value.startswith("-") or (into and argument in ("--as-of", "--format")):
            return None
        into.append(value)
    return names, options


def _validate(
    specs: Sequence[str], variables: Mapping[str, str], as_of: date | datetime | None, form: DiagnosticFormat
) -> ExitCode:
    from engine.cli.verdicts import answer_validate

    return answer_validate([Path(one) for one in specs], variables, as_of, form)


def _run(
    names: Sequence[str], variables: Mapping[str, str], as_of: date | datetime | None, form: DiagnosticFormat
) -> ExitCode:
    from engine import spec
    from engine.cli.runs import answer_run
    from engine.cli.standard_streams import mask_secrets

    project = spec.load(Path(names[0]), variables, as_of=as_of)
    mask_secrets(project)
    return answer_run(project, names[1:], form)
