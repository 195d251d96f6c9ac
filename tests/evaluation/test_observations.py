"""One side of a comparison as it arrives: labels that are late, predictions and columns that are gone, other types."""

from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as sk

from engine.errors import DataError
from engine.evaluation.record import MetricValue
from engine.outcome import CheckOutcome, Outcome

N = 200
BINARY = {
    "kind": "scored",
    "task": "binary_classification",
    "target": "label",
    "positive": 1,
    "prediction": "guess",
    "probability": "chance",
    "features": {"include": ["x", "kind"]},
}
REGRESSION = {
    "kind": "scored",
    "task": "regression",
    "target": "y",
    "prediction": "said",
    "features": {"include": ["x"]},
}
PERFORMANCE = ("accuracy", "precision", "recall", "f1", "roc_auc", "log_loss", "brier", "mcc")
PLACE = pl.int_range(pl.len())


def rows(seed: int, n: int = N) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    x = random.normal(size=n)
    chance = 1 / (1 + np.exp(-x))
    return pl.DataFrame(
        {
            "x": x,
            "kind": random.choice(["a", "b"], n),
            "label": (random.random(n) < chance).astype(int),
            "chance": chance,
            "guess": (chance > 0.5).astype(int),
        }
    )


def plain(seed: int, n: int = N) -> pl.DataFrame:
    return rows(seed, n).select("x", "kind")


def keep_where(column: str, condition: pl.Expr) -> pl.Expr:
    """Return a column whose values are missing where the condition does not hold."""
    return pl.when(condition).then(pl.col(column)).alias(column)


def test_labels_of_every_row_cannot_be_compared_with_the_rest(watch) -> None:
    metrics = watch(rows(0), rows(1), model=BINARY).metrics
    assert metrics["labelled_share"].value == 1
    assert metrics["labelled_drift"] == MetricValue(None, reason="every row has a label", counts_as_ok=True)


def test_performance_is_that_of_the_rows_with_a_label(watch) -> None:
    batch = rows(1).with_columns(keep_where("label", PLACE < 80))
    watched = watch(rows(0), batch, model=BINARY)
    found, known = watched.values, batch.head(80)
    assert found["labelled_share"] == pytest.approx(0.4)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(known["label"], known["guess"]))
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(known["label"], known["chance"]))
    assert found["row_count"] == N
    assert found["labelled_drift"] == 0
    assert "performance on 80 of 200 rows: 120 have no label" in watched.store.evaluation().notes


def test_labels_of_other_rows_than_the_rest_are_reported(watch) -> None:
    batch = rows(1, 600).with_columns(keep_where("label", pl.col("x") > 0.3))
    watched = watch(rows(0, 600), batch, model=BINARY)
    assert (watched.values["labelled_drift"] or 0) > 0.5
    assert (watched.metrics["labelled_drift"].p_value or 0) < 0.001
    labelled = batch["label"].count()
    told = f"the {labelled} labelled rows differ from the {600 - labelled} unlabelled ones in the probability"
    assert any(note.startswith(told) for note in watched.store.evaluation().notes)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rows: rows.drop("label"), "no labels: there is no target column 'label'"),
        (
            lambda rows: rows.with_columns(label=pl.lit(None, pl.Int64)),
            "no labels: no row has a value in the target column 'label'",
        ),
    ],
    ids=["no column", "no value"],
)
def test_labels_that_are_late_leave_drift_and_are_forgiven(watch, change, reason: str) -> None:
    checks = {"good": {"metric": "roc_auc", "min": 0.7}, "kept": {"metric": "performance_change.f1", "min": -0.1}}
    watched = watch(rows(0), change(rows(1)), model=BINARY, checks=checks)
    metrics, whole = watched.metrics, watch(rows(0), rows(1), model=BINARY).metrics
    assert metrics["labelled_share"].value == 0
    assert metrics["labelled_drift"].reason == "no row has a label"
    for name in PERFORMANCE:
        assert metrics[name] == MetricValue(None, reason=reason, counts_as_ok=True), name
        changed = metrics[f"performance_change.{name}"]
        assert changed == MetricValue(None, reason=f"unknown for the batch: {reason}", counts_as_ok=True)
    for name in ("drift.x", "prediction_drift.drift", "prediction_drift.psi", "predicted_share.1", "data_drift"):
        assert metrics[name] == whole[name]


def test_late_labels_leave_the_run_a_success_that_says_what_was_not_measured(watch) -> None:
    checks = {"good": {"metric": "roc_auc", "min": 0.7}, "rows": {"metric": "row_count", "min": 1}}
    watched = watch(rows(0), rows(1).drop("label"), model=BINARY, checks=checks)
    run = watched.project.run("watch")
    assert run.outcome is Outcome.SUCCESS
    told = "OK: 2 checks, 1 of them measured nothing: roc_auc (no labels: there is no target column 'label')"
    assert told in watched.project.log(run.id)["text"].to_list()
    results = {one.check: one for one in run.steps[-1].checks}
    assert (results["good"].outcome, results["good"].counts_as) == (CheckOutcome.EMPTY, CheckOutcome.OK)


