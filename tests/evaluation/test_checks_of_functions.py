"""Checks that a function of the user decides: what it gets, what it may answer, and what becomes of its mistakes."""

from pathlib import Path
from typing import Any

import pytest

from engine.errors import Position
from engine.evaluation.bounds import bounds_to_json
from engine.evaluation.checks.application import apply_check
from engine.evaluation.checks.target import CheckTarget
from engine.evaluation.record import CheckResult, MetricValue
from engine.spec.code_folder import CodeFolder

from .applied_checks import DECLARED, EMPTY, ERROR, NOW, OK, WARNING, Values, apply

JUDGES = """
import polars as pl
def tell(metrics, **arguments):
    return "WARNING", f"{sorted(metrics)} {arguments}"
def spoil(metrics):
    metrics.clear()
    return "OK"
def number(metrics):
    return 1
def three(metrics):
    return "OK", "a", "b"
def listed(metrics):
    return ["OK"]
def lower(metrics):
    return "ok"
def table(metrics):
    return pl.DataFrame({"x": [1]}), "why"
def nothing(metrics):
    pass
def empty(metrics):
    return "EMPTY", "no shop was open"
def silent(metrics):
    return "ERROR"
def number_as_reason(metrics):
    return "WARNING", 7
def raises(metrics):
    return metrics["unknown"]
def leaves(metrics):
    raise SystemExit("bye")
"""


@pytest.fixture
def judges(tmp_path: Path) -> Path:
    (tmp_path / "judges.py").write_text(JUDGES)
    return tmp_path


def judge(folder: Path, function: str, metrics: Values | None = None, **arguments: Any) -> CheckResult:
    declared = {"kind": "python", "function": f"judges:{function}", "arguments": arguments}
    (found,) = apply(declared, metrics or {"m": 1.0}, folder=folder)
    return found


def test_a_function_gets_every_metric_and_its_arguments(judges: Path) -> None:
    found = judge(judges, "tell", {"b": None, "a": 2.0}, limit=3, of="x")
    assert found.reason == "['a', 'b'] {'limit': 3, 'of': 'x'}"
    assert (found.outcome, found.metric, found.value, bounds_to_json(found.bounds)) == (WARNING, "", None, {})


def test_a_function_cannot_change_the_metrics_that_others_see(judges: Path) -> None:
    metrics = {"m": MetricValue(1.0)}
    target = CheckTarget("mes", NOW, metrics, [], CodeFolder(judges), str, "e1")
    spoil = DECLARED.validate_python({"kind": "python", "function": "judges:spoil"})
    assert apply_check("it", spoil, target, Position("spec.yaml"))[0].outcome is OK
    assert metrics == {"m": MetricValue(1.0)}


@pytest.mark.parametrize("function", ["number", "three", "listed", "lower", "table", "nothing"])
def test_an_answer_that_is_not_an_outcome_is_an_error_that_shows_it(judges: Path, function: str) -> None:
    found = judge(judges, function)
    assert (found.outcome, found.counts_as) == (ERROR, ERROR)
    assert found.reason.startswith(f"judges:{function} returned ")
    assert found.reason.endswith("; a check must return one of OK, EMPTY, WARNING, ERROR, or (outcome, reason)")
    assert "\n" not in found.reason


def test_outcomes_of_functions_have_the_reason_that_is_given(judges: Path) -> None:
    empty = judge(judges, "empty")
    assert (empty.outcome, empty.counts_as, empty.reason) == (EMPTY, WARNING, "no shop was open")
    assert judge(judges, "silent").reason == "judges:silent returned ERROR, without a reason"
    assert judge(judges, "number_as_reason").reason == "7"


@pytest.mark.parametrize(
    ("function", "said"), [("raises", "KeyError"), ("leaves", "SystemExit: bye"), ("lost", "no function")]
)
def test_a_function_that_breaks_is_an_error_with_its_place(judges: Path, function: str, said: str) -> None:
    found = judge(judges, function)
    assert found.outcome is ERROR
    assert said in found.reason
    assert "judges.py" in found.reason
