"""Stores whose reference has a few rows: no alarm, and where no verdict is possible the reason, which counts as OK."""

import textwrap
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import engine
from engine.outcome import CheckOutcome, Outcome

SPEC = """
    version: 1
    project: small_reference
    datasets:
      sunday: {path: sunday.csv}
      monday: {path: monday.csv}
    evaluation_stores:
      sales:
        dataset: monday
        reference: {kind: dataset, dataset: sunday}
        checks:
          nothing moved: {metric: drift.*, soft_max: 0.1, max: 0.25}
          surely nothing moved: {metric: drift_low.*, max: 0.1}
          same: {metric: data_drift_significant, max: 0}
    scenarios:
      watch:
        steps:
          - {name: build, kind: build, target: sales}
          - {name: check, kind: run_checks, target: sales}
    """


def sales(seed: int, n: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame({"amount": random.lognormal(3, 1, n), "shop": random.choice(["north", "south"], n)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spec.yaml").write_text(textwrap.dedent(SPEC))
    return tmp_path


def test_a_reference_of_four_rows_gives_no_alarm(folder: Path) -> None:
    sales(5, 4).write_csv(folder / "sunday.csv")
    sales(6, 400).write_csv(folder / "monday.csv")
    project = engine.load(folder / "spec.yaml")
    run = project.run("watch")
    assert run.outcome is Outcome.SUCCESS
    measured = project.store("sales").evaluation().metrics
    metrics = {name: metric.value for name, metric in measured.items()}
    assert metrics["drift.amount"] == metrics["drift_low.amount"] == 0
    results = {result.metric: result for result in project.store("sales").check()}
    # two even categories can hardly be divided more unevenly among four rows than by chance
    for metric in ("drift.shop", "drift_low.shop", "data_drift_significant"):
        assert metrics[metric] is None
        assert results[metric].outcome is CheckOutcome.EMPTY
        assert results[metric].counts_as is CheckOutcome.OK
        assert results[metric].reason.startswith("too few rows")


def test_a_batch_without_rows_is_not_reported_as_a_batch_with_too_few(folder: Path) -> None:
    sales(5, 4).write_csv(folder / "sunday.csv")
    sales(6, 0).write_csv(folder / "monday.csv")
    project = engine.load(folder / "spec.yaml")
    assert project.run("watch").outcome is not Outcome.SUCCESS


def test_p_values_of_columns_and_drift_model_are_one_family(folder: Path) -> None:
    frames = {"sunday": sales(1, 300), "monday": sales(2, 300)}
    frames["monday"] = frames["monday"].with_columns(pl.col("amount") * 1.35)
    for name, frame in frames.items():
        frame.write_csv(folder / f"{name}.csv")
    project = engine.load(folder / "spec.yaml")
    project.run("watch")
    measured = project.store("sales").evaluation().metrics
    metrics = {name: metric.value for name, metric in measured.items()}
    alone = {
        name: engine.drift.compare(frames["sunday"].select(name), frames["monday"].select(name)).columns[name].drift_p
        for name in ("amount", "shop")
    }
    sample = engine.drift.domain_classifier(
        frames["sunday"],
        frames["monday"],
        {"amount": engine.drift.Role.NUMERICAL, "shop": engine.drift.Role.CATEGORICAL},
    )
    raw = [alone["amount"], alone["shop"], sample.p_value]
    found = [metrics["drift_p.amount"], metrics["drift_p.shop"], metrics["data_drift_p"]]
    order = np.argsort(raw)
    holm = np.minimum(1, np.maximum.accumulate(np.array(raw)[order] * [3, 2, 1]))
    assert np.array(found)[order] == pytest.approx(holm, rel=0.15)
    assert metrics["data_drift_significant"] == (metrics["data_drift_p"] < 0.05)
