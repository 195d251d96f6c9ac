"""Run conditions: what is legal, what is said of the rest, and how they decide."""

import operator
import subprocess
import sys
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.outcome import CheckOutcome, Outcome
from engine.spec.codes import CODES
from engine.spec.conditions import Facts, MetricPlace, Scope, Undecided, decide, problems, step_variable

SCOPE = Scope(
    steps=["Build MES", "MES_Warn"],
    later=["Clean up"],
    checks=["data drift < 0.45", "auc holds"],
    metrics=[MetricPlace("store", "binary_classification", frozenset({"gain"}))],
    variables={"quarter": "Q4", "strict": True, "limit": 3, "day": date(2017, 10, 1), "nothing": None},
)
FACTS = Facts(
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
        ("quarter in ['Q1', 'Q4']", True),
        ("day >= '2017-10-01' && day < '2018-01-01'", True),
        ("outcome\n  == 'FAILED'", False),
        ("stepOutcome_Build_MES == stepOutcome_MES_Warn", False),
        ("outcome == quarter", False),
        ("limit in [1, 2.5, 3]", True),
    ],
)
def test_a_legal_condition_is_decided(text: str, holds: bool) -> None:
    assert problems(text, SCOPE) == []
    assert decide(text, FACTS) is holds


@pytest.mark.parametrize(
    ("text", "marked", "code", "message", "help_"),
    [
        (
            "stepOutcome_MES_Warn == 'WARNNG'",
            "'WARNNG'",
            "condition-outcome",
            "'WARNNG' is no outcome of a step or run",
            'did you mean "WARNING"? outcomes are SKIPPED SUCCESS WARNING FAILED ABORTED',
        ),
        (
            "outcome == 'OK'",
            "'OK'",
            "condition-outcome",
            "'OK' is no outcome of a step or run",
            'did you mean "SUCCESS"? outcomes are SKIPPED SUCCESS WARNING FAILED ABORTED',
        ),
        (
            "checks['auc holds'].outcome != 'SUCCESS'",
            "'SUCCESS'",
            "condition-outcome",
            "'SUCCESS' is no outcome of a check",
            'did you mean "OK"? outcomes are OK EMPTY WARNING ERROR',
        ),
        (
            "outcome in ['WARNING', 'failed']",
            "'failed'",
            "condition-outcome",
            "'failed' is no outcome of a step or run",
            'did you mean "FAILED"? outcomes are SKIPPED SUCCESS WARNING FAILED ABORTED',
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
            "the step 'Clean up' has not run by then",
            "ask for an earlier step, or move the step up",
        ),
        (
            "stepOutcome_Clean_up == 'FAILED'",
            "stepOutcome_Clean_up",
            "condition-later-step",
            "the step 'Clean up' has not run by then",
            "ask for an earlier step, or move the step up",
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
            "rmse exists for regression, and the model's task is binary_classification",
            "metrics of each task are in the reference page",
        ),
        (
            "metrics['drift.*'] > 0.5",
            "'drift.*'",
            "condition-name",
            "drift.* is many metrics, and a condition asks for one",
            "name the column",
        ),
        ("outcome = 'FAILED'", "=", "condition-operator", "'=' is not an operator of conditions", "write =="),
        ("strict and limit > 1", "and", "condition-operator", "'and' is not an operator of conditions", "write &&"),
        ("strict OR limit > 1", "OR", "condition-operator", "'OR' is not an operator of conditions", "write ||"),
        ("not strict", "not", "condition-operator", "'not' is not an operator of conditions", "write !"),
        ("strict & limit > 1", "&", "condition-operator", "'&' is not an operator of conditions", "write &&"),
        ("limit <> 1", "<>", "condition-operator", "'<>' is not an operator of conditions", "write !="),
        ("strict == True", "True", "condition-operator", "'True' is not an operator of conditions", "write true"),
        (
            "quarter == ${quarter}",
            "${quarter}",
            "condition-template",
            "${quarter} in a condition: a condition is a bare expression, nothing is filled in",
            "write quarter alone",
        ),
        (
            "{{ strict }}",
            "{{ strict }}",
            "condition-template",
            "{{ strict }} in a condition: a condition is a bare expression, nothing is filled in",
            "write strict alone",
        ),
        (
            "outcome == WARNING",
            "WARNING",
            "condition-name",
            "unknown name 'WARNING'",
            "a text stands in quotes: 'WARNING'",
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
            "nothing of that name",
            "write steps['…'].outcome",
        ),
        (
            "steps['MES_Warn'] == 'WARNING'",
            "steps['MES_Warn']",
            "condition-name",
            "only the outcome is known of steps",
            "write steps['MES_Warn'].outcome",
        ),
        ("metrics > 1", "metrics", "condition-name", "metrics alone says nothing", "write metrics['…']"),
        (
            "outcome",
            "outcome",
            "condition-type",
            "a condition must be true or false, and this is an outcome",
            "compare it: == 'WARNING'",
        ),
        (
            "limit && strict",
            "limit",
            "condition-type",
            "what && takes must be true or false, and this is a number",
            "compare it with something",
        ),
        (
            "limit == '3'",
            "limit == '3'",
            "condition-type",
            "== cannot compare a number with a text",
            "a number stands without quotes: 3",
        ),
        (
            "quarter > 'Q1'",
            "quarter > 'Q1'",
            "condition-type",
            "> cannot compare a text with a text",
            "only numbers and dates have an order",
        ),
        (
            "day > '1.10.2017'",
            "'1.10.2017'",
            "condition-type",
            "a date is compared with a date, and this is a text",
            "write '2017-10-01'",
        ),
        (
            "outcome == 1",
            "1",
            "condition-type",
            "an outcome is a text, and this is a number",
            "outcomes are SKIPPED SUCCESS WARNING FAILED ABORTED",
        ),
        (
            "nothing == 1",
            "nothing",
            "condition-type",
            "the variable nothing has no value (null) to compare",
            None,
        ),
        (
            "quarter in 'Q4'",
            "'Q4'",
            "condition-type",
            "after in stands a list",
            "write in ['WARNING', 'FAILED']",
        ),
        ("true", "true", "condition-constant", "true decides without looking at the run", None),
        ("strict || true", "true", "condition-constant", "true decides without looking at the run", None),
        ("1 == 1", "1 == 1", "condition-constant", "this comparison always ends the same way", "compare with a name"),
        (
            "strict && 'a' != 'b'",
            "'a' != 'b'",
            "condition-constant",
            "this comparison always ends the same way",
            "compare with a name",
        ),
        (
            "outcome == outcome",
            "outcome == outcome",
            "condition-constant",
            "this comparison always ends the same way",
            "compare with a name",
        ),
        (
            "strict && (outcome != 'WARNING' || outcome != 'FAILED')",
            "outcome != 'WARNING' || outcome != 'FAILED'",
            "condition-constant",
            "this is true whatever the outcome is",
            "&& asks for both, || for either",
        ),
        (
            "outcome in ['SUCCESS', 'WARNING', 'FAILED', 'ABORTED', 'SKIPPED']",
            "outcome in ['SUCCESS', 'WARNING', 'FAILED', 'ABORTED', 'SKIPPED']",
            "condition-constant",
            "this is true whatever the outcome is",
            "&& asks for both, || for either",
        ),
        ("", "", "condition-syntax", "the condition is empty", None),
        ("outcome ==", "==", "condition-syntax", "the condition ends too early, after ==", None),
        (
            "outcome == 'FAILED",
            "'",
            "condition-syntax",
            "the quote ' is never closed",
            "texts stand in 'straight quotes'",
        ),
        (
            "outcome == “FAILED'",
            "“",
            "condition-syntax",
            "“ is no quote that conditions know",
            "texts stand in 'straight quotes'",
        ),
    ],
)
def test_a_wrong_condition_gets_its_answer(text: str, marked: str, code: str, message: str, help_: str | None) -> None:
    problem, *_ = problems(text, SCOPE)
    assert text[problem.offset : problem.offset + problem.length] == marked
    assert (problem.code, problem.message, problem.help) == (code, message, help_)
    assert code in CODES


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
    ],
)
def test_what_cel_has_and_conditions_do_not_is_refused(text: str, marked: str) -> None:
    problem, *_ = problems(text, SCOPE)
    assert problem.code in ("condition-operator", "condition-syntax")
    assert text[problem.offset : problem.offset + problem.length] == marked


