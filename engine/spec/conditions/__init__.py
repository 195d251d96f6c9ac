"""Run conditions: a bare CEL expression over what the run knows, allowed as little as a condition needs.

CEL (through cel-expr-python) reads, types and evaluates; our own passes over its syntax tree allow
`== != < <= > >= in && || ! ( )`, literals and the names of the place (`syntax`), and find what CEL lets through:
misspelt outcomes, steps that do not exist or come later, conditions that are always true (`meaning`). A template
language was refused: its text is pasted before it is read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from math import isnan
from typing import Any

from engine.outcome import CheckOutcome, Outcome
from engine.spec.catalogue import canonical
from engine.spec.conditions.meaning import examine
from engine.spec.conditions.scope import RESERVED, STEP_PREFIX, MetricPlace, Scope, step_variable, type_of
from engine.spec.conditions.syntax import Node, parse
from engine.spec.problem import Problem
from engine.spec.resources.resource import Scalar

__all__ = [
    "RESERVED",
    "STEP_PREFIX",
    "Facts",
    "MetricPlace",
    "Scope",
    "Undecided",
    "decide",
    "problems",
    "step_variable",
]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a run knows when it asks a condition. A metric that is None or NaN has no value."""

    outcome: Outcome | None = None
    steps: Mapping[str, Outcome] = field(default_factory=dict)
    checks: Mapping[str, CheckOutcome] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    trigger: str = "manual"
    variables: Mapping[str, Scalar | date] = field(default_factory=dict)


class Undecided(Exception):  # noqa: N818 # no error: the step fails, the reporter sends, both saying so
    """The condition cannot be decided; `str()` is the reason, for people."""


def problems(text: str, scope: Scope) -> list[Problem]:
    """Return everything that is wrong with a condition at its place, in order of position."""
    syntax = parse(text)
    return list(syntax.problems) if syntax.tree is None else examine(syntax.tree, scope)


def decide(text: str, facts: Facts) -> bool:
    """Return whether the condition holds.

    Numbers compare as decimals, dates as dates (their ISO texts have the same order). `&&` and `||` decide as soon as
    one side does, whichever it is: `false && metrics['x'] > 1` needs no value of x.

    Raises
    ------
    Undecided
        A metric has no value, a step has not run, or the like, and the rest of the condition does not decide; or the
        text is no condition.
    """
    from cel_expr_python import cel

    syntax = parse(text)
    if syntax.tree is None:
        raise Undecided(f"the condition cannot be read: {syntax.problems[0].message}")
    names = {str(node.value) for node in syntax.tree.walk() if node.kind == "name"}
    outcomes = cel.Type.Map(cel.Type.STRING, cel.Type.Map(cel.Type.STRING, cel.Type.STRING))
    types = {
        **{name: _cel_type(facts.variables[name]) for name in names & facts.variables.keys()},
        **{name: cel.Type.STRING for name in names if name in RESERVED or name.startswith(STEP_PREFIX)},
        "steps": outcomes,
        "checks": outcomes,
        "metrics": cel.Type.Map(cel.Type.STRING, cel.Type.DOUBLE),
    }
    data = _data(facts, syntax.tree)
    try:
        expression = cel.NewEnv(variables={**dict.fromkeys(names, cel.Type.DYN), **types}).compile(syntax.cel)
        value = expression.eval(data={name: data[name] for name in names & data.keys()})
    except RuntimeError as error:
        raise Undecided(f"the condition cannot be decided: {str(error).splitlines()[0]}") from error
    if value.type() == cel.Type.BOOL:
        return bool(value.value())
    missing = list(dict.fromkeys(_missing(facts, data, syntax.tree)))
    raise Undecided("; ".join(missing) or f"the condition gives {value.type().name()}, not true or false")


def _cel_type(value: Scalar | date) -> Any:
    """Return CEL's type of a variable; of null it is any, so that only asking for it is undecided."""
    from cel_expr_python import cel

    types = {"number": cel.Type.DOUBLE, "true or false": cel.Type.BOOL, None: cel.Type.DYN}
    return types.get(type_of(value), cel.Type.STRING)


def _data(facts: Facts, tree: Node) -> dict[str, Any]:
    """Return what is known, as CEL takes it; what has no value is left out, so that CEL finds it missing."""
    metrics = {canonical(name): value for name, value in facts.metrics.items()}
    asked = {str(key.value) for name, key in _keys(tree) if name == "metrics"}
    values = {text: metrics.get(canonical(text)) for text in asked}
    data: dict[str, Any] = {
        "trigger": facts.trigger,
        "steps": {step: {"outcome": str(outcome)} for step, outcome in facts.steps.items()},
        "checks": {check: {"outcome": str(outcome)} for check, outcome in facts.checks.items()},
        "metrics": {text: float(value) for text, value in values.items() if value is not None and not isnan(value)},
        **{step_variable(step): str(outcome) for step, outcome in facts.steps.items()},
    }
    if facts.outcome is not None:
        data["outcome"] = str(facts.outcome)
    for name, value in facts.variables.items():
        if name not in data and value is not None:
            data[name] = _plain(value)
    return data


def _plain(value: bool | float | str | date) -> bool | float | str:
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _keys(tree: Node) -> Iterator[tuple[str, Node]]:
    for node in tree.walk():
        if node.value == "[]" and node.kind == "call" and node.children[0].kind == "name":
            yield str(node.children[0].value), node.children[1]


def _missing(facts: Facts, data: Mapping[str, Any], tree: Node) -> Iterator[str]:
    for name, key in _keys(tree):
        if name in ("steps", "checks", "metrics") and key.value not in data[name]:
            what = {"steps": "the step {!r} has not run", "checks": "the check {!r} has no outcome"}
            yield what.get(name, "the metric {!r} has no value").format(key.value)
    for node in tree.walk():
        if node.kind == "name" and node.value not in data:
            yield f"{node.value} has no value"
