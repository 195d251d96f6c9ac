"""Run conditions: what is legal, and how they decide."""

import operator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.outcome import CheckOutcome, Outcome
from engine.spec.conditions import (
    ConditionFacts,
    ConditionScope,
    UndecidedCondition,
    evaluate_condition,
    find_condition_problems,
    name_step_variable,
)
from engine.spec.reference.codes import DIAGNOSTIC_CODES

from .condition_scope import SCOPE

FACTS = ConditionFacts(
    outcome=Outcome.WARNING,
    steps={"Build MES": Outcome.SUCCESS, "MES_Warn": Outcome.WARNING},
    checks={"data drift < 0.45": CheckOutcome.WARNING, "auc holds": CheckOutcome.EMPTY},
    metrics={"data_drift": 0.62, "psi.card_age": 0.3, "roc_auc": None, "f1": float("nan"), "log_loss": float("inf")},
    variables=dict(SCOPE.variables),
)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("stepOutcome_MES_Warn == 'WARNING'", True),
        ('stepOutcome_Build_MES != "SUCCESS"', False),
        ("steps['Build MES'].outcome == 'SUCCESS'", True),
        ("checks['data drift < 0.45'].outcome in ['WARNING', 'ERROR']", True),
        ("checks['auc holds'].outcome == 'EMPTY' && outcome == 'WARNING'", True),
        ("metrics['data_drift'] > 0.45 && !(metrics['psi.card_age'] >= 1)", True),
        ("metrics['psi.\"card_age\"'] == 0.3", True),
        ("metrics['log_loss'] > 1", True),
        ("limit == 3 || limit < -1.5", True),
        ("strict", True),
        ("!strict", False),
        ("strict == (limit > 4)", False),
        ("trigger == 'manual'", True),
        ("'watch' == trigger || trigger in ['each night', 'watch']", False),
        ("trigger != quarter", True),
        ("quarter in ['Q1', 'Q4']", True),
        ("day >= '2017-10-01' && day < '2018-01-01'", True),
        ("outcome\n  == 'FAILED'", False),
        ("stepOutcome_Build_MES == stepOutcome_MES_Warn", False),
        ("outcome == quarter", False),
        ("limit in [1, 2.5, 3,]", True),
        ("strict || strict && !strict", True),  # && binds closer than ||
        ("!strict == strict", False),  # ! binds closer than ==
        ("!!strict", True),
        (r"quarter != 'it\'s \x51\u0034 \t\\ \101'", True),
        (r"quarter == '\x51\U00000034'", True),
    ],
)
def test_a_legal_condition_is_decided(text: str, holds: bool) -> None:
    assert find_condition_problems(text, SCOPE) == []
    assert evaluate_condition(text, FACTS) is holds


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("metrics['roc_auc'] < 0.7", "the metric 'roc_auc' has no value"),
        ("metrics['f1'] < 0.7", "the metric 'f1' has no value"),
        (
            "metrics['ks.x'] < 0.7 || metrics['roc_auc'] < 0.1",
            "no earlier step has computed the metric 'ks.x'; the metric 'roc_auc' has no value",
        ),
        ("steps['Clean up'].outcome == 'FAILED'", "the step 'Clean up' has not run"),
        ("stepOutcome_Clean_up == 'FAILED'", "stepOutcome_Clean_up has no value"),
        ("checks['other'].outcome == 'OK'", "the check 'other' has no outcome"),
        ("nothing == 1", "nothing has no value"),
        ("limit > quarter", "> cannot compare a number with a text"),
        ("quarter", "the condition evaluates to a text, not to true or false"),
        (
            "!quarter || strict == limit",
            (
                "! needs operands that are true or false, but this is a text; "
                "== cannot compare true or false with a number"
            ),
        ),
        ("outcome = 'OK'", "the condition cannot be read: '=' is not an operator of conditions"),
    ],
)
def test_what_has_no_value_leaves_the_condition_undecided(text: str, reason: str) -> None:
    with pytest.raises(UndecidedCondition) as undecided:
        evaluate_condition(text, FACTS)
    assert str(undecided.value) == reason


def test_a_condition_is_decided_as_soon_as_one_side_decides() -> None:
    assert evaluate_condition("metrics['roc_auc'] < 0.7 && !strict", FACTS) is False
    assert evaluate_condition("!strict && metrics['roc_auc'] < 0.7", FACTS) is False
    assert evaluate_condition("metrics['roc_auc'] < 0.7 || strict", FACTS) is True


