"""What a plan says of steps that depend on others, that will fail, and of what the data say about the spec."""

from pathlib import Path

import pytest

from engine.errors import Severity
from engine.outcome import ExitCode
from engine.scenarios import session
from engine.scenarios.plan import Plan
from engine.spec import load

from .planned_project import ENVIRON, done, planned, spec

CONDITIONS = """
  branches:
    steps:
      - {name: first, kind: build, target: watched, mode: force}
      - {name: never, kind: build, target: new, run_condition: "name == 'nobody'"}
      - {name: perhaps, kind: build, target: new, mode: force, run_condition: "stepOutcome_first == 'WARNING'"}
      - {name: user, kind: python, function: "mine:groups"}
      - {name: set, kind: set_variables, variables: {oldest: 20}}
      - {name: last, kind: build, target: new}
      - {name: same, kind: build, target: new}
run: branches
"""


def test_what_depends_on_earlier_steps_says_so(folder: Path) -> None:
    path = folder / "project.yaml"
    path.write_text(path.read_text() + CONDITIONS.replace("oldest: 20", "oldest: 90"))
    spec("oldest: 90,", "oldest: 20,")(folder)
    plan = planned(folder)
    steps = {step.name: step for step in plan.all_steps()}
    assert {step.name: step.runs for step in plan.all_steps() if step.runs != "yes"} == {
        "never": "no", "perhaps": "depends"
    }  # fmt: skip
    assert steps["perhaps"].reason == "stepOutcome_first == 'WARNING'"
    assert [action.kind for action in steps["user"].actions] == ["call"]
    assert [action.because for action in steps["last"].actions if action.target == "new"] == ["depends", "always"]
    assert "perhaps" in steps["last"].actions[-2].reason
    (reporter,) = planned_all(folder).scenarios[0].reporters
    assert (reporter.target, reporter.because, reporter.reason) == ("tell to box", "depends", "outcome != 'SUCCESS'")


def planned_all(folder: Path) -> Plan:
    return session.plan_scenarios(load(folder / "project.yaml", environ={}), ["all"], environ=ENVIRON)


def test_what_will_fail_is_reported_and_what_follows_is_skipped(folder: Path) -> None:
    (folder / "new.parquet").unlink()
    rescue = "      - {name: rescue, kind: build, target: old, run_condition: \"outcome == 'FAILED'\"}\n    reporters"
    spec("    reporters", rescue)(folder)
    plan = planned(folder)
    build, check, rescued = plan.all_steps()
    assert rescued.runs == "yes"
    assert "new.parquet" in build.problem
    assert (check.runs, check.reason) == ("no", "an earlier step will fail")
    assert plan.exit_code is ExitCode.COULD_NOT_RUN
    assert [str(step.outcome) for run in done(folder) for step in run.all_steps()] == ["FAILED", "SKIPPED", "SUCCESS"]


DOUBTS = {
    "a check of a column that is not there": (
        spec("metric: drift.*", "metric: drift.agee"), "dataset 'new' has no column 'agee'", Severity.ERROR
    ),
    "a wildcard that matches nothing": (
        spec("metric: drift.*, max: 1", "metric: cramers_v.*, max: 1"),
        "cramers_v.* matches nothing: dataset 'new' has no categorical column that is compared",
        Severity.ERROR,
    ),
    "a statistic that the column has not": (
        spec("metric: drift.*", "metric: cramers_v.age"), "column 'age' is numerical, so it has no cramers_v",
        Severity.WARNING,
    ),
    "a statistic of what is not a feature": (
        spec("metric: drift.*", "metric: drift.person"),
        "column 'person' is not compared, so it has no drift",
        Severity.WARNING,
    ),
    "nothing to exclude": (
        spec("drift: {confidence: 0.95}", "drift: {columns: {exclude: [agee]}}"),
        "dataset 'new' has no column 'agee': there is nothing to exclude", Severity.WARNING,
    ),
    "a dataset's check of a column that is not there": (
        spec("metric: row_count", "metric: mean.scores"), "dataset 'new' has no column 'scores'", Severity.ERROR
    ),
    "a feature that is not there": (
        spec("exclude: [person]", "exclude: [persons]"),
        "dataset 'old' has no column 'persons': there is nothing to exclude", Severity.WARNING,
    ),
    "what validate warns of": (
        spec("metric: drift.*, max: 1", "metric: data_drift, soft_max: 0.4"),
        "data_drift is about 0.5 if nothing drifts, so this check (soft_max 0.4) always warns", Severity.WARNING,
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DOUBTS)
def test_what_the_data_say_about_the_spec(what: str, folder: Path) -> None:
    edit, message, severity = DOUBTS[what]
    if "cramers_v.*" in message:
        spec("exclude: [person]", "exclude: [person, group]")(folder)
        spec("confidence: 0.95", "confidence: 0.9, columns: {exclude: [group]}")(folder)
    edit(folder)
    spec("name: first", "name: another")(folder)
    spec("oldest: 90", "oldest: 89")(folder)  # so that the evaluation is to be made
    plan = planned(folder)
    (found,) = [finding for finding in plan.findings if finding.message == message]
    assert found.severity is severity
    assert found.position.line > 1
    assert plan.exit_code is (ExitCode.USAGE if severity is Severity.ERROR else ExitCode.OK)


def test_metrics_that_a_reused_evaluation_does_not_have(folder: Path) -> None:
    spec("metric: drift.*", "metric: drift.label")(folder)
    said = [finding.message for finding in planned(folder).findings if finding.severity is Severity.ERROR]
    assert said == ["evaluation 'first' has no metric drift.label"]