def test_a_reference_without_labels_leaves_performance_and_no_change_of_it(watch) -> None:
    metrics = watch(rows(0).drop("label"), rows(1), model=BINARY).metrics
    assert metrics["accuracy"].value is not None
    assert metrics["performance_change.accuracy"].value is None
    assert metrics["performance_change.accuracy"].reason == (
        "unknown for the reference: no labels: there is no target column 'label'"
    )


def test_rows_without_a_prediction_are_counted_and_not_measured(watch) -> None:
    batch = rows(1).with_columns(keep_where("chance", PLACE < 150))
    watched = watch(rows(0), batch, model=BINARY)
    known = batch.head(150)
    assert watched.values["prediction_missing_share"] == 0.25
    assert watched.values["accuracy"] == pytest.approx(sk.accuracy_score(known["label"], known["guess"]))
    assert "performance on 150 of 200 rows: 50 have no prediction" in watched.store.evaluation().notes


@pytest.mark.parametrize("gone", ["chance", "guess"])
def test_without_the_models_column_nothing_is_scored_and_the_columns_are_compared(watch, gone: str) -> None:
    watched = watch(rows(0), rows(1).drop(gone), model=BINARY)
    metrics, whole = watched.metrics, watch(rows(0), rows(1), model=BINARY).metrics
    said = f"dataset 'batch' has no column '{gone}', which model 'scorer' needs"
    for name in (*PERFORMANCE, "prediction_drift.drift", "prediction_missing_share"):
        assert (metrics[name].value, metrics[name].failed) == (None, True), name
        assert str(metrics[name].reason).startswith(said), name
    other = {"chance": "guess", "guess": "chance"}[gone]  # which the model needs itself, so it is not meant
    assert f"{other!r}" not in str(metrics["accuracy"].reason).removeprefix(said)
    assert metrics["labelled_share"].value == 1
    for name in ("psi.x", "psi.kind", "missing_share.x"):
        assert metrics[name] == whole[name]
    assert any(note.startswith(f"the rows are not scored: {said}") for note in watched.store.evaluation().notes)


def test_a_label_that_is_not_a_class_of_the_model_is_found_with_its_place(watch) -> None:
    batch = rows(1).with_columns(label=pl.when(PLACE == 6).then(2).otherwise("label"))
    metric = watch(rows(0), batch, model=BINARY).metrics["accuracy"]
    assert (metric.value, metric.counts_as_ok) == (None, False)
    assert "none of the classes 0, 1: 2" in str(metric.reason)
    assert "row 7 of batch.parquet" in str(metric.reason)


def test_a_regression_is_measured_on_the_rows_with_a_truth(watch) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=120)
    before = pl.DataFrame({"x": x, "y": 2 * x, "said": 2 * x + 0.5})
    now = before.with_columns(keep_where("y", PLACE >= 20))
    found = watch(before, now, model=REGRESSION).values
    assert found["labelled_share"] == pytest.approx(100 / 120)
    assert (found["mae"], found["mse"], found["rmse"]) == pytest.approx((0.5, 0.25, 0.5))
    assert found["performance_change.mae"] == pytest.approx(0)
    assert found["pearson"] == pytest.approx(1)


def test_a_batch_without_rows_measures_nothing_and_says_so(watch) -> None:
    watched = watch(rows(0), rows(1).clear(), model=BINARY)
    metrics = watched.metrics
    assert metrics["row_count"].value == 0
    for name in ("drifted_columns", "drifted_share"):
        assert metrics[name] == MetricValue(None, reason="the batch has no rows")
    for name in ("data_drift", "drift.x", "drift.kind", "accuracy", "labelled_share"):
        assert metrics[name].value is None
        assert metrics[name].reason
        assert not metrics[name].counts_as_ok, name
    assert "the batch has no rows: nothing was compared or measured" in watched.store.evaluation().notes


def test_a_reference_without_rows_is_refused(watch) -> None:
    with pytest.raises(AssertionError, match="dataset 'reference', the reference, has no rows"):
        watch(plain(0).clear(), plain(1))


