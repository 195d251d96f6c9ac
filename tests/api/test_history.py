"""Stores with a past: rolling references, changes from earlier evaluations, performance side by side."""

import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

import engine
from engine.api import tabulation
from engine.outcome import CheckOutcome, Outcome

SPEC = """
    version: 1
    project: scored
    variables: {month: m0}
    datasets:
      train: {path: train.parquet}
      batch: {path: "${month}.parquet"}
    models:
      buys:
        kind: scored
        task: binary_classification
        target: label
        positive: 1
        prediction: guess
        probability: chance
        features: {include: [x]}
    evaluation_stores:
      fixed:
        model: buys
        dataset: batch
        reference: {kind: dataset, dataset: train}
        evaluation: {name: "${month}"}
        checks:
          as before: {metric: accuracy, compare: previous, soft_min: -0.1}
          as usual: {metric: accuracy, compare: {mean_of_last: 2}, change: relative, soft_min: -0.1}
          as in training: {metric: accuracy, compare: reference, min: -0.2}
          mean as in training: {metric: mean.x, compare: reference, soft_max: 0.5}
      rolling: {model: buys, dataset: batch, reference: {kind: rolling, last: 2}, evaluation: {name: "${month}"}}
      against one:
        model: buys
        dataset: batch
        reference: {kind: evaluation, name: m1}
        evaluation: {name: "${month}"}
    scenarios:
      months:
        for_each: [{month: m0}, {month: m1}, {month: m2}, {month: m3}]
        steps:
          - {name: fixed, kind: build, target: fixed}
          - {name: check, kind: run_checks, target: fixed, on_failure: warn}
          - {name: rolling, kind: build, target: rolling, run_condition: "outcome != 'ABORTED'"}
      one: {steps: [{name: one, kind: build, target: against one}]}
"""
MONTHS = {"m0": (0.1, 0.0), "m1": (0.1, 0.0), "m2": (0.35, 0.0), "m3": (0.12, 1.0)}
"""By month, the share of wrong labels and the shift of x."""


def draw(seed: int, wrong: float, shift: float, n: int = 200) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    x = random.normal(shift, 1, n)
    guess = (x > 0).astype(int)
    label = np.where(random.random(n) < wrong, 1 - guess, guess)
    return pl.DataFrame({"x": x, "label": label, "guess": guess, "chance": 1 / (1 + np.exp(-3 * x))})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> engine.Project:
    folder = tmp_path_factory.mktemp("scored")
    (folder / "spec.yaml").write_text(textwrap.dedent(SPEC))
    draw(99, 0.1, 0.0, 500).write_parquet(folder / "train.parquet")
    for seed, (month, (wrong, shift)) in enumerate(MONTHS.items()):
        draw(seed, wrong, shift).write_parquet(folder / f"{month}.parquet")
    found = engine.load(folder / "spec.yaml")
    found.run("months")
    return found


def read(project: engine.Project, name: str) -> pl.DataFrame:
    return pl.read_parquet(Path(project.spec.folder) / f"{name}.parquet")


def accuracy(project: engine.Project, name: str) -> float:
    rows = read(project, name)
    return float(sk.accuracy_score(rows["label"], rows["guess"]))


def results(project: engine.Project, month: str) -> dict[str, dict[str, Any]]:
    return {row["check"]: row for row in project.store("fixed").checks(month).iter_rows(named=True)}


def test_a_change_is_from_the_evaluation_before(project: engine.Project) -> None:
    assert results(project, "m0")["as before"]["reason"] == "no earlier evaluation to compare with"
    for before, month in (("m0", "m1"), ("m1", "m2"), ("m2", "m3")):
        change = accuracy(project, month) - accuracy(project, before)
        row = results(project, month)["as before"]
        assert row["value"] == pytest.approx(change)
        assert row["outcome"] == ("WARNING" if change < -0.1 else "OK")
    assert results(project, "m2")["as before"]["outcome"] == "WARNING"


def test_a_change_from_a_mean_is_from_the_ones_before_that_exist(project: engine.Project) -> None:
    for month, before in (("m1", ["m0"]), ("m2", ["m0", "m1"]), ("m3", ["m1", "m2"])):
        mean = np.mean([accuracy(project, name) for name in before])
        assert results(project, month)["as usual"]["value"] == pytest.approx(accuracy(project, month) / mean - 1)


def test_a_change_from_the_reference_is_from_its_rows(project: engine.Project) -> None:
    for month in MONTHS:
        row = results(project, month)["as in training"]
        change = accuracy(project, month) - accuracy(project, "train")
        assert row["value"] == pytest.approx(change)
        assert row["outcome"] == ("ERROR" if change < -0.2 else "OK")
        moved = results(project, month)["mean as in training"]
        assert moved["value"] == pytest.approx(read(project, month)["x"].mean() - read(project, "train")["x"].mean())
    assert results(project, "m2")["as in training"]["outcome"] == "ERROR"
    assert results(project, "m3")["mean as in training"]["outcome"] == "WARNING"


