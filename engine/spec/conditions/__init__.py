"""Run conditions: expressions in a small subset of CEL over the facts of a run.

CEL (through cel-expr-python) parses and evaluates. Two passes of our own go over its syntax tree: `syntax` allows only
`== != < <= > >= in && || ! ( )`, literals and names; `type_check` finds what CEL accepts: misspelt outcomes, steps that
do not exist or run later, conditions that are always true. A template language was refused, because it inserts
values into the text before the text is parsed.
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
    """The facts of a run that a condition is evaluated on. A metric that is None or NaN has no value."""

    outcome: Outcome | None = None
    steps: Mapping[str, Outcome] = field(default_factory=dict)
    checks: Mapping[str, CheckOutcome] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    trigger: str = "manual"
    variables: Mapping[str, Scalar | date] = field(default_factory=dict)


class Undecided(Exception):  # noqa: N818 # not an error: the step fails or the reporter sends, with this reason
    """The condition cannot be decided. `str()` gives the reason for people."""


def problems(text: str, scope: Scope) -> list[Problem]:
    """Return every problem of a condition, in order of position. `scope` holds the names that it may use."""
    syntax = parse(text)
    return list(syntax.problems) if syntax.tree is None else examine(syntax.tree, scope)


def decide(text: str, facts: Facts) -> bool:
    """Return whether the condition holds.

    Numbers are compared as decimals, dates by their ISO texts, which have the same order. `&&` and `||` are decided as
    soon as either side decides: `false && metrics['x'] > 1` needs no value of x.

    Raises
    ------
    Undecided
        The text is not a condition; or a value is missing (a metric without a value, a step that has not run), and
        the rest of the condition does not decide without it.
    """
    from cel_expr_python import cel

    syntax = parse(text)
    if syntax.tree is None:
        raise Undecided(f"the condition cannot be read: {syntax.problems[0].message}")
    # CEL needs a type for each name that occurs. A name without a value keeps the type DYN: CEL then compiles the
    # condition, and evaluates it to an error value only if the result depends on that name.
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
    # The value is an error: say which facts are missing, in the order of the condition.
    missing = list(dict.fromkeys(_missing(facts, data, syntax.tree)))
    raise Undecided("; ".join(missing) or f"the condition evaluates to {value.type().name()}, not to true or false")


def _cel_type(value: Scalar | date) -> Any:
    """Return the CEL type of a variable. Null has the type DYN: a condition that does not need it can be decided."""
    from cel_expr_python import cel

    types = {"number": cel.Type.DOUBLE, "true or false": cel.Type.BOOL, None: cel.Type.DYN}
    return types.get(type_of(value), cel.Type.STRING)


def _data(facts: Facts, tree: Node) -> dict[str, Any]:
    """Return the facts as CEL values. A name without a value is left out, so that CEL reports it as missing."""
    # A condition may write `psi."x"` for the metric `psi.x`: look up under the normalized name, but give CEL the
    # name as the condition writes it.
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
    """Return a variable's value as CEL compares it: dates as ISO texts, whole numbers as decimals."""
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _keys(tree: Node) -> Iterator[tuple[str, Node]]:
    """Yield the name and the key of each `name[key]`."""
    for node in tree.walk():
        if node.value == "[]" and node.kind == "call" and node.children[0].kind == "name":
            yield str(node.children[0].value), node.children[1]


def _missing(facts: Facts, data: Mapping[str, Any], tree: Node) -> Iterator[str]:
    """Yield a sentence for each name of the condition that has no value."""
    for name, key in _keys(tree):
        if name in ("steps", "checks", "metrics") and key.value not in data[name]:
            what = {"steps": "the step {!r} has not run", "checks": "the check {!r} has no outcome"}
            yield what.get(name, "the metric {!r} has no value").format(key.value)
    for node in tree.walk():
        if node.kind == "name" and node.value not in data:
            yield f"{node.value} has no value"