def test_every_problem_is_found_in_one_go() -> None:
    text = "outcome == 'OK' || quater == 1 || metrics['psy.x'] > 2"
    assert [p.code for p in problems(text, SCOPE)] == ["condition-outcome", "condition-name", "unknown-metric"]


@pytest.mark.parametrize("text", ["(" * 900 + "a" + ")" * 900, "a" * 3_000, "a" + " == a" * 300, "x" + ".x" * 500])
def test_a_huge_condition_is_refused(text: str) -> None:
    (problem,) = problems(text, SCOPE)
    assert problem.code == "condition-too-big"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("metrics['roc_auc'] < 0.7", "the metric 'roc_auc' has no value"),
        ("metrics['f1'] < 0.7", "the metric 'f1' has no value"),
        (
            "metrics['ks.x'] < 0.7 || metrics['roc_auc'] < 0.1",
            "the metric 'ks.x' has no value; the metric 'roc_auc' has no value",
        ),
        ("steps['Clean up'].outcome == 'FAILED'", "the step 'Clean up' has not run"),
        ("stepOutcome_Clean_up == 'FAILED'", "stepOutcome_Clean_up has no value"),
        ("checks['other'].outcome == 'OK'", "the check 'other' has no outcome"),
        ("nothing == 1", "nothing has no value"),
        ("outcome = 'OK'", "the condition cannot be read: '=' is not an operator of conditions"),
    ],
)
def test_what_has_no_value_leaves_the_condition_undecided(text: str, reason: str) -> None:
    with pytest.raises(Undecided) as undecided:
        decide(text, FACTS)
    assert str(undecided.value) == reason


