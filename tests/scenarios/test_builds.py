"""What a build computes, what it reuses, and what stops it."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from engine.evaluation.record import Evaluation
from engine.outcome import CheckOutcome, Outcome
from engine.scenarios.session import CallResult
from engine.store import Store

Run = Callable[..., CallResult]
Rows = Callable[..., Path]
Spec = Callable[[str], Path]

MODEL = """
    variables: {{batch: new.parquet, name: first}}
    datasets:
      old: {{path: old.parquet, entity: person}}
      new: {{path: "${{batch}}", entity: person{dataset}}}
    models:
      it:
        algorithm: {algorithm}
        task: binary_classification
        dataset: old
        target: label
        features: {{exclude: [person]}}
        description: {description}
    evaluation_stores:
      watched:
        model: it
        dataset: new
        evaluation: {{name: "${{name}}"}}
        {store}
    scenarios:
      build:
        steps:
          - {{name: build, kind: build, target: watched, mode: {mode}}}
          - {{name: check, kind: run_checks, target: watched}}
"""


def model_spec(
    store: str = "checks: {}",
    dataset: str = "",
    mode: str = "changed",
    algorithm: str = "logistic_regression",
    description: str = "a model",
) -> str:
    return MODEL.format(store=store, dataset=dataset, mode=mode, algorithm=algorithm, description=description)


def evaluations(folder: Path, store: str = "watched") -> list[Evaluation]:
    with Store.open(folder / ".engine" / "test") as state:
        return state.evaluations.history(store)


def value(evaluation: Evaluation, metric: str) -> float:
    found = evaluation.metrics[metric].value
    assert found is not None, evaluation.metrics[metric].reason
    return found


@pytest.fixture(autouse=True)
def _old(rows: Rows) -> None:
    rows("old.parquet", 600)


def test_the_same_again_is_reused_and_a_change_that_matters_is_not(
    spec: Spec, run: Run, rows: Rows, tmp_path: Path
) -> None:
    rows("new.parquet", seed=1)
    spec(model_spec())
    (first,) = run().runs
    assert first.outcome is Outcome.SUCCESS, first.steps
    assert not first.steps[0].reused
    (second,) = run(name="other name").runs
    assert second.steps[0].reused
    spec(model_spec(description="the same model in other words"))
    assert run().runs[0].steps[0].reused
    spec(model_spec(store="drift: {confidence: 0.9}"))
    assert not run().runs[0].steps[0].reused
    spec(model_spec(algorithm="decision_tree"))
    assert not run().runs[0].steps[0].reused
    spec(model_spec(mode="force"))
    assert not run().runs[0].steps[0].reused
    rows("new.parquet", seed=2)
    spec(model_spec())
    assert not run().runs[0].steps[0].reused
    assert len(evaluations(tmp_path)) == 5
    with Store.open(tmp_path / ".engine" / "test") as state:
        newest = state.models.find_newest("it")
    assert newest is not None
    assert newest.version == 2


def test_every_part_of_an_evaluation_is_there(spec: Spec, run: Run, rows: Rows, tmp_path: Path) -> None:
    rows("new.parquet", seed=1, shift=25, labelled=0.5)
    spec(model_spec())
    run()
    (evaluation,) = evaluations(tmp_path)
    assert value(evaluation, "drift.age") > 0.2
    assert value(evaluation, "drift.score") == 0
    assert value(evaluation, "data_drift") > 0.6
    assert value(evaluation, "data_drift_significant") == 1
    assert 0.4 < value(evaluation, "labelled_share") < 0.6
    assert value(evaluation, "roc_auc") > 0.8
    assert value(evaluation, "prediction_drift.psi") > 0.1
    assert value(evaluation, "fugacity.1") > 0
    shares = [value(evaluation, f"predicted_share.{label}") for label in (0, 1)]
    assert sum(shares) == pytest.approx(1)
    drifted = value(evaluation, "performance_change.roc_auc")
    assert drifted != 0
    assert evaluation.metrics["roc_auc"].reason is None
    assert set(evaluation.columns) == {"age", "score", "group"}
    assert sum(evaluation.importance.drift.values()) == pytest.approx(1)
    assert sum(evaluation.importance.model.values()) == pytest.approx(1)
    assert evaluation.performance.confusion_matrix
    assert evaluation.model_version == "1"


def test_checks_of_a_batch_without_labels_say_that_only_drift_is_measured(
    spec: Spec, run: Run, rows: Rows, tmp_path: Path
) -> None:
    rows("new.parquet", seed=1, labelled=0.0)
    spec(model_spec(store="checks: {good: {metric: roc_auc, min: 0.9}, seen: {metric: labelled_share, soft_min: 0.5}}"))
    (result,) = run().runs
    (evaluation,) = evaluations(tmp_path)
    assert evaluation.metrics["roc_auc"].value is None
    assert evaluation.metrics["roc_auc"].reason == "no labels: no row has a value in the target column 'label'"
    assert 0.3 < value(evaluation, "data_drift") < 0.7  # 80 rows of one distribution against 400 of the same
    good, seen = result.steps[1].checks
    assert (good.outcome, good.counts_as) == (CheckOutcome.EMPTY, CheckOutcome.OK)
    assert (seen.outcome, seen.counts_as) == (CheckOutcome.WARNING, CheckOutcome.WARNING)
    assert result.outcome is Outcome.WARNING


def test_an_error_of_a_dataset_check_stops_the_build(spec: Spec, run: Run, rows: Rows, tmp_path: Path) -> None:
    rows("new.parquet", 50)
    spec(model_spec(dataset=", checks: {enough: {metric: row_count, min: 100}}"))
    (result,) = run().runs
    assert [step.outcome for step in result.steps] == [Outcome.FAILED, Outcome.SKIPPED]
    assert result.steps[0].cause == "check"
    (found,) = result.steps[0].checks
    assert found.reason == "50 is below min 100"
    assert found.position is not None
    assert evaluations(tmp_path) == []


def test_metrics_of_no_rows_say_that_there_are_none(spec: Spec, run: Run, rows: Rows, tmp_path: Path) -> None:
    rows("new.parquet", 0)
    checks = "{enough: {metric: row_count, soft_min: 1}, there: {metric: missing_share.age, max: 0.1}}"
    spec(model_spec(dataset=f", checks: {checks}"))
    (result,) = run().runs
    reasons = {check.check: check.reason for check in result.steps[0].checks}
    assert reasons == {"enough": "0 is below soft_min 1", "there": "there are no rows"}


def test_a_broken_contract_stops_the_build(spec: Spec, run: Run, rows: Rows, tmp_path: Path) -> None:
    rows("new.parquet", 50)
    spec(model_spec(dataset=", columns: {group: {allowed: [a, b]}, age: {type: text}}"))
    (result,) = run().runs
    assert result.steps[0].cause == "failure"
    assert "'age'" in result.steps[0].reason
    spec(model_spec(dataset=", columns: {group: {allowed: [a, b]}}"))
    (result,) = run().runs
    assert "'group'" in result.steps[0].reason
    assert evaluations(tmp_path) == []


def test_an_earlier_evaluation_or_the_last_few_can_be_the_reference(
    spec: Spec, run: Run, rows: Rows, tmp_path: Path
) -> None:
    spec(model_spec(store="reference: {kind: rolling, last: 2}"))
    for number, shift in enumerate((0, 0, 0, 20)):
        rows(f"{number}.parquet", seed=number, shift=shift)
        assert run(batch=f"{number}.parquet", name=f"batch {number}").runs[0].outcome is Outcome.SUCCESS
    found = evaluations(tmp_path)
    assert [evaluation.reference_rows for evaluation in found] == [400, 400, 800, 800]
    assert any("compared with itself" in note for note in found[0].notes)
    assert ["1 of the last 2 evaluations exist" in str(one.notes) for one in found] == [False, True, False, False]
    assert [value(evaluation, "drift.age") > 0 for evaluation in found] == [False, False, False, True]
    assert run(batch="3.parquet").runs[0].steps[0].reused
    spec(model_spec(store='reference: {kind: evaluation, name: "batch 3"}'))
    rows("4.parquet", seed=4, shift=20)
    run(batch="4.parquet", name="batch 4")
    assert value(evaluations(tmp_path)[-1], "drift.age") == 0
    spec(model_spec(store='reference: {kind: evaluation, name: "batch 33"}'))
    (failed,) = run(batch="4.parquet").runs
    assert "there is no evaluation 'batch 33'; there are: batch 0, batch 1" in failed.steps[0].reason


def test_metrics_of_ones_own(spec: Spec, run: Run, rows: Rows, module: Callable[[str], None], tmp_path: Path) -> None:
    rows("new.parquet", seed=1)
    module("""
        import polars as pl

        def regret(frame, price):
            wrong = frame.filter(pl.col("prediction") != pl.col("label")).select(pl.len()).collect().item()
            return wrong * price

        def broken(frame):
            return 1 / 0
    """)
    store = """metrics: {regret: {function: "mine:regret", arguments: {price: 10}}, broken: {function: "mine:broken"}}
        checks: {cheap: {metric: regret, max: 10000}, works: {metric: broken, max: 1}}"""
    spec(model_spec(store))
    (result,) = run().runs
    (evaluation,) = evaluations(tmp_path)
    rows_used = value(evaluation, "row_count")
    assert value(evaluation, "regret") == pytest.approx((1 - value(evaluation, "accuracy")) * rows_used * 10)
    cheap, works = result.steps[1].checks
    assert cheap.outcome is CheckOutcome.OK
    assert works.outcome is CheckOutcome.ERROR
    assert "division by zero" in works.reason
    assert result.outcome is Outcome.FAILED


def test_a_project_without_a_model_and_without_scenarios(spec: Spec, run: Run, rows: Rows, tmp_path: Path) -> None:
    rows("new.parquet", seed=1, shift=30)
    spec("""
        datasets:
          last_year: {path: old.parquet, columns: {person: {role: identifier}, label: {role: ignore}}}
          this_week: {path: new.parquet, checks: {enough rows: {metric: row_count, min: 10}}}
        evaluation_stores:
          drift:
            dataset: this_week
            reference: {kind: dataset, dataset: last_year}
            checks:
              input drift: {metric: data_drift_low, soft_max: 0.55, max: 0.65, when_empty: ok}
              column drift: {metric: drift.*, soft_max: 0.1, max: 0.25}
    """)
    (result,) = run().runs
    failed = {check.metric for check in result.steps[1].checks if check.outcome is CheckOutcome.ERROR}
    assert failed == {"data_drift_low", "drift.age"}
    (evaluation,) = evaluations(tmp_path, "drift")
    assert evaluation.model is None


def test_datasets_can_be_built_and_measured_alone(spec: Spec, run: Run, tmp_path: Path) -> None:
    spec("""
        datasets: {old: {path: old.parquet, checks: {middle: {metric: mean.age, min: 0, compare: previous}}}}
        scenarios:
          all:
            steps:
              - {name: build, kind: build, target: old}
              - {name: measure, kind: compute_metrics, target: old}
              - {name: enough, kind: run_checks, target: old, run_condition: "metrics['row_count'] == 600"}
    """)
    (result,) = run().runs
    assert [step.outcome for step in result.steps] == [Outcome.SUCCESS, Outcome.SUCCESS, Outcome.SUCCESS]
    assert result.steps[0].checks[0].reason == "no earlier measurement to compare with"
    expected = pl.read_parquet(tmp_path / "old.parquet")
    assert result.steps[1].metrics["mean.age"] == pytest.approx(expected["age"].mean())
    assert result.steps[1].metrics["missing_share.label"] == 0


def test_checks_compare_with_the_evaluations_before(spec: Spec, run: Run, rows: Rows) -> None:
    spec(model_spec(store="checks: {steady: {metric: mean.age, compare: {mean_of_last: 2}, min: -5, max: 5}}"))
    seen = []
    for number, shift in enumerate((0, 0, 20, 20)):
        rows(f"{number}.parquet", seed=number, shift=shift)
        (check,) = run(batch=f"{number}.parquet").runs[0].steps[1].checks
        seen.append(str(check.outcome))
    assert seen == ["EMPTY", "OK", "ERROR", "ERROR"]
