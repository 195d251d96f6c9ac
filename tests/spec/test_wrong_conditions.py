"""Run conditions that are wrong: each gets an answer that says what to write."""

import pytest

from engine.spec.conditions import find_condition_problems
from engine.spec.reference.codes import DIAGNOSTIC_CODES

from .condition_scope import SCOPE

SOMETHING = " a value of the run: outcome in ['WARNING', 'FAILED']"


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
            "drift.* matches many metrics, but a condition needs a single one",
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
            "a step only has .outcome",
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
            "compare a value of the run: outcome in ['WARNING', 'FAILED']",
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
        ("always()", "always", "condition-operator", "always is a keyword, not a function", "write always"),
        (
            "always || strict",
            "always",
            "condition-name",
            "unknown name 'always'",
            "write only always, as the whole condition",
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
