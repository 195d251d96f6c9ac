"""The verdict: its exact parts against enumeration, its promises on data that has and has not drifted.

Seeds are fixed, so nothing here is left to luck; bounds are those of the binomial at the rates promised.
"""

from itertools import product
from math import comb

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from engine.drift import Role, compare, profile
from engine.drift.significance.hierarchy import adjust_in_groups
from engine.drift.significance.verdict import effect_size, homogeneity_p, permutation_moments
from engine.drift.statistics import binned_distances

LEVEL = 0.05


def chi2(r, b):
    return binned_distances.measure_binned_distances(r, b)["chi2"]


def permutations(pooled, n):
    """Enumerate every way to give the reference n of the pooled rows, with its probability."""
    for r in product(*(range(t + 1) for t in pooled)):
        if sum(r) == n:
            ways = np.prod([comb(t, k) for t, k in zip(pooled, r, strict=True)])
            yield np.array(r), np.array(pooled) - np.array(r), ways / comb(sum(pooled), n)


tables = st.lists(st.integers(1, 6), min_size=2, max_size=4).flatmap(
    lambda pooled: st.tuples(st.just(pooled), st.integers(1, sum(pooled) - 1))
)


@given(tables)
def test_permutation_moments_are_those_of_all_permutations(table):
    pooled, n = table
    everything = [(chi2(r, b), p) for r, b, p in permutations(pooled, n)]
    mean = sum(x * p for x, p in everything)
    variance = sum((x - mean) ** 2 * p for x, p in everything)
    if sum(pooled) >= 4:
        assert permutation_moments(np.array(pooled), n) == pytest.approx((mean, variance), rel=1e-9, abs=1e-9)


@given(tables)
def test_the_effect_takes_off_the_mean_of_all_permutations(table):
    pooled, n = table
    everything = [
        (binned_distances.measure_binned_distances(r, b)["js"] ** 2, r, b, p) for r, b, p in permutations(pooled, n)
    ]
    chance = sum(j * p for j, _, _, p in everything)
    for j, r, b, _ in everything[:5]:
        expected = np.sqrt(max(0, (j - chance) / (1 - chance))) if chance < 1 - 1e-9 else 0
        assert effect_size(r, b) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("r", "b"), [([9, 1, 2], [2, 6, 5]), ([5, 5, 5, 0], [1, 2, 4, 6]), ([30, 9, 1], [2, 3, 4]), ([3, 1, 1], [1, 1, 2])]
)
def test_homogeneity_p_is_that_of_all_permutations(r, b):
    r, b = np.array(r), np.array(b)
    observed = chi2(r, b) - 1e-9
    exact = sum(p for x, y, p in permutations((r + b).tolist(), int(r.sum())) if chi2(x, y) >= observed)
    found = np.mean([homogeneity_p(r, b, level=0.9, tests=1, seed=s, name="x") for s in range(40)])
    assert found == pytest.approx(exact, rel=0.1, abs=1e-3)


def test_homogeneity_p_of_two_categories_is_exact():
    p = homogeneity_p(np.array([40, 10, 0]), np.array([30, 25, 0]), level=LEVEL, tests=1, seed=0, name="x")
    assert p == pytest.approx(stats.fisher_exact([[40, 10], [30, 25]]).pvalue, rel=1e-9)


@pytest.mark.parametrize("rows", [30, 400, 9_000])
@pytest.mark.parametrize("k", [3, 20, 500])
def test_homogeneity_p_does_not_depend_on_the_order_of_categories_or_of_the_sides(k, rows):
    rng = np.random.default_rng([k, rows])
    shares = rng.dirichlet(np.ones(k))
    for m in (rows, 3 * rows):
        r, b = rng.multinomial(rows, shares), rng.multinomial(m, shares**1.1 / (shares**1.1).sum())
        order = rng.permutation(k)
        one, other, mirrored = (
            homogeneity_p(*sides, level=LEVEL, tests=3, seed=1, name="x")
            for sides in ((r, b), (r[order], b[order]), (b, r))
        )
        assert [other, mirrored] == pytest.approx([one, one], rel=1e-9)


