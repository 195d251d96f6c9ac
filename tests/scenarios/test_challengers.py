"""A challenger in a store: real models, real data, the real store."""

import shutil

import numpy as np
import polars as pl
import pytest

import engine
from engine.formatting.numbers import format_figure
from engine.outcome import CheckOutcome, Outcome
from engine.store import Store
from engine.views.evaluation_view import describe_evaluation
from engine.views.facts import EvaluationFacts
from engine.views.report import render_page

SPEC = """
datasets:
  old: {path: old.parquet}
  new: {path: new.parquet}
  batch: {path: batch.parquet}
models:
  used: {dataset: old, task: binary_classification, target: label, algorithm: decision_tree, features: {exclude: [id]}}
  candidate:
    dataset: new
    task: binary_classification
    target: label
    algorithm: logistic_regression
    features: {exclude: [id]}
evaluation_stores:
  s:
    model: used
    challenger: candidate
    dataset: batch
    checks:
      better: {metric: advantage.roc_auc, soft_min: 0}
      better for certain: {metric: advantage_low.roc_auc, soft_min: 0}
scenarios:
  retrain:
    steps:
      - {name: build, kind: build, target: s}
      - {name: judge, kind: run_checks, target: s}
      - name: ship
        kind: run_checks
        target: s
        run_condition: checks['better for certain'].outcome == 'OK' && metrics['advantage_low.roc_auc'] > 0
"""


