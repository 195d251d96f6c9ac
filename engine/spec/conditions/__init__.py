"""Run conditions: expressions in a small subset of CEL over the facts of a run.

CEL (through cel-expr-python) parses and evaluates. Two passes of this package go over its syntax tree: `syntax` allows
only `== != < <= > >= in && || ! ( )`, literals and names; `type_check` finds what CEL accepts: misspelt outcomes, steps
that do not exist or run later, conditions that are always true. A template language was rejected because it inserts
values into the text before the text is parsed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from math import isnan
from typing import Any

from engine.formatting.hints import did_you_mean
from engine.outcome import CheckOutcome, Outcome
from engine.spec.conditions.scope import (
    RESERVED_NAMES,
    STEP_PREFIX,
    ConditionScope,
    MetricOwner,
    infer_variable_type,
    name_step_variable,
)
from engine.spec.conditions.syntax import ConditionNode, parse_condition
from engine.spec.conditions.type_check import check_types
from engine.spec.metric_names import normalize_metric_name
from engine.spec.problem import Problem
from engine.spec.resources.resource import Scalar

__all__ = [
    "RESERVED_NAMES",
    "STEP_PREFIX",
    "ConditionFacts",
    "ConditionScope",
    "MetricOwner",
    "UndecidedCondition",
    "evaluate_condition",
    "find_condition_problems",
    "name_step_variable",
]


@dataclass(frozen=True, slots=True)
class ConditionFacts:
    """The facts of a run that a condition is evaluated on. A metric that is None or NaN has no value."""

    outcome: Outcome | None = None
    steps: Mapping[str, Outcome] = field(default_factory=dict)
    checks: Mapping[str, CheckOutcome] = field(default_factory=dict)
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    trigger: str = "manual"
    variables: Mapping[str, Scalar | date] = field(default_factory=dict)


class UndecidedCondition(Exception):  # noqa: N818 # not an error: the step fails or the reporter sends, with this reason
    """The condition cannot be decided. `str()` gives the reason for people."""


def find_condition_problems(text: str, scope: ConditionScope) -> list[Problem]:
    """Return every problem of a condition, in order of position. `scope` holds the names that it may use."""
    syntax = parse_condition(text)
    return list(syntax.problems) if syntax.tree is None else check_types(syntax.tree, scope)


def evaluate_condition(text: str, facts: ConditionFacts) -> bool:
    """Return whether the condition holds.

    Numbers are compared as decimals, dates by their ISO texts, which have the same order. `&&` and `||` are decided as
    soon as either side decides: `false && metrics['x'] > 1` needs no value of x.

    Raises
    ------
    UndecidedCondition
        The text is not a condition; or a value is missing (a metric without a value, a step that has not run), and
        the rest of the condition does not decide without it.
    """
    from cel_expr_python import cel

    syntax = parse_condition(text)
    if syntax.tree is None:
        raise UndecidedCondition(f"the condition cannot be read: {syntax.problems[0].message}")
    # CEL needs a type for each name that occurs. A name without a value keeps the type DYN: CEL then compiles the
    # condition, and evaluates it to an error value only if the result depends on that name.
    names = {str(node.value) for node in syntax.tree.walk() if node.kind == "name"}
    outcomes = cel.Type.Map(cel.Type.STRING, cel.Type.Map(cel.Type.STRING, cel.Type.STRING))
    types = {
        **{name: _choose_cel_type(facts.variables[name]) for name in names & facts.variables.keys()},
        **{name: cel.Type.STRING for name in names if name in RESERVED_NAMES or name.startswith(STEP_PREFIX)},
        "steps": outcomes,
        "checks": outcomes,
        "metrics": cel.Type.Map(cel.Type.STRING, cel.Type.DOUBLE),
    }
    data = _collect_cel_values(facts, syntax.tree)
    try:
        expression = cel.NewEnv(variables={**dict.fromkeys(names, cel.Type.DYN), **types}).compile(syntax.cel)
        value = expression.eval(data={name: data[name] for name in names & data.keys()})
    except RuntimeError as error:
        raise UndecidedCondition(f"the condition cannot be evaluated: {str(error).splitlines()[0]}") from error
    if value.type() == cel.Type.BOOL:
        return bool(value.value())
    # The value is an error: say which facts are missing, in the order of the condition.
    missing = list(dict.fromkeys(_explain_missing_values(facts, data, syntax.tree)))
    raise UndecidedCondition(
        "; ".join(missing) or f"the condition evaluates to {value.type().name()}, not to true or false"
    )


def _choose_cel_type(value: Scalar | date) -> Any:
    """Return the CEL type of a variable. Null has the type DYN: a condition that does not need it can be decided."""
    from cel_expr_python import cel

    types = {"number": cel.Type.DOUBLE, "true or false": cel.Type.BOOL, None: cel.Type.DYN}
    return types.get(infer_variable_type(value), cel.Type.STRING)


def _collect_cel_values(facts: ConditionFacts, tree: ConditionNode) -> dict[str, Any]:
    """Return the facts as CEL values. A name without a value is left out, so that CEL reports it as missing."""
    # A condition may write `psi."x"` for the metric `psi.x`: look up under the normalized name, but give CEL the
    # name as the condition writes it.
    metrics = {normalize_metric_name(name): value for name, value in facts.metrics.items()}
    asked = {str(key.value) for name, key in _find_index_keys(tree) if name == "metrics"}
    values = {text: metrics.get(normalize_metric_name(text)) for text in asked}
    data: dict[str, Any] = {
        "trigger": facts.trigger,
        "steps": {step: {"outcome": str(outcome)} for step, outcome in facts.steps.items()},
        "checks": {check: {"outcome": str(outcome)} for check, outcome in facts.checks.items()},
        "metrics": {text: float(value) for text, value in values.items() if value is not None and not isnan(value)},
        **{name_step_variable(step): str(outcome) for step, outcome in facts.steps.items()},
    }
    if facts.outcome is not None:
        data["outcome"] = str(facts.outcome)
    for name, value in facts.variables.items():
        if name not in data and value is not None:
            data[name] = _to_cel_value(value)
    return data


def _to_cel_value(value: bool | float | str | date) -> bool | float | str:
    """Return a variable's value as CEL compares it: dates as ISO texts, whole numbers as decimals."""
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _find_index_keys(tree: ConditionNode) -> Iterator[tuple[str, ConditionNode]]:
    """Yield the name and the key of each `name[key]`."""
    for node in tree.walk():
        if node.value == "[]" and node.kind == "call" and node.children[0].kind == "name":
            yield str(node.children[0].value), node.children[1]