def test_homogeneity_p_of_more_rows_than_numpy_draws_from():
    r, b = np.array([10**9, 10**9, 40]), np.array([10**9, 10**9, 60])
    p = homogeneity_p(r, b, level=LEVEL, tests=1, seed=0, name="x")
    assert p == pytest.approx(stats.chi2_contingency([r, b], correction=False).pvalue, rel=0.1)
    assert homogeneity_p(r, b[::-1].copy(), level=LEVEL, tests=1, seed=0, name="x") < 1e-12


@pytest.mark.parametrize("rows", [300, 300_000])
def test_enough_permutations_are_drawn_to_pass_the_level_among_200_columns(rows):
    p = np.array([0.25, 0.2, 0.2, 0.2, 0.15])
    r = stats.multinomial.rvs(rows, p, random_state=1)
    shifted = p + np.array([0.16, -0.05, -0.05, -0.05, -0.01]) * np.sqrt(300 / rows)
    b = stats.multinomial.rvs(rows, shifted, random_state=2)
    assert homogeneity_p(r, b, level=LEVEL, tests=200, seed=0, name="x") < LEVEL / 200


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_rejects_what_the_stepwise_rule_rejects(p_values):
    rejected, ordered = set(), sorted(range(len(p_values)), key=lambda i: p_values[i])
    for step, i in enumerate(ordered):
        if p_values[i] * (len(p_values) - step) >= LEVEL:
            break
        rejected.add(i)
    [adjusted] = adjust_in_groups([p_values], [1.0])
    assert {i for i, p in enumerate(adjusted) if p < LEVEL} == rejected


def compared(reference, batch, entity=None, **options):
    frames = [pl.DataFrame(side) for side in (reference, batch)]
    taking = {
        name: Role.CATEGORICAL if dtype == pl.String else Role.NUMERICAL
        for name, dtype in frames[0].schema.items()
        if name != entity
    }
    return compare(*(profile(frame, taking, entity=entity) for frame in frames), **options)


def zipf(rng, categories, n):
    shares = 1 / np.arange(1, categories + 1)
    return rng.choice(categories, n, p=shares / shares.sum()).astype(str)


def mixed(rng, n):
    return (
        {f"flag {share}": (rng.random(n) < share).astype(str) for share in (0.003, 0.01, 0.03, 0.3)}
        | {"few": zipf(rng, 12, n), "many": zipf(rng, 600, n)}
        | {"normal": rng.normal(size=n), "heavy": rng.standard_cauchy(n), "tied": rng.poisson(1.3, n)}
        | {"mostly 0": np.where(rng.random(n) < 0.8, 0, rng.lognormal(size=n))}
        | {"holes": np.where(rng.random(n) < 0.2, np.nan, rng.normal(size=n))}
    )


@pytest.mark.parametrize(("n", "m"), [(50, 50), (2_000, 60), (400, 600)])
def test_at_most_one_in_twenty_evaluations_without_drift_alarms(n, m):
    times = 100
    alarms = 0
    for seed in range(times):
        rng = np.random.default_rng([seed, n])
        alarms += any(c.significant for c in compared(mixed(rng, n), mixed(rng, m), seed=seed).columns.values())
    assert alarms <= stats.binom.ppf(0.999, times, LEVEL)


def test_rows_of_one_entity_do_not_count_as_independent():
    """Five copies of each card's row: without the entity nearly every comparison would alarm."""
    aware = naive = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        sides = []
        for side in range(2):
            cards = {"amount": rng.normal(size=60), "kind": zipf(rng, 8, 60)}
            sides.append(
                {k: np.repeat(v, 5) for k, v in cards.items()} | {"card": np.repeat(np.arange(60), 5) + 60 * side}
            )
        aware += any(c.significant for c in compared(*sides, entity="card").columns.values())
        without = [{k: v for k, v in side.items() if k != "card"} for side in sides]
        naive += any(c.significant for c in compared(*without).columns.values())
    assert aware <= stats.binom.ppf(0.999, 60, LEVEL)
    assert naive > 30