def test_a_condition_is_decided_as_soon_as_one_side_decides() -> None:
    assert decide("metrics['roc_auc'] < 0.7 && !strict", FACTS) is False
    assert decide("!strict && metrics['roc_auc'] < 0.7", FACTS) is False
    assert decide("metrics['roc_auc'] < 0.7 || strict", FACTS) is True


def test_a_steps_name_becomes_a_word() -> None:
    assert step_variable("Build MES (Q4, é)") == "stepOutcome_Build_MES__Q4____"


def test_the_parser_is_loaded_by_the_first_condition_only() -> None:
    code = "import sys, engine.spec.conditions; sys.exit('cel_expr_python.cel' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


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
        holds = decide(part.text, FACTS)
    except Undecided:
        holds = None
    assert holds is part.holds
    assert {p.code for p in problems(part.text, SCOPE)} <= {"condition-constant"}


WORDS = "== && || steps metrics checks outcome 'OK' 'psi.x' 1 2.5 1e9 true null limit day .outcome ['MES_Warn'] and"
PIECES = st.sampled_from([*"()[]!<>=&|.,'\"-+?:${}%é\n\x00", *WORDS.split(), " ", " in ", "not "])


@settings(max_examples=300)
@given(st.one_of(st.text(), st.lists(PIECES, max_size=14).map("".join)))
def test_any_text_gives_problems_inside_it_or_is_decided(text: str) -> None:
    found = problems(text, SCOPE)
    for problem in found:
        assert 0 <= problem.offset <= len(text)
        assert problem.length >= 1 or not text
        assert problem.code in CODES
    try:
        decided = decide(text, FACTS)
    except Undecided:
        return
    assert isinstance(decided, bool)