def test_a_column_that_is_gone_has_no_value_and_the_likely_new_name(watch) -> None:
    checks = {"x": {"metric": "drift.x", "max": 0.9}, "any": {"metric": "drift.*", "max": 0.9}}
    watched = watch(plain(0), plain(1).rename({"x": "X"}), checks=checks)
    metrics = watched.metrics
    for name in ("drift.x", "psi.x", "mean.x", "type_changed.x"):
        assert metrics[name].value is None
        assert metrics[name].reason == "dataset 'batch' has no column 'x'; did you mean 'X'?"
        assert not metrics[name].counts_as_ok
    assert metrics["drift.kind"].value is not None
    assert watched.store.evaluation().left_out["X"] == "the reference has no such column"
    found = {(one.check, one.metric): one for one in watched.project.check("mes")}
    assert found["x", "drift.x"].counts_as is CheckOutcome.WARNING
    assert found["any", "drift.x"].counts_as is CheckOutcome.WARNING
    assert found["any", "drift.kind"].counts_as is CheckOutcome.OK


def test_a_batch_that_has_no_column_of_the_reference_is_an_error_that_names_them(watch) -> None:
    with pytest.raises(AssertionError, match=r"no column 'x', nor 'kind', which the reference has; there are 'y', 'q'"):
        watch(plain(0), plain(1).rename({"x": "y", "kind": "q"}))


