"""The verdict at every size: bins of the pooled sample, what can be significant at all, and the bound of the effect.

Twins are enumerations of all permutations, numpy and scipy; seeds are fixed, and the numbers of alarms are judged by
the binomial at the rate promised.
"""

from itertools import combinations, product
from math import comb

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from engine.drift import Numerical, Role, compare, compare_family, profile
from engine.drift.profiles import accumulators, profiling
from engine.drift.significance.hierarchy import GroupedTests, adjust_groups
from engine.drift.significance.verdict import (
    effect_lower_bound,
    effect_size,
    smallest_p,
)
from engine.drift.statistics.numerical_statistics import smallest_ks_p
from engine.drift.statistics.pooled_bins import choose_pooled_edges

from .holm import adjust_by_holm

LEVEL = 0.05
X = {"x": Role.NUMERICAL}
values = st.lists(st.integers(-4, 4) | st.floats(-9, 9) | st.sampled_from([np.inf, -np.inf]), max_size=60)


def exact(rows):
    return Numerical.exact(*np.unique(np.array(rows, np.float64) + 0.0, return_counts=True), 0)


def of_numbers(reference, batch, **options):
    sides = [profile(pl.DataFrame({"x": pl.Series(side, dtype=pl.Float64)}), X) for side in (reference, batch)]
    return compare(*sides, **options).columns["x"]


@given(values, values)
def test_edges_are_the_deciles_of_the_pooled_sample_whichever_side_is_which(a, b):
    edges, close = choose_pooled_edges(exact(a), exact(b))
    assert close
    assert choose_pooled_edges(exact(b), exact(a))[0].tolist() == edges.tolist()
    if a or b:
        pooled = np.sort(np.array(a + b, np.float64))
        deciles = [pooled[-(-len(pooled) * k // 10) - 1] for k in range(1, 10)]
        heavy = {value for value in deciles if deciles.count(value) > 1 and value > -np.inf}
        assert edges.tolist() == sorted({*deciles, *(np.nextafter(value, -np.inf) for value in heavy)})


@settings(max_examples=30)
@given(values.filter(len), values.filter(len))
def test_the_verdict_is_the_same_whichever_side_is_which(a, b):
    one, other = of_numbers(a, b), of_numbers(b, a)
    assert other.drift_p == pytest.approx(one.drift_p, rel=1e-9)
    assert (one.drift is None) == (other.drift is None)
    if one.drift is not None:
        assert (other.drift, other.drift_low) == pytest.approx((one.drift, one.drift_low), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("n", [1, 5, 50, 500])
def test_a_batch_of_too_many_values_has_the_verdict_of_its_rows(n, monkeypatch):
    """Whatever the order of its rows, and though the reference has few values to count the batch's rows between."""
    rng = np.random.default_rng(n)
    reference, batch = rng.normal(size=n), rng.normal(0.2, 1, 20_000)
    whole = of_numbers(reference, batch)
    frame = pl.DataFrame({"x": batch})
    against = profile(pl.DataFrame({"x": reference}), X)
    monkeypatch.setattr(accumulators, "GRID_POINTS", 4_096)
    monkeypatch.setattr(profiling, "MAX_DISTINCT_VALUES", 2_000)
    for ordered in (frame, frame.sort("x"), frame.reverse()):
        for found in (ordered, profile(ordered, X, against=against, most_values=2_000)):
            column = compare(against, found).columns["x"]
            assert (column.drift, column.drift_low, column.drift_p) == (whole.drift, whole.drift_low, whole.drift_p)
    for found in (
        compare(against, frame, exact=False),
        compare(against, profile(frame[:9_999], X, against=against, most_values=2_000).merge(
            profile(frame[9_999:], X, against=against, most_values=2_000))),
    ):  # fmt: skip
        # bins between the values of so small a reference would be wrong, so there are none
        assert any("is based only on the distance ks" in note for note in found.notes)
        assert found.columns["x"].drift_p >= min(1.0, 2 * whole.statistics["ks_p"]) - 1e-12


def permutation_p(pooled, n):
    """Give the p-value of chi-squared of every table with these margins."""
    tables = [np.array(r) for r in product(*(range(t + 1) for t in pooled)) if sum(r) == n]
    pooled = np.array(pooled)
    ways = [np.prod([float(comb(int(t), int(k))) for t, k in zip(pooled, r, strict=True)]) for r in tables]
    chi2 = [((r - pooled * n / pooled.sum()) ** 2 / pooled).sum() for r in tables]
    for x in chi2:
        yield sum(w for w, y in zip(ways, chi2, strict=True) if y >= x - 1e-9) / sum(ways)


@settings(max_examples=60)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=4).filter(lambda t: sum(t) > 1), st.data())
def test_no_labels_give_a_p_below_the_smallest(pooled, data):
    n = data.draw(st.integers(1, sum(pooled) - 1))
    found = smallest_p(np.array([0, *pooled]), n)
    assert found <= min(permutation_p(pooled, n)) * (1 + 1e-9)
    assert found == pytest.approx(smallest_p(np.array(pooled), sum(pooled) - n))


@given(st.integers(1, 12), st.integers(1, 12), st.data())
def test_the_smallest_p_of_two_categories_is_fishers_or_below(a, b, data):
    n = data.draw(st.integers(1, a + b - 1))
    tables = [[[k, a - k], [n - k, b - n + k]] for k in range(max(0, n - b), min(a, n) + 1)]
    assert smallest_p(np.array([a, b]), n) <= min(stats.fisher_exact(t).pvalue for t in tables) * (1 + 1e-7)
    likeliest = stats.hypergeom(a + b, a, n).pmf([t[0][0] for t in tables])
    assert smallest_p(np.array([a, b]), n) == pytest.approx(likeliest.min())


@settings(max_examples=30)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=8), st.data())
def test_the_smallest_p_of_the_distance_is_that_of_the_best_labels(pooled, data):
    n = data.draw(st.integers(1, len(pooled) - 1))
    pooled = np.array(pooled, np.float64)
    p_values = []
    for chosen in combinations(range(len(pooled)), n):
        mine = np.isin(np.arange(len(pooled)), chosen)
        p_values.append(stats.ks_2samp(pooled[mine], pooled[~mine], method="exact").pvalue)
    assert smallest_ks_p(exact(pooled[:n]), exact(pooled[n:])) == pytest.approx(min(p_values))


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 0.2)), max_size=12))
def test_tests_that_cannot_be_significant_leave_the_family(pairs):
    smallest = [low for _, low in pairs]
    p_values = [max(p, low) for p, low in pairs]
    [family] = adjust_groups([GroupedTests(p_values, smallest)], LEVEL)
    if pairs:
        k = next(k for k in range(1, len(pairs) + 1) if sum(low < LEVEL / k for low in smallest) <= k)
        stay = [low < LEVEL / k for low in smallest]
        assert (family.tests, family.decidable) == (k, stay)
        kept = adjust_by_holm([p for p, s in zip(p_values, stay, strict=True) if s])
        assert [p for p, s in zip(family.adjusted, stay, strict=True) if s] == kept
        assert all(p >= LEVEL for p, s in zip(family.adjusted, stay, strict=True) if not s)
    assert len(family.adjusted) == len(pairs)


