"""Evaluates run conditions: Kleene's logic of true, false and undecided over the facts of a run.

A metric without a value or a step that has not run leaves a comparison undecided. `false && undecided` is false and
`true || undecided` is true, in either order; what remains undecided has the reasons of its undecided parts (Kleene,
Introduction to Metamathematics, 1952, section 64).
"""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from math import isnan
from typing import NamedTuple

from engine.formatting.hints import did_you_mean
from engine.outcome import CheckOutcome, Outcome
from engine.spec.conditions.scope import ALWAYS, infer_variable_type, name_step_variable, with_article
from engine.spec.conditions.syntax import EQUALITIES, ConditionNode, parse_condition
from engine.spec.metrics.names import normalize_metric_name
from engine.spec.resources.resource import Scalar

_COMPARISONS: dict[str, Callable[..., bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


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


class _Undecided(NamedTuple):
    """The result of an undecided part, with its reasons as sentences."""

    reasons: tuple[str, ...]


_Value = bool | float | str | _Undecided


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
    if text.strip() == ALWAYS:
        return True
    syntax = parse_condition(text)
    if syntax.tree is None:
        raise UndecidedCondition(f"the condition cannot be read: {syntax.problems[0].message}")
    result = _evaluate_node(syntax.tree, facts)
    if isinstance(result, _Undecided):
        raise UndecidedCondition("; ".join(dict.fromkeys(result.reasons)))
    if not isinstance(result, bool):
        type_ = with_article(infer_variable_type(result))
        raise UndecidedCondition(f"the condition evaluates to {type_}, not to true or false")
    return result


def _evaluate_node(node: ConditionNode, facts: ConditionFacts) -> _Value:
    if node.kind == "constant" and node.value is not None:
        return node.value
    if node.kind == "name":
        return _look_up_name(str(node.value), facts)
    if node.kind == "select" or node.value == "[]":
        return _look_up_member(node, facts)
    if node.value == "!":
        inner = _require_truth(node, _evaluate_node(node.children[0], facts))
        return inner if isinstance(inner, _Undecided) else not inner
    if node.value in ("&&", "||"):
        return _connect(node.value == "||", [_require_truth(node, _evaluate_node(one, facts)) for one in node.children])
    if node.value == "in":
        return _evaluate_membership(node, facts)
    if node.kind == "call":
        left, right = (_evaluate_node(child, facts) for child in node.children)
        return _compare(str(node.value), left, right)
    return _Undecided(("a list is only allowed after in",))


def _connect(decisive: bool, values: Iterable[bool | _Undecided]) -> bool | _Undecided:
    """Return the conjunction (`decisive` is False) or disjunction (True) of values in Kleene's logic."""
    values = list(values)
    if decisive in values:
        return decisive
    reasons = tuple(reason for value in values if isinstance(value, _Undecided) for reason in value.reasons)
    return _Undecided(reasons) if reasons else not decisive


def _require_truth(node: ConditionNode, value: _Value) -> bool | _Undecided:
    if isinstance(value, bool | _Undecided):
        return value
    type_ = with_article(infer_variable_type(value))
    return _Undecided((f"{node.value} needs operands that are true or false, but this is {type_}",))


def _compare(sign: str, left: _Value, right: _Value) -> bool | _Undecided:
    missing = tuple(reason for side in (left, right) if isinstance(side, _Undecided) for reason in side.reasons)
    if isinstance(left, _Undecided) or isinstance(right, _Undecided):
        return _Undecided(missing)
    types = infer_variable_type(left), infer_variable_type(right)
    if types[0] != types[1] or (types[0] == "true or false" and sign not in EQUALITIES):
        return _Undecided((f"{sign} cannot compare {with_article(types[0])} with {with_article(types[1])}",))
    return _COMPARISONS[sign](left, right)


def _evaluate_membership(node: ConditionNode, facts: ConditionFacts) -> bool | _Undecided:
    """Evaluate `left in [items]`: true if the left side equals any item."""
    left, items = node.children
    if items.kind != "list":
        return _Undecided(("in needs a list after it",))
    value = _evaluate_node(left, facts)
    return _connect(True, [_compare("==", value, _evaluate_node(item, facts)) for item in items.children])


def _look_up_name(name: str, facts: ConditionFacts) -> _Value:
    """Return the value of a single name: reserved names first, then outcomes of steps, then variables."""
    known: dict[str, Scalar | date] = {
        **facts.variables,
        **{name_step_variable(step): str(outcome) for step, outcome in facts.steps.items()},
        "trigger": facts.trigger,
        "outcome": None if facts.outcome is None else str(facts.outcome),
    }
    value = known.get(name)
    if value is None:
        return _Undecided((f"{name} has no value",))
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _look_up_member(node: ConditionNode, facts: ConditionFacts) -> _Value:
    """Return the value of `steps['…'].outcome`, `checks['…'].outcome` or `metrics['…']`."""
    index = node.children[0] if node.kind == "select" else node
    if index.value == "[]" and index.children[0].kind == "name" and index.children[1].kind == "constant":
        table, key = str(index.children[0].value), str(index.children[1].value)
        if table == "metrics" and node is index:
            return _look_up_metric(key, facts)
        if table == "steps" and node.value == "outcome":
            return str(facts.steps[key]) if key in facts.steps else _Undecided((f"the step {key!r} has not run",))
        if table == "checks" and node.value == "outcome":
            return str(facts.checks[key]) if key in facts.checks else _Undecided((f"the check {key!r} has no outcome",))
    return _Undecided(("it uses something that no run has",))


def _look_up_metric(name: str, facts: ConditionFacts) -> float | _Undecided:
    """Return a metric's value. A condition may write `psi."x"` for the metric `psi.x`."""
    wanted = normalize_metric_name(name)
    computed = {normalize_metric_name(metric): value for metric, value in facts.metrics.items()}
    value = computed.get(wanted)
    if value is not None and not isnan(value):
        return float(value)
    if wanted in computed:
        return _Undecided((f"the metric {name!r} has no value",))
    statistic, dot, member = wanted.partition(".")
    members = [metric.removeprefix(f"{statistic}.") for metric in computed if metric.startswith(f"{statistic}.")]
    hint = f"; {did_you_mean(member, members, f'{statistic} exists for')[:300]}" if dot and members else ""
    return _Undecided((f"no earlier step has computed the metric {name!r}{hint}",))
