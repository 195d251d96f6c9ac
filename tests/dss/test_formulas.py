"""The formulas of run conditions in DSS, as conditions of the spec."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.dss.scenarios.conditions import translate_formula
from engine.spec.conditions import ConditionScope, find_condition_problems

FORMULA_PARTS = (
    *("outcome", "stepOutcome_a", "stepOutcome_b", "stepOutcome_c", "mode", "==", "!=", "=", "<", "'SUCCESS'", '"OK"'),
    *("&&", "||", "and", "or(", "not", "!", "(", ")", ",", "true", "1", "${mode}", "variables['mode']"),
)


@pytest.mark.parametrize(
    ("formula", "condition", "never"),
    [
        ("outcome == 'FAILED'", "outcome == 'FAILED'", False),
        ('stepOutcome_a_b=="WARNING" ', "stepOutcome_a_b == 'WARNING'", False),
        ("stepOutcome_a_b != 'ERROR'", "always", False),
        ("stepOutcome_a_b == 'ERROR' && outcome == 'FAILED'", "", True),
        ("stepOutcome_a_b == 'OK' or outcome = 'FAILED'", "outcome == 'FAILED'", False),
        (
            "and(outcome != 'SUCCESS', not(outcome == 'ABORTED'))",
            "(outcome != 'SUCCESS' && !(outcome == 'ABORTED'))",
            False,
        ),
        ("stepOutcome_gone == 'SUCCESS'", "always", False),
        ('variables["mode"] == "full"', "mode == 'full'", False),
        ("${mode} != 'full'", "mode != 'full'", False),
        ("true", "always", False),
    ],
)
def test_formulas_become_conditions(formula: str, condition: str, never: bool) -> None:
    found = translate_formula(formula, [("a b", "a b"), ("gone", "")], {"mode": "mode"})
    assert (found.problem, found.condition, found.never) == ("", condition, never)


@settings(max_examples=200)
@given(text=st.lists(st.sampled_from(FORMULA_PARTS), max_size=9).map(" ".join) | st.text(max_size=30))
def test_no_formula_is_too_much(text: str) -> None:
    found = translate_formula(text, [("a", "a"), ("b", "")], {"mode": "mode"})
    assert found.problem or found.condition or found.never
    if found.condition:
        load_condition(found.condition)


def load_condition(condition: str) -> None:
    """Check that a condition is one of the language."""
    scope = ConditionScope(steps=["a"], variables={"mode": "text"})
    assert find_condition_problems(condition, scope) == []
