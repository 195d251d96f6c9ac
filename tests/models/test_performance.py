"""Every metric of every task against scikit-learn and scipy, and a reason wherever there is no value."""

import dataclasses
import json
import math
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sk

from engine.models import METRICS_BY_TASK, FittedModel, Performance, measure_performance
from engine.models.metrics.classification import count_by_threshold
from engine.spec.metrics import catalogue
from engine.spec.resources.models import CostMatrix

from .scored_rows import NoPredictor


def model(task, classes=(), positive=None):
    return FittedModel("m", task, "y", ("x",), NoPredictor(), tuple(classes), positive)


def of_binary(truth, probability, threshold=0.5, cost=None) -> Performance:
    p = np.asarray(probability, dtype=float)
    scored = pl.DataFrame(
        {"y": pl.Series(list(truth), dtype=pl.Int64), "prediction": (p >= threshold).astype(int)}
    ).with_columns(probability_0=1 - pl.Series(p), probability_1=pl.Series(p))
    return measure_performance(model("binary_classification", (0, 1), 1), scored, cost)


def of_classes(truth, matrix, names) -> Performance:
    matrix = np.asarray(matrix, dtype=float)
    prediction = [names[i] for i in matrix.argmax(axis=1)]
    scored = pl.DataFrame(
        {"y": truth, "prediction": prediction} | {f"probability_{i}": matrix[:, i] for i in range(len(names))}
    )
    return measure_performance(model("multiclass_classification", names), scored)


def of_numbers(truth, predicted) -> Performance:
    scored = pl.DataFrame(
        {"y": list(truth), "prediction": list(predicted)}, schema={"y": pl.Float64, "prediction": pl.Float64}
    )
    return measure_performance(model("regression"), scored)


def agree(found: Performance, theirs: dict[str, float]):
    for name, value in theirs.items():
        assert found.metrics[name] == pytest.approx(value, abs=1e-9, rel=1e-9), name


sixteenths = st.integers(-(10**6), 10**6).map(lambda i: i / 16)


def lift_by_hand(y, p):
    """The expected lift of the top tenth when ties are broken at random."""
    n, k = len(y), 0.1 * len(y)
    taken = hits = 0.0
    for level in sorted(set(p), reverse=True):
        group = [t for t, q in zip(y, p, strict=True) if q == level]
        part = min(1.0, (k - taken) / len(group))
        taken += part * len(group)
        hits += part * sum(group)
        if taken >= k - 1e-12:
            break
    return (hits / k) / (sum(y) / n)


def calibration_by_hand(right, p):
    gap = 0.0
    for b in range(10):
        inside = [i for i in range(len(p)) if min(int(p[i] * 10), 9) == b]
        if inside:
            gap += abs(sum(p[i] for i in inside) - sum(right[i] for i in inside))
    return gap / len(p)


labels_and_probabilities = st.lists(
    st.tuples(st.integers(0, 1), st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.3, 0.5, 1.0]))),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60)
