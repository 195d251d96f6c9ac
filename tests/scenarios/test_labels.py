"""Labels that come late, for a part of the rows, of one class, or under another name; rows without a prediction."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression

from engine import drift
from engine.api import load as load_project
from engine.cli.output import render_results
from engine.errors import Severity
from engine.formatting.numbers import format_figure
from engine.outcome import ExitCode, Outcome
from engine.pipeline.reports import collect_report_facts
from engine.scenarios import scenario_selection, session
from engine.scenarios.session import CallResult
from engine.spec import load
from engine.views import describe_evaluation

Spec = Callable[[str], Path]
Run = Callable[..., CallResult]
Metrics = Callable[[str], tuple[float | None, str | None]]
Write = Callable[..., None]

KINDS = {
    "scored": "kind: scored, probability: score, features: {include: [x]}",
    "python": "kind: python, function: 'mine:score', features: {include: [x]}",
    "skops": "kind: skops, path: model.skops",
    "train": "kind: train, dataset: reference, algorithm: logistic_regression, features: {include: [x]}",
}
PROJECT = """
    variables: {{batch: batch.parquet, name: monday}}
    datasets:
      reference: {{path: reference.parquet}}
      batch: {{path: "${{batch}}"}}
    models:
      v: {{task: binary_classification, target: y, {model}}}
    evaluation_stores:
      s:
        model: v
        dataset: batch
        reference: {reference}
        evaluation: {{name: "${{name}}"}}
        checks:
          performance: {{metric: roc_auc, min: 0.6}}
          predictions: {{metric: prediction_drift.drift, max: 0.3}}
