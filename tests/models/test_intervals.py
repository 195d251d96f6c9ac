"""Intervals of performance metrics: against published methods written out naively, and by how often they are right."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from engine.models import FittedModel, Performance, measure_performance
from engine.models.metrics.classification import count_by_threshold, measure_binary, measure_multiclass
from engine.models.metrics.classification_intervals import Cells, area_variance
from engine.models.metrics.intervals import Units, wilson_interval
from engine.models.metrics.regression import measure_regression
from engine.spec.resources.models import CostMatrix

from .scored_rows import NoPredictor, differentiate_by_row, draw_entities


def of_binary(y, p, entity=None, confidence=0.95) -> Performance:
    p = np.asarray(p, dtype=float)
    scored = pl.DataFrame({"y": np.asarray(y, dtype=int), "prediction": (p >= 0.5).astype(int)})
    scored = scored.with_columns(probability_0=1 - p, probability_1=p)
    if entity is not None:
        scored = scored.with_columns(pl.Series("card", entity))
    model = FittedModel("m", "binary_classification", "y", ("x",), NoPredictor(), (0, 1), 1)
    return measure_performance(model, scored, entity="card", confidence=confidence)


def of_numbers(y, p, entity=None) -> Performance:
    scored = pl.DataFrame({"y": np.asarray(y, dtype=float), "prediction": np.asarray(p, dtype=float)})
    if entity is not None:
        scored = scored.with_columns(pl.Series("card", entity))
    return measure_performance(FittedModel("m", "regression", "y", ("x",), NoPredictor()), scored, entity="card")


def kernel(a: float, b: float) -> float:
    return float(a > b) + (a == b) / 2


def variance_by_hand(y, p, codes) -> float:
    """The variance of the area under the ROC curve of Obuchowski 1997, pair by pair; without clusters DeLong's."""
    positive, negative = np.flatnonzero(y), np.flatnonzero(~y)
    m, n = len(positive), len(negative)
    of_positive = {i: sum(kernel(p[i], p[j]) for j in negative) / n for i in positive}
    of_negative = {j: sum(kernel(p[i], p[j]) for i in positive) / m for j in negative}
    area = sum(of_positive.values()) / m
    clusters = sorted(set(codes))
    a = {c: sum(of_positive[i] - area for i in positive if codes[i] == c) for c in clusters}
    b = {c: sum(of_negative[j] - area for j in negative if codes[j] == c) for c in clusters}
    i10, i01, i = len({codes[i] for i in positive}), len({codes[j] for j in negative}), len(clusters)
    s10 = i10 / ((i10 - 1) * m) * sum(v * v for v in a.values())
    s01 = i01 / ((i01 - 1) * n) * sum(v * v for v in b.values())
    s11 = i / (i - 1) * sum(a[c] * b[c] for c in clusters)
    return s10 / m + s01 / n + 2 * s11 / (m * n)


