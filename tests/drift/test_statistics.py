"""Every statistic of a column against scipy, numpy, or its formula, on columns made to be difficult."""

import json
import warnings
from itertools import pairwise
from statistics import stdev

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import spatial, stats

from engine.drift import Role, compare, profile

NUMERICAL, CATEGORICAL = {"x": Role.NUMERICAL}, {"x": Role.CATEGORICAL}


def scipy_ks(reference, batch):
    """Ask scipy; where its exact p comes out above 1 by rounding it warns and takes another, which is no answer."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = stats.ks_2samp(reference, batch)
    return found.statistic, 1.0 if caught else found.pvalue


def measured(reference, batch, roles=NUMERICAL, **options):
    sides = [profile(pl.DataFrame({"x": pl.Series(side, strict=False)}), roles) for side in (reference, batch)]
    return compare(*sides, **options).columns["x"]


small = st.integers(-3, 3).map(float)
spread = st.floats(-1e6, 1e6, allow_nan=False, allow_subnormal=False)
heavy = st.floats(1e-3, 1e12).flatmap(lambda x: st.sampled_from([x, -x]))
offset = st.integers(0, 1000).map(lambda x: 1e9 + x / 8)
columns = st.one_of(*(st.lists(v, min_size=2, max_size=60) for v in (small, spread, heavy, offset, small | spread)))


@given(columns, columns)
def test_order_statistics_agree_with_scipy(reference, batch):
    s = measured(reference, batch).statistics
    distance, p = scipy_ks(reference, batch)
    assert s["ks"] == pytest.approx(distance, rel=1e-12, abs=1e-15)
    assert s["ks_p"] == pytest.approx(p, rel=1e-10, abs=1e-12)
    scale = max(map(abs, reference + batch))
    distance = stats.wasserstein_distance(reference, batch)
    assert s["wasserstein"] == pytest.approx(distance, rel=1e-9, abs=1e-12 * scale)
    if s["reference_std"]:
        assert s["wasserstein_normed"] == pytest.approx(s["wasserstein"] / stdev(reference), rel=1e-6)
    else:
        assert "standard deviation" in measured(reference, batch).reasons["wasserstein_normed"]


@given(columns)
def test_moments_agree_with_numpy(values):
    s = measured(values, values[::-1]).statistics
    scale = max(map(abs, values))
    for prefix in ("", "reference_"):
        assert s[prefix + "mean"] == pytest.approx(np.mean(values), rel=1e-12, abs=1e-15 * scale)
        # numpy's squares of tiny values are 0; the standard library computes with fractions
        assert s[prefix + "std"] == pytest.approx(stdev(values), rel=1e-9, abs=1e-14 * scale)
        assert (s[prefix + "min"], s[prefix + "max"]) == (min(values), max(values))
        for name, q in {"median": 0.5, "q05": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95}.items():
            assert s[prefix + name] == pytest.approx(np.quantile(values, q), rel=1e-12, abs=1e-15 * scale)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 50), (400, 300), (9_999, 10_000), (10_001, 70_000), (40_000, 30_000)])
def test_ks_p_is_scipys_at_every_size(n, m):
    rng = np.random.default_rng(n)
    reference, batch = rng.normal(size=n), rng.normal(0.02, 1, size=m)
    expected = stats.ks_2samp(reference, batch)
    assert measured(reference, batch).statistics["ks_p"] == pytest.approx(expected.pvalue, rel=1e-9)


def test_ks_p_of_samples_that_do_not_overlap():
    s = measured(np.arange(300.0), np.arange(300.0) + 1000).statistics
    assert s["ks"] == 1
    assert s["ks_p"] == pytest.approx(stats.ks_2samp(np.arange(300), np.arange(300) + 1000).pvalue, abs=1e-40)


def by_bin(edges, values):
    """Count right-closed bins the slow way."""
    inner = [-np.inf, *edges, np.inf]
    return np.array([sum(low < v <= high for v in values) for low, high in pairwise(inner)])


def distances(r, b):
    """Recompute every distance from counts."""
    r, b = r[(r + b) > 0], b[(r + b) > 0]
    p, q = r / r.sum(), b / b.sum()
    expected = {
        "js": spatial.distance.jensenshannon(p, q, base=2),
        "hellinger": np.sqrt(max(0, 1 - np.sqrt(p * q).sum())),
        "total_variation": np.abs(p - q).sum() / 2,
        "chi2": 0.0,
        "chi2_p": 1.0,
    }
    if len(r) > 1:
        test = stats.chi2_contingency([r, b], correction=False)
        expected |= {"chi2": test.statistic, "chi2_p": test.pvalue}
    p, q = np.where(r == 0, 0.5, r), np.where(b == 0, 0.5, b)
    p, q = p / p.sum(), q / q.sum()
    return expected | {"psi": ((p - q) * np.log(p / q)).sum()}


@given(columns, columns, st.integers(0, 3), st.integers(0, 3))
def test_binned_statistics_agree_with_scipy(reference, batch, missing_r, missing_b):
    found = measured([*reference, *[None] * missing_r], [*batch, *[None] * missing_b])
    edges = found.histogram["edges"]
    r, b = by_bin(edges, reference), by_bin(edges, batch)
    assert (found.histogram["reference"], found.histogram["batch"]) == (r.tolist(), b.tolist())
    assert found.histogram["missing"] == [missing_r, missing_b]
    assert edges == sorted(set(edges))
    for name, value in distances(np.append(r, missing_r), np.append(b, missing_b)).items():
        assert found.statistics[name] == pytest.approx(value, rel=1e-9, abs=2e-8), name


@pytest.mark.parametrize("exponent", [-1000, -700, -500, 500, 700, 1010])
def test_a_standard_deviation_whose_squares_are_no_floats_is_that_of_the_scaled_values(exponent):
    values = np.random.default_rng(0).normal(3, 2, 500)
    found = measured(np.ldexp(values, exponent), np.ldexp(values, exponent)).statistics
    for side in ("", "reference_"):
        assert found[f"{side}mean"] == pytest.approx(np.ldexp(values.mean(), exponent), rel=1e-12)
        assert found[f"{side}std"] == pytest.approx(np.ldexp(values.std(ddof=1), exponent), rel=1e-12)


def test_bins_hold_a_tenth_of_the_reference_each():
    found = measured(np.random.default_rng(0).lognormal(size=1000), [1.0, 1e300])
    assert found.histogram["reference"] == [100] * 10
    assert found.histogram["batch"][-1] == 1


def test_a_value_that_fills_bins_has_one_of_its_own():
    found = measured([0] * 60 + list(range(1, 41)), [-1] * 100)
    assert found.histogram["reference"][:2] == [0, 60]
    assert found.histogram["batch"][0] == 100
    assert found.drift == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("shifted", [4.0, 6.0, 5 + 1e-9, np.inf, None])
def test_a_constant_column_that_changes_has_drifted_completely(shifted):
    assert measured([5.0] * 50, pl.Series([shifted] * 50, dtype=pl.Float64)).drift == pytest.approx(1, abs=1e-12)


labels = st.lists(st.sampled_from(["a", "b", "ä", "", "z\0", None]), min_size=1, max_size=40)


@given(labels, labels)
def test_categorical_statistics_agree_with_scipy(reference, batch):
    found = measured(pl.Series(reference, dtype=pl.String), pl.Series(batch, dtype=pl.String), CATEGORICAL)
    names = sorted({*reference, *batch}, key=str)
    r, b = (np.array([side.count(name) for name in names]) for side in (reference, batch))
    for name, value in distances(r, b).items():
        assert found.statistics[name] == pytest.approx(value, rel=1e-9, abs=2e-8), name
    assert found.statistics["l_infinity"] == pytest.approx(np.abs(r / r.sum() - b / b.sum()).max(), abs=1e-15)
    unseen = sum(name is not None and name not in reference for name in batch)
    assert found.statistics["unseen_share"] == unseen / len(batch)
    shares = [side.count(None) / len(side) for side in (reference, batch)]
    assert [found.statistics["reference_missing_share"], found.statistics["missing_share"]] == shares
    assert found.statistics["missing_share_change"] == shares[1] - shares[0]


def test_cramers_v_is_bergsmas():
    # by hand: n = 200, chi2 = 8, phi2 = .04 - 1/199, both margins become 2 - 1/199
    reference, batch = ["a"] * 40 + ["b"] * 60, ["a"] * 60 + ["b"] * 40
    expected = np.sqrt((0.04 - 1 / 199) / (1 - 1 / 199))
    assert measured(reference, batch, CATEGORICAL).statistics["cramers_v"] == pytest.approx(expected, rel=1e-12)


@given(labels, labels, st.integers(0, 5))
@settings(max_examples=30)
def test_cramers_v_lies_between_0_and_1(reference, batch, seed):
    found = measured(pl.Series(reference, dtype=pl.String), pl.Series(batch, dtype=pl.String), CATEGORICAL, seed=seed)
    assert 0 <= found.statistics["cramers_v"] <= 1


@pytest.mark.parametrize("values", [[], [None], [None] * 30, [1.0], [1.0] * 30, [np.nan] * 3 + [2.0]])
@pytest.mark.parametrize("other", [[], [None] * 30, [7.0], [1.0, 2.0, np.inf]])
def test_columns_of_little_are_results_with_reasons(values, other):
    for sides in ((values, other), (other, values)):
        found = measured(*(pl.Series(side, dtype=pl.Float64) for side in sides))
        absent = {name for name, value in found.statistics.items() if value is None}
        assert absent <= set(found.reasons)
        assert set(found.reasons) <= absent | {"drift", "drift_low", "drift_p"}
        assert all(value is None or np.isfinite(value) for value in found.statistics.values())
        assert (found.drift_p is None) == (not len(sides[0]) or not len(sides[1]))
        assert (found.drift is None) == (found.drift_p is None or found.undecidable)


def test_infinities_are_ordered_and_binned_and_infinitely_far_away():
    found = measured([*range(100), -np.inf], [*range(100), np.inf, np.inf])
    assert found.statistics["ks"] == pytest.approx(
        stats.ks_2samp([*range(100), -np.inf], [*range(100), np.inf, np.inf]).statistic
    )
    assert found.statistics["wasserstein"] is None
    assert "infinite" in found.reasons["wasserstein"]
    assert sum(found.histogram["batch"]) == 102
    assert found.statistics["median"] == 50.5


def test_whole_numbers_beyond_2_to_the_53_stay_exact():
    reference, batch = [2**60 + i for i in range(50)], [2**60 + i + 50 for i in range(50)]
    found = measured(reference, batch)
    assert found.statistics["ks"] == 1
    assert found.statistics["wasserstein"] == pytest.approx(50, rel=1e-14)
    assert found.histogram["batch"] == [0] * 9 + [50]


def test_whole_numbers_agree_with_themselves_as_floats():
    values = list(range(100))
    assert measured(values, [float(v) for v in values]).statistics["ks"] == 0
    assert measured([2**60, 2**60 + 1] * 9, [float(2**60)] * 9).statistics["ks"] == 0


def test_a_constant_of_whole_numbers_that_becomes_a_fraction_has_drifted_completely():
    assert measured([5] * 50, [4.5] * 50).drift == pytest.approx(1, abs=1e-12)


def test_negative_zero_is_zero_and_nan_is_missing():
    found = measured([0.0] * 20, [-0.0] * 18 + [np.nan, None])
    assert found.statistics["ks"] == 0
    assert found.histogram["missing"] == [0, 2]


def test_durations_are_compared_in_seconds_whatever_their_unit():
    seconds = pl.Series(np.arange(100))
    sides = [(seconds * 10**p).cast(pl.Duration(u)) for p, u in ((3, "ms"), (9, "ns"))]
    found = measured(*sides)
    assert (found.statistics["ks"], found.statistics["mean"]) == (0, 49.5)


def test_categories_are_the_same_whatever_type_holds_them():
    reference = pl.Series([1, 2, 3, None] * 10)
    for other in (
        reference.cast(pl.Float64),
        reference.cast(pl.String),
        reference.cast(pl.String).cast(pl.Categorical),
    ):
        assert measured(reference, other, CATEGORICAL).statistics["js"] == 0


@given(columns, columns)
@settings(max_examples=30)
def test_an_increasing_map_changes_nothing_that_rests_on_order(reference, batch):
    assume(max(map(abs, reference + batch)) < 1e6)
    before, after = (
        measured(*(np.array(side) * factor for side in (reference, batch))).statistics for factor in (1.0, 4.0)
    )
    for name in ("ks", "ks_p", "psi", "js", "hellinger", "total_variation", "chi2"):
        assert before[name] == after[name]


def test_many_categories_show_the_most_frequent_and_count_the_rest():
    found = measured([f"v{i}" for i in range(100)] + ["often"] * 50, ["often"] * 30, CATEGORICAL)
    shown = found.histogram
    assert shown["labels"][0] == "often"
    assert len(shown["labels"]) == 50
    assert [sum(shown["reference"]) + shown["other"][0], sum(shown["batch"]) + shown["other"][1]] == [150, 30]


anything = st.lists(
    st.none() | st.floats() | st.sampled_from([1e308, -1e308, 5e-324, -0.0, np.inf, -np.inf]), max_size=30
)


@given(anything, anything)
def test_whatever_floats_hold_every_number_is_finite_or_has_its_reason(reference, batch):
    found = measured(*(pl.Series(side, dtype=pl.Float64) for side in (reference, batch)))
    for name, value in found.statistics.items():
        assert np.isfinite(value) if value is not None else found.reasons[name]
    assert found.drift is None or 0 <= found.drift <= 1
    json.dumps(found.histogram, allow_nan=False)
    rows = [sum(found.histogram[side]) + found.histogram["missing"][i] for i, side in enumerate(("reference", "batch"))]
    assert rows == [len(reference), len(batch)]