@given(labels_and_probabilities)
def test_binary_agrees_with_scikit_learn(pairs):
    y = np.array([t for t, _ in pairs])
    p = np.array([q for _, q in pairs])
    guess = (p >= 0.5).astype(int)
    found = of_binary(y, p)
    _tn, fp, _fn, tp = sk.confusion_matrix(y, guess, labels=[0, 1]).ravel()
    both = 0 < y.sum() < len(y)
    theirs = {
        "accuracy": sk.accuracy_score(y, guess),
        "hamming_loss": sk.hamming_loss(y, guess),
        "log_loss": sk.log_loss(y, np.column_stack([1 - p, p]), labels=[0, 1]),
        "brier": sk.brier_score_loss(y, p, pos_label=1),
        "calibration_error": calibration_by_hand(y, p),
        "cost_matrix_gain": (tp * 1 + fp * -1) / len(y),
    }
    if both:
        theirs |= {"roc_auc": sk.roc_auc_score(y, p), "mcc": sk.matthews_corrcoef(y, guess)}
    if y.sum():
        theirs |= {
            "recall": sk.recall_score(y, guess),
            "average_precision": sk.average_precision_score(y, p),
            "lift": lift_by_hand(y.tolist(), p.tolist()),
        }
    if guess.sum():
        theirs["precision"] = sk.precision_score(y, guess)
    if y.sum() + guess.sum():
        theirs["f1"] = sk.f1_score(y, guess)
    agree(found, theirs)
    assert {n for n, v in found.metrics.items() if v is None} == set(METRICS_BY_TASK["binary_classification"]) - set(
        theirs
    )
    assert set(found.reasons) == set(METRICS_BY_TASK["binary_classification"]) - set(theirs)
    json.dumps(dataclasses.asdict(found.detail), allow_nan=False)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.lists(st.floats(0.01, 1), min_size=4, max_size=4)), min_size=1, max_size=50
    )
)
def test_multiclass_agrees_with_scikit_learn(pairs):
    names = ["a", "b", "c", "d"]
    y = np.array([t for t, _ in pairs])
    p = np.array([q for _, q in pairs])
    p /= p.sum(axis=1, keepdims=True)
    guess = p.argmax(axis=1)
    found = of_classes([names[i] for i in y], p, names)
    macro = sk.precision_recall_fscore_support(y, guess, average="macro", zero_division=0)
    weighted = sk.precision_recall_fscore_support(y, guess, average="weighted", zero_division=0)
    theirs = {
        "accuracy": sk.accuracy_score(y, guess),
        "hamming_loss": sk.hamming_loss(y, guess),
        "precision": macro[0],
        "recall": macro[1],
        "f1": macro[2],
        "precision_weighted": weighted[0],
        "recall_weighted": weighted[1],
        "f1_weighted": weighted[2],
        "log_loss": sk.log_loss(y, p, labels=[0, 1, 2, 3]),
        "brier": sk.brier_score_loss(y, p, labels=[0, 1, 2, 3]),
        "calibration_error": calibration_by_hand((guess == y).tolist(), p.max(axis=1).tolist()),
    }
    if len(set(y)) > 1:
        theirs["mcc"] = sk.matthews_corrcoef(y, guess)
    if len(set(y)) == 4:
        theirs["roc_auc"] = sk.roc_auc_score(y, p, multi_class="ovr", average="macro")
        theirs["roc_auc_weighted"] = sk.roc_auc_score(y, p, multi_class="ovr", average="weighted")
    agree(found, theirs)
    assert set(found.reasons) == set(METRICS_BY_TASK["multiclass_classification"]) - set(theirs)
    json.dumps(dataclasses.asdict(found.detail), allow_nan=False)


def test_weighted_area_with_every_class_present():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 500)
    p = rng.dirichlet([1, 1, 1], 500)
    found = of_classes([["x", "y", "z"][i] for i in y], p, ["x", "y", "z"])
    agree(
        found,
        {
            "roc_auc": sk.roc_auc_score(y, p, multi_class="ovr", average="macro"),
            "roc_auc_weighted": sk.roc_auc_score(y, p, multi_class="ovr", average="weighted"),
        },
    )


@settings(max_examples=60)
@given(st.lists(st.tuples(sixteenths, sixteenths), min_size=2, max_size=60))
def test_regression_agrees_with_scikit_learn_and_scipy(pairs):
    y = np.array([a for a, _ in pairs])
    p = np.array([b for _, b in pairs])
    assume(y.std() > 0)
    assume(p.std() > 0)
    found = of_numbers(y, p)
    theirs = {
        "mae": sk.mean_absolute_error(y, p),
        "mse": sk.mean_squared_error(y, p),
        "rmse": sk.root_mean_squared_error(y, p),
        "r2": sk.r2_score(y, p),
        "explained_variance": sk.explained_variance_score(y, p),
        "pearson": stats.pearsonr(y, p).statistic,
    }
    if min(y.min(), p.min()) > -1:
        theirs["rmsle"] = sk.root_mean_squared_log_error(y, p)
    if (y != 0).all():
        theirs["mape"] = sk.mean_absolute_percentage_error(y, p)
    agree(found, theirs)
    assert set(found.reasons) == set(METRICS_BY_TASK["regression"]) - set(theirs)
    assert np.sum(found.detail.predicted_against_true.rows_true_columns_predicted) == len(y)
    json.dumps(dataclasses.asdict(found.detail), allow_nan=False)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(allow_nan=True), st.floats(allow_nan=True)), max_size=20),
    st.sampled_from(["regression"]),
)
def test_a_regression_metric_is_a_finite_number_or_has_a_reason(pairs, task):
    found = of_numbers([a for a, _ in pairs], [b for _, b in pairs])
    for name in METRICS_BY_TASK[task]:
        value = found.metrics[name]
        assert (value is None) == (name in found.reasons)
        assert value is None or math.isfinite(value)
    json.dumps(dataclasses.asdict(found.detail), allow_nan=False)


