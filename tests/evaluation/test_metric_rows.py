"""The metrics that one evaluation holds: their names, and their values against scipy, scikit-learn or the obvious."""

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon
from sklearn import metrics as sk

from engine.spec.metrics.catalogue import CHALLENGER_METRICS, METRICS
from engine.spec.metrics.lookup import find_metric_definition, is_estimate
from engine.spec.metrics.names import MetricName, parse_metric_name

Watch = Callable[..., Any]

BINARY = {
    "kind": "scored",
    "task": "binary_classification",
    "target": "label",
    "positive": 1,
    "prediction": "guess",
    "probability": "chance",
    "features": {"include": ["x", "kind"]},
}


def mixed(seed: int, n: int, shift: float = 0.0, **more: Any) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    x = random.normal(shift, 1, n)
    label = (x + random.normal(0, 1, n) > 0).astype(int)
    chance = 1 / (1 + np.exp(-1.5 * x + random.normal(0, 0.3, n)))
    return pl.DataFrame(
        {
            "x": x,
            "kind": random.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2] if not shift else [0.3, 0.3, 0.4]),
            "label": label,
            "chance": chance,
            "guess": (chance > 0.5).astype(int),
            **more,
        }
    )


def shares(frame: pl.DataFrame, column: str, categories: list[str]) -> np.ndarray:
    return np.array([(frame[column] == one).mean() for one in categories])


def test_numerical_columns_are_compared_as_scipy_does(watch: Watch) -> None:
    before, now = mixed(0, 700).select("x"), mixed(1, 500, 0.4).select("x")
    found = watch(before, now).values
    a, b = before["x"].to_numpy(), now["x"].to_numpy()
    ks = stats.ks_2samp(a, b)
    assert found["ks.x"] == pytest.approx(ks.statistic, abs=1e-12)
    assert found["ks_p.x"] == pytest.approx(ks.pvalue, rel=1e-6)
    assert found["wasserstein.x"] == pytest.approx(stats.wasserstein_distance(a, b), rel=1e-9)
    assert found["wasserstein_normed.x"] == pytest.approx(stats.wasserstein_distance(a, b) / a.std(ddof=1), rel=1e-9)
    for prefix, side in (("", b), ("reference_", a)):
        assert found[f"{prefix}mean.x"] == pytest.approx(side.mean())
        assert found[f"{prefix}std.x"] == pytest.approx(side.std(ddof=1))
        assert (found[f"{prefix}min.x"], found[f"{prefix}max.x"]) == (side.min(), side.max())
        for name, q in (("q05", 0.05), ("q25", 0.25), ("median", 0.5), ("q75", 0.75), ("q95", 0.95)):
            assert found[f"{prefix}{name}.x"] == pytest.approx(np.quantile(side, q)), name


def test_distances_of_a_numerical_column_are_those_of_the_deciles_of_the_reference(watch: Watch) -> None:
    before, now = mixed(0, 1000).select("x"), mixed(1, 800, 0.4).select("x")
    found = watch(before, now).values
    edges = np.quantile(before["x"].to_numpy(), np.arange(1, 10) / 10)
    counts = np.array(
        [np.bincount(np.searchsorted(edges, side["x"].to_numpy()), minlength=10) for side in (before, now)]
    )
    p, q = counts / counts.sum(1, keepdims=True)
    assert found["psi.x"] == pytest.approx(((q - p) * np.log(q / p)).sum(), rel=0.02)
    assert found["js.x"] == pytest.approx(jensenshannon(p, q, base=2), rel=0.02)
    assert found["chi2.x"] == pytest.approx(stats.chi2_contingency(counts, correction=False).statistic, rel=0.05)


def test_categories_are_compared_as_the_formulas_say(watch: Watch) -> None:
    before, now = mixed(0, 900).select("kind"), mixed(1, 400, 1).select("kind")
    now = now.with_columns(pl.when(pl.int_range(pl.len()) < 20).then(pl.lit("new")).otherwise("kind").alias("kind"))
    found = watch(before, now).values
    categories = ["a", "b", "c", "new"]
    p, q = shares(before, "kind", categories), shares(now, "kind", categories)
    table = np.array([p * 900, q * 400])
    chi2 = stats.chi2_contingency(table, correction=False)
    smoothed = [np.where(side * rows == 0, 0.5, side * rows) for side, rows in ((p, 900), (q, 400))]
    p_psi, q_psi = (side / side.sum() for side in smoothed)
    assert found["psi.kind"] == pytest.approx(((q_psi - p_psi) * np.log(q_psi / p_psi)).sum(), rel=1e-3)
    assert found["js.kind"] == pytest.approx(jensenshannon(p, q, base=2))
    assert found["hellinger.kind"] == pytest.approx(np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum() / 2))
    assert found["total_variation.kind"] == pytest.approx(np.abs(p - q).sum() / 2)
    assert found["l_infinity.kind"] == pytest.approx(np.abs(p - q).max())
    assert found["chi2.kind"] == pytest.approx(chi2.statistic)
    assert found["chi2_p.kind"] == pytest.approx(chi2.pvalue)
    assert found["unseen_share.kind"] == pytest.approx(20 / 400)
    n, r = 1300, 4
    phi2 = max(0, chi2.statistic / n - (r - 1) / (n - 1))
    corrected = min(2 - 1 / (n - 1), r - (r - 1) ** 2 / (n - 1)) - 1
    assert found["cramers_v.kind"] == pytest.approx(np.sqrt(phi2 / corrected))


