"""A plan is held against its run, over scenarios that are drawn at random."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from engine.outcome import ExitCode
from engine.scenarios.plan import Plan
from engine.scenarios.result import RunResult

from ..command_line import call_engine
from .drawn_scenarios import TIMED, VALUES, Case, cases, make_resources
from .plan_comparison import Comparison, check_case, plan_call, run_call, write_project

# An example takes seconds: making one smaller would outlast the time of the test, so the one that was found is shown.
FEW = settings(max_examples=30, print_blob=False, phases=(Phase.explicit, Phase.reuse, Phase.generate))


@pytest.mark.slow
@FEW
@given(cases(timeouts=True))  # tests/campaigns/plan_against_run.py makes thousands
def test_a_run_does_what_its_plan_has_claimed(case: Case) -> None:
    check_case(case)


@st.composite
def timed_cases(draw: st.DrawFn) -> Case:
    """Draw days in any order, of one or another batch, that stores whose evaluations have a time evaluate twice."""
    turn = st.fixed_dictionaries({"day": st.sampled_from(VALUES["day"]), "batch": st.sampled_from(VALUES["batch"][:2])})
    steps_ = [
        {"name": store, "kind": "build", "target": store, **({"mode": "force"} if draw(st.integers(0, 9)) == 9 else {})}
        for store in draw(st.lists(st.sampled_from(TIMED), min_size=1, max_size=3, unique=True))
    ]
    scenario = {"for_each": draw(st.lists(turn, min_size=1, max_size=4)), "steps": steps_}
    changes = st.sampled_from(["nothing", "a row more in small.csv", "a row more in past.csv"])
    rounds: list[tuple[str, dict[str, Any]]] = [("nothing", {}), (draw(changes), {})]
    return Case(make_resources() | {"scenarios": {"main": scenario}}, rounds)


@pytest.mark.slow
@settings(FEW, max_examples=8)
@given(timed_cases())
def test_a_run_of_days_in_any_order_does_what_its_plan_has_claimed(case: Case) -> None:
    check_case(case)


@pytest.fixture
def call(tmp_path: Path) -> Callable[[str], tuple[Plan, ExitCode, list[RunResult], ExitCode]]:
    """Plan and run the scenarios of a text; return the plan, its exit code, the runs and theirs."""

    def call(text: str) -> tuple[Plan, ExitCode, list[RunResult], ExitCode]:
        write_project(tmp_path, make_resources() | yaml.safe_load(text))
        plan = plan_call(tmp_path, {})
        return plan, plan.exit_code, *run_call(tmp_path, {})

    return call


Call = Callable[[str], tuple[Plan, ExitCode, list[RunResult], ExitCode]]


@pytest.mark.parametrize(
    "steps",
    [
        "{name: a, kind: build, target: missing, on_failure: warn}",
        "{name: a, kind: run_scenario, scenario: child, on_failure: warn}",
        "{name: a, kind: run_scenario, scenario: tolerant}",
        "{name: b, kind: build, target: missing, on_failure: warn, run_condition: outcome == 'SUCCESS'}",
        "{name: b, kind: run_scenario, scenario: child, on_failure: warn, run_condition: outcome == 'SUCCESS'}",
    ],
)
def test_a_failure_that_counts_as_a_warning_has_the_exit_code_of_the_run(steps: str, call: Call) -> None:
    _, planned, runs, found = call(f"""
        run: main
        scenarios:
          main: {{steps: [{{name: first, kind: build, target: past}}, {steps}]}}
          child: {{steps: [{{name: c, kind: build, target: missing}}]}}
          tolerant: {{steps: [{{name: t, kind: run_scenario, scenario: child, on_failure: warn}}]}}
    """)
    assert runs[0].outcome == "WARNING"
    assert planned == found == ExitCode.OK


def test_a_scenario_does_not_fail_by_a_failure_that_counts_as_a_warning(call: Call) -> None:
    plan, _, runs, _ = call("""
        run: main
        scenarios:
          main: {steps: [{name: a, kind: run_scenario, scenario: child}, {name: b, kind: build, target: past}]}
          child: {steps: [{name: c, kind: build, target: missing, on_failure: warn}]}
    """)
    a, b = plan.scenarios[0].steps
    assert [str(step.outcome) for step in runs[0].steps] == ["WARNING", "SUCCESS"]
    assert (a.problem, b.runs) == ("", "yes")


def test_fail_fast_goes_on_after_a_failure_that_counts_as_a_warning(call: Call) -> None:
    plan, _, runs, _ = call("""
        scenarios:
          main:
            for_each: [{amount: 1}, {amount: 2}]
            fail_fast: true
            steps: [{name: a, kind: build, target: missing, on_failure: warn}]
    """)
    assert [step.turn for step in runs[0].steps] == [{"amount": 1}, {"amount": 2}]
    assert [step.turn for step in plan.scenarios[0].steps] == [{"amount": 1}, {"amount": 2}]


@pytest.mark.parametrize(
    ("condition", "planned"), [("outcome == 'SUCCESS'", "depends"), ("amount > 9", "yes"), ("amount < 9", "no")]
)
def test_fail_fast_after_a_step_that_fails_if_it_runs_leaves_it_open_whether_others_run(
    call: Call, condition: str, planned: str
) -> None:
    plan, planned_code, _, code = call(f"""
        scenarios:
          main:
            for_each: [{{amount: 1}}, {{amount: 2}}]
            fail_fast: true
            steps:
              - {{name: a, kind: build, target: past}}
              - {{name: b, kind: build, target: missing, run_condition: "{condition}"}}
    """)
    first = plan.scenarios[0].steps[2]
    assert (first.runs, "fail_fast" in first.reason) == (planned, planned != "yes")
    assert planned_code == code


def test_a_report_is_of_the_evaluation_that_a_child_scenario_has_reused(call: Call) -> None:
    plan, _, runs, _ = call("""
        run: main
        scenarios:
          main:
            steps:
              - {name: a, kind: run_scenario, scenario: child}
              - {name: b, kind: run_scenario, scenario: child, variables: {word: two, batch: other.csv}}
              - {name: c, kind: run_scenario, scenario: child}
              - {name: d, kind: report, target: named, path: d.html}
          child: {steps: [{name: e, kind: build, target: named}]}
    """)
    planned, found = plan.scenarios[0].steps[-1].actions, runs[0].steps[-1].actions
    assert [action.reason for action in found] == ["evaluation one of named"]
    assert [action.reason for action in planned] == ["evaluation one of named"]


def test_a_message_depends_on_the_variables_that_the_steps_have_set(call: Call) -> None:
    plan, _, runs, _ = call("""
        scenarios:
          main:
            steps: [{name: a, kind: set_variables, variables: {word: two}}]
            reporters: [{name: tell, channel: box, run_condition: "word == 'two'"}]
    """)
    assert [delivery.state for delivery in runs[0].deliveries] == ["SENT"]
    assert [action.because for action in plan.scenarios[0].reporters] == ["always"]


def test_a_stored_evaluation_is_checked_without_the_file_of_its_batch(call: Call) -> None:
    plan, planned, runs, found = call("""
        scenarios:
          main:
            steps:
              - {name: a, kind: build, target: rolled}
              - {name: b, kind: set_variables, variables: {batch: missing.csv}}
              - {name: c, kind: run_checks, target: rolled}
    """)
    assert (str(runs[0].steps[-1].outcome), found) == ("SUCCESS", ExitCode.OK)
    assert (plan.scenarios[0].steps[-1].problem, planned) == ("", ExitCode.OK)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps_", "code"),
    [
        ("{name: a, kind: build, target: plain}, {name: b, kind: run_scenario, scenario: child}", 0),
        ("{name: a, kind: build, target: missing}, {name: b, kind: run_scenario, scenario: child}", 3),
        ("{name: a, kind: run_scenario, scenario: child}, {name: b, kind: report, target: hopeless, path: b.html}", 3),
    ],
)
def test_the_command_line_plans_and_runs_the_same(tmp_path: Path, steps_: str, code: int) -> None:
    text = f"""
        run: main
        scenarios:
          main: {{steps: [{steps_}]}}
          child: {{for_each: [{{amount: 5}}, {{amount: 50}}], steps: [{{name: c, kind: build, target: few}}]}}
    """
    spec = make_resources() | yaml.safe_load(text)
    write_project(tmp_path, spec)
    plan_code, planned = read_answer(tmp_path, "plan")
    run_code, ran = read_answer(tmp_path, "run")
    plan = Plan.model_validate(planned)
    runs = [RunResult.model_validate(run) for run in ran["runs"]]
    comparison = Comparison(spec)
    comparison.compare_calls(plan, runs, ExitCode(run_code))
    assert comparison.differences == []
    assert plan_code == run_code == code
    assert comparison.claims["runs: yes"] + comparison.claims["runs: no"] >= 2


def read_answer(folder: Path, verb: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code of the command and its answer in JSON."""
    done = call_engine(folder, verb, "project.yaml", "--format", "json")
    return done.returncode, json.loads(done.stdout)
