"""What runs, what is skipped, what is tried again, and whose values hold where."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.outcome import Outcome
from engine.scenarios import process
from engine.scenarios.result import RunResult
from engine.scenarios.session import CallResult

Run = Callable[..., CallResult]

MODULE = """
    import pathlib, subprocess, time

    HERE = pathlib.Path(__file__).parent

    def note(text):
        with (HERE / "notes.txt").open("a") as notes:
            notes.write(str(text) + "\\n")

    def fail():
        raise ValueError("no luck")

    def warn():
        return "WARNING", "mind the gap"

    def third_time_lucky():
        note("try")
        if len((HERE / "notes.txt").read_text().split()) < 3:
            raise ValueError("not yet")

    def hang():
        subprocess.Popen(["sh", "-c", "while :; do echo alive >> survivor; sleep 0.05; done"], cwd=HERE)
        print("this goes nowhere near the result")
        time.sleep(120)
"""


@pytest.fixture(autouse=True)
def _module(module: Callable[[str], None]) -> None:
    module(MODULE)


def outcomes(run: RunResult) -> list[str]:
    return [str(step.outcome) for step in run.steps]


def notes(folder: Path) -> list[str]:
    return (folder / "notes.txt").read_text().splitlines()


def test_what_follows_a_failure_is_skipped_unless_its_condition_says_otherwise(
    spec: Callable[[str], Path], run: Run
) -> None:
    spec("""
        scenarios:
          all:
            steps:
              - {name: breaks, kind: python, function: "mine:fail"}
              - {name: next, kind: python, function: "mine:warn"}
              - {name: rescue, kind: python, function: "mine:warn", run_condition: "stepOutcome_breaks == 'FAILED'"}
              - {name: never, kind: python, function: "mine:warn", run_condition: "stepOutcome_rescue == 'SUCCESS'"}
    """)
    (result,) = run().runs
    assert outcomes(result) == ["FAILED", "SKIPPED", "WARNING", "SKIPPED"]
    assert result.outcome is Outcome.FAILED
    assert result.steps[0].cause == "failure"
    assert "no luck" in result.steps[0].reason
    assert "mine.py:" in result.steps[0].reason
    assert result.steps[2].reason == "mind the gap"


def test_a_failure_in_a_project_without_scenarios_does_not_keep_other_stores_from_being_checked(
    spec: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    for name in ("old", "new"):
        (tmp_path / f"{name}.csv").write_text("x\n" + "1\n2\n" * 60)
    spec("""
        datasets:
          old: {path: old.csv, checks: {many: {metric: row_count, min: 1}}}
          new: {path: new.csv}
          gone: {path: gone.csv}
        evaluation_stores:
          few: {dataset: new, reference: {kind: dataset, dataset: old}, checks: {rows: {metric: row_count, min: 121}}}
          absent: {dataset: gone, reference: {kind: dataset, dataset: old}, checks: {rows: {metric: row_count, min: 1}}}
          well: {dataset: new, reference: {kind: dataset, dataset: old}, checks: {rows: {metric: row_count, min: 120}}}
    """)
    (result,) = run().runs
    assert [(step.name, str(step.outcome)) for step in result.steps] == [
        ("build few", "SUCCESS"),
        ("build absent", "FAILED"),
        ("build well", "SUCCESS"),
        ("check few", "FAILED"),
        ("check absent", "SKIPPED"),
        ("check well", "SUCCESS"),
        ("check old", "SUCCESS"),
    ]


def test_a_failure_may_count_as_a_warning(spec: Callable[[str], Path], run: Run) -> None:
    spec("""
        scenarios:
          all:
            steps:
              - {name: breaks, kind: python, function: "mine:fail", on_failure: warn}
              - {name: next, kind: python, function: "mine:note", arguments: {text: there}}
    """)
    (result,) = run().runs
    assert outcomes(result) == ["WARNING", "SUCCESS"]
    assert result.outcome is Outcome.WARNING


def test_a_step_is_tried_again(spec: Callable[[str], Path], run: Run) -> None:
    spec("""
        scenarios:
          all:
            steps:
              - {name: stubborn, kind: python, function: "mine:third_time_lucky", retries: {count: 5, delay: 0.01}}
    """)
    (result,) = run().runs
    assert outcomes(result) == ["SUCCESS"]
    assert result.steps[0].tries == 3


def test_a_timeout_ends_the_step_and_all_that_it_has_started(
    spec: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    spec("""
        scenarios:
          all:
            steps:
              - {name: hangs, kind: python, function: "mine:hang", timeout: 1s}
              - {name: in time, kind: python, function: "mine:warn", timeout: 60s, run_condition: "outcome == 'FAILED'"}
    """)
    (result,) = run().runs
    assert outcomes(result) == ["FAILED", "WARNING"]
    assert "longer than its timeout of 1 s" in result.steps[0].reason
    assert result.steps[1].reason == "mind the gap"
    written = (tmp_path / "survivor").read_text()
    time.sleep(0.5)
    assert (tmp_path / "survivor").read_text() == written


def test_a_process_that_does_not_start_is_ended(
    spec: Callable[[str], Path], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its start has a limit of its own: the timeout is the step's, which had no time at all."""
    spec("""
        scenarios: {all: {steps: [{name: late, kind: python, function: "mine:note", timeout: 60s,
          arguments: {text: there}}]}}
    """)
    monkeypatch.setattr(process, "START_LIMIT", 0.02)
    (result,) = run().runs
    assert outcomes(result) == ["FAILED"]
    assert "its process was not ready after 0.02 s" in result.steps[0].reason
    assert not (tmp_path / "notes.txt").exists()