def variance_of_area(y, p, codes=None) -> float:
    tps, fps, _, order = count_by_threshold(y, p)
    place = np.empty(len(y), dtype=np.int64)
    place[order] = np.repeat(np.arange(len(tps)), np.diff(tps + fps, prepend=0))
    cells = Cells(2 * place + y, np.zeros(2 * len(tps), dtype=np.int64))
    area = float(np.trapezoid(np.r_[0, tps], np.r_[0, fps]) / (tps[-1] * fps[-1]))
    return area_variance(area, tps, fps, cells, Units(len(y), 0.95, codes))


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(8, 40), st.booleans())
def test_the_variance_of_an_area_is_that_of_delong_and_by_entity_that_of_obuchowski(seed, n, tied) -> None:
    random = np.random.default_rng(seed)
    y = random.permutation(np.arange(n) % 3 == 0)
    p = random.integers(0, 6, n) / 6 if tied else random.random(n)
    assert variance_of_area(y, p) == pytest.approx(variance_by_hand(y, p, np.arange(n)), rel=1e-9, abs=1e-15)
    codes = np.unique(random.integers(0, n // 2, n), return_inverse=True)[1]
    if min(len(set(codes[y])), len(set(codes[~y]))) > 1:
        expected = max(0.0, variance_by_hand(y, p, codes))
        assert variance_of_area(y, p, codes) == pytest.approx(expected, rel=1e-9, abs=1e-15)


def test_the_area_of_a_published_table_is_the_published_one() -> None:
    # Hanley & McNeil 1982: ratings 1 to 5 of 58 normal and 51 abnormal images. They give the area 0.893 and, by their
    # own approximation, the standard error 0.032.
    normal, abnormal = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
    y = np.repeat([False, True], [58, 51])
    p = np.concatenate([np.repeat(np.arange(1, 6), counts) for counts in (normal, abnormal)]) / 5
    found = of_binary(y, p)
    assert found.metrics["roc_auc"] == pytest.approx(0.893, abs=5e-4)
    assert math.sqrt(variance_of_area(y, p)) == pytest.approx(0.032, abs=2e-3)
    low, high = found.intervals["roc_auc"]
    assert (low, high) == (pytest.approx(0.83, abs=0.02), pytest.approx(0.94, abs=0.01))


@given(st.integers(0, 60), st.integers(1, 60), st.sampled_from([0.8, 0.95, 0.99]))
def test_shares_have_wilsons_interval(hits, extra, confidence) -> None:
    n = hits + extra
    theirs = stats.binomtest(hits, n).proportion_ci(confidence, method="wilson")
    found = wilson_interval(hits / n, n, stats.norm.ppf(0.5 + confidence / 2))
    assert found == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_every_share_of_a_binary_model_is_one_of_its_own_rows() -> None:
    random = np.random.default_rng(1)
    y, p = random.integers(0, 2, 80), random.random(80)
    guess = p >= 0.5
    found = of_binary(y, p)
    trials = {"accuracy": (y == guess, np.ones(80, bool)), "precision": (y, guess), "recall": (guess, y == 1)}
    for name, (hit, among) in trials.items():
        k, n = int(hit[among].sum()), int(among.sum())
        theirs = stats.binomtest(k, n).proportion_ci(0.95, method="wilson")
        assert found.intervals[name] == pytest.approx((theirs.low, theirs.high), abs=1e-12), name
    low, high = found.intervals["accuracy"]
    assert found.intervals["hamming_loss"] == pytest.approx((1 - high, 1 - low))


def test_shares_of_entities_have_an_effective_number_of_rows() -> None:
    # each entity has five equal rows: as if there were one row each, with the t quantile
    random = np.random.default_rng(2)
    y, p = random.integers(0, 2, 60), random.random(60)
    found = of_binary(np.repeat(y, 5), np.repeat(p, 5), np.repeat(np.arange(60), 5))
    share = found.metrics["accuracy"]
    effective = 60 * 59 / 60  # share (1 - share) / (share (1 - share) / (units - 1))
    assert found.intervals["accuracy"] == pytest.approx(wilson_interval(share, effective, stats.t.ppf(0.975, 59)))
    alone = of_binary(y, p)
    for name in ("roc_auc", "brier", "log_loss", "mcc", "average_precision", "cost_matrix_gain", "lift"):
        assert found.intervals[name] == pytest.approx(alone.intervals[name], rel=2e-2, abs=1e-3), name


@pytest.mark.parametrize("entities", [None, 40])
def test_means_have_the_interval_of_a_t_test_on_the_log_scale(entities) -> None:
    random = np.random.default_rng(3)
    y = random.normal(size=200)
    p = y + random.normal(size=200)
    cards = None if entities is None else random.integers(0, entities, 200)
    off = np.abs(y - p)
    codes = np.arange(200) if cards is None else np.unique(cards, return_inverse=True)[1]
    sums = np.bincount(codes, off - off.mean())
    units = len(sums)
    error = math.sqrt(units / (units - 1) * (sums**2).sum()) / 200
    reach = stats.t.ppf(0.975, units - 1) * error / off.mean()
    found = of_numbers(y, p, cards)
    assert found.intervals["mae"] == pytest.approx((off.mean() * math.exp(-reach), off.mean() * math.exp(reach)))
    low, high = found.intervals["mse"]
    assert found.intervals["rmse"] == pytest.approx((math.sqrt(low), math.sqrt(high)))


@pytest.mark.parametrize("name", ["average_precision", "mcc", "f1_weighted", "precision_weighted", "roc_auc_weighted"])
def test_influences_are_derivatives(name: str) -> None:
    random = np.random.default_rng(4)
    n, k = 24, 2 if name == "average_precision" else 3
    y = random.permutation(np.arange(n) % k)
    probabilities = random.dirichlet(np.ones(k), n)

    def measure(times) -> float:
        rows = np.repeat(np.arange(n), times)
        p = probabilities[rows]
        if k == 2:
            return of_plain_binary(y[rows] == 1, p[:, 1])[0][name]
        return measure_multiclass(y[rows], p.argmax(axis=1), p, list("abc"), Units(len(rows)))[0][name]

    error = math.sqrt(n / (n - 1) * (differentiate_by_row(measure, n, 2000) ** 2).sum()) / n
    value = measure(np.ones(n, dtype=int))
    if k == 2:
        intervals = of_plain_binary(y == 1, probabilities[:, 1])[1]
    else:
        intervals = measure_multiclass(y, probabilities.argmax(axis=1), probabilities, list("abc"), Units(n))[1]
    scale = np.arctanh if name == "mcc" else lambda v: np.log(v / (1 - v))
    slope = 1 / (1 - value**2) if name == "mcc" else 1 / (value * (1 - value))
    half = (scale(intervals[name][1]) - scale(intervals[name][0])) / 2
    assert half == pytest.approx(stats.t.ppf(0.975, n - 1) * error * slope, rel=5e-3)


def of_plain_binary(y, p, codes=None):
    units = Units(len(y), 0.95, codes)
    return measure_binary(y, p >= 0.5, p, names=("0", "1"), cost_matrix=CostMatrix(), units=units)


def draw_binary(random, n, codes):
    u, noise = random.normal(size=(2, n))
    if codes is not None:
        of_entity = random.normal(size=(2, n))[:, codes]
        u, noise = 0.8 * of_entity + 0.6 * np.stack([u, noise])
    chance = 1 / (1 + np.exp(0.6 - 1.2 * u))
    return random.random(n) < chance, 1 / (1 + np.exp(0.1 - 1.2 * u - 0.6 * noise))


def draw_numbers(random, n, codes):
    z, off = random.normal(size=(2, n))
    if codes is not None:
        of_entity = random.normal(size=(2, n))[:, codes]
        z, off = 0.8 * of_entity + 0.6 * np.stack([z, off])
    y = np.exp(0.4 * z) + 1
    return y, y + 0.3 * off * np.sqrt(y)


def measure_any(kind, random, n, codes):
    if kind == "binary":
        return of_plain_binary(*draw_binary(random, n, codes), codes)
    return measure_regression(*draw_numbers(random, n, codes), Units(n, 0.95, codes))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "n", "by_entity", "at_least"),
    [
        ("binary", 50, False, 0.92),
        ("binary", 200, False, 0.93),
        ("binary", 200, True, 0.91),
        ("binary", 2000, True, 0.93),
        ("numbers", 50, False, 0.90),
        ("numbers", 200, False, 0.91),
        ("numbers", 200, True, 0.86),
        ("numbers", 2000, True, 0.91),
    ],
)
def test_intervals_hold_the_true_value_about_as_often_as_they_say(kind, n, by_entity, at_least) -> None:
    random, runs = np.random.default_rng(5), 300
    truth = measure_any(kind, random, 1_000_000, None)[0]
    hits, tried = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0)
    for _ in range(runs):
        values, intervals, _ = measure_any(kind, random, n, draw_entities(random, n) if by_entity else None)
        for name, interval in intervals.items():
            if not isinstance(interval, str):
                tried[name] += 1
                hits[name] += interval[0] <= truth[name] <= interval[1]
                assert interval[0] <= values[name] <= interval[1], name
    for name, right in hits.items():
        # fails if the true coverage is at least `at_least` only once in a million
        assert tried[name] > runs / 2, name
        assert stats.binom.cdf(right, tried[name], at_least) > 1e-6, (name, right / tried[name])


