"""The type checker of conditions: names, types of operands, outcomes, and comparisons that are constant.

CEL knows an outcome only as a string, so it accepts `outcome == 'WARNNG'`. Here the outcomes of steps and runs are
one type, the outcomes of checks another. The checker walks the tree once and continues after a problem. An expression
with a problem has the type None, and no further problem is reported for the expressions around it.
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
    """Return the problems of a condition's names and types, in order of position.

    Constant parts are searched only in a condition without other problems.
    """
    examiner = _Examiner(scope)
    examiner.demand_bool(tree, None)
    if not examiner.found:
        return list(constant_parts(tree))
    return sorted(examiner.found, key=lambda problem: problem.offset)


class _Examiner:
    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.found: list[Problem] = []

    def say(self, node: Node, code: str, message: str, help_: str | None = None) -> None:
        self.found.append(Problem(node.start, node.end - node.start, code, message, help_))

    def demand_bool(self, node: Node, operator: str | None) -> None:
        """Check that an operand of `&&`, `||` or `!` (None: the whole condition) is true or false, not a literal."""
        before = len(self.found)
        type_ = self.type(node)
        if node.kind == "constant" and type_ == "true or false":
            what = f"this operand of {operator}" if operator else "this condition"
            message = f"{what} is always {str(node.value).lower()}"
            self.say(node, "condition-constant", message, "compare something of the run: outcome == 'WARNING'")
        elif type_ != "true or false" and len(self.found) == before:
            values = FAMILIES.get(type_)
            help_ = f"compare it: == '{values[2]}'" if values else "compare it with a value"
            what = f"{operator} needs operands that are" if operator else "a condition must be"
            self.say(node, "condition-type", f"{what} true or false, but this is {a(type_)}", help_)

    def type(self, node: Node) -> Type | None:
        """Return the type of an expression; None if a problem was found in it, which is then already reported."""
        if node.kind == "constant":
            return (
                "true or false" if isinstance(node.value, bool) else "text" if isinstance(node.value, str) else "number"
            )
        if node.kind == "name":
            return self.name(node, str(node.value))
        if node.kind == "select" or node.value == "[]":
            return self.member(node)
        if node.kind == "list":
            self.say(node, "condition-type", "a list is only allowed after in")
            return None
        if node.value in CONNECTIVES:
            for child in node.children:
                self.demand_bool(child, str(node.value))
        elif node.value == "in":
            self.within(node)
        else:
            self.comparison(node, *node.children)
        return "true or false"

    def name(self, node: Node, name: str) -> Type | None:
        """Type a single name: reserved names first, then outcomes of steps, then variables."""
        scope = self.scope
        if name == "outcome":
            return "outcome"
        if name == "trigger":
            return "text"
        if name in _BRACKETS:
            self.say(node, "condition-name", f"{name} has no value by itself", f"write {_BRACKETS[name]}")
            return None
        if name.startswith(STEP_PREFIX):
            earlier, later = ({step_variable(step): step for step in steps} for steps in (scope.steps, scope.later))
            if name in earlier:
                return "outcome"
            if name in later:
                self.say_later(node, later[name])
            else:
                help_ = did_you_mean(name, earlier, "the earlier steps are")
                self.say(node, "condition-name", f"no step is called {name.removeprefix(STEP_PREFIX)!r}", help_)
            return None
        if name in scope.variables:
            type_ = type_of(scope.variables[name])
            if type_ is None:
                self.say(node, "condition-type", f"the variable {name} is null and cannot be compared")
            return type_
        self.unknown(node, name)
        return None

    def unknown(self, node: Node, name: str) -> None:
        """Report an unknown name: an outcome without quotes, a metric without `metrics[…]`, or a misspelt name."""
        known = [*RESERVED, *(step_variable(step) for step in self.scope.steps), *self.scope.variables]
        if name in (*Outcome, *CheckOutcome):
            help_ = f"write texts in quotes: '{name}'"
        elif any(isinstance(lookup(name, p.scope, task=p.task, own=p.own), MetricName) for p in self.scope.metrics):
            help_ = f"write metrics['{name}']"
        else:
            help_ = did_you_mean(name, known, "the names here are")
        self.say(node, "condition-name", f"unknown name {name!r}", help_)

    def say_later(self, node: Node, step: str) -> None:
        message = f"the step {step!r} has not run yet when this condition is evaluated"
        self.say(node, "condition-later-step", message, "use an earlier step, or move that step before this one")

    def member(self, node: Node) -> Type | None:
        """Type `steps['…'].outcome`, `checks['…'].outcome` and `metrics['…']`. Nothing else has members."""
        # Split the node into name['key'] and an optional `.field`: `select` nodes are the field, `[]` nodes the index.
        index = node.children[0] if node.kind == "select" else node
        root = index.children[0] if index.value == "[]" else None
        key = index.children[1] if index.value == "[]" else None
        name = root.value if root is not None and root.kind == "name" else None
        if name not in _BRACKETS or key is None or key.kind != "constant" or not isinstance(key.value, str):
            # Any other form, such as steps.Build.outcome: the innermost name tells which form to write.
            base = next(n for n in [*node.walk()][::-1] if n.kind in ("name", "constant", "list", "call"))
            legal = _BRACKETS.get(str(base.value)) if base.kind == "name" else None
            self.say(
                node,
                "condition-name",
                "this is not a name of conditions",
                f"write {legal or 'one of ' + ', '.join(_BRACKETS.values())}",
            )
            return None
        if name == "metrics":
            if node.kind == "select":
                self.say(node, "condition-name", f"a metric has no .{node.value}", f"write metrics['{key.value}']")
                return None
            return self.metric(key, key.value)
        if node.kind != "select" or node.value != "outcome":
            self.say(
                node,
                "condition-name",
                f"a {name[:-1]} has nothing but .outcome",
                f"write {name}['{key.value}'].outcome",
            )
            return None
        names = self.scope.steps if name == "steps" else self.scope.checks
        if key.value in names:
            return "outcome" if name == "steps" else "check outcome"
        if name == "steps" and key.value in self.scope.later:
            self.say_later(key, key.value)
        else:
            help_ = did_you_mean(key.value, names, f"the {'earlier ' if name == 'steps' else ''}{name} are")
            self.say(key, "condition-name", f"no {name[:-1]} is called {key.value!r}", help_)
        return None

    def metric(self, key: Node, text: str) -> Type | None:
        """Type `metrics['…']`: a number if any store or dataset of the scenario has that metric."""
        results = [lookup(text, p.scope, task=p.task, own=p.own) for p in self.scope.metrics]
        if any(isinstance(r, MetricName) and r.wildcard for r in results):
            self.say(
                key,
                "condition-name",
                f"{text} is many metrics, but a condition needs one",
                "write the name of a column",
            )
            return None
        if any(isinstance(result, MetricName) for result in results):
            return "number"
        problem = next((result for result in results if isinstance(result, Problem)), None)
        if problem is None:
            self.say(key, "condition-name", "no step of this scenario computes metrics")
        else:
            self.say(key, problem.code, problem.message, problem.help)
        return None

    def comparison(self, node: Node, left: Node, right: Node) -> None:
        """Check a comparison: not constant, and operands of types that the operator compares."""
        one, other = self.type(left), self.type(right)
        if one is None or other is None:
            return
        if left == right or not (_has_names(left) or _has_names(right)):
            self.say(
                node, "condition-constant", "this comparison always has the same result", "compare a name with a value"
            )
        elif node.value in ORDERINGS:
            self.ordering(node, (left, one), (right, other))
        else:
            self.equality(node, (left, one), (right, other))

    def ordering(self, node: Node, *sides: tuple[Node, Type]) -> None:
        """Check `< <= > >=`: two numbers, or two dates."""
        types = {type_ for _, type_ in sides}
        if "date" in types and self.dates(sides):
            return
        if types != {"number"} and "date" not in types:
            help_ = "only numbers and dates can be ordered" if len(types) == 1 else None
            (_, one), (_, other) = sides
            self.say(node, "condition-type", f"{node.value} cannot compare {a(one)} with {a(other)}", help_)

    def equality(self, node: Node, *sides: tuple[Node, Type]) -> None:
        """Check `==`, `!=` and the items of `in`: two dates, an outcome with one of its values, or equal types."""
        (left, one), (right, other) = sides
        if "date" in (one, other):
            self.dates(sides)
        elif {one, other} == {"outcome", "check outcome"}:
            self.say(
                node,
                "condition-type",
                "the outcome of a step and that of a check are not comparable",
                "compare with a text",
            )
        elif one in FAMILIES or other in FAMILIES:
            # One side is an outcome. The other may be one of its values, a text variable, or an outcome of that type.
            family, value, type_ = (one, right, other) if one in FAMILIES else (other, left, one)
            if type_ == "text" and value.kind == "constant":
                self.outcome(family, value)
            elif type_ not in ("text", family):
                self.say(
                    value,
                    "condition-type",
                    f"{a(family)} is compared with a text, but this is {a(type_)}",
                    self.legal(family),
                )
        elif one != other:
            self.say(node, "condition-type", f"{node.value} cannot compare {a(one)} with {a(other)}", _mend(sides))

    def outcome(self, family: Type, value: Node) -> None:
        """Check that a literal is an outcome of its type, spelled as the engine spells it."""
        known, found = FAMILIES[family], str(value.value)
        if found in known:
            return
        meant = _MEANT[family].get(found.upper().replace(" ", "")) or suggest(found, known)
        help_ = f'did you mean "{meant}"? ' if meant else ""
        message = f"{found!r} is not an outcome of a {'check' if family == 'check outcome' else 'step or run'}"
        self.say(value, "condition-outcome", message, help_ + self.legal(family))

    def legal(self, family: Type) -> str:
        return f"the outcomes are {', '.join(FAMILIES[family])}"

    def dates(self, sides: Iterable[tuple[Node, Type]]) -> bool:
        """Return whether both sides are dates or texts such as '2017-10-01'; report the first that is not."""
        for node, type_ in sides:
            iso = type_ == "text" and node.kind == "constant" and _is_iso(str(node.value))
            if type_ != "date" and not iso:
                self.say(
                    node,
                    "condition-type",
                    f"a date is compared with a date, but this is {a(type_)}",
                    "write a date such as '2017-10-01'",
                )
                return False
        return True

    def within(self, node: Node) -> None:
        """Check `left in [items]`: each item must be a literal that could equal the left side."""
        left, right = node.children
        one = self.type(left)
        if right.kind != "list":
            self.type(right)
            self.say(right, "condition-type", "in needs a list after it", "write in ['WARNING', 'FAILED']")
            return
        before = len(self.found)
        for item in right.children:
            other = self.type(item)
            if item.kind != "constant":
                self.say(item, "condition-type", "a list can only contain texts and numbers")
            elif one is not None and other is not None and _has_names(left):
                self.equality(Node("call", item.start, item.end, "=="), (left, one), (item, other))
        if len(self.found) == before and (not right.children or not _has_names(left)):
            self.say(
                node, "condition-constant", "this always has the same result", "compare a name with a list of values"
            )


def _mend(sides: Iterable[tuple[Node, Type]]) -> str | None:
    """Return the help for a number that was compared with a number in quotes; None for anything else."""
    if any(type_ == "number" for _, type_ in sides):
        for node, type_ in sides:
            if type_ == "text" and node.kind == "constant" and re.fullmatch(r"-?\d+(\.\d+)?", str(node.value)):
                return f"write numbers without quotes: {node.value}"
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