@pytest.mark.parametrize(
    "text", ["(" * 60 + "strict" + ")" * 60, "!(" * 30 + "strict" + ")" * 30, "strict" + " || strict" * 190]
)
def test_a_condition_as_large_as_people_write_them_is_decided(text: str) -> None:
    assert find_condition_problems(text, SCOPE) == []
    assert evaluate_condition(text, FACTS) is True


def test_a_steps_name_becomes_a_word() -> None:
    assert name_step_variable("Build MES (Q4, é)") == "stepOutcome_Build_MES__Q4____"


@dataclass(frozen=True)
class Part:
    """A condition and what it must give: True, False, or None for undecided."""

    text: str
    holds: bool | None


COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

METRICS = {name: None if name == "f1" else value for name, value in FACTS.metrics.items()}


def compared(left: tuple[str, Any], sign: str, right: tuple[str, Any]) -> Part:
    known = left[1] is not None and right[1] is not None
    return Part(f"{left[0]} {sign} {right[0]}", COMPARE[sign](left[1], right[1]) if known else None)


outcomes = st.sampled_from(
    [("outcome", "WARNING"), ("stepOutcome_Build_MES", "SUCCESS"), ("steps['MES_Warn'].outcome", "WARNING")]
)

literals = st.sampled_from(list(Outcome)).map(lambda value: (f"'{value}'", str(value)))

numbers = st.one_of(
    st.integers(-5, 5).map(lambda n: (str(n), n)),
    st.decimals(-2, 2, places=2).map(lambda d: (str(d), float(d))),
)

measured = st.sampled_from(list(METRICS)).map(lambda name: (f"metrics['{name}']", METRICS[name]))

comparisons = st.one_of(
    st.builds(compared, outcomes, st.sampled_from(["==", "!="]), literals),
    st.builds(compared, measured, st.sampled_from(list(COMPARE)), numbers),
    st.builds(compared, numbers, st.sampled_from(list(COMPARE)), measured),
    st.just(Part("strict", True)),
    st.builds(
        lambda left, values: Part(
            f"{left[0]} in [{', '.join(v[0] for v in values)}]", left[1] in [v[1] for v in values]
        ),
        outcomes,
        st.lists(literals, max_size=3),
    ),
)


def both(left: Part, right: Part) -> Part:
    sides = {left.holds, right.holds}
    return Part(f"({left.text}) && ({right.text})", False if False in sides else None if None in sides else True)


def either(left: Part, right: Part) -> Part:
    sides = {left.holds, right.holds}
    return Part(f"({left.text}) || ({right.text})", True if True in sides else None if None in sides else False)


conditions = st.recursive(
    comparisons,
    lambda inner: st.one_of(
        st.builds(both, inner, inner),
        st.builds(either, inner, inner),
        inner.map(lambda part: Part(f"!({part.text})", None if part.holds is None else not part.holds)),
    ),
    max_leaves=8,
)


@given(conditions)
def test_conditions_agree_with_a_plain_evaluator(part: Part) -> None:
    try:
        holds = evaluate_condition(part.text, FACTS)
    except UndecidedCondition:
        holds = None
    assert holds is part.holds
    assert {p.code for p in find_condition_problems(part.text, SCOPE)} <= {"condition-constant"}


WORDS = "== && || steps metrics checks outcome 'OK' 'psi.x' 1 2.5 1e9 true null limit day .outcome ['MES_Warn'] and"

PIECES = st.sampled_from([*"()[]!<>=&|.,'\"-+?:${}%é\n\x00", *WORDS.split(), " ", " in ", "not "])


@settings(max_examples=300)
@given(st.one_of(st.text(), st.lists(PIECES, max_size=14).map("".join)))
def test_any_text_gives_problems_inside_it_or_is_decided(text: str) -> None:
    found = find_condition_problems(text, SCOPE)
    for problem in found:
        assert 0 <= problem.offset <= len(text)
        assert problem.length >= 1 or not text
        assert problem.code in DIAGNOSTIC_CODES
    try:
        decided = evaluate_condition(text, FACTS)
    except UndecidedCondition:
        return
    assert isinstance(decided, bool)


def test_always_holds_whatever_is_known() -> None:
    assert find_condition_problems(" always ", ConditionScope()) == []
    assert evaluate_condition("always", ConditionFacts())
