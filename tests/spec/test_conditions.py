"""Run conditions: what is legal, what is said of the rest, and how they decide."""

import operator
from dataclasses import dataclass
from datetime import date
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
from engine.spec.metrics.owner import MetricOwner
from engine.spec.reference.codes import DIAGNOSTIC_CODES

SOMETHING = " something of the run: outcome in ['WARNING', 'FAILED']"
SCOPE = ConditionScope(
    steps=["Build MES", "MES_Warn"],
    later=["Clean up"],
    checks=["data drift < 0.45", "auc holds"],
    metrics=[MetricOwner("store", "binary_classification", frozenset({"gain"}))],
    variables={"quarter": "Q4", "strict": True, "limit": 3, "day": date(2017, 10, 1), "nothing": None},
    starters=["manual", "watch", "each night"],
)
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
    ("text", "marked", "code", "message", "help_"),
    [
        (
            "stepOutcome_MES_Warn == 'WARNNG'",
            "'WARNNG'",
            "condition-outcome",
            "'WARNNG' is not an outcome of a step or run",
            'did you mean "WARNING"? the outcomes are SKIPPED, SUCCESS, WARNING, FAILED, ABORTED',
        ),
        (
            "outcome == 'OK'",
            "'OK'",
            "condition-outcome",
            "'OK' is not an outcome of a step or run",
            'did you mean "SUCCESS"? the outcomes are SKIPPED, SUCCESS, WARNING, FAILED, ABORTED',
        ),
        (
            "checks['auc holds'].outcome != 'SUCCESS'",
            "'SUCCESS'",
            "condition-outcome",
            "'SUCCESS' is not an outcome of a check",
            'did you mean "OK"? the outcomes are OK, EMPTY, WARNING, ERROR',
        ),
        (
            "outcome in ['WARNING', 'failed']",
            "'failed'",
            "condition-outcome",
            "'failed' is not an outcome of a step or run",
            'did you mean "FAILED"? the outcomes are SKIPPED, SUCCESS, WARNING, FAILED, ABORTED',
        ),
        (
            "stepOutcome_MES_Wan == 'WARNING'",
            "stepOutcome_MES_Wan",
            "condition-name",
            "no step is called 'MES_Wan'",
            'did you mean "stepOutcome_MES_Warn"?',
        ),
        (
            "steps['build mes'].outcome == 'FAILED'",
            "'build mes'",
            "condition-name",
            "no step is called 'build mes'",
            'did you mean "Build MES"?',
        ),
        (
            "steps['Clean up'].outcome == 'FAILED'",
            "'Clean up'",
            "condition-later-step",
            "the step 'Clean up' has not run yet when this condition is evaluated",
            "use an earlier step, or move that step before this one",
        ),
        (
            "stepOutcome_Clean_up == 'FAILED'",
            "stepOutcome_Clean_up",
            "condition-later-step",
            "the step 'Clean up' has not run yet when this condition is evaluated",
            "use an earlier step, or move that step before this one",
        ),
        (
            "checks['auc hold'].outcome == 'OK'",
            "'auc hold'",
            "condition-name",
            "no check is called 'auc hold'",
            'did you mean "auc holds"?',
        ),
        (
            "metrics['data_dirft'] > 0.5",
            "'data_dirft'",
            "unknown-metric",
            "unknown metric 'data_dirft'",
            'did you mean "data_drift"?',
        ),
        (
            "metrics['rmse'] > 0.5",
            "'rmse'",
            "metric-needs-task",
            "rmse exists for regression only, but the task of the model is binary_classification",
            (
                "for binary_classification there are accuracy, precision, recall, f1, roc_auc, average_precision, "
                "log_loss, brier, calibration_error, mcc, hamming_loss, lift, cost_matrix_gain"
            ),
        ),
        (
            "metrics['drift.*'] > 0.5",
            "'drift.*'",
            "condition-name",
            "drift.* is many metrics, but a condition needs one",
            "write the name of a column",
        ),
        ("outcome = 'FAILED'", "=", "condition-operator", "'=' is not an operator of conditions", "write =="),
        ("strict and limit > 1", "and", "condition-operator", "'and' is not an operator of conditions", "write &&"),
        ("strict OR limit > 1", "OR", "condition-operator", "'OR' is not an operator of conditions", "write ||"),
        ("not strict", "not", "condition-operator", "'not' is not an operator of conditions", "write !"),
        ("strict & limit > 1", "&", "condition-operator", "'&' is not an operator of conditions", "write &&"),
        ("limit <> 1", "<>", "condition-operator", "'<>' is not an operator of conditions", "write !="),
        ("strict == True", "True", "condition-operator", "'True' is not a value of conditions", "write true"),
        (
            "quarter == ${quarter}",
            "${quarter}",
            "condition-template",
            "a condition cannot contain ${quarter}: it is an expression that uses names directly",
            "write quarter alone",
        ),
        (
            "{{ strict }}",
            "{{ strict }}",
            "condition-template",
            "a condition cannot contain {{ strict }}: it is an expression that uses names directly",
            "write strict alone",
        ),
        (
            "outcome == WARNING",
            "WARNING",
            "condition-name",
            "unknown name 'WARNING'",
            "write texts in quotes: 'WARNING'",
        ),
        (
            "data_drift > 0.5",
            "data_drift",
            "condition-name",
            "unknown name 'data_drift'",
            "write metrics['data_drift']",
        ),
        ("quater == 'Q4'", "quater", "condition-name", "unknown name 'quater'", 'did you mean "quarter"?'),
        (
            "steps.MES_Warn.outcome == 'OK'",
            "steps.MES_Warn.outcome",
            "condition-name",
            "a condition cannot use this",
            "write steps['…'].outcome",
        ),
        (
            "steps['MES_Warn'] == 'WARNING'",
            "steps['MES_Warn']",
            "condition-name",
            "a step has nothing but .outcome",
            "write steps['MES_Warn'].outcome",
        ),
        ("metrics > 1", "metrics", "condition-name", "metrics has no value by itself", "write metrics['…']"),
        (
            "outcome",
            "outcome",
            "condition-type",
            "a condition must be true or false, but this is an outcome",
            "compare it: == 'WARNING'",
        ),
        (
            "limit && strict",
            "limit",
            "condition-type",
            "&& needs operands that are true or false, but this is a number",
            "compare it with a value",
        ),
        (
            "limit == '3'",
            "limit == '3'",
            "condition-type",
            "== cannot compare a number with a text",
            "write numbers without quotes: 3",
        ),
        (
            "quarter > 'Q1'",
            "quarter > 'Q1'",
            "condition-type",
            "> cannot compare a text with a text",
            "only numbers and dates can be ordered",
        ),
        (
            "day > '1.10.2017'",
            "'1.10.2017'",
            "condition-type",
            "a date is compared with a date, but this is a text",
            "write a date such as '2017-10-01'",
        ),
        (
            "outcome == 1",
            "1",
            "condition-type",
            "an outcome is compared with a text, but this is a number",
            "the outcomes are SKIPPED, SUCCESS, WARNING, FAILED, ABORTED",
        ),
        (
            "nothing == 1",
            "nothing",
            "condition-type",
            "the variable nothing is null and cannot be compared",
            None,
        ),
        (
            "quarter in 'Q4'",
            "'Q4'",
            "condition-type",
            "in needs a list after it",
            "write in ['WARNING', 'FAILED']",
        ),
        (
            "true",
            "true",
            "condition-constant",
            "this condition is always true",
            "to run or send in any case, write always; otherwise compare" + SOMETHING,
        ),
        (
            "strict || true",
            "true",
            "condition-constant",
            "this operand of || is always true",
            "compare something of the run: outcome in ['WARNING', 'FAILED']",
        ),
        (
            "1 == 1",
            "1 == 1",
            "condition-constant",
            "this comparison always has the same result",
            "compare a name with a value",
        ),
        (
            "strict && 'a' != 'b'",
            "'a' != 'b'",
            "condition-constant",
            "this comparison always has the same result",
            "compare a name with a value",
        ),
        (
            "outcome == outcome",
            "outcome == outcome",
            "condition-constant",
            "this comparison always has the same result",
            "compare a name with a value",
        ),
        (
            "strict && (outcome != 'WARNING' || outcome != 'FAILED')",
            "outcome != 'WARNING' || outcome != 'FAILED'",
            "condition-constant",
            "this is always true, whatever the outcome is",
            "&& needs both sides to be true, || needs one of them",
        ),
        (
            "outcome in ['SUCCESS', 'WARNING', 'FAILED', 'ABORTED', 'SKIPPED']",
            "outcome in ['SUCCESS', 'WARNING', 'FAILED', 'ABORTED', 'SKIPPED']",
            "condition-constant",
            "this is always true, whatever the outcome is",
            "&& needs both sides to be true, || needs one of them; to run or send in any case, write always",
        ),
        ("always()", "always", "condition-operator", "always is a word, not a function", "write always"),
        (
            "always || strict",
            "always",
            "condition-name",
            "unknown name 'always'",
            "write always alone, as the whole condition",
        ),
        ("", "", "condition-syntax", "the condition is empty", None),
        ("outcome ==", "==", "condition-syntax", "the condition ends too early, after ==", None),
        (
            "outcome == 'FAILED",
            "'",
            "condition-syntax",
            "the quote ' is never closed",
            "write texts in 'straight quotes'",
        ),
        (
            "outcome == “FAILED'",
            "“",
            "condition-syntax",
            "the quote “ cannot be used in a condition",
            "write texts in 'straight quotes'",
        ),
    ],
)
def test_a_wrong_condition_gets_its_answer(text: str, marked: str, code: str, message: str, help_: str | None) -> None:
    problem, *_ = find_condition_problems(text, SCOPE)
    assert text[problem.offset : problem.offset + problem.length] == marked
    assert (problem.code, problem.message, problem.help) == (code, message, help_)
    assert code in DIAGNOSTIC_CODES


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("size(quarter) > 1", "size"),
        ("quarter.matches('Q.')", "matches"),
        ("quarter.startsWith('Q')", "startsWith"),
        ("[1, 2].all(x, x > 0)", "all"),
        ("has(steps.x)", "has"),
        ("limit + 1 > 2", "+"),
        ("limit - 1 > 2", "-"),
        ("-limit > 2", "-"),
        ("strict ? strict : strict", "?"),
        ("nothing == null", "null"),
        ("{'a': 1}.a == 1", "{"),
        ("limit > 1 // why", "/"),
        ("quarter == `Q4`", "`"),
        (r"quarter == '\d'", r"\d"),
        (r"quarter == '\ud800'", r"\ud800"),
        (r"quarter == r'Q4'", "'Q4'"),
        ("!!limit", "limit"),
        ("strict strict", "strict"),
        ("(strict", "strict"),
        ("strict)", ")"),
        ("quarter in ['Q4' 'Q1']", "'Q1'"),
        ("== strict", "=="),
    ],
)
def test_what_other_languages_have_and_conditions_do_not_is_refused(text: str, marked: str) -> None:
    problem, *_ = find_condition_problems(text, SCOPE)
    assert problem.code in ("condition-operator", "condition-syntax", "condition-type")
    assert text[problem.offset : problem.offset + problem.length] == marked


def test_every_problem_is_found_in_one_go() -> None:
    text = "outcome == 'OK' || quater == 1 || metrics['psy.x'] > 2"
    assert [p.code for p in find_condition_problems(text, SCOPE)] == [
        "condition-outcome",
        "condition-name",
        "unknown-metric",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "(" * 900 + "a" + ")" * 900,
        "[" * 900,
        "!" * 900 + "a",
        "!(" * 600,
        "a" * 3_000,
        "a" + " == a" * 300,
        "x" + ".x" * 500,
    ],
)
def test_a_huge_condition_is_refused(text: str) -> None:
    (problem,) = find_condition_problems(text, SCOPE)
    assert problem.code == "condition-too-big"


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
