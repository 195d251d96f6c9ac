"""What a run says to those who must act: which dataset, which column, what to do."""

import email
import email.policy
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from engine.outcome import CheckOutcome, Outcome
from engine.scenarios.session import CallResult

Spec = Callable[[str], Path]
Run = Callable[..., CallResult]
Rows = Callable[..., Path]

WITHOUT_MODEL = """
    datasets:
      last_year: {path: last_year.parquet}
      this_week: {path: this_week.parquet}
    evaluation_stores:
      drift: {dataset: this_week, reference: {kind: dataset, dataset: last_year}}
"""
WITH_MODEL = """
    datasets:
      last_year: {path: last_year.parquet}
      this_week: {path: this_week.parquet}
    models:
      m: {task: binary_classification, dataset: last_year, target: label, algorithm: decision_tree}
    evaluation_stores:
      drift: {dataset: this_week, model: m}
"""


def reason(finished: CallResult) -> str:
    (result,) = finished.runs
    assert result.steps[0].outcome is Outcome.FAILED
    return result.steps[0].reason


@pytest.mark.parametrize("project", [WITHOUT_MODEL, WITH_MODEL])
def test_a_batch_that_has_none_of_the_columns_is_named(
    project: str, spec: Spec, run: Run, rows: Rows, tmp_path: Path
) -> None:
    spec(project)
    rows("last_year.parquet")
    batch = pl.read_parquet(rows("this_week.parquet"))
    batch.select(pl.all().name.to_uppercase()).write_parquet(tmp_path / "this_week.parquet")
    found = reason(run())
    assert found.startswith("dataset 'this_week' has no column 'person', nor 'age', 'score'")
    assert found.endswith("which the reference has; did you mean 'PERSON'?")


def test_the_evaluation_that_others_refer_to_can_be_built(spec: Spec, run: Run, rows: Rows) -> None:
    spec("""
        variables: {name: monday}
        datasets:
          batch: {path: "${name}.parquet"}
        evaluation_stores:
          drift:
            dataset: batch
            reference: {kind: evaluation, name: monday}
            evaluation: {name: "${name}"}
            display: {metrics: [drift.age]}
    """)
    rows("monday.parquet")
    rows("tuesday.parquet", seed=1, shift=20)
    assert reason(run(name="tuesday")) == (
        "reference of evaluation store 'drift': there is no evaluation 'monday'; there are: none yet. "
        "Build drift once with evaluation: {name: monday}"
    )
    assert run().runs[0].outcome is Outcome.SUCCESS
    assert run().runs[0].steps[0].reused
    later = run(name="tuesday").stores["drift"].evaluations
    assert [evaluation.name for evaluation in later] == ["monday", "tuesday"]
    assert later[0].metrics["drift.age"].value == 0
    assert later[1].metrics["drift.age"].value > 0.3


def test_a_lost_snapshot_of_an_earlier_batch_says_what_to_do(spec: Spec, run: Run, rows: Rows, tmp_path: Path) -> None:
    spec("""
        variables: {name: monday}
        datasets:
          batch: {path: "${name}.parquet"}
        evaluation_stores:
          drift: {dataset: batch, reference: {kind: rolling, last: 2}, evaluation: {name: "${name}"}}
    """)
    rows("monday.parquet")
    rows("tuesday.parquet", seed=1)
    run()
    shutil.rmtree(tmp_path / ".engine" / "test" / "evaluations")
    said = reason(run(name="tuesday"))
    assert "evaluation 'monday'" in said
    assert "`engine remove " in said
    assert "internal error" not in said


def test_a_run_is_announced_without_an_outcome_and_its_end_knows_what_was_set(
    spec: Spec, run: Run, tmp_path: Path
) -> None:
    spec("""
        variables: {who: spec}
        channels:
          box: {kind: file, path: box}
        scenarios:
          s:
            steps: [{name: set, kind: set_variables, variables: {who: step}}]
            reporters:
              - {name: before, channel: box, at: start}
              - {name: after, channel: box, run_condition: who == 'step', message: "${who} ${outcome}"}
    """)
    (result,) = run().runs
    assert [(told.reporter, told.state) for told in result.deliveries] == [("before", "SENT"), ("after", "SENT")]
    texts = {}
    for path in (tmp_path / "box").iterdir():
        letter = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        texts[letter["Subject"]] = [letter.get_body((kind,)).get_content() for kind in ("plain", "html")]
    plain, html = texts["s started"]
    assert plain.strip() == "s of test started."
    assert ">STARTED<" in html
    assert texts["s: SUCCESS"][0].strip() == "step SUCCESS"


def test_a_store_that_compares_no_column_says_so(spec: Spec, run: Run, tmp_path: Path) -> None:
    spec("""
        datasets: {now: {path: now.csv}, before: {path: before.csv}}
        evaluation_stores:
          s:
            dataset: now
            reference: {kind: dataset, dataset: before}
            checks: {moved: {metric: drifted_columns, soft_max: 0}}
    """)
    for name, start in (("before", 1), ("now", 5)):
        (tmp_path / f"{name}.csv").write_text("n\n" + "".join(f"{number}\n" for number in range(start, start + 60)))
    (result,) = run().runs
    assert str(result.outcome) == "WARNING"
    assert "there is no column to compare" in result.steps[1].checks[0].reason
    log = next((tmp_path / ".engine").glob(f"*/{result.log}")).read_text()
    assert "s: no column is compared: n counts up with row order" in log