def draw(n: int, *, seed: int, noise: float = 1.0, labelled: float = 1.0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    a, b = random.normal(size=(2, n))
    label = (a - b + noise * random.normal(size=n) > 0).astype(int)
    known = random.random(n) < labelled
    label = [int(value) if there else None for value, there in zip(label, known, strict=True)]
    return pl.DataFrame(
        {"id": seed * 100_000 + np.arange(n), "a": a, "b": b, "label": pl.Series(label, dtype=pl.Int64)}
    )


@pytest.fixture
def here(tmp_path, spec):
    draw(300, seed=1, noise=4).write_parquet(tmp_path / "old.parquet")
    draw(2000, seed=2).write_parquet(tmp_path / "new.parquet")
    draw(1000, seed=3).write_parquet(tmp_path / "batch.parquet")
    spec(SPEC)
    return tmp_path


def newest(folder):
    with Store.open(folder / ".engine" / "test") as store:
        return store.evaluations.get(store.evaluations.find_newest("s").id)


def run_once(run, *names):
    (result,) = run(*names).runs
    return result


def outcomes(result) -> dict[str, Outcome]:
    return {step.name: step.outcome for step in result.steps}


def test_a_better_challenger_is_shipped_and_a_worse_one_is_not(here, run):
    result = run_once(run)
    assert outcomes(result) == {"build": Outcome.SUCCESS, "judge": Outcome.SUCCESS, "ship": Outcome.SUCCESS}
    found = newest(here)
    assert found.metrics["advantage.roc_auc"].value > 0.05
    assert found.metrics["advantage_low.roc_auc"].value == found.metrics["advantage.roc_auc"].low > 0
    assert found.metrics["challenger.roc_auc"].value == pytest.approx(
        found.metrics["roc_auc"].value + found.metrics["advantage.roc_auc"].value
    )
    text = (here / "project.yaml").read_text()
    swapped = text.replace("model: used", "model: X").replace("challenger: candidate", "challenger: used")
    (here / "project.yaml").write_text(swapped.replace("model: X", "model: candidate"))
    result = run_once(run)
    assert outcomes(result) == {"build": Outcome.SUCCESS, "judge": Outcome.WARNING, "ship": Outcome.SKIPPED}
    again = newest(here)
    assert again.metrics["advantage.roc_auc"].value == pytest.approx(-found.metrics["advantage.roc_auc"].value)


def test_a_challenger_changes_nothing_but_its_own_metrics(here, run):
    run_once(run)
    found = newest(here)
    text = (here / "project.yaml").read_text()
    alone = text[: text.index("    checks:")].replace("    challenger: candidate\n", "")
    (here / "project.yaml").write_text(alone)
    run_once(run)
    without = newest(here)
    own = {name for name in found.metrics if name.partition(".")[0] in ("advantage", "advantage_low", "challenger")}
    assert len(own) == 3 * 13
    assert {name: value for name, value in found.metrics.items() if name not in own} == without.metrics
    assert found.fingerprints.model == without.fingerprints.model


def test_adding_a_challenger_measures_the_challenger_alone(here, run):
    text = (here / "project.yaml").read_text()
    (here / "project.yaml").write_text(text[: text.index("    checks:")].replace("    challenger: candidate\n", ""))
    run_once(run)
    before = newest(here)
    (here / "project.yaml").write_text(text)
    (action,) = [one for one in engine.load(here / "project.yaml").plan().all_actions() if one.kind == "evaluate"]
    same = f"data, model, reference and settings are those of evaluation {before.name}"
    assert f"only the challenger is measured: {same}" in action.notes
    run_once(run)
    found = newest(here)
    with Store.open(here / ".engine" / "test") as store:
        folders = [store.evaluations.folder_of(one.id) for one in (before, found)]
        names = {path.name for path in folders[0].iterdir()}
        assert names
        assert names == {path.name for path in folders[1].iterdir()}
        assert all((folders[0] / name).samefile(folders[1] / name) for name in names)

    # as if nothing had been measured before
    shutil.rmtree(here / ".engine")
    run_once(run)
    fresh = newest(here)
    assert found.id != fresh.id
    assert found.fingerprints == fresh.fingerprints
    assert found.metrics == fresh.metrics
    assert sorted(found.notes) == sorted(fresh.notes)
    same = ("columns", "left_out", "importance", "prediction", "performance", "reference_performance", "rows_used")
    assert all(getattr(found, part) == getattr(fresh, part) for part in same)


def test_rows_that_a_model_was_trained_on_are_left_out(here, run):
    trained = pl.read_parquet(here / "new.parquet").head(400)
    fresh = draw(600, seed=4)
    # as another tool writes them: the same rows in another order and with other types of numbers
    mixed = (
        pl.concat([trained, fresh]).sample(fraction=1, shuffle=True, seed=1).with_columns(pl.col("id").cast(pl.Int32))
    )
    mixed.write_parquet(here / "batch.parquet")
    run_once(run)
    found = newest(here)
    (note,) = [note for note in found.notes if "not compared on" in note]
    with Store.open(here / ".engine" / "test") as store:
        held = pl.read_parquet(store.models.find_newest("candidate").folder / "test.parquet")
    seen = 400 - trained.join(held, on=["a", "b"], how="semi").height
    assert note == f"challenger candidate is not compared on {seen:,} rows with a label: a model was trained on them"
    assert found.performance.rows.measured == 1000  # the champion's performance is that of all rows

    # the numbers are those of a batch without these rows
    advantage = found.metrics["advantage.roc_auc"]
    with_held = pl.concat([trained.join(held, on=["a", "b"], how="semi"), fresh])
    with_held.write_parquet(here / "batch.parquet")
    run_once(run)
    clean = newest(here)
    assert not [note for note in clean.notes if "not compared on" in note]
    assert clean.metrics["advantage.roc_auc"].value == pytest.approx(advantage.value, abs=1e-12)
    assert clean.metrics["advantage.roc_auc"].low == pytest.approx(advantage.low, abs=1e-9)


def test_the_data_that_both_were_trained_on_are_judged_by_rows_that_both_held_out(here, run):
    text = (here / "project.yaml").read_text()
    (here / "project.yaml").write_text(
        text.replace("dataset: new", "dataset: old").replace("dataset: batch", "dataset: old")
    )
    run_once(run)
    found = newest(here)
    assert found.rows_read == 60  # a fifth of the rows is held out, by both models the same
    assert found.metrics["advantage.accuracy"].value is not None
    assert not [note for note in found.notes if "not compared on" in note]


def test_rows_that_repeat_do_not_count_as_seen(here, run):
    random = np.random.default_rng(5)
    for name, n in (("old", 300), ("new", 900), ("batch", 600)):
        a, b = random.integers(0, 3, size=(2, n))
        pl.DataFrame({"a": a, "b": b, "label": ((a + b + random.normal(size=n)) > 2).astype(int)}).write_parquet(
            here / f"{name}.parquet"
        )
    text = (here / "project.yaml").read_text()
    (here / "project.yaml").write_text(
        text.replace(", features: {exclude: [id]}", "").replace("    features: {exclude: [id]}\n", "")
    )
    run_once(run)
    found = newest(here)
    assert found.metrics["advantage.accuracy"].value is not None
    assert [note for note in found.notes if "so many rows of its data are equal" in note]


def test_the_comparison_waits_for_labels_and_nothing_is_promoted_meanwhile(here, run):
    draw(1000, seed=3, labelled=0).write_parquet(here / "batch.parquet")
    result = run_once(run)
    assert outcomes(result) == {"build": Outcome.SUCCESS, "judge": Outcome.SUCCESS, "ship": Outcome.SKIPPED}
    checks = [check for step in result.steps for check in step.checks]
    assert {(check.outcome, check.counts_as) for check in checks} == {(CheckOutcome.EMPTY, CheckOutcome.OK)}
    assert {check.reason for check in checks} == {"no labels: no row has a value in the target column 'label'"}


def test_a_challenger_that_cannot_score_leaves_the_evaluation_of_the_champion(here, run, module):
    module("def predict(frame):\n    raise RuntimeError('no such luck')\n")
    text = (here / "project.yaml").read_text()
    broken = '  candidate: {kind: python, task: binary_classification, target: label, function: "mine:predict"}\n'
    start, end = text.index("  candidate:"), text.index("evaluation_stores:")
    (here / "project.yaml").write_text(text[:start] + broken + text[end:])
    result = run_once(run)
    assert outcomes(result)["judge"] is Outcome.FAILED
    assert outcomes(result)["ship"] is Outcome.SKIPPED
    found = newest(here)
    assert found.metrics["roc_auc"].value is not None
    assert found.metrics["advantage.roc_auc"].failed
    assert "no such luck" in found.metrics["advantage.roc_auc"].reason
    assert [note for note in found.notes if note.startswith("challenger candidate cannot be compared: ")]


def test_scores_in_a_column_can_challenge_a_trained_model(here, run):
    batch = draw(1000, seed=3)
    score = 1 / (1 + np.exp(-(batch["a"] - batch["b"]).to_numpy()))
    batch.with_columns(score=pl.Series(score)).write_parquet(here / "batch.parquet")
    text = (here / "project.yaml").read_text()
    scored = "  candidate: {kind: scored, task: binary_classification, target: label, probability: score}\n"
    start, end = text.index("  candidate:"), text.index("evaluation_stores:")
    (here / "project.yaml").write_text(text[:start] + scored + text[end:])
    run_once(run)
    found = newest(here)
    assert found.metrics["advantage_low.roc_auc"].value > 0
    assert "it is unknown which rows model candidate was trained on: they may be among those compared" in (found.notes)


def test_another_challenger_evaluates_again_and_the_reason_is_reported(here, run):
    run_once(run)
    assert run_once(run).steps[0].reason.endswith("reused")
    text = (here / "project.yaml").read_text()
    (here / "project.yaml").write_text(text.replace("algorithm: logistic_regression", "algorithm: random_forest"))
    log = plan_reasons(here)
    assert any("challenger candidate, version 1 → candidate, version 2" in line for line in log), log
    run_once(run)
    assert newest(here).facts["challenger"] == {"model": "candidate", "version": "version 2"}
    changed = text.replace("    challenger: candidate\n", "")
    (here / "project.yaml").write_text(changed[: changed.index("    checks:")])
    assert any("the challenger was removed; it was candidate, version 2" in line for line in plan_reasons(here))


def plan_reasons(folder) -> list[str]:
    (planned,) = engine.load(folder / "project.yaml").plan().scenarios
    return [change.says for step in planned.steps for action in step.actions for change in action.changes]


def test_every_view_of_an_evaluation_shows_the_challenger(here, run):
    run_once(run)
    project = engine.load(here / "project.yaml")
    found = project.store("s").evaluation()
    table = project.store("s").challenger()
    (row,) = table.filter(pl.col("metric") == "roc_auc").to_dicts()
    advantage = found.metrics["advantage.roc_auc"]
    assert (row["advantage"], row["advantage_low"], row["verdict"]) == (advantage.value, advantage.low, "better")
    assert row["champion"] == pytest.approx(found.metrics["roc_auc"].value)
    assert row["challenger"] == found.metrics["challenger.roc_auc"].value
    view = describe_evaluation(EvaluationFacts("test", "batch", found))
    figure = format_figure(advantage.value)
    said = (
        f"The challenger candidate is better by {figure} in ROC AUC (95 % interval {format_figure(advantage.low)} to "
    )
    assert any(said in sentence for sentence in view.summary.model), view.summary
    page = render_page(view)
    assert "Champion against challenger" in page
    assert said in page
    assert "advantage.roc_auc" in [headline.metric for headline in view.headlines]
    (replayed, _) = project.store("s").replay().to_dicts()
    assert (replayed["check"], replayed["ok"]) == ("better", 1)
    history = project.store("s").evaluations(metrics=["advantage.roc_auc", "advantage_low.roc_auc"])
    assert history["advantage_low.roc_auc"].to_list() == [advantage.low]


def test_a_comparison_with_another_reference_keeps_the_challenger(here, run):
    run_once(run)
    draw(500, seed=9).write_parquet(here / "batch.parquet")
    run_once(run)
    project = engine.load(here / "project.yaml")
    with Store.open(here / ".engine" / "test") as store:
        first, second = store.evaluations.history("s")
    compared = project.store("s").compare(second.id, first.id)
    assert compared.metrics["advantage.roc_auc"] == second.metrics["advantage.roc_auc"]
    assert compared.facts["challenger"] == {"model": "candidate", "version": "version 1"}


def test_an_earlier_evaluation_without_a_challenger_goes_on_as_history(here, run):
    text = (here / "project.yaml").read_text()
    alone = text[: text.index("    checks:")].replace("    challenger: candidate\n", "")
    (here / "project.yaml").write_text(alone)
    run_once(run)
    (here / "project.yaml").write_text(text)
    run_once(run)
    history = engine.load(here / "project.yaml").store("s").evaluations(metrics=["roc_auc", "advantage.roc_auc"])
    before, now = history["advantage.roc_auc"].to_list()
    assert before is None
    assert now is not None
    assert history["roc_auc"][0] == history["roc_auc"][1]
