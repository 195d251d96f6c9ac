"""What a condition's names and comparisons mean at their place: types, outcomes, and conditions that decide nothing.

CEL types `outcome` as a text, so it takes `outcome == 'WARNNG'`; the two families of outcomes are types of their own
here. The pass walks the tree once, goes on after a problem, and an expression of unknown type silences its neighbours.
"""

import re
from collections.abc import Iterable
from datetime import date

from engine.outcome import CheckOutcome, Outcome
from engine.spec.catalogue import MetricName, lookup
from engine.spec.conditions.constant import constant_parts
from engine.spec.conditions.scope import FAMILIES, RESERVED, STEP_PREFIX, Scope, Type, a, step_variable, type_of
from engine.spec.conditions.syntax import CONNECTIVES, ORDERINGS, Node
from engine.spec.problem import Problem, did_you_mean, suggest

_MEANT = {
    "outcome": {"OK": "SUCCESS", "ERROR": "FAILED", "FAILURE": "FAILED", "PASSED": "SUCCESS", "CANCELLED": "ABORTED"},
    "check outcome": {"SUCCESS": "OK", "FAILED": "ERROR", "PASSED": "OK", "NODATA": "EMPTY"},
}
_BRACKETS = {"steps": "steps['…'].outcome", "checks": "checks['…'].outcome", "metrics": "metrics['…']"}


def examine(tree: Node, scope: Scope) -> list[Problem]:
    """Return the problems of a condition's names and types, in order of position."""
    examiner = _Examiner(scope)
    examiner.demand_bool(tree, "a condition")
    if not examiner.found:
        return list(constant_parts(tree))
    return sorted(examiner.found, key=lambda problem: problem.offset)


