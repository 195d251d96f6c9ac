"""The Python API through a real project: a model, three batches (the last one drifted), a store, checks."""

import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import engine
from engine.errors import SpecError, UsageError
from engine.outcome import CheckOutcome, Outcome
from engine.store import Store

SPEC = """
    version: 1
    project: watched
    variables: {month: july, most: 0.3}
    datasets:
      may: {path: may.parquet, entity: person}
      batch: {path: "${month}.parquet", entity: person, checks: {enough: {metric: row_count, min: 10}}}
    models:
      buys:
        task: binary_classification
        algorithm: logistic_regression
        dataset: may
        target: label
        positive: 1
        features: {exclude: [person]}
    evaluation_stores:
      mes:
        model: buys
        dataset: batch
        evaluation: {name: "${month}", labels: {season: "summer of ${month}"}}
        display: {metrics: [data_drift, roc_auc]}
        checks:
          nothing moved: {metric: drift.*, soft_max: "${most}"}
          auc holds: {metric: roc_auc, min: 0.5}
      against_may:
        model: buys
        dataset: batch
        evaluation: {name: "${month}"}
        reference: {kind: dataset, dataset: may}
    scenarios:
      watch:
        steps:
          - {name: build, kind: build, target: mes}
          - {name: check, kind: run_checks, target: mes}
      months:
        for_each: [{month: june}, {month: july}]
        steps: [{name: watch one, kind: run_scenario, scenario: watch}]
      other: {steps: [{name: build, kind: build, target: against_may}]}
"""