def test_one_family_of_columns_predictions_and_another_test():
    rng = np.random.default_rng(0)
    sides = [{f"x{i}": rng.normal(0.12 * side, 1, 400) for i in range(6)} for side in range(2)]
    inputs, predictions = (
        [profile(pl.DataFrame({name: side[name] for name in names})) for side in sides]
        for names in (["x0", "x1", "x2", "x3"], ["x4", "x5"])
    )
    (first, second), [other] = compare_family([inputs, predictions], [0.011])
    alone = [compare(*(profile(pl.DataFrame({f"x{i}": side[f"x{i}"]})) for side in sides)) for i in range(6)]
    raw = [one.columns[f"x{i}"].drift_p for i, one in enumerate(alone)]
    together = [column.drift_p for column in (first.columns | second.columns).values()]
    # p-values far from the level may differ: they are drawn only as exactly as the decision needs
    assert [*together, other] == pytest.approx(adjust_by_holm([*raw, 0.011]), rel=0.1)
    assert other > 0.011


def normal(columns):
    return lambda rng, n: {f"x{i}": rng.normal(size=n) for i in range(columns)}


def tied(columns):
    return lambda rng, n: {f"x{i}": np.where(rng.random(n) < 1 / 3, 0, rng.poisson(4, n)) for i in range(columns)}


def categories(columns):
    return lambda rng, n: {f"x{i}": rng.choice(list("abcdefgh"), n, p=[0.3, *[0.1] * 7]) for i in range(columns)}


def alarms(draw, n, m, times, entity=None):
    found = 0
    for seed in range(times):
        rng = np.random.default_rng([seed, n, m])
        frames = [pl.DataFrame(draw(rng, rows)) for rows in (n, m)]
        roles = {
            name: Role.NUMERICAL if dtype.is_numeric() else Role.CATEGORICAL
            for name, dtype in frames[0].schema.items()
            if name != entity
        }
        both = compare(*(profile(frame, roles, entity=entity) for frame in frames), seed=seed)
        found += any(column.significant for column in both.columns.values())
    return found


@pytest.mark.parametrize(
    "draw", [normal(1), normal(20), tied(5), categories(10)], ids=["1", "20", "tied", "categories"]
)
@pytest.mark.parametrize(("n", "m"), [(1, 400), (4, 400), (20, 1_000), (50, 3_000)])
def test_a_reference_of_a_few_rows_alarms_in_at_most_one_of_twenty(draw, n, m):
    """Bins of the reference's own quantiles would alarm in 15 to 100 of 100."""
    assert alarms(draw, n, m, 24) <= stats.binom.ppf(0.9999, 24, LEVEL)


def test_columns_that_are_constant_within_an_entity_count_once():
    def draw(rng, n):
        own = {f"x{i}": np.repeat(rng.normal(size=n), 5) for i in range(5)}
        return own | {"card": np.repeat(np.arange(n), 5) + rng.integers(10**12)}

    assert alarms(draw, 100, 100, 60, entity="card") <= stats.binom.ppf(0.9999, 60, LEVEL)


