"""A challenger against a champion: paired intervals against published methods, and by how often they are right."""

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats

from engine.models import Advantage, FittedModel, measure_advantage, measure_performance
from engine.models.metrics.influences import binary_influences, multiclass_influences
from engine.models.metrics.paired_intervals import FEWEST_DIFFERING
from engine.spec.metrics.catalogue import METRICS_BY_TASK
from engine.spec.resources.models import CostMatrix

from .scored_rows import NoPredictor, differentiate_by_row, draw_entities

BINARY = FittedModel("m", "binary_classification", "y", ("x",), NoPredictor(), (0, 1), 1)
NUMBERS = FittedModel("m", "regression", "y", ("x",), NoPredictor())
CLASSES = FittedModel("m", "multiclass_classification", "y", ("x",), NoPredictor(), (0, 1, 2))


def score_binary(y, p, codes=None) -> pl.DataFrame:
    p = np.asarray(p, dtype=float)
    scored = pl.DataFrame({"y": np.asarray(y, dtype=int), "prediction": (p >= 0.5).astype(int)})
    scored = scored.with_columns(probability_0=1 - p, probability_1=p)
    return scored if codes is None else scored.with_columns(pl.Series("card", codes))


def compare_binary(y, first, second, codes=None, **more) -> Advantage:
    scored = score_binary(y, first, codes), score_binary(y, second, codes)
    return measure_advantage(BINARY, BINARY, scored, entity="card", **more)


def compare_numbers(y, first, second, codes=None, **more) -> Advantage:
    scored = [pl.DataFrame({"y": np.asarray(y, float), "prediction": np.asarray(p, float)}) for p in (first, second)]
    if codes is not None:
        scored = [frame.with_columns(pl.Series("card", codes)) for frame in scored]
    return measure_advantage(NUMBERS, NUMBERS, tuple(scored), entity="card", **more)


