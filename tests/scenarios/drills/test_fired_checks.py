"""Drills: which checks fire if a batch is disturbed, and which rows are disturbed."""

from collections.abc import Callable
from datetime import date
from pathlib import Path

import polars as pl
import pytest

import engine
from engine.outcome import CheckOutcome, Outcome
from engine.scenarios.drill_result import DrilledCheck

from .drilled_results import PLAIN, REPORTING, Rows, Write, by_check, hash_files

MODEL = """
    datasets:
      past: {path: past.parquet}
      now: {path: now.parquet}
    models:
      risk:
        kind: train
        task: binary_classification
        dataset: past
        target: label
        algorithm: logistic_regression
        features: {include: [age, score]}
    evaluation_stores:
      store:
        model: risk
        dataset: now
        checks:
          auc holds: {metric: roc_auc, soft_min: 0.6}
          predictions moved: {metric: prediction_drift.drift, soft_max: 0.1}
          mean of mine: {metric: mine, max: 70}
        metrics: {mine: {function: "mine:oldest"}}
"""


def outcomes(check: DrilledCheck) -> tuple[CheckOutcome | None, CheckOutcome | None]:
    return tuple(one and one.outcome for one in (check.before, check.after))


@pytest.fixture
def model(rows: Rows, spec: Write, module: Callable[[str], None]) -> Path:
    rows("past.parquet", 2000, seed=1)
    rows("now.parquet", 1000, seed=2)
    module("def oldest(frame):\n    return frame.select('age').max().collect().item()\n")
    return spec(MODEL)


def test_a_check_fires_beside_one_that_stays_silent(plain: Path) -> None:
    drilled = engine.load(plain).drill("drift", "shift age=+1sd")
    found = by_check(drilled)
    assert outcomes(found["age moved"]) == (CheckOutcome.OK, CheckOutcome.ERROR)
    assert outcomes(found["group moved"]) == (CheckOutcome.OK, CheckOutcome.OK)
    assert (found["age moved"].fires, found["group moved"].fires, drilled.heard) == (True, False, True)
    reference = pl.read_parquet(plain.with_name("before.parquet"))["age"].std()
    assert drilled.disturbances[0][0].added == pytest.approx(reference)
    assert "in 1,000 of 1,000 rows" in drilled.disturbances[0][1]


def test_the_disturbed_batch_stands_for_the_time_of_the_present_one(rows: Rows, spec: Write) -> None:
    """The same data at an earlier time is another batch, and stays what the disturbed one is compared with."""
    path = spec(
        PLAIN.replace("        dataset: now\n", '        dataset: now\n        evaluation: {time: "${as_of}"}\n')
        + "          mean holds: {metric: mean.age, compare: previous, soft_min: -5, soft_max: 5}\n"
    )
    rows("before.parquet", 2000, seed=1)
    rows("now.parquet", 1000, seed=2)
    for day in (20, 21, 22):
        engine.load(path, as_of=date(2026, 11, day)).run("default")
    before = hash_files(path.parent)
    found = by_check(engine.load(path, as_of=date(2026, 11, 21)).drill("drift", "shift age=+20"))["mean holds"]
    assert [one and one.value for one in (found.before, found.after)] == [0, pytest.approx(20)]
    assert hash_files(path.parent) == before


def test_the_undisturbed_numbers_are_those_of_the_stored_evaluation(plain: Path) -> None:
    project = engine.load(plain)
    project.run("default")
    stored = project.store("drift").evaluation()
    found = by_check(project.drill("drift", "shift age=+1sd"))
    before, after = found["age moved"].before, found["age moved"].after
    assert before
    assert before.value == stored.find_value("drift.age")
    assert after
    shifted = pl.read_parquet(plain.with_name("now.parquet")).with_columns(
        pl.col("age") + pl.read_parquet(plain.with_name("before.parquet"))["age"].std()
    )
    shifted.write_parquet(plain.with_name("now.parquet"))
    project.run("default")
    assert after.value == pytest.approx(project.store("drift").evaluation().find_value("drift.age"))