def test_an_older_evaluation_is_checked_against_what_was_before_it(project: engine.Project) -> None:
    first = {result.check: result for result in project.check("fixed", "m1")}
    kept = results(project, "m1")
    for name, result in first.items():
        assert result.value == kept[name]["value"], name
        assert str(result.outcome) == kept[name]["outcome"], name
    start = {result.check: result for result in project.check("fixed", "m0")}
    assert start["as before"].outcome is CheckOutcome.EMPTY


def test_a_rolling_reference_is_the_last_batches_together(project: engine.Project) -> None:
    store = project.store("rolling")
    for month, before in (("m1", ["m0"]), ("m2", ["m0", "m1"]), ("m3", ["m1", "m2"])):
        evaluation, rows = store.evaluation(month), pl.concat([read(project, name) for name in before])
        assert evaluation.reference_rows == rows.height
        assert evaluation.metrics["reference_mean.x"].value == pytest.approx(rows["x"].mean())
        assert evaluation.metrics["reference_std.x"].value == pytest.approx(rows["x"].std())
        change = accuracy(project, month) - float((rows["label"] == rows["guess"]).mean())
        assert evaluation.metrics["performance_change.accuracy"].value == pytest.approx(change)
    itself = store.evaluation("m0").metrics
    assert itself["drift.x"].value == 0
    assert itself["performance_change.accuracy"].value == 0


def test_one_evaluation_as_reference_must_exist_and_is_compared_with_itself_first(project: engine.Project) -> None:
    run = project.with_variables(month="m2").run("one")
    assert run.outcome is Outcome.FAILED
    assert "there is no evaluation 'm1'; there are: none yet" in run.steps[0].reason
    assert project.with_variables(month="m1").run("one").outcome is Outcome.SUCCESS
    assert project.with_variables(month="m2").run("one").outcome is Outcome.SUCCESS
    store = project.store("against one")
    assert store.evaluation("m1").metrics["drift.x"].value == 0
    found = store.evaluation("m2").metrics
    assert found["reference_mean.x"].value == pytest.approx(read(project, "m1")["x"].mean())
    assert found["drift_p.x"] == project.store("fixed").compare("m2", "m1").metrics["drift_p.x"]


def test_performance_is_reported_side_by_side(project: engine.Project) -> None:
    table = tabulation.tabulate_performance(project.store("fixed").evaluation("m2")).to_frame()
    rows = {row["metric"]: row for row in table.iter_rows(named=True)}
    now, before = read(project, "m2"), read(project, "train")
    expected = {
        "accuracy": lambda part: sk.accuracy_score(part["label"], part["guess"]),
        "f1": lambda part: sk.f1_score(part["label"], part["guess"]),
        "roc_auc": lambda part: sk.roc_auc_score(part["label"], part["chance"]),
        "log_loss": lambda part: sk.log_loss(part["label"], part["chance"]),
    }
    for name, measure in expected.items():
        row = rows[name]
        assert row["batch"] == pytest.approx(measure(now))
        assert row["reference"] == pytest.approx(measure(before))
        assert row["change"] == pytest.approx(measure(now) - measure(before))
        for side, low, high in (
            ("batch", "low", "high"),
            *((s, f"{s}_low", f"{s}_high") for s in ("reference", "change")),
        ):
            assert row[low] < row[side] < row[high], (name, side)
    assert set(rows) == {name for name in project.store("fixed").evaluation("m2").metrics if name in rows}


def test_predictions_are_reported_by_class(project: engine.Project) -> None:
    table = tabulation.tabulate_predictions(project.store("fixed").evaluation("m3")).to_frame().sort("predicted")
    assert table["predicted"].to_list() == ["0", "1"]
    assert table["reference"].sum() == pytest.approx(1)
    assert table["batch"].to_list() == pytest.approx(
        [(read(project, "m3")["guess"] == label).mean() for label in (0, 1)]
    )
    assert table["fugacity"].to_list() == pytest.approx((table["batch"] / table["reference"] - 1).to_list())


def test_a_history_is_a_frame_that_can_be_drawn(project: engine.Project) -> None:
    frame = project.store("fixed").evaluations(["accuracy", "performance_change.accuracy", "drift.x"], intervals=True)
    assert frame["name"].to_list() == list(MONTHS)
    assert frame["accuracy"].to_list() == pytest.approx([accuracy(project, month) for month in MONTHS])
    assert ((frame["low.accuracy"] < frame["accuracy"]) & (frame["accuracy"] < frame["high.accuracy"])).all()
    assert frame["drift.x"].to_list()[:3] == [0, 0, 0]
    assert frame["drift.x"][3] > 0.2