def test_exact_ends_have_intervals_and_what_cannot_vary_says_why() -> None:
    y = np.repeat([0, 1], 15)
    found = of_binary(y, np.where(y, 0.9, 0.2))
    assert found.intervals["accuracy"] == pytest.approx((30 / (30 + 1.959964**2), 1))
    assert found.intervals["roc_auc"] == (pytest.approx(0.025 ** (1 / 15)), 1.0)
    assert found.intervals["f1"][1] == 1
    assert 0.85 < found.intervals["f1"][0] < 1
    assert found.interval_reasons["mcc"].startswith("no interval: it does not vary between the rows")
    wrong = of_binary(y, np.where(y, 0.2, 0.9))
    assert wrong.intervals["roc_auc"] == (0.0, pytest.approx(1 - 0.025 ** (1 / 15)))


@pytest.mark.slow
def test_an_area_of_exactly_1_is_bounded_as_seldom_wrongly_as_promised() -> None:
    # With 6 rows per class and an area of 0.9 the classes separate now and then; the bound must then reach 0.9 in all
    # but 2.5 % of the runs.
    random = np.random.default_rng(6)
    shift = math.sqrt(2) * stats.norm.ppf(0.9)
    separated = missed = 0
    for _ in range(1000):
        y = np.repeat([False, True], 6)
        p = stats.norm.cdf(random.normal(size=12) + shift * y)
        found = of_binary(y, p)
        if found.metrics["roc_auc"] == 1:
            separated += 1
            missed += found.intervals["roc_auc"][0] > 0.9
    assert separated > 50
    assert missed / 1000 <= 0.025