def test_what_is_not_compared_is_listed_with_the_reason(watch) -> None:
    def more(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.with_columns(
            key=PLACE.cast(pl.String) + "-id",
            day=pl.lit(date(2026, 1, 1)),
            row=PLACE,
            parts=pl.lit([1, 2]),
            secret=pl.lit(1.0),
        )

    watched = watch(more(plain(0)), more(plain(1)), drift={"columns": {"exclude": ["secret"]}})
    evaluation = watched.store.evaluation()
    assert evaluation.left_out == {
        "key": "an identifier: nearly every value is different",
        "day": "a date, which always differs between two periods",
        "row": "counts up with row order",
        "parts": "List(Int64) values are not compared",
        "secret": "excluded from drift",
    }
    assert set(watched.store.columns()["column"]) == {"x", "kind"}
    assert not [name for name in evaluation.metrics if name.partition(".")[2] in evaluation.left_out]


def test_numbers_that_arrive_as_text_are_compared_as_numbers_and_reported(watch) -> None:
    watched = watch(plain(0), plain(1).with_columns(pl.col("x").cast(pl.String)))
    usual = watch(plain(0), plain(1)).metrics
    told = "column 'x' is text in dataset 'batch', but number in the reference: its texts are read as numbers"
    assert watched.metrics["type_changed.x"] == MetricValue(1.0, reason=told)
    assert told in watched.store.evaluation().notes
    for name in ("drift.x", "ks.x", "mean.x", "psi.x", "data_drift"):
        assert watched.metrics[name] == usual[name]


def test_texts_that_are_not_numbers_are_not_compared_and_the_first_is_shown(watch) -> None:
    batch = plain(1).with_columns(
        pl.when(PLACE == 2).then(pl.lit("n/a")).otherwise(pl.col("x").cast(pl.String)).alias("x")
    )
    metrics = watch(plain(0), batch).metrics
    assert metrics["type_changed.x"].value == 1
    for name in ("drift.x", "psi.x", "mean.x"):
        assert metrics[name].value is None
        assert "row 3 holds 'n/a'" in str(metrics[name].reason)
    assert metrics["drift.kind"].value is not None


def test_numbers_in_place_of_categories_are_other_categories(watch) -> None:
    metrics = watch(plain(0), plain(1).with_columns(kind=PLACE % 2)).metrics
    assert metrics["unseen_share.kind"].value == 1
    assert metrics["drift.kind"].value == pytest.approx(1)
    assert metrics["data_drift"].value == 1


@pytest.mark.parametrize(
    "empty", [pl.lit(None, pl.Float64), pl.lit(None), pl.lit(float("nan"))], ids=["null", "no type", "nan"]
)
def test_a_column_without_any_value_is_drift(watch, empty: pl.Expr) -> None:
    metrics = watch(plain(0), plain(1).with_columns(x=empty)).metrics
    assert metrics["missing_share.x"].value == 1
    assert metrics["missing_share_change.x"].value == 1
    assert metrics["drift.x"].value == pytest.approx(1)
    assert metrics["mean.x"].value is None
    assert metrics["mean.x"].reason == "the batch has no value"


def test_a_constant_column_has_numbers_and_no_drift(watch) -> None:
    same = [plain(seed).with_columns(x=1.0) for seed in (0, 1)]
    found = watch(*same).values
    assert (found["drift.x"], found["psi.x"], found["ks.x"], found["mean.x"], found["std.x"]) == (0, 0, 0, 1, 0)


def test_infinite_values_are_ordered_and_leave_only_sums_without_a_value(watch) -> None:
    batch = plain(1).with_columns(x=pl.when(PLACE < 3).then(float("inf")).otherwise("x"))
    large = plain(1).with_columns(x=pl.when(PLACE < 3).then(1e300).otherwise("x"))
    metrics, finite = watch(plain(0), batch).metrics, watch(plain(0), large).metrics
    for name in ("ks.x", "psi.x", "js.x", "missing_share.x"):
        assert metrics[name].value == finite[name].value, name
    for name in ("mean.x", "std.x", "wasserstein.x"):
        assert metrics[name].value is None
        assert "infinite" in str(metrics[name].reason)


def test_a_batch_of_one_row_has_statistics_and_hardly_a_verdict(watch) -> None:
    metrics = watch(plain(0), plain(1, 1)).metrics
    assert metrics["mean.x"].value == plain(1, 1)["x"][0]
    assert metrics["std.x"].value is None
    assert (metrics["data_drift"].value, metrics["data_drift"].counts_as_ok) == (None, True)
    assert str(metrics["data_drift"].reason).startswith("too few rows: 1 of the batch")


def test_an_entity_that_one_side_lacks_makes_rows_independent_and_is_reported(observe, evaluate) -> None:
    cards = plain(0).with_columns(card=PLACE // 4)
    reference = observe(cards, entity="card").as_reference()
    found = evaluate(observe(plain(1), reference), reference)
    assert "the batch has no column 'card', the entity: p-values count every row as independent" in found.notes
    reference = observe(plain(0)).as_reference()
    found = evaluate(observe(cards, reference, entity="card"), reference)
    assert "the reference has no column 'card', the entity: p-values count every row as independent" in found.notes


def test_an_entity_of_which_no_value_occurs_twice_is_told(observe, evaluate) -> None:
    note = "no value of 'card', the entity, occurs twice: every row counts as independent"
    size = plain(0).height
    for of_reference, of_batch, told in (
        (PLACE, PLACE + size, True),
        (PLACE, PLACE, False),  # the sides share them
        (PLACE // 2, PLACE + size, False),
    ):
        reference = observe(plain(0).with_columns(card=of_reference), entity="card").as_reference()
        found = evaluate(observe(plain(1).with_columns(card=of_batch), reference, entity="card"), reference)
        assert (note in found.notes) == told


def test_a_dataset_without_the_entity_cannot_stand_in_for_the_reference(watch) -> None:
    sides = [plain(seed).with_columns(card=PLACE % 50) for seed in (0, 1)]
    watched = watch(*sides, entity="card")
    plain(0).write_parquet(watched.folder / "reference.parquet")
    with pytest.raises(DataError, match=r"dataset 'reference'.*'card'"):
        watched.store.compare(None, "dataset:reference")


def test_the_entity_column_is_not_compared(watch) -> None:
    sides = [plain(seed).with_columns(card=PLACE % 50) for seed in (0, 1)]
    watched = watch(*sides, entity="card")
    evaluation = watched.store.evaluation()
    assert evaluation.left_out == {"card": "the entity: it says which rows belong together"}
    assert "drift.card" not in evaluation.metrics
    assert not any("assumes that rows are independent" in note for note in evaluation.notes)


def test_without_any_column_to_compare_nothing_is_said_to_be_ok(watch) -> None:
    exclude: dict[str, Any] = {"columns": {"exclude": ["x", "kind"]}}
    metrics = watch(plain(0), plain(1), drift=exclude).metrics
    for name in ("data_drift", "data_drift_low", "drifted_columns", "drifted_share"):
        assert metrics[name] == MetricValue(None, reason="there is no column to compare"), name


def test_the_number_of_drifted_columns_is_unknown_if_no_column_has_a_verdict(watch) -> None:
    checks = {"few": {"metric": "drifted_columns", "max": 0}, "share": {"metric": "drifted_share", "max": 0.5}}
    watched = watch(plain(0, 1).select("x"), plain(1, 1).select("x"), checks=checks)
    for name in ("drifted_columns", "drifted_share"):
        metric = watched.metrics[name]
        assert (metric.value, metric.counts_as_ok) == (None, True)
        assert str(metric.reason).startswith("no column has a verdict: too few rows: ")
    for result in watched.project.check("mes"):
        assert (result.outcome, result.counts_as) == (CheckOutcome.EMPTY, CheckOutcome.OK)
    # one verdict is enough
    some = watch(plain(0, 200), plain(1, 1)).values
    assert (some["drift.kind"], some["drift.x"], some["drifted_columns"], some["drifted_share"]) == (None, 0, 0, 0)


@pytest.mark.parametrize("sizes", [(1, 1), (1, 50), (50, 1), (3, 4), (200, 200)])
def test_a_metric_without_a_value_has_a_reason_for_any_number_of_rows(watch, sizes: tuple[int, int]) -> None:
    before, now = (rows(seed, n) for seed, n in enumerate(sizes))
    for name, metric in watch(before, now, model=BINARY).metrics.items():
        if metric.value is None:
            assert metric.reason, name
        else:
            assert metric.value == metric.value, name  # NaN is not