def delong(y, p, q, confidence=0.95) -> tuple[float, float, float]:
    """The difference of two correlated areas with its interval, pair by pair as DeLong et al. 1988 define it."""
    positive, negative = np.flatnonzero(y), np.flatnonzero(~y)
    m, n = len(positive), len(negative)

    def components(scores):
        kernel = (scores[positive][:, None] > scores[negative]) + 0.5 * (scores[positive][:, None] == scores[negative])
        return kernel.mean(axis=1), kernel.mean(axis=0)

    (v10, v01), (w10, w01) = components(p), components(q)
    covariance = np.cov([v10, w10]) / m + np.cov([v01, w01]) / n
    error = math.sqrt(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    reach = stats.t.ppf(0.5 + confidence / 2, min(m, n) - 1) * error
    difference = w10.mean() - v10.mean()
    return difference, difference - reach, difference + reach


@pytest.mark.parametrize("tied", [False, True])
def test_the_advantage_in_area_has_the_interval_of_delong(tied: bool) -> None:
    random = np.random.default_rng(1)
    y = random.random(300) < 0.3
    p = 1 / (1 + np.exp(1 - 1.5 * y - random.normal(size=300)))
    q = 1 / (1 + np.exp(1 - 1.8 * y - random.normal(size=300)))
    if tied:
        p, q = p.round(1), q.round(1)
    found = compare_binary(y, p, q)
    difference, low, high = delong(y, p, q)
    assert found.metrics["roc_auc"] == pytest.approx(difference, abs=1e-12)
    assert found.intervals["roc_auc"] == pytest.approx((low, high), abs=1e-12)


def test_a_share_has_the_interval_of_bonett_and_price_also_where_no_row_differs() -> None:
    y = np.repeat([1, 0], [60, 40])
    p = np.where(y == 1, 0.9, 0.1)
    q = p.copy()
    p[:12], q[12:16] = 0.2, 0.3  # 12 rows are right only for the second, 4 only for the first
    found = compare_binary(y, p, q)
    more, less, size = 13 / 102, 5 / 102, 102
    reach = stats.norm.ppf(0.975) * math.sqrt((more + less - (more - less) ** 2) / size)
    assert found.metrics["accuracy"] == pytest.approx(0.08)
    assert found.intervals["accuracy"] == pytest.approx((more - less - reach, more - less + reach))
    assert found.intervals["hamming_loss"] == found.intervals["accuracy"]
    same = compare_binary(y, p, p)
    assert set(same.metrics.values()) == {0.0}
    low, high = same.intervals["accuracy"]
    assert low < 0 < high
    assert high < 0.03
    assert same.interval_reasons["roc_auc"] == "no interval: both models predict the same for every row"


@pytest.mark.parametrize("entities", [None, 40])
def test_a_mean_has_the_interval_of_a_paired_t_test(entities) -> None:
    random = np.random.default_rng(3)
    y, first, second = random.normal(size=(3, 200))
    cards = None if entities is None else random.integers(0, entities, 200)
    gain = np.abs(y - first) - np.abs(y - second)
    codes = np.arange(200) if cards is None else np.unique(cards, return_inverse=True)[1]
    sums = np.bincount(codes, gain - gain.mean())
    error = math.sqrt(len(sums) / (len(sums) - 1) * (sums**2).sum()) / 200
    reach = stats.t.ppf(0.975, len(sums) - 1) * error
    found = compare_numbers(y, first, second, cards)
    assert found.metrics["mae"] == pytest.approx(gain.mean())
    assert found.intervals["mae"] == pytest.approx((gain.mean() - reach, gain.mean() + reach))


def test_positive_is_better_for_every_metric() -> None:
    random = np.random.default_rng(4)
    y = random.random(500) < 0.4
    bad, good = (np.clip(0.5 + (y - 0.5) * s + random.normal(0, 0.2, 500), 0.01, 0.99) for s in (0.1, 0.6))
    found = compare_binary(y, bad, good)
    # a model that tells nothing apart may have the smaller calibration error
    assert all(value > 0 for name, value in found.metrics.items() if name != "calibration_error"), found.metrics
    lower_is_better = {"log_loss", "brier", "calibration_error", "hamming_loss"}
    for name, value in found.metrics.items():
        difference = found.challenger.metrics[name] - found.champion.metrics[name]
        assert value == (-difference if name in lower_is_better else difference), name
    assert {name for name, (low, _) in found.intervals.items() if low > 0} >= {"roc_auc", "log_loss", "brier", "mcc"}
    numbers = random.normal(size=500)
    found = compare_numbers(numbers + 9, numbers + 9 + random.normal(size=500), numbers + 9.01)
    assert all(value > 0 for value in found.metrics.values()), found.metrics


def test_one_model_against_the_other_is_the_mirror_image() -> None:
    random = np.random.default_rng(5)
    y = random.random(300) < 0.4
    p, q = (np.clip(0.5 + (y - 0.5) * 0.4 + random.normal(0, 0.3, 300), 0.01, 0.99) for _ in "ab")
    one, other = compare_binary(y, p, q), compare_binary(y, q, p)
    for name in METRICS_BY_TASK["binary_classification"]:
        assert one.metrics[name] == pytest.approx(-other.metrics[name], abs=1e-12), name
        low, high = one.intervals[name]
        assert (-high, -low) == pytest.approx(other.intervals[name], abs=1e-9), name


def test_a_paired_interval_is_narrower_than_that_of_independent_values() -> None:
    random = np.random.default_rng(6)
    y = random.random(1000) < 0.4
    common = random.normal(size=1000)
    p, q = (1 / (1 + np.exp(-(2 * y - 1 + common + 0.2 * random.normal(size=1000)))) for _ in "ab")
    found = compare_binary(y, p, q)
    width = found.intervals["roc_auc"][1] - found.intervals["roc_auc"][0]
    apart = sum(
        (high - low) ** 2 for low, high in (one.intervals["roc_auc"] for one in (found.champion, found.challenger))
    )
    assert width < math.sqrt(apart) / 2


# Shares have an interval of their own, and the influence of a row on lift is smoothed.
@pytest.mark.parametrize(
    "name", sorted({*METRICS_BY_TASK["binary_classification"]} - {"accuracy", "recall", "hamming_loss", "lift"})
)
def test_influences_of_a_binary_model_are_derivatives(name: str) -> None:
    random = np.random.default_rng(7)
    y, p = random.permutation(np.arange(24) % 2 == 0), random.random(24)

    def measure(times) -> float:
        rows = np.repeat(np.arange(24), times)
        return measure_performance(BINARY, score_binary(y[rows], p[rows])).metrics[name]

    gains = np.array([[0.0, -1.0], [0.0, 1.0]])
    values = {one: value for one, value in compare_binary(y, p, p).champion.metrics.items() if value is not None}
    influence = binary_influences(y, p >= 0.5, p, values, gains)[name]()
    assert influence - influence.mean() == pytest.approx(differentiate_by_row(measure, 24, 500), abs=2e-2)


@pytest.mark.parametrize(
    "name", sorted({*METRICS_BY_TASK["multiclass_classification"]} - {"accuracy", "recall_weighted", "hamming_loss"})
)
def test_influences_of_a_model_of_three_classes_are_derivatives(name: str) -> None:
    random = np.random.default_rng(8)
    y, p = random.permutation(np.arange(24) % 3), random.dirichlet(np.ones(3), 24)

    def measure_all(rows):
        frame = pl.DataFrame({"y": y[rows], "prediction": p[rows].argmax(axis=1)})
        frame = frame.with_columns(pl.Series(f"probability_{i}", p[rows, i]) for i in range(3))
        return measure_performance(CLASSES, frame).metrics

    def measure(times) -> float:
        return measure_all(np.repeat(np.arange(24), times))[name]

    influence = multiclass_influences(y, p.argmax(axis=1), p, 3)[name]()
    assert influence - influence.mean() == pytest.approx(differentiate_by_row(measure, 24, 500), abs=2e-2)


def compare_any(kind, random, n, codes) -> Advantage:
    """Compare two models whose errors are correlated, on rows that are correlated within an entity."""
    z, first, other = random.normal(size=(3, n))
    if codes is not None:
        of_entity = random.normal(size=(3, n))[:, codes]
        z, first, other = 0.8 * of_entity + 0.6 * np.stack([z, first, other])
    second = 0.8 * first + 0.6 * other
    if kind == "binary":
        y = random.random(n) < 1 / (1 + np.exp(0.6 - 1.2 * z))
        p, q = (1 / (1 + np.exp(0.1 - 1.2 * z - size * off)) for size, off in ((0.8, first), (0.5, second)))
        return compare_binary(y, p, q, codes)
    y = np.exp(0.4 * z) + 1
    return compare_numbers(y, y + 0.3 * first * np.sqrt(y), y + 0.2 * second * np.sqrt(y), codes)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "n", "by_entity", "at_least"),
    [
        ("binary", 100, False, 0.92),
        ("binary", 300, True, 0.91),
        ("binary", 2000, True, 0.93),
        ("numbers", 100, False, 0.90),
        ("numbers", 300, True, 0.87),
        ("numbers", 2000, True, 0.91),
    ],
)
def test_paired_intervals_hold_the_true_advantage_about_as_often_as_they_say(kind, n, by_entity, at_least) -> None:
    random, runs = np.random.default_rng(9), 100
    truth = compare_any(kind, random, 1_000_000, None).metrics
    hits, tried = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
    for _ in range(runs):
        found = compare_any(kind, random, n, draw_entities(random, n) if by_entity else None)
        for name, (low, high) in found.intervals.items():
            tried[name] += 1
            hits[name] += low <= truth[name] <= high
            assert low <= found.metrics[name] <= high, name
    for name, right in hits.items():
        # fails if the true coverage is at least `at_least` only once in a million
        assert tried[name] > runs / 2, name
        assert stats.binom.cdf(right, tried[name], at_least) > 1e-6, (name, right / tried[name])