def test_too_few_rows_and_too_few_entities_give_a_reason() -> None:
    y, p = [0, 1, 0, 1, 0], [0.2, 0.6, 0.7, 0.9, 0.1]
    found = of_binary(y, p)
    assert set(found.intervals) == {"accuracy", "precision", "recall", "f1", "hamming_loss"}
    assert found.interval_reasons["brier"] == "no interval: there are 5 rows, at least 20 are needed"
    few = "no interval: each class needs at least 10 rows, the rarer one has 2"
    assert found.interval_reasons["roc_auc"] == few
    one = of_binary(y * 10, p * 10, ["only"] * 50)
    assert not one.intervals
    assert one.interval_reasons["accuracy"] == "no interval: all rows belong to one entity"
    assert one.interval_reasons["brier"] == "no interval: there are 1 entities, at least 20 are needed"
    assert set(found.metrics) >= set(found.intervals) | set(found.interval_reasons)


def test_a_perfect_or_overflowing_regression_says_why_it_has_no_interval() -> None:
    y = np.arange(30.0)
    perfect = of_numbers(y, y)
    assert perfect.interval_reasons["rmse"] == perfect.interval_reasons["mae"]
    assert perfect.interval_reasons["rmse"].startswith("no interval: it does not vary")
    assert not perfect.intervals
    huge = of_numbers(y * 1e150, y * 1e150 + 1e153)
    assert all(math.isfinite(end) for interval in huge.intervals.values() for end in interval)


def test_a_row_without_an_entity_is_one_of_its_own() -> None:
    random = np.random.default_rng(7)
    y, p = random.integers(0, 2, 100), random.random(100)
    assert of_binary(y, p, [None] * 100).intervals == of_binary(y, p).intervals
    assert of_binary(y, p, list(range(100))).intervals == of_binary(y, p).intervals


def test_a_higher_confidence_gives_a_wider_interval() -> None:
    random = np.random.default_rng(8)
    y, p = random.integers(0, 2, 100), random.random(100)
    wide, narrow = of_binary(y, p, confidence=0.99).intervals, of_binary(y, p, confidence=0.8).intervals
    assert set(wide) == set(narrow)
    for name, (low, high) in narrow.items():
        assert wide[name][0] <= low <= high <= wide[name][1], name
