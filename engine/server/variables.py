"""The variables of a request for a run: only declared ones, of their types, and leading nowhere else."""

from collections.abc import Mapping
from typing import Any

from engine.errors import Diagnostic, Severity, SpecError
from engine.formatting.lists import join_some
from engine.server.answers import AnswerError
from engine.spec import ProjectSpec
from engine.spec.secrets.values import Secrets

MOST_VARIABLES = 100
LONGEST_VALUE = 10_000
SHORTEST_SECRET = 8
"""A secret that is shorter may stand in a value by chance."""


def read_variables(found: Any, spec: ProjectSpec) -> dict[str, str]:
    """Return the values of variables in a request, as text.

    Parameters
    ----------
    found
        What the request has under `variables`.

    Raises
    ------
    AnswerError
        The spec does not declare them, or with them a path or an address of the spec would lead elsewhere.
    """
    if not isinstance(found, Mapping):
        raise AnswerError(422, '"variables" is not an object', 'write {"variables": {"name": "value"}}')
    if len(found) > MOST_VARIABLES:
        raise AnswerError(422, f"these are {len(found)} variables", f"at most {MOST_VARIABLES} can be given")
    if unknown := sorted(found.keys() - spec.variables.keys()):
        known = f"the variables are {join_some(list(spec.variables))}" if spec.variables else "the spec declares none"
        raise AnswerError(422, f'the spec does not declare the variable "{unknown[0][:60]}"', known)
    values = {name: _read_value(name, value) for name, value in found.items()}
    _refuse_secrets(values, spec)
    try:
        spec.confine(values).with_variables(values)
    except SpecError as problem:
        errors = [one for one in problem.diagnostics if one.severity is Severity.ERROR]
        raise AnswerError(422, "; ".join(map(_describe_problem, errors[:5]))) from None
    return values


def _read_value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise AnswerError(422, f'the value of "{name}" is not a text, a number, true or false')
    text = str(value)
    if len(text) > LONGEST_VALUE:
        raise AnswerError(422, f'the value of "{name}" is too long', f"at most {LONGEST_VALUE} characters are taken")
    if any(not each.isprintable() and each not in "\t\n" for each in text):
        raise AnswerError(422, f'the value of "{name}" has control characters')
    return text


def _refuse_secrets(values: Mapping[str, str], spec: ProjectSpec) -> None:
    """Raise AnswerError if a value contains a secret, because the values of a run are stored and shown to viewers."""
    if not values:
        return
    for secret, spellings in Secrets(spec).search().spellings.items():
        long = [one for one in spellings if len(one) >= SHORTEST_SECRET]
        for name, value in values.items():
            if any(one in value for one in long):
                message = f'the value of "{name}" holds the value of the secret "{secret}", and would be kept readable'
                raise AnswerError(422, message, f"let the spec use ${{secret.{secret}}} where it is needed")


def _describe_problem(problem: Diagnostic) -> str:
    return f"{problem.message}: {problem.help}" if problem.help else problem.message
