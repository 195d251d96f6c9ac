"""Parts of conditions that are always true or always false, whatever the outcomes are.

`outcome != 'WARNING' || outcome != 'FAILED'` is true for every outcome, so a reporter with it always sends. A part that
depends on at most three outcomes is evaluated for every combination of their values: at most 5 * 5 * 5 = 125.
"""

from collections.abc import Iterator, Mapping
from itertools import product

from engine.spec.conditions.scope import OUTCOME_VALUES, STEP_PREFIX
from engine.spec.conditions.syntax import CONNECTIVES, EQUALITIES, ConditionNode
from engine.spec.problem import Problem

USE_ALWAYS = "to run or send in any case, write always"
USE_INACTIVE = "to switch it off, write active: false"


def find_constant_parts(node: ConditionNode, *, whole: bool = False) -> Iterator[Problem]:
    """Yield a problem for each largest part that depends on outcomes alone and has the same result for all of them.

    `whole` is True if the node is the whole condition, for which a single word may be the better form.
    """
    # The outcomes that this part depends on, or None if it depends on a metric or a variable too.
    operands = _find_outcome_operands(node)
    if operands is not None and len(operands) <= 3:
        possible_values = [OUTCOME_VALUES["check outcome" if _reads_check(one) else "outcome"] for one in operands]
        # Truth table: the results over the product of all possible outcomes. One result means a constant part.
        combinations = (dict(zip(operands, values, strict=True)) for values in product(*possible_values))
        results = {_evaluate_outcomes(node, values) for values in combinations}
        if len(results) == 1:
            message = f"this is always {'true' if True in results else 'false'}, whatever the outcome is"
            size = node.end - node.start
            help_ = "&& needs both sides to be true, || needs one of them"
            if whole:
                help_ += f"; {USE_ALWAYS if True in results else USE_INACTIVE}"
            yield Problem(node.start, size, "condition-constant", message, help_)
            return
    # Not constant as a whole: one of its operands still may be.
    if node.value in CONNECTIVES:
        for child in node.children:
            yield from find_constant_parts(child)


def _reads_check(operand: ConditionNode) -> bool:
    return any(part.value == "checks" for part in operand.walk() if part.kind == "name")


def _find_outcome_operands(node: ConditionNode) -> set[ConditionNode] | None:
    """Return the outcomes that an expression depends on; None if it depends on anything else."""
    if node.kind == "call" and node.value in CONNECTIVES:
        parts = [_find_outcome_operands(child) for child in node.children]
        return None if None in parts else set().union(*(part for part in parts if part is not None))
    if node.kind == "call" and node.value in (*EQUALITIES, "in"):
        left, right = node.children
        sides = [side for side in (left, right) if side.kind not in ("constant", "list")]
        if all(s.kind == "select" or s.value == "outcome" or str(s.value).startswith(STEP_PREFIX) for s in sides):
            return set(sides)
    return None


def _evaluate_outcomes(node: ConditionNode, outcomes: Mapping[ConditionNode, str]) -> bool:
    """Evaluate an expression over outcomes and literals for one value of each outcome."""

    def value(side: ConditionNode) -> object:
        return outcomes.get(side, side.value)

    match node.value:
        case "!":
            return not _evaluate_outcomes(node.children[0], outcomes)
        case "&&":
            return all(_evaluate_outcomes(child, outcomes) for child in node.children)
        case "||":
            return any(_evaluate_outcomes(child, outcomes) for child in node.children)
        case "in":
            return value(node.children[0]) in [item.value for item in node.children[1].children]
        case _:
            return (value(node.children[0]) == value(node.children[1])) == (node.value == "==")