def test_the_effect_rests_on_all_rows_and_the_p_on_one_a_card():
    rng = np.random.default_rng(0)
    sides = [{"x": rng.normal(s, 1, 2000), "card": rng.integers(0, 500, 2000)} for s in (0.0, 1.0)]
    by_card = compared(*sides, entity="card").columns["x"]
    by_row = compared(*({"x": side["x"]} for side in sides)).columns["x"]
    assert by_card.drift == by_row.drift > 0.3
    assert by_row.drift_p < by_card.drift_p < 1e-6
    assert by_card.statistics["ks"] == by_row.statistics["ks"]


def test_half_of_a_thousand_categories_vanishing_is_found_in_200_rows():
    found = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        reference, batch = rng.integers(0, 1000, 20_000), rng.integers(0, 500, 200)
        found += compared({"c": reference.astype(str)}, {"c": batch.astype(str)}).columns["c"].drift >= 0.1
    assert found >= 19


def test_half_a_standard_deviation_in_one_of_fifty_columns_is_found():
    found = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        reference, batch = ({f"x{i}": rng.normal(size=1000) for i in range(50)} for _ in range(2))
        batch["x7"] += 0.5
        found += compared(reference, batch).columns["x7"].drift > 0.1
    assert found == 10


def test_one_outlier_hides_nothing():
    rng = np.random.default_rng(0)
    reference, batch = rng.normal(size=1000), rng.normal(0.7, 1, 1000)
    plain = compared({"x": reference}, {"x": batch}).columns["x"]
    hidden = compared({"x": np.append(reference, 1e6)}, {"x": np.append(batch, -1e6)}).columns["x"]
    assert hidden.significant
    assert hidden.drift == pytest.approx(plain.drift, rel=0.02)


def test_missing_values_are_drift():
    rng = np.random.default_rng(0)
    batch = np.where(rng.random(300) < 0.9, np.nan, rng.normal(size=300))
    found = compared({"x": rng.normal(size=300)}, {"x": batch}).columns["x"]
    assert found.drift > 0.8
    assert found.statistics["missing_share_change"] > 0.85


def test_new_categories_are_drift():
    found = compared({"c": ["a", "b"] * 100}, {"c": ["a", "x"] * 50}).columns["c"]
    assert found.drift == pytest.approx(np.sqrt(0.5), abs=0.02)
    assert found.statistics["unseen_share"] == 0.5


def test_the_verdict_depends_on_nothing_but_counts_and_seed():
    rng = np.random.default_rng(3)
    reference, batch = mixed(rng, 500), mixed(rng, 300)
    shuffled = {k: rng.permutation(v) for k, v in batch.items()}
    once = compared(reference, batch, seed=5)
    assert compared(reference, shuffled, seed=5) == once
    without = {k: v for k, v in reference.items() if k != "few"}
    fewer = compared(without, batch, seed=5).columns
    assert fewer["tied"].statistics == once.columns["tied"].statistics


def test_drifted_columns_are_those_of_a_tenth_or_more():
    rng = np.random.default_rng(0)
    drift = compared(
        {"a": rng.normal(size=5000), "b": rng.normal(size=5000), "c": rng.normal(size=5000)},
        {"a": rng.normal(1, 1, 5000), "b": rng.normal(0.1, 1, 5000), "c": rng.normal(size=5000)},
    )
    assert 0 < drift.columns["b"].drift < 0.1
    assert (drift.drifted_columns, drift.drifted_share) == (1, 1 / 3)


def test_too_many_categories_for_the_rows_are_noted():
    names = np.arange(3000).astype(str)
    notes = compared({"c": names}, {"c": names[:50]}).notes
    assert notes == ("column 'c' has 3,000 categories for 50 rows: too many for any test to detect drift",)


def test_no_columns_are_no_drift():
    drift = compare(profile(pl.DataFrame(), {}), profile(pl.DataFrame(), {}))
    assert (drift.columns, drift.drifted_columns, drift.drifted_share) == ({}, 0, None)


@pytest.mark.parametrize(
    ("r", "b"), [([3, 0, 0, 0, 0], [0, 5, 3, 3, 5]), ([9, 4, 3, 3, 3, 6, 0], [0, 0, 0, 0, 0, 0, 5])]
)
def test_the_effect_size_of_sides_that_share_no_category_is_one_and_no_more(r, b):
    assert 1 - 1e-12 < effect_size(np.array(r), np.array(b)) <= 1  # by rounding it was above 1