def test_missing_values_are_counted_on_both_sides(watch: Watch) -> None:
    before = pl.DataFrame({"x": [1.0, None, 3.0, float("nan")] * 50, "kind": ["a", None] * 100})
    now = pl.DataFrame({"x": [1.0, 2.0, 3.0, None] * 25, "kind": ["a", "b"] * 50})
    found = watch(before, now).values
    for column, was, is_ in (("x", 0.5, 0.25), ("kind", 0.5, 0.0)):
        assert found[f"reference_missing_share.{column}"] == was
        assert found[f"missing_share.{column}"] == is_
        assert found[f"missing_share_change.{column}"] == is_ - was


def test_drifted_columns_are_those_with_a_drift_of_a_tenth(watch: Watch) -> None:
    random = np.random.default_rng(3)
    shifts = dict(zip("abcdef", (0, 0.2, 0.5, 1, 2, 0), strict=True))
    before = pl.DataFrame({name: random.normal(0, 1, 2000) for name in shifts})
    # shifted by 0: the same values in another order, so that chance moves nothing
    now = pl.DataFrame({name: random.permutation(before[name].to_numpy()) + shift for name, shift in shifts.items()})
    found = watch(before, now).values
    drifts = [found[f"drift.{name}"] or 0 for name in shifts]
    assert found["drifted_columns"] == sum(one >= 0.1 for one in drifts)
    assert found["drifted_share"] == pytest.approx(sum(one >= 0.1 for one in drifts) / 6)
    assert drifts[0] == drifts[5] == 0
    assert 0 < drifts[1] < drifts[2] < drifts[3] < drifts[4] < 1
    assert all((found[f"drift_low.{name}"] or 0) <= (found[f"drift.{name}"] or 0) for name in shifts)
    assert all((found[f"drift.{name}"] == 0) == ((found[f"drift_p.{name}"] or 0) >= 0.05) for name in shifts)


def test_the_drift_of_all_columns_is_an_accuracy_with_wilsons_interval(watch: Watch) -> None:
    metrics = watch(mixed(0, 500).select("x", "kind"), mixed(1, 400, 1).select("x", "kind")).metrics
    drift = metrics["data_drift"]
    assert 0.6 < (drift.value or 0) < 1
    # both sides have 400 rows, of which a fifth is held out
    interval = stats.binomtest(round((drift.value or 0) * 160), 160).proportion_ci(0.95, method="wilson")
    assert (drift.low, drift.high) == pytest.approx((interval.low, interval.high))
    assert drift.p_value == metrics["data_drift_p"].value
    assert metrics["data_drift_significant"].value == 1
    assert 0.5 < (metrics["data_drift_low"].value or 0) < (drift.value or 0)
    assert 0.5 < (metrics["data_drift_auc"].value or 0) <= 1


def test_binary_performance_is_that_of_scikit_learn(watch: Watch) -> None:
    now = mixed(1, 400, 0.3)
    found = watch(mixed(0, 700), now, model=BINARY).values
    y, guess, chance = (now[name].to_numpy() for name in ("label", "guess", "chance"))
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, guess))
    assert found["precision"] == pytest.approx(sk.precision_score(y, guess))
    assert found["recall"] == pytest.approx(sk.recall_score(y, guess))
    assert found["f1"] == pytest.approx(sk.f1_score(y, guess))
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(y, chance))
    assert found["average_precision"] == pytest.approx(sk.average_precision_score(y, chance))
    assert found["log_loss"] == pytest.approx(sk.log_loss(y, chance))
    assert found["mcc"] == pytest.approx(sk.matthews_corrcoef(y, guess))
    assert found["hamming_loss"] == pytest.approx(sk.hamming_loss(y, guess))
    top = np.argsort(-chance)[:40]
    assert found["lift"] == pytest.approx(y[top].mean() / y.mean())
    assert found["labelled_share"] == 1
    assert found["prediction_missing_share"] == 0