def rows(path: Path, seed: int, shift: float = 0.0, n: int = 600) -> None:
    random = np.random.default_rng(seed)
    age = random.normal(40 + shift, 10, n)
    shares = [0.5, 0.3, 0.2] if not shift else [0.2, 0.3, 0.5]
    pl.DataFrame(
        {
            "person": random.integers(0, n // 2, n),
            "age": age,
            "kind": random.choice(["a", "b", "c"], n, p=shares),
            "label": (age + random.normal(0, 5, n) > 42).astype(int),
        }
    ).write_parquet(path)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the project after its scenarios `months` and `other`."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "spec.yaml").write_text(textwrap.dedent(SPEC))
    for seed, (month, shift) in enumerate({"may": 0, "june": 0, "july": 12}.items()):
        rows(folder / f"{month}.parquet", seed, shift)
    project = engine.load(folder / "spec.yaml")
    assert project.run("months").outcome is Outcome.WARNING
    assert project.run("other").outcome is Outcome.SUCCESS
    return folder


@pytest.fixture(scope="module")
def project(built: Path) -> engine.Project:
    """To be read; who writes takes `copied`."""
    return engine.load(built / "spec.yaml")


@pytest.fixture
def copied(built: Path, tmp_path: Path) -> engine.Project:
    return engine.load(Path(shutil.copytree(built, tmp_path / "copy")) / "spec.yaml")


def test_importing_engine_loads_nothing_that_is_not_asked_for() -> None:
    program = "import engine, sys; print(sorted(sys.modules), engine.__version__)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    for heavy in ("polars", "pydantic", "numpy", "sqlalchemy", "engine.spec"):
        assert f"'{heavy}'" not in told.stdout
    with pytest.raises(AttributeError, match="lood"):
        _ = engine.lood


def test_runs_have_outcomes_steps_and_checks(copied: engine.Project) -> None:
    run = copied.with_variables(month="june").run("watch")
    assert (run.outcome, [step.reused for step in run.steps]) == (Outcome.SUCCESS, [True, False])
    assert {check.check for check in run.steps[1].checks} == {"nothing moved", "auc holds"}
    (same,) = engine.run(copied.spec.path, "watch", {"month": "june"})
    assert same.outcome is Outcome.SUCCESS
    with pytest.raises(UsageError, match="there is no scenario 'wotch'; did you mean 'watch'"):
        copied.run("wotch")
    with pytest.raises(UsageError, match="give a scenario: watch, months, other"):
        copied.run_all()
    with pytest.raises(SpecError, match='a value was given for the variable "mnth", but the spec does not declare it'):
        copied.with_variables(mnth="june")


def test_evaluations_are_a_frame_of_what_the_store_holds(project: engine.Project, built: Path) -> None:
    frame = project.store("mes").evaluations()
    with Store.open(built / ".engine" / "watched") as state:
        kept = state.evaluations.history("mes")
    assert frame.columns == [
        *("name", "labels.season", "created", "rows", "data_drift", "roc_auc"),
        *("checks.nothing moved", "checks.auc holds", "id"),
    ]
    assert frame["name"].to_list() == ["june", "july"]
    assert frame["data_drift"].to_list() == [one.metrics["data_drift"].value for one in kept]
    assert frame["created"].to_list() == [one.created.astimezone(UTC) for one in kept]
    assert frame["checks.nothing moved"].to_list() == ["OK", "WARNING"]
    assert frame.schema["created"] == pl.Datetime("us", "UTC")


def test_any_metrics_of_the_last_evaluations(project: engine.Project) -> None:
    frame = project.store("mes").evaluations(["drift.*", "psi.age"], last=1)
    assert frame["name"].to_list() == ["july"]
    assert {"drift.age", "drift.kind", "psi.age"} < set(frame.columns)
    assert "roc_auc" not in frame.columns
    with pytest.raises(UsageError, match="unknown metric 'auc'; did you mean \"roc_auc\""):
        project.store("mes").evaluations(["auc"])


def test_columns_say_what_moved_from_what_to_what(project: engine.Project) -> None:
    frame = project.store("mes").columns()
    assert frame["drift"].is_sorted(descending=True)
    told = {row["column"]: row for row in frame.iter_rows(named=True)}
    assert set(told) == {"age", "kind"}
    evaluation = project.store("mes").evaluation()
    mean = evaluation.metrics["mean.age"].value
    assert mean is not None
    assert told["age"]["batch"].startswith(f"{mean:.4g} ± ")
    assert told["kind"]["reference"].rpartition(", ")[2].startswith("b ")  # the share that changed least comes last
    assert told["kind"]["model_importance"] == evaluation.importance.model["kind"]


def test_metrics_have_values_or_reasons(project: engine.Project) -> None:
    frame = project.store("mes").metrics("june")
    assert frame.filter(pl.col("value").is_null() & pl.col("reason").is_null()).is_empty()
    (row,) = frame.filter(metric="data_drift").iter_rows(named=True)
    assert row["low"] < row["value"] < row["high"]


def test_an_evaluation_is_found_by_name_id_and_the_last_part_of_its_id(project: engine.Project) -> None:
    store = project.store("mes")
    june = store.evaluation("june")
    assert store.evaluation(june.id).id == store.evaluation(june.id.rpartition("-")[2]).id == june.id
    assert store.evaluation().name == "july"
    assert store.before().name == "june"
    with pytest.raises(UsageError, match="there is no evaluation 'jnue'; did you mean 'june'"):
        store.evaluation("jnue")
    with pytest.raises(UsageError, match="no evaluation before 'june'"):
        store.compare("june")
    with pytest.raises(UsageError, match="there is no evaluation store 'mse'; did you mean 'mes'"):
        project.store("mse")


def test_compared_with_its_own_reference_an_evaluation_is_itself(project: engine.Project) -> None:
    kept = project.store("mes").evaluation("july")
    now = project.store("mes").compare("july", "model_test")
    assert now.metrics == kept.metrics
    assert now.columns == kept.columns


def test_compared_with_a_dataset_it_is_what_a_store_with_that_reference_says(project: engine.Project) -> None:
    assert project.store("mes").compare("july", "dataset:may").metrics == (
        project.store("against_may").evaluation("july").metrics
    )
    with pytest.raises(UsageError, match="there is no dataset 'mai'; did you mean 'may'"):
        project.store("mes").compare("july", "dataset:mai")


def test_comparing_two_evaluations_reads_no_data_and_stores_nothing(copied: engine.Project) -> None:
    for path in copied.spec.folder.glob("*.parquet"):
        path.unlink()
    state = copied.spec.folder / ".engine" / "watched"
    before = {path for path in state.rglob("*") if path.is_file() and path.suffix not in (".db-wal", ".db-shm")}
    moved = copied.store("mes").compare()
    assert {name for name in moved.columns if moved.find_drift(name)} == {"age", "kind"}
    assert moved.metrics["reference_mean.age"] == copied.store("mes").evaluation("june").metrics["mean.age"]
    back = copied.store("mes").compare("june", "july")
    assert back.find_drift("age") == pytest.approx(moved.find_drift("age"), abs=0.05)
    assert {path for path in state.rglob("*") if path.is_file() and path.suffix not in (".db-wal", ".db-shm")} <= before
    assert copied.store("mes").evaluations().height == 2


def test_a_model_that_has_changed_since_is_not_compared(copied: engine.Project) -> None:
    path = copied.spec.path
    path.write_text(path.read_text().replace("positive: 1", "positive: 1\n    threshold: 0.9"))
    now = engine.load(path).store("mes").compare("july", "model_test")
    assert any("has changed since this evaluation" in note for note in now.notes)
    assert "prediction_drift.psi" not in now.metrics
    then = copied.store("mes").evaluation("july")
    # p-values and what could be found are adjusted for the number of tests, which are fewer without the predictions
    measured_now, measured_then = now.group_column_metrics(), then.group_column_metrics()
    assert now.columns.keys() == then.columns.keys()
    for name, column in then.columns.items():
        assert replace(now.columns[name], detectable=None) == replace(column, detectable=None)
        assert now.columns[name].detectable <= column.detectable
        values_now, values_then = (
            {key: metric.value for key, metric in metrics[name].items()} for metrics in (measured_now, measured_then)
        )
        assert values_now.pop("drift_p") <= values_then.pop("drift_p")
        assert values_now == values_then


def test_checks_are_applied_again_as_the_spec_has_them_now(copied: engine.Project) -> None:
    stricter = copied.with_variables(most=0.001)
    found = stricter.store("mes").check("july")
    assert {check.outcome for check in found if check.check == "nothing moved"} == {CheckOutcome.WARNING}
    history = copied.store("mes").checks("july")
    assert history.height == 2 * len(found)
    assert history["run"].null_count() == len(found)
    assert history["bounds"].to_list()[-2] == "soft_max 0.001"
    assert {check.check for check in copied.check("batch")} == {"enough"}
    assert copied.checks("batch", last=1)["value"].to_list() == [600]
    with pytest.raises(UsageError, match="'batch' is a dataset"):
        copied.check("batch", "july")
    with pytest.raises(UsageError, match="did you mean"):
        copied.check("batches")


def test_removing_is_recorded(copied: engine.Project) -> None:
    store = copied.store("mes")
    (removed,) = store.remove("june")
    assert store.evaluations()["name"].to_list() == ["july"]
    assert not (copied.spec.folder / ".engine" / "watched" / "evaluations" / removed).exists()
    (record,) = store.removals()
    assert (record.name, record.evaluations) == ("june", (removed,))
    with pytest.raises(UsageError, match="there is no evaluation 'june'"):
        store.remove("june")


def test_runs_and_the_log_of_a_run_with_those_it_started(project: engine.Project) -> None:
    runs = project.runs()
    assert runs["scenario"].to_list() == ["months", "watch", "watch", "other"]
    assert runs["state"].to_list() == ["WARNING", "SUCCESS", "WARNING", "SUCCESS"]
    first = runs["id"][0]
    assert runs["parent"].to_list() == [None, first, first, None]
    assert project.past_run(first.rpartition("-")[2]).scenario == "months"
    log = project.log(first)
    assert log["at"].is_sorted()
    assert set(log["scenario"]) == {"months", "watch"}
    assert any("nothing moved" in text for text in log.filter(level="warning")["text"])
    with pytest.raises(UsageError, match="there is no run"):
        project.log("never")


def test_a_project_that_never_ran_has_empty_frames(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(textwrap.dedent(SPEC))
    project = engine.load(tmp_path / "spec.yaml")
    assert project.store("mes").evaluations().is_empty()
    assert project.store("mes").checks().is_empty()
    assert project.runs().is_empty()
    with pytest.raises(UsageError, match="'mes' has no evaluations yet"):
        project.store("mes").evaluation()


def test_what_a_notebook_prints_is_short(project: engine.Project, copied: engine.Project) -> None:
    store = project.store("mes")
    assert repr(store) == "EvaluationStore('mes', project='watched')"
    assert repr(project).startswith("Project('watched', scenarios=['")
    assert len(repr(store.evaluation())) < 2000
    assert len(repr(copied.run(copied.scenarios[0]))) < 10_000


def test_what_is_wrong_in_a_spec_is_raised_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("version: 1\nproject: p\ndataset: {}\n")
    with pytest.raises(SpecError, match=r"spec\.yaml:3:1: unknown key"):
        engine.load(path)
    with pytest.raises(SpecError, match=r"nope\.yaml:1:1: there is no such file"):
        engine.load(tmp_path / "nope.yaml")


def test_a_project_that_is_printed_tells_nothing_of_the_environment(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(textwrap.dedent(SPEC))
    assert "hunter2" not in repr(engine.load(tmp_path / "spec.yaml", environ={"PASSWORD": "hunter2"}))