"""
DATASET = "{kind: dataset, dataset: reference}"


def rows(n: int, seed: int, classes: tuple[object, object] = (0, 1)) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    x = random.normal(size=n)
    p = 1 / (1 + np.exp(-2 * x))
    return pl.DataFrame({"x": x, "score": p, "y": [classes[int(hit)] for hit in random.random(n) < p]})


def unlabelled(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(y=pl.lit(None, frame.schema["y"]))


@pytest.fixture
def write(tmp_path: Path, module: Callable[[str], None]) -> Write:
    """Write reference.parquet and batch.parquet, and what the models of all kinds need."""
    module("""
        import numpy as np

        def score(frame):
            assert frame.height, "called without rows"
            return 1 / (1 + np.exp(-2 * frame["x"].to_numpy()))
    """)
    fitted = LogisticRegression().fit(rows(500, 9).select("x"), rows(500, 9)["y"])
    skops.io.dump(fitted, tmp_path / "model.skops")

    def write(batch: pl.DataFrame, reference: pl.DataFrame | None = None) -> None:
        (rows(600, 0) if reference is None else reference).write_parquet(tmp_path / "reference.parquet")
        batch.write_parquet(tmp_path / "batch.parquet")

    return write


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    """Read a metric of the newest evaluation: its value, and the reason why there is none."""

    def read(metric: str) -> tuple[float | None, str | None]:
        found = load_project(tmp_path / "project.yaml").store("s").evaluation().metrics[metric]
        return found.value, found.reason

    return read


def declare(kind: str = "scored", reference: str = DATASET) -> str:
    return PROJECT.format(model=KINDS[kind], reference=reference)


@pytest.mark.parametrize("kind", ["scored", "python", "skops"])
@pytest.mark.parametrize("late", [unlabelled, lambda frame: frame.drop("y")], ids=["missing", "no column"])
def test_labels_that_are_not_there_yet_hinder_no_drift(
    kind: str,
    late: Callable[[pl.DataFrame], pl.DataFrame],
    spec: Spec,
    run: Run,
    write: Write,
    metrics: Metrics,
    tmp_path: Path,
) -> None:
    spec(declare(kind))
    write(late(rows(400, 1)))
    finished = run()
    assert finished.runs[0].outcome is Outcome.SUCCESS
    assert metrics("roc_auc")[0] is None
    assert (metrics("roc_auc")[1] or "").startswith("no labels: ")
    assert metrics("prediction_drift.drift")[0] is not None
    assert metrics("drift.x")[0] is not None
    # What is OK only for want of labels is not counted as if it had been measured.
    checked = finished.runs[0].steps[1]
    assert checked.unmeasured == [f"roc_auc ({metrics('roc_auc')[1]})"]
    told = render_results(finished, "text", ExitCode.OK, tmp_path)
    assert f"OK  2 checks, 1 of them measured nothing: {checked.unmeasured[0]}" in told
    assert json.loads(checked.model_dump_json())["unmeasured"] == checked.unmeasured


def test_a_batch_of_one_class_is_measured_by_the_classes_of_the_reference(
    spec: Spec, run: Run, write: Write, metrics: Metrics
) -> None:
    spec(declare())
    batch = rows(400, 1, ("no", "yes")).filter(y="no")
    write(batch, rows(600, 0, ("no", "yes")))
    run()
    assert metrics("accuracy")[0] == pytest.approx((batch["score"] < 0.5).mean())
    assert metrics("roc_auc")[1] == "all target values are of one class"
    assert metrics("predicted_share.yes")[0] == pytest.approx((batch["score"] >= 0.5).mean())


def test_a_rolling_store_keeps_its_classes_when_later_batches_have_no_labels(
    spec: Spec, run: Run, write: Write, metrics: Metrics
) -> None:
    spec(declare(reference="{kind: rolling, last: 1}"))
    write(rows(400, 1, ("good", "bad")))
    first = run()
    told = "evaluation monday: there is no earlier evaluation, so its batch is compared with itself"
    assert first.runs[0].steps[0].reason == told
    for seed in (2, 3):
        write(unlabelled(rows(400, seed, ("good", "bad"))))
        run()
    assert metrics("predicted_share.good")[0] == pytest.approx(0.5, abs=0.1)
    assert metrics("fugacity.good")[0] == pytest.approx(0, abs=0.3)


def test_labels_that_arrive_after_the_reference_was_stored_without_any_name_its_classes(
    spec: Spec, run: Run, write: Write, metrics: Metrics
) -> None:
    spec(declare())
    names = ("no", "yes")
    write(unlabelled(rows(400, 1, names)), unlabelled(rows(600, 0, names)))
    assert run().runs[0].outcome is Outcome.SUCCESS
    write(rows(400, 2, names), unlabelled(rows(600, 0, names)))
    run()
    assert metrics("roc_auc")[0] == pytest.approx(0.85, abs=0.08)
    assert metrics("reference_predicted_share.yes")[0] == pytest.approx((rows(600, 0)["score"] >= 0.5).mean())


@pytest.mark.parametrize("kind", ["scored", "python", "skops"])
def test_a_target_that_neither_side_has_is_an_error_in_plan_and_run(
    kind: str, spec: Spec, run: Run, write: Write, tmp_path: Path
) -> None:
    spec(declare(kind).replace("target: y", "target: yy"))
    write(rows(400, 1))
    project = load(tmp_path / "project.yaml", {}, environ={})
    plan = session.plan_scenarios(project, scenario_selection.select_scenarios(project))
    (found,) = plan.findings
    assert (found.severity, found.position) == (Severity.ERROR, project.position("models", "v", "target"))
    said = "neither dataset 'batch' nor dataset 'reference' has a column 'yy', the target of the model"
    assert (found.message, found.help) == (said, 'did you mean "y"?')
    at = f"({found.position.file}:{found.position.line}:{found.position.column})"
    assert run().runs[0].steps[0].reason == f'model v: {said}; did you mean "y"? {at}'


def test_a_plan_names_the_columns_that_a_scored_model_lacks(spec: Spec, write: Write, tmp_path: Path) -> None:
    spec(declare().replace("[x]", "[x, w]"))
    write(rows(400, 1).drop("score"))
    project = load(tmp_path / "project.yaml", {}, environ={})
    plan = session.plan_scenarios(project, scenario_selection.select_scenarios(project))
    assert [found.message for found in plan.findings] == [
        "dataset 'batch' has no column 'score'",
        "dataset 'batch' has no column 'w'",
        "dataset 'reference' has no column 'w'",
    ]


def test_rows_without_a_prediction_are_counted_and_the_measured_rows_are_named(
    spec: Spec, run: Run, write: Write, metrics: Metrics, tmp_path: Path
) -> None:
    spec(declare())
    place = pl.int_range(pl.len())
    batch = rows(1000, 1).with_columns(
        y=pl.when(place >= 100).then("y"), score=pl.when((place < 100) | (place >= 188)).then("score")
    )
    write(batch)
    run()
    assert metrics("prediction_missing_share")[0] == pytest.approx(0.088)
    assert metrics("labelled_share")[0] == pytest.approx(0.9)
    store = load_project(tmp_path / "project.yaml").store("s")
    assert "performance on 812 of 1,000 rows: 100 have no label, 88 no prediction" in store.evaluation().notes
    measured = batch.drop_nulls()
    right = ((measured["score"] >= 0.5).cast(pl.Int64) == measured["y"]).mean()
    assert metrics("accuracy")[0] == pytest.approx(right)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_without_rows_is_evaluated_and_empty(
    kind: str, spec: Spec, run: Run, write: Write, metrics: Metrics
) -> None:
    reference = "{kind: model_test}" if kind == "train" else DATASET
    spec(declare(kind, reference))
    write(rows(400, 1).head(0))
    build, checks = run().runs[0].steps
    assert (build.outcome, build.reason) == (Outcome.SUCCESS, "evaluation monday: the batch has no rows")
    assert [(check.outcome, check.counts_as, check.reason) for check in checks.checks] == [
        ("EMPTY", "WARNING", "there are no rows"),
        ("EMPTY", "WARNING", "the batch has no rows"),
    ]
    for metric in ("drifted_columns", "predicted_share.1", "fugacity.1", "labelled_drift", "prediction_missing_share"):
        assert metrics(metric)[0] is None
        assert metrics(metric)[1]


def test_a_reference_without_rows_ends_the_build_and_a_rolling_one_passes_over_it(
    spec: Spec, run: Run, write: Write, metrics: Metrics
) -> None:
    spec(declare())
    write(rows(400, 1), rows(10, 0).head(0))
    assert run().runs[0].steps[0].reason == (
        "dataset 'reference', the reference, has no rows, so there is nothing to compare with"
    )
    spec(declare(reference="{kind: rolling, last: 1}"))
    for batch in (rows(400, 1), rows(400, 1).head(0), rows(400, 2)):
        write(batch)
        run()
    assert metrics("prediction_drift.drift")[0] == 0


def test_the_evaluation_says_if_labelled_rows_differ_from_the_others(
    spec: Spec, run: Run, write: Write, metrics: Metrics, tmp_path: Path
) -> None:
    spec(declare())
    batch = rows(1000, 1).sort("score").with_columns(y=pl.when(pl.int_range(pl.len()) < 300).then("y"))
    write(batch)
    run()
    sides = batch.filter(pl.col("y").is_null()), batch.filter(pl.col("y").is_not_null())
    expected = drift.compare(*(side.select("score") for side in sides)).columns["score"].drift
    assert metrics("labelled_drift")[0] == pytest.approx(expected)
    note = load_project(tmp_path / "project.yaml").store("s").evaluation().notes[-1]
    size = f"(drift {format_figure(expected)})"
    found = f"the 300 labelled rows differ from the 700 unlabelled ones in the probability {size}"
    assert note == f"{found}: performance may not hold for all rows"
    at_random = rows(1000, 1).with_columns(y=pl.when(pl.int_range(pl.len()) % 3 == 0).then("y"))
    write(at_random)
    run()
    assert metrics("labelled_drift") == (0, None)
    write(rows(1000, 1))
    run()
    assert metrics("labelled_drift") == (None, "every row has a label")


def test_a_class_that_the_reference_does_not_have_is_named_with_its_row(
    spec: Spec, run: Run, write: Write, metrics: Metrics, tmp_path: Path
) -> None:
    spec(declare())
    names = ("no", "yes")
    batch = rows(400, 1, names).with_columns(
        y=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("maybe")).otherwise("y")
    )
    write(batch, rows(600, 0, names))
    batch.write_csv(tmp_path / "batch.csv")
    run(batch="batch.csv")
    said = "1 row has a target value that is none of the classes no, yes: maybe; the first is line 9 of batch.csv"
    assert metrics("accuracy") == (None, said)
    assert metrics("prediction_drift.drift")[0] == 0
    assert (
        f"performance is not measured: {said}" in load_project(tmp_path / "project.yaml").store("s").evaluation().notes
    )


def test_a_wrong_prediction_is_named_by_its_line_beyond_the_first_rows_that_are_scored(
    spec: Spec, run: Run, write: Write, tmp_path: Path
) -> None:
    spec(declare())
    write(rows(10, 1))
    many = rows(200_000, 1).with_columns(score=pl.when(pl.int_range(pl.len()) == 150_000).then(1.5).otherwise("score"))
    many.write_csv(tmp_path / "batch.csv")
    assert run(batch="batch.csv").runs[0].steps[0].reason == (
        "model v: probability of line 150002 of batch.csv is 1.5; a probability must be between 0 and 1"
    )


def test_a_run_says_once_what_a_plan_finds_in_the_data(spec: Spec, run: Run, write: Write, tmp_path: Path) -> None:
    spec(declare().replace("    checks:", "    drift: {columns: {exclude: [zz]}}\n        checks:"))
    write(rows(400, 1))
    heard: list[str] = []
    project = load(tmp_path / "project.yaml", {}, environ={})
    names = scenario_selection.select_scenarios(project)
    session.run_scenarios(project, names, listeners=[lambda line: heard.append(f"{line.level} {line.text}")])
    (found,) = session.plan_scenarios(project, names).findings
    at = f"{found.position.file}:{found.position.line}:{found.position.column}"
    assert [line for line in heard if line.startswith("warning")] == [f"warning {at}: {found.message}; {found.help}"]


def sentences(folder: Path) -> tuple[str, ...]:
    """Return the summary of the page about the newest evaluation."""
    project = load(folder / "project.yaml", {}, environ={})
    with session.open_session(project, environ={}) as context:
        newest = context.store.evaluations.find_newest("s")
        assert newest is not None
        return describe_evaluation(collect_report_facts(newest, context)).summary.sentences


def test_a_report_says_what_was_measured_on_which_rows(spec: Spec, run: Run, write: Write, tmp_path: Path) -> None:
    spec(declare(reference="{kind: rolling, last: 1}"))
    write(unlabelled(rows(400, 1)))
    run()
    checks, first, last = sentences(tmp_path)
    assert first.startswith("batch (400 rows) was compared with itself, because there is no earlier evaluation: ")
    assert last == "How the model performs is not known: no row has a value in the target column yet."
    assert checks == (
        "All 2 checks hold, but 1 of them measured nothing: roc_auc (no labels: no row has a value in the target "
        "column 'y')."
    )
    ranked = rows(1000, 2).sort("score")
    place = pl.int_range(pl.len())
    write(ranked.with_columns(y=pl.when((place < 400) & (place % 4 < 3)).then("y")))
    run()
    *_, last = sentences(tmp_path)
    assert last.startswith("On 300 of 1,000 rows (700 have no label), ROC AUC is ")
    assert "differ from those without in the predictions (drift 0." in last
    write(rows(10, 3).head(0))
    run()
    assert sentences(tmp_path)[1] == "batch: the batch has no rows, so nothing was compared or measured."


def test_an_earlier_version_kept_no_classes_but_what_was_predicted(
    spec: Spec, run: Run, write: Write, metrics: Metrics, tmp_path: Path
) -> None:
    spec(declare(reference="{kind: rolling, last: 1}"))
    write(rows(400, 1, ("bad", "good")))
    run()
    (kept,) = (tmp_path / ".engine").rglob("evaluations/*/snapshot.json")
    facts = json.loads(kept.read_text(encoding="utf-8"))
    kept.write_text(json.dumps({key: facts[key] for key in ("left_out", "entity", "performance")}), encoding="utf-8")
    write(unlabelled(rows(400, 2, ("bad", "good"))))
    run()
    assert metrics("fugacity.good")[0] == pytest.approx(0, abs=0.3)