def test_a_broken_contract_stops_the_build_as_in_a_run(plain: Path, spec: Write) -> None:
    spec(REPORTING.replace("path: now.parquet,", "path: now.parquet, columns: {score: {required: true}},"))
    drilled = engine.load(plain).drill("drift", "missing score=1%")
    [failed] = drilled.list_failures()
    assert failed.name == "Build"
    assert "10 of 1000 values are missing" in failed.reason
    assert drilled.after[0].outcome is Outcome.FAILED
    assert drilled.heard
    assert by_check(drilled)["age moved"].after is None


def test_a_check_of_the_dataset_fires_when_rows_are_lost(plain: Path) -> None:
    drilled = engine.load(plain).drill("drift", "rows 50")
    found = by_check(drilled)
    assert outcomes(found["enough rows"]) == (CheckOutcome.OK, CheckOutcome.ERROR)
    assert found["age moved"].after is None
    assert not drilled.list_failures()  # the check has stopped the build; nothing else has
    assert drilled.heard


def test_predictions_performance_and_metrics_of_ones_own_see_the_disturbed_rows(model: Path) -> None:
    found = by_check(engine.load(model).drill("store", "shift age=+2sd"))
    assert outcomes(found["predictions moved"])[0] is CheckOutcome.OK
    assert found["predictions moved"].fires
    before, after = found["mean of mine"].before, found["mean of mine"].after
    assert before
    assert after
    assert after.value == pytest.approx(before.value + 2 * 10, abs=1)
    shuffled = by_check(engine.load(model).drill("store", "shuffle age", "shuffle score"))
    assert shuffled["auc holds"].fires
    assert not shuffled["predictions moved"].fires


def test_a_feature_that_the_model_needs_is_gone(model: Path) -> None:
    drilled = engine.load(model).drill("store", "drop age")
    assert drilled.heard
    found = by_check(drilled)
    assert any("age" in one.after.reason for one in found.values() if one.after) or any(
        "age" in step.reason for step in drilled.list_failures()
    )


def test_neither_the_reference_nor_the_training_data_are_disturbed(rows: Rows, spec: Write) -> None:
    """One dataset is batch, training data and reference: the model is not trained again, the reference stays."""
    rows("past.parquet", 2000, seed=1)
    path = spec(
        MODEL.replace("now: {path: now.parquet}", "")
        .replace("dataset: now", "dataset: past")
        .replace("          mean of mine: {metric: mine, max: 70}\n", "")
        .replace('        metrics: {mine: {function: "mine:oldest"}}\n', "")
    )
    project = engine.load(path)
    project.run("default")
    drilled = project.drill("store", "shift age=+2sd")
    build = drilled.after[0].steps[0]
    assert [action.because for action in build.actions if action.kind == "train"] == ["reused"]
    assert by_check(drilled)["predictions moved"].fires
    rows_of = [step.metrics["row_count"] for step in (drilled.before[0].steps[0], build)]
    assert rows_of == [400, 400]  # the held-out rows alone, in both runs


def test_a_warning_about_the_batch_counts_where_a_model_is_trained_on_it(rows: Rows, spec: Write) -> None:
    rows("past.parquet", 2000, seed=1)
    path = spec(
        MODEL.replace("past.parquet}", "past.parquet, checks: {all known: {metric: missing_share.group, soft_max: 0}}}")
        .replace("now: {path: now.parquet}", "")
        .replace("dataset: now", "dataset: past")
        .replace("          mean of mine: {metric: mine, max: 70}\n", "")
        .replace('        metrics: {mine: {function: "mine:oldest"}}\n', "")
    )
    known = by_check(engine.load(path).drill("store", "missing group=10%"))["all known"]
    assert [one and one.value for one in (known.before, known.after)] == [0, 0.1]


def test_a_query_is_disturbed_and_its_inputs_are_not(plain: Path, spec: Write) -> None:
    spec(
        PLAIN.replace("dataset: now", "dataset: old_ones").replace(
            "    evaluation_stores:",
            '      old_ones: {kind: query, sql: "SELECT * FROM now WHERE age > 40"}\n    evaluation_stores:',
        )
    )
    drilled = engine.load(plain).drill("drift", "shift age=-100")
    old = pl.read_parquet(plain.with_name("now.parquet")).filter(pl.col("age") > 40)["age"]
    assert drilled.disturbances[0][1] == f"age: shifted by -100 in {len(old)} of {len(old)} rows"
    after = drilled.after[0].steps[0].metrics
    assert after["max.age"] == pytest.approx(old.max() - 100)
    assert after["row_count"] == len(old)


