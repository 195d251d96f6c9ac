"""Steps, reporters and checks that are switched off; the word always; warnings that fail; lists of targets."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.outcome import ExitCode, Outcome
from engine.scenarios import session
from engine.scenarios.plan import Plan
from engine.scenarios.result import FailOn, RunResult, exit_code
from engine.scenarios.session import CallResult
from engine.spec import load
from engine.store import Store

Run = Callable[..., CallResult]

MODULE = """
    import pathlib

    HERE = pathlib.Path(__file__).parent

    def fail():
        raise ValueError("no luck")

    def warn():
        with (HERE / "calls.txt").open("a") as calls:
            calls.write("called\\n")
        return "WARNING", "mind the gap"
"""


@pytest.fixture(autouse=True)
def _module(module: Callable[[str], None]) -> None:
    module(MODULE)


def outcomes(run: RunResult) -> dict[str, str]:
    return {step.name: str(step.outcome) for step in run.steps}


def plan(folder: Path, *scenarios: str) -> Plan:
    project = load(folder / "project.yaml", environ={})
    return session.plan_scenarios(project, scenarios or list(project.scenarios), environ={})


def test_a_step_that_applies_no_checks_says_so(spec: Callable[[str], Path], run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a\n1\n")
    path = spec("""
        datasets:
          bare: {path: t.csv}
          "off": {path: t.csv, checks: {rows: {metric: row_count, min: 9, active: false}}}
          checked: {path: t.csv, checks: {rows: {metric: row_count, min: 1}}}
          derived: {kind: query, sql: SELECT * FROM checked}
        scenarios:
          all:
            steps:
              - {name: none, kind: run_checks, target: bare}
              - {name: several, kind: run_checks, target: [checked, "off"]}
              - {name: of an input, kind: run_checks, target: derived}
    """)
    (result,) = run().runs
    assert {step.name: step.reason for step in result.steps} == {
        "none": "no check is applied: bare has no checks",
        "several": "off: no check is applied: switched off: rows",
        "of an input": "",
    }
    told = [one.message for one in load(path, environ={}).warnings]
    assert told == [f'"{name}" has no active checks, so this step applies none' for name in ("bare", "off")]


def test_a_step_that_is_switched_off_is_skipped_and_its_outcome_says_so(
    spec: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    spec("""
        scenarios:
          all:
            steps:
              - {name: off, kind: python, function: "mine:fail", active: false, run_condition: always}
              - {name: after, kind: python, function: "mine:warn"}
              - {name: told, kind: python, function: "mine:warn", run_condition: "stepOutcome_off == 'SKIPPED'"}
    """)
    (result,) = run().runs
    assert outcomes(result) == {"off": "SKIPPED", "after": "WARNING", "told": "WARNING"}
    assert result.steps[0].reason == "switched off"
    planned = plan(tmp_path).scenarios[0].steps
    assert [(step.runs, step.reason) for step in planned] == [("no", "switched off"), ("yes", ""), ("yes", "")]


def test_always_runs_after_a_failure_and_a_reporter_with_it_sends(spec: Callable[[str], Path], run: Run) -> None:
    spec("""
        channels: {box: {kind: file, path: box}}
        scenarios:
          all:
            steps:
              - {name: breaks, kind: python, function: "mine:fail"}
              - {name: next, kind: python, function: "mine:warn"}
              - {name: last, kind: python, function: "mine:warn", run_condition: always}
            reporters:
              - {name: tell, channel: box, run_condition: always}
              - {name: quiet, channel: box, active: false}
    """)
    (result,) = run().runs
    assert outcomes(result) == {"breaks": "FAILED", "next": "SKIPPED", "last": "WARNING"}
    assert {(one.reporter, one.state) for one in result.deliveries} == {("tell", "SENT"), ("quiet", "SKIPPED")}


@pytest.mark.parametrize(("on_warning", "expected"), [("warn", "WARNING"), ("fail", "FAILED")])
def test_a_warning_of_a_step_fails_it_if_the_spec_says_so(
    on_warning: str, expected: str, spec: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    spec(f"""
        scenarios:
          all:
            steps:
              - {{name: warns, kind: python, function: "mine:warn", on_warning: {on_warning}, retries: {{count: 1}}}}
              - {{name: next, kind: set_variables, variables: {{x: 2}}}}
        variables: {{x: 1}}
    """)
    (result,) = run().runs
    failed = on_warning == "fail"
    assert outcomes(result) == {"warns": expected, "next": "SKIPPED" if failed else "SUCCESS"}
    # what FAILED is tried again
    assert (tmp_path / "calls.txt").read_text().count("called") == result.steps[0].tries == (2 if failed else 1)
    reason = "mind the gap; on_warning: fail makes its WARNING a failure" if failed else "mind the gap"
    assert result.steps[0].reason == reason
    assert exit_code([result], undelivered=0, fail_on="error") == (ExitCode.COULD_NOT_RUN if failed else ExitCode.OK)


@pytest.mark.parametrize(
    ("fail_on", "code"),
    [("error", ExitCode.CHECK_ERROR), ("warning", ExitCode.CHECK_ERROR), ("never", ExitCode.OK)],
)
@pytest.mark.parametrize("process", ["", ", timeout: 60s"])
@pytest.mark.parametrize("step", ["kind: run_checks, target: new", "kind: run_scenario, scenario: inner"])
def test_a_warning_of_a_check_that_fails_its_step_gives_the_exit_code_of_checks(
    step: str,
    process: str,
    fail_on: FailOn,
    code: ExitCode,
    spec: Callable[[str], Path],
    run: Run,
    rows: Callable[..., Path],
) -> None:
    rows("new.parquet", 50)
    spec(f"""
        datasets: {{new: {{path: new.parquet, checks: {{many: {{metric: row_count, soft_min: 100}}}}}}}}
        scenarios:
          all: {{steps: [{{name: check, {step}, on_warning: fail{process}}}]}}
          inner: {{steps: [{{name: check, kind: run_checks, target: new}}]}}
    """)
    (result,) = run("all").runs
    assert result.outcome is Outcome.FAILED
    assert result.steps[0].cause == "check"
    assert exit_code([result], undelivered=0, fail_on=fail_on) == code


def test_a_check_that_is_switched_off_is_neither_applied_nor_kept_nor_planned(
    spec: Callable[[str], Path], run: Run, rows: Callable[..., Path], tmp_path: Path
) -> None:
    rows("old.parquet")
    rows("new.parquet", seed=1)
    spec("""
        datasets:
          old: {path: old.parquet}
          new:
            path: new.parquet
            checks: {few: {metric: row_count, max: 1, active: false}, some: {metric: row_count, min: 1}}
        evaluation_stores:
          mes:
            dataset: new
            reference: {kind: dataset, dataset: old}
            checks:
              moved: {metric: data_drift, max: 0, active: false}
              mine: {kind: python, function: "mine:fail", active: false}
              held: {metric: drift.age, max: 1}
              gone: {metric: drift.nobody, max: 1, active: false}
        scenarios:
          all: {steps: [{name: build, kind: build, target: mes}, {name: check, kind: run_checks, target: [mes, new]}]}
    """)
    planned = plan(tmp_path)
    assert not [one for one in planned.findings if one.code == "unknown-column"]
    (result,) = run().runs
    assert result.outcome is Outcome.SUCCESS
    assert {check.check for step in result.steps for check in step.checks} == {"some", "held"}
    with Store.open(tmp_path / ".engine" / "test") as store:
        assert {check.check for check in store.checks.list_of_run(result.id)} == {"some", "held"}
    reasons = {action.target: action.reason for action in planned.all_actions() if action.kind == "check"}
    assert reasons == {"mes": "held; switched off: moved, mine, gone", "new": "some; switched off: few"}


def test_the_targets_of_a_list_are_done_in_order_and_are_one_step(
    spec: Callable[[str], Path], run: Run, rows: Callable[..., Path], tmp_path: Path
) -> None:
    rows("old.parquet")
    rows("new.parquet", seed=1)
    spec("""
        datasets:
          old: {path: old.parquet}
          new: {path: new.parquet, checks: {some: {metric: row_count, soft_min: 1000}}}
        evaluation_stores:
          there: {dataset: new, evaluation: {name: one}, reference: {kind: dataset, dataset: old}}
          back:
            dataset: old
            evaluation: {name: two}
            reference: {kind: dataset, dataset: new}
            checks: {held: {metric: data_drift, max: 1}}
        scenarios:
          all:
            steps:
              - {name: count, kind: compute_metrics, target: [new, old]}
              - {name: build, kind: build, target: [back, there, old]}
              - {name: check, kind: run_checks, target: [new, back]}
              - {name: page, kind: report, target: there, path: page.html}
    """)
    planned = plan(tmp_path).scenarios[0].steps
    evaluated = [action.target for step in planned for action in step.actions if action.kind == "evaluate"]
    assert evaluated == ["back", "there"]
    (result,) = run().runs
    count, build, check, _ = result.steps
    assert [(made.store, made.name) for made in build.evaluations] == [("back", "two"), ("there", "one")]
    assert build.reason == "back: evaluation two; there: evaluation one; old: reused"
    assert count.reason == "new: done; old: done"
    assert [one.check for one in build.checks] == ["some"]  # though both stores read the dataset
    assert [(one.target, one.check) for one in check.checks] == [("new", "some"), ("back", "held")]
    assert check.outcome is Outcome.WARNING
    again = run().runs[0].steps
    assert [step.reused for step in again[:2]] == [True, True]
    log = (tmp_path / ".engine" / "test" / result.log).read_text()
    assert log.index("target back") < log.index("target there")


def test_what_a_list_has_made_before_a_failure_stays_and_what_is_left_is_named(
    spec: Callable[[str], Path], run: Run, rows: Callable[..., Path]
) -> None:
    rows("old.parquet")
    spec("""
        datasets:
          old: {path: old.parquet}
          gone: {path: gone.parquet}
          bad: {path: old.parquet, checks: {none: {metric: row_count, max: 1}}}
        evaluation_stores:
          first: {dataset: bad, evaluation: {name: one}, reference: {kind: dataset, dataset: old}}
          whole: {dataset: old, evaluation: {name: one}, reference: {kind: dataset, dataset: old}}
          last: {dataset: gone, reference: {kind: dataset, dataset: old}}
        scenarios:
          missing: {steps: [{name: build, kind: build, target: [whole, last, old]}]}
          wrong: {steps: [{name: build, kind: build, target: [bad, first, old]}]}
          checks:
            steps:
              - {name: check, kind: run_checks, target: [bad, old]}
              - {name: page, kind: report, target: whole, path: a.html, run_condition: always}
    """)
    missing, wrong, checks = run("missing", "wrong", "checks").runs
    (build,) = missing.steps
    assert (build.outcome, build.cause) == (Outcome.FAILED, "failure")
    assert [made.store for made in build.evaluations] == ["whole"]
    assert "there is no file" in build.reason
    assert build.reason.endswith("not done because of this: old")
    (build,) = wrong.steps
    assert (build.outcome, build.cause) == (Outcome.FAILED, "check")
    assert "not done because of this: first, old" in build.reason
    assert {check.check for check in build.checks} == {"none"}
    # checks go on to the next target
    assert [step.outcome for step in checks.steps] == [Outcome.FAILED, Outcome.SUCCESS]


def test_a_scenario_that_a_variable_lets_run_itself_is_stopped(
    spec: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    spec("""
        variables: {next: leaf}
        scenarios:
          root:
            steps:
              - {name: turn, kind: set_variables, variables: {next: root}}
              - {name: go, kind: run_scenario, scenario: "${next}"}
          leaf: {steps: [{name: set, kind: set_variables, variables: {next: leaf}}]}
    """)
    planned = plan(tmp_path, "root")
    assert [step.problem for step in planned.all_steps() if "a scenario runs itself: root → root" in step.problem]
    (done,) = run("root").runs
    assert done.outcome is Outcome.FAILED
    assert "a scenario runs itself: root → root" in done.steps[0].reason
