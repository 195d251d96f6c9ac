"""Run conditions: expressions in a small subset of CEL over the facts of a run.

`syntax` parses `== != < <= > >= in && || ! ( )`, literals and names; `type_check` finds mistakes in valid syntax:
misspelt outcomes, steps that do not exist or run later, conditions that are always true; `evaluation` evaluates. A
template language was rejected because it inserts values into the text before parsing. Only the word `always` is a
condition that intentionally always holds.
"""

from engine.spec.conditions.evaluation import ConditionFacts, UndecidedCondition, evaluate_condition
from engine.spec.conditions.scope import (
    ALWAYS,
    RESERVED_NAMES,
    STEP_PREFIX,
    ConditionScope,
    name_step_variable,
)
from engine.spec.conditions.syntax import parse_condition
from engine.spec.conditions.type_check import check_types
from engine.spec.problem import Problem

__all__ = [
    "ALWAYS",
    "RESERVED_NAMES",
    "STEP_PREFIX",
    "ConditionFacts",
    "ConditionScope",
    "UndecidedCondition",
    "evaluate_condition",
    "find_condition_problems",
    "name_step_variable",
    "parse_condition",
]


def find_condition_problems(text: str, scope: ConditionScope) -> list[Problem]:
    """Return every problem of a condition, in order of position. `scope` holds the names that it may use."""
    if text.strip() == ALWAYS:
        return []
    syntax = parse_condition(text)
    return list(syntax.problems) if syntax.tree is None else check_types(syntax.tree, scope)