@pytest.mark.parametrize("exponent", [-1000, -600, 600, 1010])
def test_regression_of_values_whose_squares_are_no_floats(exponent):
    random = np.random.default_rng(0)
    y = random.normal(0, 1, 60)
    p = y + random.normal(0, 0.3, 60)
    usual, found = of_numbers(y, p), of_numbers(np.ldexp(y, exponent), np.ldexp(p, exponent))
    for name in ("mae", "rmse"):
        assert found.metrics[name] == pytest.approx(np.ldexp(usual.metrics[name], exponent), rel=1e-12)
        assert "too large or too small" in found.interval_reasons[name]
    for name in ("r2", "explained_variance", "pearson", "mape"):
        assert found.metrics[name] == pytest.approx(usual.metrics[name], rel=1e-12)
    for name in ("r2", "explained_variance", "pearson"):
        assert found.intervals[name] == pytest.approx(usual.intervals[name], rel=1e-9)
    assert "too large" in found.reasons["mse"] or "too small" in found.reasons["mse"]


def test_lift_of_a_hundred_rows_is_that_of_the_top_ten():
    y = [1] * 8 + [0] * 2 + [1] * 12 + [0] * 78
    p = np.linspace(1, 0, 100)
    assert of_binary(y, p).metrics["lift"] == pytest.approx((8 / 10) / (20 / 100))


def test_lift_does_not_depend_on_the_order_of_tied_rows():
    y, p = [1, 0, 1, 0, 0, 0, 0, 0, 0, 0], [0.5] * 10
    assert of_binary(y, p).metrics["lift"] == pytest.approx(1)
    assert of_binary(y[::-1], p).metrics["lift"] == pytest.approx(1)


def test_gains_are_the_cost_matrix_s():
    cost = CostMatrix(true_positive=10, false_positive=-3, true_negative=1, false_negative=-7)
    found = of_binary([1, 0, 0, 1], [0.9, 0.9, 0.1, 0.1], cost=cost)
    assert found.metrics["cost_matrix_gain"] == pytest.approx((10 - 3 + 1 - 7) / 4)


def test_every_metric_of_a_batch_without_labels_says_so():
    for scored in (
        pl.DataFrame({"prediction": [1, 0], "probability_0": [0.1, 0.9], "probability_1": [0.9, 0.1]}),
        pl.DataFrame({"y": [None, None], "prediction": [1, 0]}),
    ):
        found = measure_performance(model("binary_classification", (0, 1), 1), scored)
        what = "no row has a value in the" if "y" in scored.columns else "there is no"
        assert set(found.reasons.values()) == {f"no labels: {what} target column 'y'"}
        assert found.unlabelled
        assert set(found.metrics.values()) == {None}
        assert found.labelled_share == 0


def test_a_batch_without_rows_is_not_measured_and_not_said_to_lack_labels():
    found = measure_performance(model("binary_classification", (0, 1), 1), pl.DataFrame({"y": [], "prediction": []}))
    assert set(found.reasons.values()) == {"there are no rows"}
    assert (found.unlabelled, found.labelled_share, found.prediction_missing_share) == (False, None, None)


def test_partly_labelled_counts_the_labelled_rows():
    found = of_binary([1, None, 0, None], [0.9, 0.9, 0.2, 0.1])
    assert (found.rows, found.labelled_share, found.metrics["accuracy"]) == (2, 0.5, 1)
    assert not found.unlabelled


def test_rows_without_prediction_are_noted_and_do_not_count():
    scored = pl.DataFrame({"y": [1.0, 2.0, 4.0], "prediction": [1.0, None, 5.0]})
    found = measure_performance(model("regression"), scored)
    assert found.rows == 2
    assert found.metrics["mae"] == pytest.approx(0.5)
    assert found.notes == ("performance on 2 of 3 rows: 1 has no prediction",)
    assert found.prediction_missing_share == pytest.approx(1 / 3)
    nobody = measure_performance(model("regression"), scored.with_columns(prediction=pl.lit(None, pl.Float64)))
    assert set(nobody.reasons.values()) == {"no row has a prediction"}
    assert nobody.prediction_missing_share == 1
    assert not nobody.unlabelled


def test_one_class_and_no_probabilities_are_reasons():
    found = of_binary([1, 1, 1], [0.9, 0.2, 0.8])
    assert found.reasons == {
        "roc_auc": "all target values are of one class",
        "mcc": "all target values are of one class",
    }
    scored = pl.DataFrame({"y": [0, 1], "prediction": [0, 1]})
    found = measure_performance(model("binary_classification", (0, 1), 1), scored)
    assert found.reasons["roc_auc"] == "the model gives no probabilities"
    assert found.metrics["f1"] == 1
    nothing = of_binary([0, 0], [0.1, 0.2])
    assert nothing.reasons["precision"] == "no row was predicted positive"
    assert nothing.reasons["recall"] == "no target value is the positive class"