def test_every_turn_runs_and_its_values_hold_for_the_turn(
    spec: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    spec("""
        variables: {who: nobody, what: nothing}
        scenarios:
          inner:
            variables: {what: inner}
            steps: [{name: say, kind: python, function: "mine:note", arguments: {text: "${who} ${what}"}}]
          all:
            for_each: [{who: first}, {who: second}]
            steps:
              - {name: say, kind: python, function: "mine:note", arguments: {text: "${who} ${what}"}}
              - {name: set, kind: set_variables, variables: {who: set}}
              - {name: after, kind: python, function: "mine:note", arguments: {text: "${who} ${what}"}}
              - {name: child, kind: run_scenario, scenario: inner}
              - {name: own, kind: run_scenario, scenario: inner, variables: {what: given}}
    """)
    (result,) = run("all").runs
    assert result.outcome is Outcome.SUCCESS
    once = ["{} nothing", "set nothing", "set inner", "set given"]
    assert notes(tmp_path) == [line.format(who) for who in ("first", "second") for line in once]
    assert [step.turn for step in result.steps] == [{"who": "first"}] * 5 + [{"who": "second"}] * 5
    child = result.steps[3].run
    assert child is not None
    assert (child.parent, child.trigger) == (result.id, "scenario all")


def test_the_command_line_wins_over_the_scenario_and_loops_win_over_both(
    spec: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    spec("""
        variables: {a: 0, b: 0}
        scenarios:
          all:
            variables: {a: 1, b: 1}
            for_each: [{b: 2}]
            steps: [{name: say, kind: python, function: "mine:note", arguments: {text: "${a} ${b}"}}]
    """)
    run("all", a="9", b="9")
    assert notes(tmp_path) == ["9 2"]


@pytest.mark.parametrize(("fail_fast", "second"), [("false", "FAILED"), ("true", "SKIPPED")])
def test_a_failed_turn_stops_the_others_only_if_asked_and_tells_which(
    fail_fast: str, second: str, spec: Callable[[str], Path], run: Run
) -> None:
    spec(f"""
        variables: {{n: 0}}
        scenarios:
          all:
            for_each: [{{n: 1}}, {{n: 2}}]
            fail_fast: {fail_fast}
            steps: [{{name: breaks, kind: python, function: "mine:fail"}}]
    """)
    (result,) = run().runs
    assert outcomes(result) == ["FAILED", second]
    assert [step.turn for step in result.steps] == [{"n": 1}, {"n": 2}]
    assert second == "FAILED" or result.steps[1].reason == "fail_fast: an earlier iteration FAILED"


def test_a_condition_without_an_answer_fails_the_step(
    spec: Callable[[str], Path], run: Run, rows: Callable[..., Path]
) -> None:
    rows("a.parquet")
    spec("""
        datasets: {a: {path: a.parquet}}
        scenarios:
          all:
            steps:
              - {name: later, kind: build, target: a, run_condition: "metrics['row_count'] > 1.0"}
              - name: rescue
                kind: build
                target: a
                run_condition: outcome == 'FAILED' || metrics['row_count'] > 1.0
    """)
    (result,) = run().runs
    assert outcomes(result) == ["FAILED", "SUCCESS"]
    assert "cannot be evaluated" in result.steps[0].reason


def test_a_scenario_runs_once_at_a_time(spec: Callable[[str], Path], run: Run) -> None:
    spec("""
        scenarios:
          outer:
            steps: [{name: again, kind: run_scenario, scenario: inner}]
          inner:
            on_busy: refuse
            steps: [{name: hello, kind: python, function: "mine:warn", timeout: 30s}]
    """)
    (result,) = run("outer").runs
    assert result.outcome is Outcome.WARNING
