"""Drills: what fires and what would be sent if a batch were disturbed; and that nothing of it is kept."""

import hashlib
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

import engine
from engine.errors import DataError, UsageError
from engine.outcome import CheckOutcome, Outcome
from engine.scenarios.drill_result import DrilledCheck, DrillResult

Write = Callable[[str], Path]
Rows = Callable[..., Path]

PLAIN = """
    datasets:
      before: {path: before.parquet}
      now: {path: now.parquet, checks: {enough rows: {metric: row_count, min: 100}}}
    evaluation_stores:
      drift:
        dataset: now
        reference: {kind: dataset, dataset: before}
        checks:
          age moved: {metric: drift.age, soft_max: 0.1, max: 0.3}
          group moved: {metric: drift.group, soft_max: 0.1}
"""
REPORTING = (
    PLAIN
    + """
    channels:
      ops: {kind: mail, url: "smtp://localhost:1", from: engine@example.com}
    scenarios:
      weekly:
        steps:
          - {name: Build, kind: build, target: drift}
          - {name: Check, kind: run_checks, target: drift}
        reporters:
          - name: age alarm
            run_condition: checks['age moved'].outcome == 'ERROR'
            channel: ops
            to: [ops@example.com]
            subject: age has moved
"""
)
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


def hash_files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def by_check(drilled: DrillResult) -> dict[str, DrilledCheck]:
    return {check.result.check: check for check in drilled.compare_checks()}


def outcomes(check: DrilledCheck) -> tuple[CheckOutcome | None, CheckOutcome | None]:
    return tuple(one and one.outcome for one in (check.before, check.after))


@pytest.fixture
def plain(rows: Rows, spec: Write) -> Path:
    rows("before.parquet", 2000, seed=1)
    rows("now.parquet", 1000, seed=2)
    return spec(PLAIN)


@pytest.fixture
def reporting(plain: Path, spec: Write) -> Path:
    return spec(REPORTING)


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


def test_the_state_is_byte_for_byte_as_before_and_nothing_waits_to_be_sent(reporting: Path) -> None:
    project = engine.load(reporting)
    project.run("weekly")
    before = hash_files(reporting.parent)
    drilled = project.drill("drift", "shift age=+1sd", "missing score=30%", "shuffle group", "rows 300")
    assert drilled.heard
    assert hash_files(reporting.parent) == before
    assert project.outbox().is_empty()
    assert project.tables.count_runs() == 1


def test_a_drill_without_a_state_makes_none(plain: Path) -> None:
    before = hash_files(plain.parent)
    assert engine.load(plain).drill("drift", "shift age=+1sd").heard
    assert {name for name in hash_files(plain.parent) if not name.startswith(".engine")} == set(before)
    assert not list(plain.parent.rglob("state.db"))


def test_the_reporter_whose_condition_holds_shows_its_mail(reporting: Path) -> None:
    project = engine.load(reporting)
    [told] = project.drill("drift", "shift age=+1sd").messages
    assert 'Reporter "age alarm" would send through channel "ops"' in told
    assert "To: ops@example.com" in told
    assert "Subject: age has moved" in told
    assert "drift.age" in told
    [silent] = project.drill("drift", "category group=new:50%").messages
    assert silent.startswith('Reporter "age alarm" would send nothing: its run_condition does not hold')


def test_a_muted_check_does_not_fire_and_nothing_is_sent(reporting: Path) -> None:
    project = engine.load(reporting)
    project.run("weekly")
    project.mute("drift", "age moved", until=timedelta(days=3), reason="known")
    drilled = project.drill("drift", "shift age=+1sd")
    assert (by_check(drilled)["age moved"].muted, by_check(drilled)["age moved"].fires) == (True, False)
    assert (drilled.heard, drilled.messages[0].partition(":")[0]) == (False, 'Reporter "age alarm" would send nothing')


def test_a_reporter_that_has_told_of_it_already_stays_silent(reporting: Path, spec: Write, rows: Rows) -> None:
    """What counts is what the last real run has told: the run without disturbances changes no state of a reporter."""
    spec(
        REPORTING.replace("checks['age moved'].outcome == 'ERROR'", "outcome == 'FAILED'").replace(
            "            channel: ops\n", "            only_on_change: true\n            channel: ops\n"
        )
        + "      outbox_free:\n        steps: [{name: x, kind: build, target: now}]\n"
    )
    project = engine.load(reporting)
    told = project.drill("drift", "shift age=+1sd", scenarios=["weekly"]).messages
    assert "would send through" in told[0]
    rows("now.parquet", 1000, seed=2, shift=20)
    project.run("weekly")
    rows("now.parquet", 1000, seed=2)
    again = project.drill("drift", "shift age=+1sd", scenarios=["weekly"]).messages
    assert "would send nothing" in again[0]


def test_a_step_that_sends_shows_its_message_and_a_list_of_targets_is_drilled(plain: Path, spec: Write) -> None:
    spec(
        REPORTING.replace("kind: build, target: drift", "kind: build, target: [before, drift]").replace(
            "        reporters:\n",
            "          - {name: Tell, kind: send_message, channel: ops, to: [ops@example.com], subject: so far,\n"
            "             run_condition: \"checks['age moved'].outcome != 'OK'\"}\n        reporters:\n",
        )
    )
    drilled = engine.load(plain).drill("drift", "shift age=+1sd")
    assert [message.split(" would")[0] for message in drilled.messages] == ['Step "Tell"', 'Reporter "age alarm"']
    assert "Subject: so far" in drilled.messages[0]


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