def test_multiclass_performance_is_that_of_scikit_learn(watch: Watch) -> None:
    random = np.random.default_rng(5)
    names = np.array(["low", "mid", "top"])

    def rows(n: int) -> pl.DataFrame:
        x = random.normal(size=n)
        truth = names[np.digitize(x, [-0.5, 0.5])]
        weights = np.exp(random.normal(size=(n, 3)) + 2 * (truth[:, None] == names))
        chances = weights / weights.sum(1, keepdims=True)
        columns = {f"p_{name}": chances[:, at] for at, name in enumerate(names)}
        return pl.DataFrame({"x": x, "label": truth, "guess": names[chances.argmax(1)], **columns})

    now = rows(300)
    model = {
        "kind": "scored",
        "task": "multiclass_classification",
        "target": "label",
        "prediction": "guess",
        "probability": {name: f"p_{name}" for name in names.tolist()},
        "features": {"include": ["x"]},
    }
    found = watch(rows(500), now, model=model).values
    y, guess = now["label"].to_numpy(), now["guess"].to_numpy()
    chances = now.select("p_low", "p_mid", "p_top").to_numpy()
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(y, guess))
    for average, suffix in (("macro", ""), ("weighted", "_weighted")):
        assert found[f"precision{suffix}"] == pytest.approx(sk.precision_score(y, guess, average=average))
        assert found[f"recall{suffix}"] == pytest.approx(sk.recall_score(y, guess, average=average))
        assert found[f"f1{suffix}"] == pytest.approx(sk.f1_score(y, guess, average=average))
        auc = sk.roc_auc_score(y, chances, average=average, multi_class="ovr", labels=names)
        assert found[f"roc_auc{suffix}"] == pytest.approx(auc)
    assert found["mcc"] == pytest.approx(sk.matthews_corrcoef(y, guess))
    assert found["log_loss"] == pytest.approx(sk.log_loss(y, chances, labels=names))
    assert {name: found[f"predicted_share.{name}"] for name in names.tolist()} == pytest.approx(
        {name: float((guess == name).mean()) for name in names.tolist()}
    )