class _Examiner:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.found: list[Problem] = []

    def say(self, node: Node, code: str, message: str, help_: str | None = None) -> None:
        self.found.append(Problem(node.start, node.end - node.start, code, message, help_))

    def demand_bool(self, node: Node, who: str) -> None:
        before = len(self.found)
        type_ = self.type(node)
        if node.kind == "constant" and type_ == "true or false":
            self.say(node, "condition-constant", f"{str(node.value).lower()} decides without looking at the run")
        elif type_ != "true or false" and len(self.found) == before:
            values = FAMILIES.get(type_)
            help_ = f"compare it: == '{values[2]}'" if values else "compare it with something"
            self.say(node, "condition-type", f"{who} must be true or false, and this is {a(type_)}", help_)

    def type(self, node: Node) -> Type | None:
        """Return the type of an expression; None where a problem was found, or was left to someone else."""
        if node.kind == "constant":
            return (
                "true or false" if isinstance(node.value, bool) else "text" if isinstance(node.value, str) else "number"
            )
        if node.kind == "name":
            return self.name(node, str(node.value))
        if node.kind == "select" or node.value == "[]":
            return self.member(node)
        if node.kind == "list":
            self.say(node, "condition-type", "a list stands only after in")
            return None
        if node.value in CONNECTIVES:
            for child in node.children:
                self.demand_bool(child, f"what {node.value} takes")
        elif node.value == "in":
            self.within(node)
        else:
            self.comparison(node, *node.children)
        return "true or false"

    def name(self, node: Node, name: str) -> Type | None:
        scope = self.scope
        if name == "outcome":
            return "outcome"
        if name == "trigger":
            return "text"
        if name in _BRACKETS:
            self.say(node, "condition-name", f"{name} alone says nothing", f"write {_BRACKETS[name]}")
            return None
        if name.startswith(STEP_PREFIX):
            earlier, later = ({step_variable(step): step for step in steps} for steps in (scope.steps, scope.later))
            if name in earlier:
                return "outcome"
            if name in later:
                self.say_later(node, later[name])
            else:
                help_ = did_you_mean(name, earlier, "the steps before it are")
                self.say(node, "condition-name", f"no step is called {name.removeprefix(STEP_PREFIX)!r}", help_)
            return None
        if name in scope.variables:
            type_ = type_of(scope.variables[name])
            if type_ is None:
                self.say(node, "condition-type", f"the variable {name} has no value (null) to compare")
            return type_
        self.unknown(node, name)
        return None

    def unknown(self, node: Node, name: str) -> None:
        known = [*RESERVED, *(step_variable(step) for step in self.scope.steps), *self.scope.variables]
        if name in (*Outcome, *CheckOutcome):
            help_ = f"a text stands in quotes: '{name}'"
        elif any(isinstance(lookup(name, p.scope, task=p.task, own=p.own), MetricName) for p in self.scope.metrics):
            help_ = f"write metrics['{name}']"
        else:
            help_ = did_you_mean(name, known, "names are")
        self.say(node, "condition-name", f"unknown name {name!r}", help_)

    def say_later(self, node: Node, step: str) -> None:
        message = f"the step {step!r} has not run by then"
        self.say(node, "condition-later-step", message, "ask for an earlier step, or move the step up")

    def member(self, node: Node) -> Type | None:
        """Type `steps['…'].outcome`, `checks['…'].outcome` and `metrics['…']`; nothing else has members."""
        index = node.children[0] if node.kind == "select" else node
        root = index.children[0] if index.value == "[]" else None
        key = index.children[1] if index.value == "[]" else None
        name = root.value if root is not None and root.kind == "name" else None
        if name not in _BRACKETS or key is None or key.kind != "constant" or not isinstance(key.value, str):
            base = next(n for n in [*node.walk()][::-1] if n.kind in ("name", "constant", "list", "call"))
            legal = _BRACKETS.get(str(base.value)) if base.kind == "name" else None
            self.say(
                node,
                "condition-name",
                "nothing of that name",
                f"write {legal or 'one of ' + ', '.join(_BRACKETS.values())}",
            )
            return None
        if name == "metrics":
            if node.kind == "select":
                self.say(node, "condition-name", f"a metric has no {node.value}", f"write metrics['{key.value}']")
                return None
            return self.metric(key, key.value)
        if node.kind != "select" or node.value != "outcome":
            self.say(
                node, "condition-name", f"only the outcome is known of {name}", f"write {name}['{key.value}'].outcome"
            )
            return None
        names = self.scope.steps if name == "steps" else self.scope.checks
        if key.value in names:
            return "outcome" if name == "steps" else "check outcome"
        if name == "steps" and key.value in self.scope.later:
            self.say_later(key, key.value)
        else:
            help_ = did_you_mean(key.value, names, f"the {name} {'before it ' if name == 'steps' else ''}are")
            self.say(key, "condition-name", f"no {name[:-1]} is called {key.value!r}", help_)
        return None

    def metric(self, key: Node, text: str) -> Type | None:
        results = [lookup(text, p.scope, task=p.task, own=p.own) for p in self.scope.metrics]
        if any(isinstance(r, MetricName) and r.wildcard for r in results):
            self.say(key, "condition-name", f"{text} is many metrics, and a condition asks for one", "name the column")
            return None
        if any(isinstance(result, MetricName) for result in results):
            return "number"
        problem = next((result for result in results if isinstance(result, Problem)), None)
        if problem is None:
            self.say(key, "condition-name", "no step of this scenario gives a metric")
        else:
            self.say(key, problem.code, problem.message, problem.help)
        return None

    def comparison(self, node: Node, left: Node, right: Node) -> None:
        one, other = self.type(left), self.type(right)
        if one is None or other is None:
            return
        if left == right or not (_has_names(left) or _has_names(right)):
            self.say(node, "condition-constant", "this comparison always ends the same way", "compare with a name")
        elif node.value in ORDERINGS:
            self.ordering(node, (left, one), (right, other))
        else:
            self.equality(node, (left, one), (right, other))

    def ordering(self, node: Node, *sides: tuple[Node, Type]) -> None:
        types = {type_ for _, type_ in sides}
        if "date" in types and self.dates(sides):
            return
        if types != {"number"} and "date" not in types:
            help_ = "only numbers and dates have an order" if len(types) == 1 else None
            (_, one), (_, other) = sides
            self.say(node, "condition-type", f"{node.value} cannot compare {a(one)} with {a(other)}", help_)

    def equality(self, node: Node, *sides: tuple[Node, Type]) -> None:
        (left, one), (right, other) = sides
        if "date" in (one, other):
            self.dates(sides)
        elif {one, other} == {"outcome", "check outcome"}:
            self.say(node, "condition-type", "an outcome of a step is never one of a check", "compare with a text")
        elif one in FAMILIES or other in FAMILIES:
            family, value, type_ = (one, right, other) if one in FAMILIES else (other, left, one)
            if type_ == "text" and value.kind == "constant":
                self.outcome(family, value)
            elif type_ not in ("text", family):
                self.say(value, "condition-type", f"{a(family)} is a text, and this is {a(type_)}", self.legal(family))
        elif one != other:
            self.say(node, "condition-type", f"{node.value} cannot compare {a(one)} with {a(other)}", _mend(sides))

    def outcome(self, family: Type, value: Node) -> None:
        known, found = FAMILIES[family], str(value.value)
        if found in known:
            return
        meant = _MEANT[family].get(found.upper().replace(" ", "")) or suggest(found, known)
        help_ = f'did you mean "{meant}"? ' if meant else ""
        message = f"{found!r} is no outcome of a {'check' if family == 'check outcome' else 'step or run'}"
        self.say(value, "condition-outcome", message, help_ + self.legal(family))

    def legal(self, family: Type) -> str:
        return f"outcomes are {' '.join(FAMILIES[family])}"

    def dates(self, sides: Iterable[tuple[Node, Type]]) -> bool:
        """Say what is wrong with a comparison of dates: the other side is a date, or a text such as '2017-10-01'."""
        for node, type_ in sides:
            iso = type_ == "text" and node.kind == "constant" and _is_iso(str(node.value))
            if type_ != "date" and not iso:
                self.say(
                    node,
                    "condition-type",
                    f"a date is compared with a date, and this is {a(type_)}",
                    "write '2017-10-01'",
                )
                return False
        return True

    def within(self, node: Node) -> None:
        left, right = node.children
        one = self.type(left)
        if right.kind != "list":
            self.type(right)
            self.say(right, "condition-type", "after in stands a list", "write in ['WARNING', 'FAILED']")
            return
        before = len(self.found)
        for item in right.children:
            other = self.type(item)
            if item.kind != "constant":
                self.say(item, "condition-type", "a list holds texts and numbers alone")
            elif one is not None and other is not None and _has_names(left):
                self.equality(Node("call", item.start, item.end, "=="), (left, one), (item, other))
        if len(self.found) == before and (not right.children or not _has_names(left)):
            self.say(node, "condition-constant", "this always ends the same way", "compare with a name")


def _mend(sides: Iterable[tuple[Node, Type]]) -> str | None:
    if any(type_ == "number" for _, type_ in sides):
        for node, type_ in sides:
            if type_ == "text" and node.kind == "constant" and re.fullmatch(r"-?\d+(\.\d+)?", str(node.value)):
                return f"a number stands without quotes: {node.value}"
    return None


def _is_iso(text: str) -> bool:
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _has_names(node: Node) -> bool:
    return any(part.kind == "name" for part in node.walk())