def test_each_turn_of_a_loop_is_disturbed(plain: Path, rows: Rows, spec: Write) -> None:
    rows("later.parquet", 900, seed=3)
    spec(
        "    variables: {which: now}\n"
        + REPORTING.replace("now.parquet", '"${which}.parquet"').replace(
            "      weekly:\n", "      weekly:\n        for_each: [{which: now}, {which: later}]\n"
        )
    )
    drilled = engine.load(plain).drill("drift", "shift age=+1sd")
    fired = {check.turn for check in drilled.compare_checks() if check.fires}
    assert fired == {"which = now", "which = later"}
    assert drilled.remarks == ("2 batches are disturbed; the rows are those of the last one",)
    assert "of 900 rows" in drilled.disturbances[0][1]


def test_the_scenario_of_run_is_drilled_or_the_one_that_is_named(plain: Path, spec: Write) -> None:
    spec(
        "    run: weekly\n"
        + REPORTING
        + "      only build:\n        steps: [{name: Inner, kind: build, target: drift}]\n"
        + "      nothing:\n        steps: [{name: Check, kind: run_checks, target: now}]\n"
        + "      nested:\n        steps: [{name: Outer, kind: run_scenario, scenario: only build}]\n"
    )
    project = engine.load(plain)
    drilled = project.drill("drift", "shift age=+1sd")
    assert (drilled.scenarios, set(drilled.others)) == (("weekly",), {"only build", "nested"})
    nested = project.drill("drift", "missing age=10%", scenarios=["nested"])
    assert (nested.scenarios, nested.messages, nested.heard) == (("nested",), (), False)
    assert (drilled.unchecked, nested.unchecked) == ((), ("age moved", "group moved"))
    with pytest.raises(
        UsageError, match="scenario 'nothing' does not build evaluation store 'drift'; name also weekly, only"
    ):
        project.drill("drift", "shift age=+1sd", scenarios=["nothing"])
    with pytest.raises(UsageError, match="no scenario 'weakly'; did you mean 'weekly'"):
        project.drill("drift", "shift age=+1sd", scenarios=["weakly"])


def test_a_scenario_that_only_checks_is_drilled_after_the_one_of_run_that_builds(plain: Path, spec: Write) -> None:
    reporting = REPORTING.replace("          - {name: Build, kind: build, target: drift}\n", "")
    builder = "      only build:\n        steps: [{name: Build, kind: build, target: drift}]\n"
    spec("    run: [only build, weekly]\n" + reporting + builder)
    project = engine.load(plain)
    drilled = project.drill("drift", "shift age=+1sd")
    assert drilled.scenarios == ("only build", "weekly")
    assert by_check(drilled)["age moved"].fires
    assert "would send through" in drilled.messages[0]
    spec(reporting + builder)  # without run: nobody knows the order
    assert engine.load(plain).drill("drift", "shift age=+1sd").others == ("weekly",)
    both = engine.load(plain).drill("drift", "shift age=+1sd", scenarios=["only build", "weekly"])
    assert both.messages[0].splitlines()[0] == drilled.messages[0].splitlines()[0]


def test_a_python_step_is_not_called_and_no_report_is_written(
    plain: Path, spec: Write, module: Callable[[str], None]
) -> None:
    module("import pathlib\n\ndef touch():\n    pathlib.Path(__file__).with_name('touched').touch()\n")
    spec(
        REPORTING.replace(
            "          - {name: Check,",
            '          - {name: Touch, kind: python, function: "mine:touch"}\n'
            "          - {name: Page, kind: report, target: drift, path: page.html}\n"
            "          - {name: Check,",
        )
    )
    assert engine.load(plain).drill("drift", "shift age=+1sd").heard
    assert not plain.with_name("touched").exists()
    assert not plain.with_name("page.html").exists()


@pytest.mark.parametrize(
    ("terms", "why"),
    [
        (["shift agee=+1"], "dataset 'now' has no column 'agee'; did you mean 'age'?"),
        (["rows 5000"], "dataset 'now' has 1,000 rows; name a smaller number"),
        (["rows 300", "rows 300"], "dataset 'now' has 300 rows"),
        ([], "a drill needs a disturbance"),
        (["shift person=+1sd"], "the standard deviation of person in the reference is not known"),
        (["drop age", "shift age=+1sd"], "it is dropped before"),
    ],
)
def test_what_cannot_be_disturbed_is_a_mistake_of_the_user(
    plain: Path, spec: Write, terms: list[str], why: str
) -> None:
    spec(PLAIN.replace("path: now.parquet,", "path: now.parquet, columns: {person: {role: identifier}},"))
    with pytest.raises(UsageError) as wrong:
        engine.load(plain).drill("drift", *terms)
    assert why in str(wrong.value)


def test_a_store_that_cannot_be_built_undisturbed_is_no_place_for_a_drill(plain: Path, spec: Write) -> None:
    spec(PLAIN.replace("min: 100", "min: 100000"))
    with pytest.raises(DataError, match=r"cannot be built without any disturbance.*enough rows"):
        engine.load(plain).drill("drift", "shift age=+1sd")


def test_nobody_hears_of_what_no_check_looks_at(plain: Path) -> None:
    drilled = engine.load(plain).drill("drift", "missing label=20%")
    assert not drilled.heard
    assert not any(check.fires for check in drilled.compare_checks())


def test_what_fires_without_the_disturbance_does_not_count(plain: Path, rows: Rows) -> None:
    rows("now.parquet", 1000, seed=2, shift=20)
    drilled = engine.load(plain).drill("drift", "shuffle score")
    assert by_check(drilled)["age moved"].fired_before
    assert not drilled.heard