def test_a_class_that_the_model_does_not_know():
    found = of_classes(["a", "b", "new"], [[0.9, 0.1], [0.2, 0.8], [0.5, 0.5]], ["a", "b"])
    assert found.metrics["accuracy"] == pytest.approx(2 / 3)
    assert found.reasons["log_loss"] == "the target column contains classes that are unknown to the model: new"
    scored = pl.DataFrame({"y": [0, 1, 7], "prediction": [0, 1, 1]})
    strange = measure_performance(model("binary_classification", (0, 1), 1), scored)
    assert strange.reasons["accuracy"] == (
        "1 row has a target value that is none of the classes 0, 1: 7; the first is row 3"
    )


def test_far_too_many_classes_are_a_reason_and_no_matrix():
    scored = pl.DataFrame({"y": [f"c{i}" for i in range(5000)], "prediction": "a"})
    found = measure_performance(model("multiclass_classification", ("a", "b")), scored)
    assert "at most 1,000 are measured" in found.reasons["accuracy"]


def test_labels_of_another_type_are_the_same_classes():
    p = [0.9, 0.2, 0.7, 0.4]
    expected = of_binary([1, 0, 0, 1], p).metrics
    for truth in (
        pl.Series([True, False, False, True]),
        pl.Series([1.0, 0.0, 0.0, 1.0]),
        pl.Series(["1", "0", "0", "1"]),
        pl.Series(["1.0", "0.0", "0.0", "1.0"]),
        pl.Series(["TRUE", "FALSE", "false", "true"]),
        pl.Series([Decimal("1.00"), Decimal("0.00"), Decimal("0.00"), Decimal("1.00")]),
    ):
        prediction = [1, 0, 1, 0]
        scored = pl.DataFrame(
            {"y": truth, "prediction": prediction, "probability_0": 1 - np.array(p), "probability_1": p}
        )
        assert measure_performance(model("binary_classification", (0, 1), 1), scored).metrics == expected


def test_numbers_of_a_regression_may_be_text_and_a_text_that_is_not_a_number_is_named():
    written = pl.DataFrame({"y": ["1", "2.5", None], "prediction": [1.0, 2.0, 3.0]})
    assert measure_performance(model("regression"), written).metrics["mae"] == 0.25
    found = measure_performance(model("regression"), written.with_columns(y=pl.Series(["1", "n/k", None])))
    assert set(found.reasons.values()) == {"1 row has a target value that is not a number: n/k; the first is row 2"}
    assert found.notes == (f"performance is not measured: {found.reasons['mae']}",)


def test_the_other_class_as_positive():
    truth, p = [1, 0, 0, 1, 1], np.array([0.9, 0.2, 0.7, 0.4, 0.8])
    scored = pl.DataFrame(
        {"y": truth, "prediction": (p >= 0.5).astype(int), "probability_0": 1 - p, "probability_1": p}
    )
    found = measure_performance(model("binary_classification", (0, 1), 0), scored).metrics
    assert found["precision"] == pytest.approx(sk.precision_score(truth, (p >= 0.5).astype(int), pos_label=0))
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(truth, p))


def test_curves_are_short_and_lie_on_scikit_learn_s():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 5000)
    p = np.clip(rng.normal(0.4 + 0.2 * y, 0.2), 0, 1)
    roc = of_binary(y, p).detail.roc
    fpr, tpr, _ = sk.roc_curve(y, p, drop_intermediate=False)
    points = set(zip(fpr.tolist(), tpr.tolist(), strict=True))
    ours = list(zip(roc.false_positive_rate, roc.true_positive_rate, strict=True))
    assert set(ours) <= points
    assert len(ours) <= 200
    assert (ours[0], ours[-1]) == ((0, 0), (1, 1))
    tps, fps, thresholds, _ = count_by_threshold(y.astype(bool), p)
    assert tps[-1] + fps[-1] == len(y)
    assert (np.diff(thresholds) < 0).all()


def test_the_catalogue_and_this_room_know_the_same_metrics():
    ours = {name for names in METRICS_BY_TASK.values() for name in names}
    assert ours == {m.name for m in catalogue.METRICS if m.labels and m.member is None and m.scope == "store"}


def test_a_million_rows_give_what_scikit_learn_gives():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 1_000_000)
    p = np.clip(rng.normal(0.4 + 0.2 * y, 0.2), 0, 1)
    found = of_binary(y, p)
    assert found.metrics["roc_auc"] == pytest.approx(sk.roc_auc_score(y, p), abs=1e-9)
