"""The type checker of conditions: names, types of operands, outcomes, and comparisons that are constant.

The outcomes of steps and runs are one type, the outcomes of checks another, so `outcome == 'WARNNG'` is an error.
The checker walks the tree once and continues after a problem. An expression with a problem has the type None, and no
further problem is reported for the expressions around it.
"""

import re
from collections.abc import Iterable

from engine.formatting.hints import did_you_mean, find_similar
from engine.outcome import CheckOutcome, Outcome
from engine.spec.conditions.constant_parts import USE_ALWAYS, USE_INACTIVE, find_constant_parts
from engine.spec.conditions.scope import (
    ALWAYS,
    OUTCOME_VALUES,
    RESERVED_NAMES,
    STEP_PREFIX,
    ConditionScope,
    ConditionType,
    infer_variable_type,
    name_step_variable,
    with_article,
)
from engine.spec.conditions.syntax import CONNECTIVES, ORDERINGS, ConditionNode
from engine.spec.metrics.names import MetricName
from engine.spec.problem import Problem
from engine.spec.variables.references import parse_iso_date

_OUTCOME_ALIASES = {
    "outcome": {"OK": "SUCCESS", "ERROR": "FAILED", "FAILURE": "FAILED", "PASSED": "SUCCESS", "CANCELLED": "ABORTED"},
    "check outcome": {"SUCCESS": "OK", "FAILED": "ERROR", "PASSED": "OK", "NODATA": "EMPTY"},
}
_MEMBER_FORMS = {"steps": "steps['…'].outcome", "checks": "checks['…'].outcome", "metrics": "metrics['…']"}


def check_types(tree: ConditionNode, scope: ConditionScope) -> list[Problem]:
    """Return the problems of a condition's names and types, in order of position.

    Constant parts are searched only in a condition without other problems.
    """
    examiner = _TypeChecker(scope)
    examiner.require_boolean(tree, None)
    if not examiner.problems:
        return list(find_constant_parts(tree, whole=True))
    return sorted(examiner.problems, key=lambda problem: problem.offset)


