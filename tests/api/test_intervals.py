"""Intervals from the spec to the table: by entity, of changes, of a rolling reference, in checks and on the page."""

import textwrap
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import engine
from engine.api import tabulation
from engine.outcome import CheckOutcome

from ..command_line import call_engine

SPEC = """
    version: 1
    project: watched
    variables: {month: small, confidence: 0.95}
    datasets:
      train: {path: train.parquet}
      batch: {path: "${month}.parquet"}
      batch_by_card: {path: "${month}.parquet", entity: card}
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
      plain:
        model: buys
        dataset: batch
        reference: {kind: dataset, dataset: train}
        evaluation: {name: "${month}"}
        drift: {confidence: "${confidence}"}
      by_card:
        model: buys
        dataset: batch_by_card
        reference: {kind: dataset, dataset: train}
        evaluation: {name: "${month}"}
        checks:
          auc is certain: {metric: roc_auc, min: 0.92, certain: true}
          auc: {metric: roc_auc, min: 0.92}
          nothing moved: {metric: drift.*, soft_max: 0.05}
      rolling: {model: buys, dataset: batch, reference: {kind: rolling, last: 2}, evaluation: {name: "${month}"}}
    scenarios:
      once: {steps: [{name: a, kind: build, target: plain}, {name: b, kind: build, target: by_card}]}
      check: {steps: [{name: a, kind: build, target: by_card}, {name: c, kind: run_checks, target: by_card}]}
      rolling:
        for_each: [{month: small}, {month: large}, {month: last}]
        steps: [{name: r, kind: build, target: rolling}]
"""


def write_rows(path: Path, seed: int, cards: int) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=cards)
    label = random.random(cards) < 1 / (1 + np.exp(-3 * x))
    chance = 1 / (1 + np.exp(-2 * x))
    frame = pl.DataFrame({"card": np.arange(cards), "x": x, "label": label.astype(int), "chance": chance})
    frame = frame.with_columns(guess=(pl.col("chance") > 0.5).cast(pl.Int64))
    pl.concat([frame] * 4).write_parquet(path)  # four equal rows of every card


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> engine.Project:
    folder = tmp_path_factory.mktemp("watched")
    (folder / "spec.yaml").write_text(textwrap.dedent(SPEC))
    for seed, (name, cards) in enumerate({"train": 500, "small": 40, "large": 400, "last": 60}.items()):
        write_rows(folder / f"{name}.parquet", seed, cards)
    found = engine.load(folder / "spec.yaml")
    found.run("once")
    found.run("rolling")
    return found


def test_equal_rows_of_one_card_count_as_one_row(project: engine.Project) -> None:
    plain = project.store("plain").evaluation("small").metrics
    by_card = project.store("by_card").evaluation("small").metrics
    for name in ("roc_auc", "accuracy", "brier", "log_loss", "mcc"):
        assert plain[name].value == by_card[name].value
        # four times as many rows: intervals half as wide, but for what the scale and the t quantile do
        wide, narrow = ((m[name].high or 0) - (m[name].low or 0) for m in (by_card, plain))
        assert 1.5 < wide / narrow < 2.3, name


def test_changes_and_the_reference_have_intervals_too(project: engine.Project) -> None:
    evaluation = project.store("plain").evaluation("small")
    change = evaluation.metrics["performance_change.roc_auc"]
    reference = evaluation.reference_performance["roc_auc"]
    now = evaluation.metrics["roc_auc"]
    assert change.value == pytest.approx((now.value or 0) - reference.value)
    assert change.low == pytest.approx(
        change.value - np.hypot((now.value or 0) - (now.low or 0), reference.high - reference.value)
    )
    table = tabulation.tabulate_performance(evaluation).to_frame().filter(pl.col("metric") == "roc_auc")
    assert table.select("reference_low", "low", "change_low").row(0) == (reference.low, now.low, change.low)


def test_a_rolling_reference_weighs_by_rows(project: engine.Project) -> None:
    store = project.store("rolling")
    small, large, last = (store.evaluation(name).metrics for name in ("small", "large", "last"))
    changed = last["performance_change.accuracy"]
    reference = (last["accuracy"].value or 0) - (changed.value or 0)
    expected = (40 * (small["accuracy"].value or 0) + 400 * (large["accuracy"].value or 0)) / 440
    assert reference == pytest.approx(expected)
    assert changed.low is not None


def test_another_confidence_measures_the_reference_again_and_widens_every_interval(project: engine.Project) -> None:
    wide = project.with_variables(confidence=0.99)
    wide.run("once")
    narrow, found = (
        project.store("by_card").evaluation("small").metrics,
        wide.store("by_card").evaluation("small").metrics,
    )
    assert found["roc_auc"] == narrow["roc_auc"]  # its store has a confidence of its own
    plain = wide.store("plain").evaluations(["roc_auc", "performance_change.roc_auc"], intervals=True)
    for name in ("roc_auc", "performance_change.roc_auc"):
        before, after = (plain[f"high.{name}"] - plain[f"low.{name}"]).to_list()
        assert after > 1.2 * before


def test_checks_are_certain_or_tell_how_little_they_could_find(project: engine.Project) -> None:
    results = {(result.check, result.metric): result for result in project.check("by_card", "small")}
    value = results["auc", "roc_auc"]
    sure = results["auc is certain", "roc_auc"]
    assert value.outcome is CheckOutcome.ERROR
    assert sure.outcome is CheckOutcome.OK
    assert "its interval reaches the bound" in sure.reason
    weak = results["nothing moved", "drift.x"]
    assert weak.outcome is CheckOutcome.OK
    assert (weak.detectable["soft_max"] or 0) > 0.05
    assert weak.reason.startswith("could hardly have failed: with 160 rows (2,000 in the reference) only a drift of ")


@pytest.mark.slow
def test_the_commands_show_intervals_and_weak_checks(project: engine.Project) -> None:
    def call(*arguments: str) -> str:
        return call_engine(project.spec.folder, *arguments, COLUMNS="250").stdout

    ran = call("run", "spec.yaml", "check")
    assert "checks that could hardly have failed (see engine show): nothing moved" in ran
    shown = call("show", "spec.yaml", "by_card", "small")
    now = project.store("by_card").evaluation("small").metrics["roc_auc"]
    assert f"{now.value:.4g} ({now.low:.4g} to {now.high:.4g})" in shown
    assert "with 160 rows (2,000 in the reference) only a drift of" in shown
    assert f"({now.low:.4g} to {now.high:.4g})" in call("show", "spec.yaml", "by_card", "--metric", "roc_auc")
    kept = call("show", "spec.yaml", "by_card", "small", "--format", "json")
    assert '"detectable"' in kept
