"""Drills: which scenarios and steps are drilled, and which cannot be."""

from collections.abc import Callable
from pathlib import Path

import pytest

import engine
from engine.errors import DataError, UsageError

from .drilled_results import PLAIN, REPORTING, Rows, Write, by_check


def test_each_turn_of_a_loop_is_disturbed(plain: Path, rows: Rows, spec: Write) -> None:
    rows("later.parquet", 900, seed=3)
    spec(
        "    variables: {which: now}\n"
        + REPORTING.replace("now.parquet", '"${which}.parquet"').replace(
            "      weekly:\n", "      weekly:\n        for_each: [{which: now}, {which: later}]\n"
        )
    )
    drilled = engine.load(plain).drill("drift", "shift age=+1sd")
    fired = {check.turn for check in drilled.compare_checks() if check.fires}
    assert fired == {"which = now", "which = later"}
    assert drilled.remarks == ("2 batches are disturbed; the rows are those of the last one",)
    assert "of 900 rows" in drilled.disturbances[0][1]


def test_the_scenario_of_run_is_drilled_or_the_one_that_is_named(plain: Path, spec: Write) -> None:
    spec(
        "    run: weekly\n"
        + REPORTING
        + "      only build:\n        steps: [{name: Inner, kind: build, target: drift}]\n"
        + "      nothing:\n        steps: [{name: Check, kind: run_checks, target: now}]\n"
        + "      nested:\n        steps: [{name: Outer, kind: run_scenario, scenario: only build}]\n"
    )
    project = engine.load(plain)
    drilled = project.drill("drift", "shift age=+1sd")
    assert (drilled.scenarios, set(drilled.others)) == (("weekly",), {"only build", "nested"})
    nested = project.drill("drift", "missing age=10%", scenarios=["nested"])
    assert (nested.scenarios, nested.messages, nested.heard) == (("nested",), (), False)
    assert (drilled.unchecked, nested.unchecked) == ((), ("age moved", "group moved"))
    with pytest.raises(
        UsageError, match="scenario 'nothing' does not build evaluation store 'drift'; name also weekly, only"
    ):
        project.drill("drift", "shift age=+1sd", scenarios=["nothing"])
    with pytest.raises(UsageError, match="no scenario 'weakly'; did you mean 'weekly'"):
        project.drill("drift", "shift age=+1sd", scenarios=["weakly"])


def test_a_scenario_that_only_checks_is_drilled_after_the_one_of_run_that_builds(plain: Path, spec: Write) -> None:
    reporting = REPORTING.replace("          - {name: Build, kind: build, target: drift}\n", "")
    builder = "      only build:\n        steps: [{name: Build, kind: build, target: drift}]\n"
    spec("    run: [only build, weekly]\n" + reporting + builder)
    project = engine.load(plain)
    drilled = project.drill("drift", "shift age=+1sd")
    assert drilled.scenarios == ("only build", "weekly")
    assert by_check(drilled)["age moved"].fires
    assert "would send through" in drilled.messages[0]
    spec(reporting + builder)  # without run: nobody knows the order
    assert engine.load(plain).drill("drift", "shift age=+1sd").others == ("weekly",)
    both = engine.load(plain).drill("drift", "shift age=+1sd", scenarios=["only build", "weekly"])
    assert both.messages[0].splitlines()[0] == drilled.messages[0].splitlines()[0]


def test_a_python_step_is_not_called_and_no_report_is_written(
    plain: Path, spec: Write, module: Callable[[str], None]
) -> None:
    module("import pathlib\n\ndef touch():\n    pathlib.Path(__file__).with_name('touched').touch()\n")
    spec(
        REPORTING.replace(
            "          - {name: Check,",
            '          - {name: Touch, kind: python, function: "mine:touch"}\n'
            "          - {name: Page, kind: report, target: drift, path: page.html}\n"
            "          - {name: Check,",
        )
    )
    assert engine.load(plain).drill("drift", "shift age=+1sd").heard
    assert not plain.with_name("touched").exists()
    assert not plain.with_name("page.html").exists()


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        (["shift agee=+1"], "dataset 'now' has no column 'agee'; did you mean 'age'?"),
        (["rows 5000"], "dataset 'now' has 1,000 rows; give a smaller number"),
        (["rows 300", "rows 300"], "dataset 'now' has 300 rows"),
        ([], "a drill needs a disturbance"),
        (["shift person=+1sd"], "the standard deviation of person in the reference is not known"),
        (["drop age", "shift age=+1sd"], "it is dropped before"),
    ],
)
def test_what_cannot_be_disturbed_is_a_mistake_of_the_user(
    plain: Path, spec: Write, terms: list[str], why: str
) -> None:
    spec(PLAIN.replace("path: now.parquet,", "path: now.parquet, columns: {person: {role: identifier}},"))
    with pytest.raises(UsageError) as wrong:
        engine.load(plain).drill("drift", *terms)
    assert why in str(wrong.value)


def test_a_store_that_cannot_be_built_undisturbed_cannot_be_drilled(plain: Path, spec: Write) -> None:
    spec(PLAIN.replace("min: 100", "min: 100000"))
    with pytest.raises(DataError, match=r"cannot be built without any disturbance.*enough rows"):
        engine.load(plain).drill("drift", "shift age=+1sd")