@pytest.mark.parametrize(
    ("r", "b", "why"),
    [
        ([1.0], [2.0], "too few rows: with 1 independent rows in the reference and 1 in the batch"),
        ([1.0, 2.0], [3.0, 4.0, 5.0], "too few rows"),
        ([None], [1.0, 2.0], "too few rows"),
    ],
)
def test_there_is_a_reason_and_no_drift_if_no_difference_could_be_significant(r, b, why):
    found = of_numbers(r, b)
    assert (found.drift, found.drift_low, found.significant, found.undecidable) == (None, None, False, True)
    assert found.reasons["drift"].startswith(why)
    assert found.reasons["drift_low"] == found.reasons["drift"]
    assert found.drift_p >= LEVEL


@pytest.mark.parametrize(("r", "b"), [([1.0], [1.0]), ([None], [None] * 9), ([7.0] * 3, [7.0] * 50)])
def test_a_column_of_one_value_has_not_drifted_at_any_size(r, b):
    found = of_numbers(r, b)
    assert (found.drift, found.drift_low, found.undecidable) == (0, 0, False)


def test_a_rare_flag_does_not_reduce_the_power_of_the_other_columns():
    rng = np.random.default_rng(5)
    moved = [{"x": rng.normal(shift, 1, 200)} for shift in (0.0, 0.42)]
    flags = {f"flag {i}": np.arange(200) == i for i in range(100)}
    alone, among = (
        compare(*(profile(pl.DataFrame(side | more)) for side in moved), confidence=0.95)
        for more in ({}, {name: flag.astype(str) for name, flag in flags.items()})
    )
    assert among.columns["x"].drift_p == pytest.approx(alone.columns["x"].drift_p, rel=0.1)
    assert among.columns["x"].drift == alone.columns["x"].drift > 0
    assert {among.columns[name].drift for name in flags} == {0}


@pytest.mark.parametrize("k", [2, 5, 40])
@pytest.mark.parametrize("target", [0.1, 0.3])
@pytest.mark.parametrize(("n", "m"), [(50, 60), (50, 5_000), (3_000, 100), (4_000, 4_000)])
def test_the_lower_bound_holds_in_nineteen_of_twenty(k, target, n, m):
    rng = np.random.default_rng([k, n])
    shares = rng.dirichlet(np.full(k, 3.0))
    tilt = np.where(np.arange(k) % 2, 1.0, -1.0)

    def moved(by):
        q = shares * np.exp(by * tilt)
        return q / q.sum()

    def distance(q):
        return np.sqrt(stats.entropy(shares, (shares + q) / 2, 2) / 2 + stats.entropy(q, (shares + q) / 2, 2) / 2)

    low, high = 0.0, 9.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if distance(moved(middle)) < target else (low, middle)
    times, wrong = 100, 0
    for _ in range(times):
        r, b = rng.multinomial(n, shares), rng.multinomial(m, moved(low))
        bound = effect_lower_bound(r, b, LEVEL)
        wrong += bound > distance(moved(low))
        assert bound == pytest.approx(effect_lower_bound(b, r, LEVEL), abs=1e-3)
    # 6 % and a little: the bound is not exact where n is small
    assert wrong <= stats.binom.ppf(0.999, times, 0.06)
    if n == m and target == 0.3:
        assert bound > 0.8 * target, "and is of use where there are rows"


def test_the_lower_bound_is_below_the_effect_and_zero_without_significance():
    rng = np.random.default_rng(0)
    big = of_numbers(rng.normal(size=3_000), rng.normal(1, 1, 3_000))
    small = of_numbers(rng.normal(size=40), rng.normal(1.2, 1, 40))
    none = of_numbers(rng.normal(size=3_000), rng.normal(size=3_000))
    assert 0.9 * big.drift < big.drift_low < big.drift
    assert 0 < small.drift_low < 0.8 * small.drift
    assert (none.drift, none.drift_low) == (0, 0)
    assert effect_size(np.array([30, 0]), np.array([0, 30])) == pytest.approx(1)
    assert 0.8 < effect_lower_bound(np.array([30, 0]), np.array([0, 30]), LEVEL) < 1


def test_extreme_columns_have_verdicts():
    for r, b in [
        ([np.inf] * 30, [-np.inf] * 30),
        ([np.inf, -np.inf] * 30, [1.0] * 90),
        ([None] * 40, [1.0] * 40),
        ([0.0], list(range(5_000))),
        (list(range(5_000)), [1e300]),
        ([True] * 30 + [False] * 30, [True] * 60),
    ]:
        for sides in ((r, b), (b, r)):
            found = of_numbers(*sides)
            assert 0 <= found.drift_low <= found.drift <= 1
            assert 0 <= found.drift_p <= 1
    many = np.array([3 * 10**9 - 7, 5, 2])
    assert effect_lower_bound(many, many[::-1].copy(), LEVEL) > 0.99
    assert smallest_p(many, 3) < 1e-20