class _TypeChecker:
    def __init__(self, scope: ConditionScope) -> None:
        self.scope = scope
        self.problems: list[Problem] = []

    def report(self, node: ConditionNode, code: str, message: str, help_: str | None = None) -> None:
        self.problems.append(Problem(node.start, node.end - node.start, code, message, help_))

    def require_boolean(self, node: ConditionNode, operator: str | None) -> None:
        """Check that an operand of `&&`, `||` or `!` (None: the whole condition) is true or false, not a literal."""
        before = len(self.problems)
        type_ = self.infer_type(node)
        if node.kind == "constant" and type_ == "true or false":
            what = f"this operand of {operator}" if operator else "this condition"
            message = f"{what} is always {str(node.value).lower()}"
            help_ = "compare a value of the run: outcome in ['WARNING', 'FAILED']"
            if operator is None:
                help_ = f"{USE_ALWAYS}; otherwise {help_}" if node.value else f"{USE_INACTIVE}; otherwise {help_}"
            self.report(node, "condition-constant", message, help_)
        elif type_ != "true or false" and len(self.problems) == before:
            values = OUTCOME_VALUES.get(type_)
            help_ = f"compare it: == '{values[2]}'" if values else "compare it with a value"
            what = f"{operator} needs operands that are" if operator else "a condition must be"
            self.report(node, "condition-type", f"{what} true or false, but this is {with_article(type_)}", help_)

    def infer_type(self, node: ConditionNode) -> ConditionType | None:
        """Return the type of an expression; None if a problem was found in it, which is then already reported."""
        if node.kind == "constant":
            return (
                "true or false" if isinstance(node.value, bool) else "text" if isinstance(node.value, str) else "number"
            )
        if node.kind == "name":
            return self.infer_name_type(node, str(node.value))
        if node.kind == "select" or node.value == "[]":
            return self.infer_member_type(node)
        if node.kind == "list":
            self.report(node, "condition-type", "a list is only allowed after in")
            return None
        if node.value in CONNECTIVES:
            for child in node.children:
                self.require_boolean(child, str(node.value))
        elif node.value == "in":
            self.check_membership(node)
        else:
            self.check_comparison(node, *node.children)
        return "true or false"

    def infer_name_type(self, node: ConditionNode, name: str) -> ConditionType | None:
        """Type a single name: reserved names first, then outcomes of steps, then variables."""
        scope = self.scope
        if name == "outcome":
            return "outcome"
        if name == "trigger":
            return "text"
        if name in _MEMBER_FORMS:
            self.report(node, "condition-name", f"{name} has no value by itself", f"write {_MEMBER_FORMS[name]}")
            return None
        if name.startswith(STEP_PREFIX):
            earlier, later = (
                {name_step_variable(step): step for step in steps} for steps in (scope.steps, scope.later)
            )
            if name in earlier:
                return "outcome"
            if name in later:
                self.report_later_step(node, later[name])
            else:
                help_ = did_you_mean(name, earlier, "the earlier steps are")
                self.report(node, "condition-name", f"no step is called {name.removeprefix(STEP_PREFIX)!r}", help_)
            return None
        if name in scope.variables:
            type_ = infer_variable_type(scope.variables[name])
            if type_ is None:
                self.report(node, "condition-type", f"the variable {name} is null and cannot be compared")
            return type_
        self.report_unknown_name(node, name)
        return None

    def report_unknown_name(self, node: ConditionNode, name: str) -> None:
        """Report an unknown name: an outcome without quotes, a metric without `metrics[…]`, or a misspelt name."""
        known = [*RESERVED_NAMES, *(name_step_variable(step) for step in self.scope.steps), *self.scope.variables]
        if name.lower() == ALWAYS:
            help_ = "write only always, as the whole condition"
        elif name in (*Outcome, *CheckOutcome):
            help_ = f"write texts in quotes: '{name}'"
        elif any(isinstance(p.resolve(name), MetricName) for p in self.scope.metrics):
            help_ = f"write metrics['{name}']"
        else:
            help_ = did_you_mean(name, [*known, ALWAYS], "the names here are")
        self.report(node, "condition-name", f"unknown name {name!r}", help_)

    def report_later_step(self, node: ConditionNode, step: str) -> None:
        message = f"the step {step!r} has not run yet when this condition is evaluated"
        self.report(node, "condition-later-step", message, "use an earlier step, or move that step before this one")

    def infer_member_type(self, node: ConditionNode) -> ConditionType | None:
        """Type `steps['…'].outcome`, `checks['…'].outcome` and `metrics['…']`. Nothing else has members."""
        # Split the node into name['key'] and an optional `.field`: `select` nodes are the field, `[]` nodes the index.
        index = node.children[0] if node.kind == "select" else node
        root = index.children[0] if index.value == "[]" else None
        key = index.children[1] if index.value == "[]" else None
        name = root.value if root is not None and root.kind == "name" else None
        if name not in _MEMBER_FORMS or key is None or key.kind != "constant" or not isinstance(key.value, str):
            # Any other form, such as steps.Build.outcome: the innermost name tells which form to write.
            base = next(n for n in [*node.walk()][::-1] if n.kind in ("name", "constant", "list", "call"))
            legal = _MEMBER_FORMS.get(str(base.value)) if base.kind == "name" else None
            self.report(
                node,
                "condition-name",
                "a condition cannot use this",
                f"write {legal or 'one of ' + ', '.join(_MEMBER_FORMS.values())}",
            )
            return None
        if name == "metrics":
            if node.kind == "select":
                self.report(node, "condition-name", f"a metric has no .{node.value}", f"write metrics['{key.value}']")
                return None
            return self.infer_metric_type(key, key.value)
        if node.kind != "select" or node.value != "outcome":
            self.report(
                node,
                "condition-name",
                f"a {name[:-1]} only has .outcome",
                f"write {name}['{key.value}'].outcome",
            )
            return None
        names = self.scope.steps if name == "steps" else self.scope.checks
        if key.value in names:
            return "outcome" if name == "steps" else "check outcome"
        if name == "steps" and key.value in self.scope.later:
            self.report_later_step(key, key.value)
        else:
            help_ = did_you_mean(key.value, names, f"the {'earlier ' if name == 'steps' else ''}{name} are")
            self.report(key, "condition-name", f"no {name[:-1]} is called {key.value!r}", help_)
        return None

    def infer_metric_type(self, key: ConditionNode, text: str) -> ConditionType | None:
        """Type `metrics['…']`: a number if any store or dataset of the scenario has that metric."""
        results = [p.resolve(text) for p in self.scope.metrics]
        if any(isinstance(r, MetricName) and r.wildcard for r in results):
            self.report(
                key,
                "condition-name",
                f"{text} matches many metrics, but a condition needs a single one",
                "write the name of a column",
            )
            return None
        if any(isinstance(result, MetricName) for result in results):
            return "number"
        problem = next((result for result in results if isinstance(result, Problem)), None)
        if problem is None:
            self.report(key, "condition-name", "no step of this scenario computes metrics")
        else:
            self.report(key, problem.code, problem.message, problem.help)
        return None

    def check_comparison(self, node: ConditionNode, left: ConditionNode, right: ConditionNode) -> None:
        """Check a comparison: not constant, and operands of types that the operator compares."""
        one, other = self.infer_type(left), self.infer_type(right)
        if one is None or other is None:
            return
        if left == right or not (_contains_name(left) or _contains_name(right)):
            self.report(
                node, "condition-constant", "this comparison always has the same result", "compare a name with a value"
            )
        elif node.value in ORDERINGS:
            self.check_ordering(node, (left, one), (right, other))
        else:
            self.check_equality(node, (left, one), (right, other))

    def check_ordering(self, node: ConditionNode, *sides: tuple[ConditionNode, ConditionType]) -> None:
        """Check `< <= > >=`: two numbers, or two dates."""
        types = {type_ for _, type_ in sides}
        if "date" in types and self.check_dates(sides):
            return
        if types != {"number"} and "date" not in types:
            help_ = "only numbers and dates can be ordered" if len(types) == 1 else None
            (_, one), (_, other) = sides
            self.report(
                node,
                "condition-type",
                f"{node.value} cannot compare {with_article(one)} with {with_article(other)}",
                help_,
            )

    def check_equality(self, node: ConditionNode, *sides: tuple[ConditionNode, ConditionType]) -> None:
        """Check `==`, `!=` and the items of `in`: two dates, an outcome with one of its values, or equal types."""
        (left, one), (right, other) = sides
        for name, value in ((left, right), (right, left)):
            if name.kind == "name" and name.value == "trigger" and value.kind == "constant" and one == other:
                self.check_starter(value)
        if "date" in (one, other):
            self.check_dates(sides)
        elif {one, other} == {"outcome", "check outcome"}:
            self.report(
                node,
                "condition-type",
                "the outcome of a step cannot be compared with that of a check",
                "compare with a text",
            )
        elif one in OUTCOME_VALUES or other in OUTCOME_VALUES:
            # One side is an outcome. The other may be one of its values, a text variable, or an outcome of that type.
            family, value, type_ = (one, right, other) if one in OUTCOME_VALUES else (other, left, one)
            if type_ == "text" and value.kind == "constant":
                self.check_outcome(family, value)
            elif type_ not in ("text", family):
                self.report(
                    value,
                    "condition-type",
                    f"{with_article(family)} is compared with a text, but this is {with_article(type_)}",
                    self.list_outcomes(family),
                )
        elif one != other:
            self.report(
                node,
                "condition-type",
                f"{node.value} cannot compare {with_article(one)} with {with_article(other)}",
                _suggest_unquoted_number(sides),
            )

    def check_outcome(self, family: ConditionType, value: ConditionNode) -> None:
        """Check that a literal is an outcome of its type, spelled as the engine spells it."""
        possible, found = OUTCOME_VALUES[family], str(value.value)
        if found in possible:
            return
        meant = _OUTCOME_ALIASES[family].get(found.upper().replace(" ", "")) or find_similar(found, possible)
        help_ = f'did you mean "{meant}"? ' if meant else ""
        message = f"{found!r} is not an outcome of a {'check' if family == 'check outcome' else 'step or run'}"
        self.report(value, "condition-outcome", message, help_ + self.list_outcomes(family))

    def check_starter(self, value: ConditionNode) -> None:
        """Check that a literal is the name of something that starts runs of the scenario."""
        found, known = str(value.value), self.scope.starters
        if found not in known:
            message = f"this scenario has no trigger {found!r}"
            self.report(value, "condition-name", message, did_you_mean(found, known, "the names are"))

    def list_outcomes(self, family: ConditionType) -> str:
        return f"the outcomes are {', '.join(OUTCOME_VALUES[family])}"

    def check_dates(self, sides: Iterable[tuple[ConditionNode, ConditionType]]) -> bool:
        """Return whether both sides are dates or texts such as '2017-10-01'; report the first that is not."""
        for node, type_ in sides:
            iso = type_ == "text" and node.kind == "constant" and parse_iso_date(str(node.value)) is not None
            if type_ != "date" and not iso:
                self.report(
                    node,
                    "condition-type",
                    f"a date is compared with a date, but this is {with_article(type_)}",
                    "write a date such as '2017-10-01'",
                )
                return False
        return True

    def check_membership(self, node: ConditionNode) -> None:
        """Check `left in [items]`: each item must be a literal that could equal the left side."""
        left, right = node.children
        one = self.infer_type(left)
        if right.kind != "list":
            self.infer_type(right)
            self.report(right, "condition-type", "in needs a list after it", "write in ['WARNING', 'FAILED']")
            return
        before = len(self.problems)
        for item in right.children:
            other = self.infer_type(item)
            if item.kind != "constant":
                self.report(item, "condition-type", "a list can only contain texts and numbers")
            elif one is not None and other is not None and _contains_name(left):
                self.check_equality(ConditionNode("call", item.start, item.end, "=="), (left, one), (item, other))
        if len(self.problems) == before and (not right.children or not _contains_name(left)):
            self.report(
                node, "condition-constant", "this always has the same result", "compare a name with a list of values"
            )


def _suggest_unquoted_number(sides: Iterable[tuple[ConditionNode, ConditionType]]) -> str | None:
    """Return the help for a number that was compared with a number in quotes; None for anything else."""
    if any(type_ == "number" for _, type_ in sides):
        for node, type_ in sides:
            if type_ == "text" and node.kind == "constant" and re.fullmatch(r"-?\d+(\.\d+)?", str(node.value)):
                return f"write numbers without quotes: {node.value}"
    return None


def _contains_name(node: ConditionNode) -> bool:
    return any(part.kind == "name" for part in node.walk())