def test_regression_performance_is_that_of_scikit_learn(watch: Watch) -> None:
    random = np.random.default_rng(6)

    def rows(n: int) -> pl.DataFrame:
        x = random.uniform(1, 9, n)
        return pl.DataFrame({"x": x, "y": x * 2 + random.normal(0, 0.3, n), "said": x * 2 + 0.1})

    now = rows(300)
    model = {
        "kind": "scored",
        "task": "regression",
        "target": "y",
        "prediction": "said",
        "features": {"include": ["x"]},
    }
    found = watch(rows(400), now, model=model).values
    y, said = now["y"].to_numpy(), now["said"].to_numpy()
    expected = {
        "mae": sk.mean_absolute_error(y, said),
        "mse": sk.mean_squared_error(y, said),
        "rmse": sk.root_mean_squared_error(y, said),
        "rmsle": sk.root_mean_squared_log_error(y, said),
        "mape": sk.mean_absolute_percentage_error(y, said),
        "r2": sk.r2_score(y, said),
        "explained_variance": sk.explained_variance_score(y, said),
        "pearson": stats.pearsonr(y, said).statistic,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    # deciles of the reference's predictions stand for classes
    assert [found[f"reference_predicted_share.{decile}"] for decile in range(1, 11)] == pytest.approx([0.1] * 10)
    assert sum(found[f"predicted_share.{decile}"] or 0 for decile in range(1, 11)) == pytest.approx(1)


def test_the_change_of_a_predicted_share_is_relative_to_the_reference(watch: Watch) -> None:
    before, now = mixed(0, 700), mixed(1, 400, 1)
    found = watch(before, now, model=BINARY).values
    for label in (0, 1):
        was, is_ = float((before["guess"] == label).mean()), float((now["guess"] == label).mean())
        assert found[f"reference_predicted_share.{label}"] == pytest.approx(was)
        assert found[f"predicted_share.{label}"] == pytest.approx(is_)
        assert found[f"fugacity.{label}"] == pytest.approx(is_ / was - 1)
    alone = watch(before.select("chance"), now.select("chance")).values
    assert found["prediction_drift.ks"] == alone["ks.chance"]
    assert found["prediction_drift.psi"] == alone["psi.chance"]


def test_a_class_that_the_reference_never_predicts_has_no_relative_change(watch: Watch) -> None:
    before, now = mixed(0, 200).with_columns(guess=pl.lit(0)), mixed(1, 200)
    metrics = watch(before, now, model=BINARY).metrics
    assert metrics["reference_predicted_share.1"].value == 0
    assert metrics["fugacity.1"].value is None
    assert metrics["fugacity.1"].reason == "the reference never predicts 1"


def test_gains_are_those_of_the_cost_matrix(watch: Watch) -> None:
    now = mixed(1, 300)
    costs = {"true_positive": 5, "false_positive": -2, "true_negative": 0.5, "false_negative": -7}
    found = watch(mixed(0, 300), now, model={**BINARY, "cost_matrix": costs}).values
    y, guess = now["label"].to_numpy(), now["guess"].to_numpy()
    gains = np.where(y == 1, np.where(guess == 1, 5, -7), np.where(guess == 1, -2, 0.5))
    assert found["cost_matrix_gain"] == pytest.approx(gains.mean())


@pytest.mark.parametrize(
    ("model", "store"),
    [(None, {}), (BINARY, {}), (BINARY, {"estimates": "auto"})],
    ids=["data alone", "with a model", "with estimates"],
)
def test_an_evaluation_holds_each_metric_of_the_catalogue_and_no_other(
    watch: Watch, model: dict | None, store: dict
) -> None:
    columns = ["x", "kind"] if model is None else None
    before, now = (mixed(seed, 300).select(columns or pl.all()) for seed in (0, 1))
    held = list(watch(before, now, model=model, **store).metrics)
    task = None if model is None else model["task"]
    roles = {"x": "numerical", "kind": "categorical"}
    expected = set()
    for metric in METRICS:
        if metric.scope != "store" or (metric.tasks and task not in metric.tasks):
            continue
        if metric.name == "repeated_data":  # of an evaluation with a declared time, which these have not
            continue
        # of stores with a challenger, with segments, or with a search for them
        if metric.name in (*CHALLENGER_METRICS, "segment_drift", "found_segments"):
            continue
        if is_estimate(metric.name) and "estimates" not in store:
            continue
        members = {
            None: [None],
            "column": [column for column, role in roles.items() if role in metric.roles],
            "class": ["0", "1"],
            "statistic": None,
            "performance": [one.name for one in METRICS if one.labels and one.member is None and task in one.tasks],
        }[metric.member]
        expected |= {str(MetricName(metric.name, member)) for member in members or ()}
    assert {name for name in held if not name.startswith("prediction_drift.")} == expected
    assert len(held) == len(set(held))


def test_every_value_is_inside_the_range_that_the_catalogue_gives(watch: Watch) -> None:
    metrics = watch(mixed(0, 300), mixed(1, 200, 2), model=BINARY).metrics
    for text, metric in metrics.items():
        name = parse_metric_name(text)
        assert isinstance(name, MetricName)
        definition = find_metric_definition(name, "store")
        if metric.value is not None:
            assert definition.low is None or metric.value >= definition.low, text
            assert definition.high is None or metric.value <= definition.high, text
        if metric.low is not None:
            assert definition.interval, text
            assert metric.low <= (metric.value or 0) <= (metric.high or 0), text


def test_a_change_of_performance_is_that_from_the_reference_with_an_interval_around_it(watch: Watch) -> None:
    watched = watch(mixed(0, 700), mixed(1, 400, 1), model=BINARY)
    same = watch(mixed(0, 700), mixed(0, 700), model=BINARY)
    for name in ("accuracy", "roc_auc", "log_loss", "f1", "brier"):
        now, before = watched.metrics[name], same.metrics[name]
        change = watched.metrics[f"performance_change.{name}"]
        relative = watched.metrics[f"performance_change_relative.{name}"]
        assert change.value == pytest.approx((now.value or 0) - (before.value or 0))
        assert relative.value == pytest.approx((now.value or 0) / (before.value or 1) - 1)
        assert change.low == pytest.approx(
            change.value - np.hypot((now.value or 0) - (now.low or 0), (before.high or 0) - (before.value or 0))
        )
        assert (relative.low or 0) < (relative.value or 0) < (relative.high or 0)
        unchanged = same.metrics[f"performance_change.{name}"]
        assert unchanged.value == 0
        assert (unchanged.low or 0) < 0 < (unchanged.high or 0)


def test_intervals_are_wider_at_a_higher_confidence_and_around_the_same_value(watch: Watch) -> None:
    before, now = mixed(0, 500), mixed(1, 200)
    usual = watch(before, now, model=BINARY).metrics
    surer = watch(before, now, model=BINARY, drift={"confidence": 0.99}).metrics
    names = [name for name, metric in usual.items() if metric.low is not None and not name.startswith("performance_")]
    assert {"accuracy", "roc_auc", "data_drift"} <= set(names)
    for name in names:
        assert surer[name].value == usual[name].value, name
        assert (surer[name].low or 0) <= (usual[name].low or 0), name
        assert (surer[name].high or 0) >= (usual[name].high or 0), name
    assert surer["accuracy"].low < usual["accuracy"].low