def test_a_reporter_that_does_not_send_says_why_unless_all_is_well(
    spec: Spec, run: Run, rows: Rows, tmp_path: Path
) -> None:
    rows("old.parquet")
    spec("""
        datasets: {old: {path: old.parquet, checks: {many: {metric: row_count, min: "${least}"}}}}
        variables: {least: 1}
        channels: {box: {kind: file, path: box}}
        scenarios:
          s:
            steps: [{name: Check, kind: run_checks, target: old}]
            reporters:
              - {name: milder, channel: box, run_condition: stepOutcome_Check == 'WARNING'}
              - {name: paused, channel: box, active: false}
              - {name: told, channel: box}
    """)
    (well,) = run().runs
    assert [told.reporter for told in well.deliveries] == ["told"]
    (failed,) = run(least=9_999).runs
    assert [(told.reporter, str(told.state), told.reason) for told in failed.deliveries] == [
        ("milder", "SKIPPED", "its run_condition is false: stepOutcome_Check == 'WARNING'"),
        ("paused", "SKIPPED", "it is not active"),
        ("told", "SENT", "files in box"),
    ]
    log = next((tmp_path / ".engine").glob(f"*/{failed.log}")).read_text()
    assert "milder to box: not sent, because its run_condition is false" in log


@pytest.mark.parametrize(
    ("returns", "outcome", "said"),
    [
        ("None", Outcome.SUCCESS, ""),
        ("'three files'", Outcome.SUCCESS, "three files"),
        ("'WARNING'", Outcome.WARNING, ""),
        ("('FAILED', 'no files')", Outcome.FAILED, "no files"),
        ("('GOOD', 'three files')", Outcome.FAILED, "mine:f returned ('GOOD', 'three files'); the function of a"),
        ("3", Outcome.FAILED, "mine:f returned 3; the function of a step must return nothing, a text, one of SUCCESS"),
        ("pl.DataFrame({'a': [1]})", Outcome.FAILED, "the function of a step must return nothing"),
    ],
)
def test_what_a_function_of_a_step_may_return(
    returns: str, outcome: Outcome, said: str, spec: Spec, run: Run, module: Callable[[str], None]
) -> None:
    module(f"import polars as pl\ndef f(): return {returns}\n")
    spec('scenarios: {s: {steps: [{name: call, kind: python, function: "mine:f"}]}}')
    (result,) = run().runs
    assert result.steps[0].outcome is outcome
    assert said in result.steps[0].reason


def test_a_check_of_a_metric_that_a_dataset_cannot_have_is_an_error_beside_the_others(
    spec: Spec, run: Run, rows: Rows
) -> None:
    spec("""
        datasets:
          people:
            path: people.parquet
            checks:
              enough: {metric: row_count, min: 1000}
              rich: {metric: mean.ages, min: 1}
              named: {metric: mean.group, min: 1}
    """)
    rows("people.parquet")
    for _ in range(2):  # read, then reused
        (result,) = run().runs
        assert {check.summary for check in result.steps[0].checks if check.outcome is CheckOutcome.ERROR} == {
            "enough: row_count 400 is below min 1000",
            (
                "rich: mean.ages has no value: dataset 'people' has no column 'ages', which mean.ages needs; "
                "did you mean 'age'?"
            ),
            "named: mean.group has no value: dataset 'people': mean.group needs numbers, but column 'group' is text",
        }
        assert result.steps[0].cause == "check"


def test_two_projects_in_one_folder_share_nothing(spec: Spec, run: Run, rows: Rows, tmp_path: Path) -> None:
    path = spec(WITHOUT_MODEL)
    rows("last_year.parquet")
    rows("this_week.parquet")
    run()
    path.write_text(path.read_text(encoding="utf-8").replace("project: test", "project: other"), encoding="utf-8")
    (result,) = run().runs
    assert not result.steps[0].reused
    assert {folder.name for folder in (tmp_path / ".engine").iterdir()} == {"test", "other"}


def test_the_same_fault_at_two_places_of_the_spec_is_reported_twice(
    spec: Callable[[str], Path], run: Callable[..., CallResult], tmp_path: Path
) -> None:
    pl.DataFrame({"age": [1, 2]}).write_parquet(tmp_path / "d.parquet")
    spec("""
        datasets:
          d:
            path: d.parquet
            checks:
              low: {metric: mean.agee, min: 1}
              high: {metric: mean.agee, max: 2}
        scenarios: {all: {steps: [{name: b, kind: build, target: d}]}}
    """)
    run()
    (log,) = tmp_path.rglob("log.txt")
    told = [line for line in log.read_text().splitlines() if "project.yaml:" in line and "no column 'agee'" in line]
    assert len(told) == 2