def _explain_missing_metric(name: str, facts: ConditionFacts) -> str:
    """Say that a metric has no value, or that no step has computed it, and which ones of its statistic there are."""
    computed = [normalize_metric_name(metric) for metric in facts.metrics]
    statistic, dot, member = normalize_metric_name(name).partition(".")
    if f"{statistic}{dot}{member}" in computed:
        return f"the metric {name!r} has no value"
    members = [metric.removeprefix(f"{statistic}.") for metric in computed if metric.startswith(f"{statistic}.")]
    hint = f"; {did_you_mean(member, members, f'{statistic} exists for')[:300]}" if dot and members else ""
    return f"no earlier step has computed the metric {name!r}{hint}"


def _explain_missing_values(facts: ConditionFacts, data: Mapping[str, Any], tree: ConditionNode) -> Iterator[str]:
    """Yield a sentence for each name of the condition that has no value."""
    for name, key in _find_index_keys(tree):
        if name in ("steps", "checks", "metrics") and key.value not in data[name]:
            what = {"steps": "the step {!r} has not run", "checks": "the check {!r} has no outcome"}
            yield what[name].format(key.value) if name in what else _explain_missing_metric(str(key.value), facts)
    for node in tree.walk():
        if node.kind == "name" and node.value not in data:
            yield f"{node.value} has no value"