def test_only_rows_with_a_label_and_both_predictions_are_compared_and_none_that_was_seen() -> None:
    random = np.random.default_rng(10)
    y, p, q = random.random(100) < 0.5, random.random(100), random.random(100)
    first = score_binary(y, p).with_columns(y=pl.when(pl.int_range(100) < 90).then("y"))
    second = score_binary(y, q).with_columns(probability_1=pl.when(pl.int_range(100) >= 10).then("probability_1"))
    seen = np.arange(100) % 2 == 0
    found = measure_advantage(BINARY, BINARY, (first, second), seen=seen)
    assert (found.rows, found.seen) == (40, 40)
    used = ~seen & (np.arange(100) >= 10) & (np.arange(100) < 90)
    assert found.metrics == compare_binary(y[used], p[used], q[used]).metrics


def test_what_cannot_be_compared_says_why() -> None:
    random = np.random.default_rng(11)
    y, p, q = random.random(60) < 0.5, random.random(60), random.random(60)
    unlabelled = [score_binary(y, one).with_columns(y=pl.lit(None, pl.Int64)) for one in (p, q)]
    found = measure_advantage(BINARY, BINARY, tuple(unlabelled))
    assert set(found.reasons.values()) == {"no labels: no row has a value in the target column 'y'"}
    assert found.champion.unlabelled
    all_seen = compare_binary(y, p, q, seen=np.ones(60, dtype=bool))
    assert set(all_seen.reasons.values()) == {"one of the models was trained on all 60 rows with a label"}
    assert all_seen.rows == 0
    other = FittedModel("n", "binary_classification", "y", ("x",), NoPredictor(), (0, 1), 0)
    found = measure_advantage(BINARY, other, (score_binary(y, p), score_binary(y, q)))
    assert set(found.reasons.values()) == {
        "the positive class of m is 1, that of n is 0: declare the same positive: for both"
    }
    classes_alone = score_binary(y, q).select("y", "prediction")
    found = measure_advantage(BINARY, BINARY, (score_binary(y, p), classes_alone))
    assert found.metrics["accuracy"] is not None
    assert found.reasons["roc_auc"] == "unknown for the challenger: the model gives no probabilities"


def test_few_differing_rows_give_intervals_of_shares_only() -> None:
    random = np.random.default_rng(12)
    y, p = random.random(200) < 0.5, random.random(200)
    q = p.copy()
    q[: FEWEST_DIFFERING - 1] = 1 - q[: FEWEST_DIFFERING - 1]
    found = compare_binary(y, p, q)
    assert found.interval_reasons["precision"] == "no interval: the models differ in 9 rows, at least 10 are needed"
    assert {"accuracy", "recall", "hamming_loss"} == set(found.intervals)
    perfect = compare_binary(y, p, np.where(y, 0.9, 0.1) + random.random(200) / 20)
    assert "separates the classes completely" in perfect.interval_reasons["roc_auc"]


def test_both_models_have_the_gains_of_the_store() -> None:
    y = np.arange(100) % 2 == 0
    p = np.where(np.arange(100) < 50, 0.9, 0.1)
    q = np.where(y, 0.9, 0.1)
    found = compare_binary(y, p, q, cost_matrix=CostMatrix(true_positive=3, false_positive=-5))
    assert found.metrics["cost_matrix_gain"] == pytest.approx(3 * 0.5 - (3 * 0.25 - 5 * 0.25))