def test_what_is_made_of_the_batch_is_disturbed_too(plain: Path, spec: Write) -> None:
    spec(
        PLAIN.replace(
            "    evaluation_stores:",
            '      unknown: {kind: query, sql: "SELECT * FROM now WHERE label IS NULL", '
            "checks: {hardly any: {metric: row_count, max: 10}}}\n    evaluation_stores:",
        )
    )
    found = by_check(engine.load(plain).drill("drift", "missing label=10%"))
    assert [one and one.value for one in (found["hardly any"].before, found["hardly any"].after)] == [0, 100]
    assert found["hardly any"].fires


def test_a_step_in_a_process_of_its_own_sees_the_disturbed_rows(plain: Path, spec: Write) -> None:
    spec(REPORTING.replace("kind: build, target: drift}", "kind: build, target: drift, timeout: 2m}"))
    drilled = engine.load(plain).drill("drift", "shift age=+1sd")
    assert outcomes(by_check(drilled)["age moved"]) == (CheckOutcome.OK, CheckOutcome.ERROR)
    assert "would send through" in drilled.messages[0]


@pytest.mark.parametrize("earlier", [False, True])
def test_a_rolling_reference_never_holds_the_batch_in_its_disturbed_form(
    rows: Rows, spec: Write, earlier: bool
) -> None:
    rolling = PLAIN.replace("{kind: dataset, dataset: before}", "{kind: rolling, last: 2}")
    path = spec(rolling.replace("now.parquet", "before.parquet"))
    rows("before.parquet", 2000, seed=1)
    rows("now.parquet", 1000, seed=2)
    if earlier:
        engine.load(path).run("default")
    spec(rolling)
    project = engine.load(path)
    if earlier:
        project.run("default")
    drilled = project.drill("drift", "shift age=+1sd")
    assert by_check(drilled)["age moved"].fires
    compared = drilled.after[0].steps[0].metrics["reference_mean.age"]
    source = "before.parquet" if earlier else "now.parquet"  # the undisturbed batch, where nothing is earlier
    assert compared == pytest.approx(pl.read_parquet(path.with_name(source))["age"].mean())


def test_checks_that_compare_with_the_previous_evaluation_compare_both_with_the_same_one(
    rows: Rows, spec: Write
) -> None:
    compared = PLAIN + "          mean holds: {metric: mean.age, compare: previous, soft_min: -5, soft_max: 5}\n"
    compared = compared.replace("min: 100}}", "min: 100}, same size: {metric: row_count, compare: previous, max: 600}}")
    path = spec(compared.replace("now.parquet", "before.parquet"))
    rows("before.parquet", 500, seed=1)
    rows("now.parquet", 1000, seed=2)
    engine.load(path).run("default")
    spec(compared)
    project = engine.load(path)
    project.run("default")
    found = by_check(project.drill("drift", "shift age=+20", "rows 900"))
    before, after = found["mean holds"].before, found["mean holds"].after
    assert before
    assert after
    assert found["mean holds"].fires
    assert after.value == pytest.approx(before.value + 20, abs=1)
    sizes = found["same size"]
    assert [one and one.value for one in (sizes.before, sizes.after)] == [500, 400]


def test_repeated_rows_are_those_of_the_batch_before_not_of_the_batch_itself(rows: Rows, spec: Write) -> None:
    repeated = PLAIN.replace("min: 100}}", "min: 100}, fresh: {metric: repeated_share, max: 0.5, when_empty: ok}}")
    path = spec(repeated.replace("now.parquet", "before.parquet"))
    rows("before.parquet", 500, seed=1)
    rows("now.parquet", 1000, seed=2)
    engine.load(path).run("default")
    spec(repeated)
    project = engine.load(path)
    project.run("default")
    fresh = by_check(project.drill("drift", "rows 500"))["fresh"]
    assert [one and one.value for one in (fresh.before, fresh.after)] == [0, 0]


def test_what_fires_without_the_disturbance_does_not_count(plain: Path, rows: Rows) -> None:
    rows("now.parquet", 1000, seed=2, shift=20)
    drilled = engine.load(plain).drill("drift", "shuffle score")
    assert by_check(drilled)["age moved"].fired_before
    assert not drilled.heard
