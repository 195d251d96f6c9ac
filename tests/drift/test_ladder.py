"""Columns counted on a ladder: positions as a search finds them, every figure as of the exact column, bounds that hold.

Ladders here have so few rungs that nearly all rows are in gaps.
"""

from dataclasses import astuple
from fractions import Fraction
from itertools import pairwise
from math import isclose

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine.drift import Numerical, Role, compare, profile
from engine.drift.distributions.moments import Moments
from engine.drift.distributions.quantile_grid import QuantileGrid, RunningMoments
from engine.drift.kernels.cdf_bounds import ks_wasserstein_bounds
from engine.drift.kernels.cdf_distance import ks_wasserstein, ks_wasserstein_by_segments
from engine.drift.kernels.moments import mean_and_squares
from engine.drift.kernels.value_tables import search_sorted
from engine.drift.profiles.accumulators import ExactAccumulator
from engine.drift.profiles.grid_accumulators import GridAccumulator
from engine.drift.profiles.merged_tables import has_sampled_hash
from engine.drift.statistics.column_statistics import measure_column

LARGEST, SMALLEST = np.finfo(np.float64).max, 5e-324
odd = st.sampled_from([0.0, SMALLEST, -SMALLEST, LARGEST, -LARGEST, np.inf, -np.inf, 1e-300, 1e300, 1.0, 1 + 2**-52])
anything = st.floats(allow_nan=False).map(lambda x: x + 0.0)
tied = st.integers(-3, 9).map(float)
offset = st.integers(0, 10_000).map(lambda x: 1e9 + x / 128)
heavy = st.floats(-30, 30).map(lambda x: float(np.sinh(x)))
clusters = st.tuples(st.sampled_from([-5e8, 0.0, 7.0]), st.integers(0, 300)).map(lambda x: x[0] + x[1] / 64)
infinite = st.sampled_from([0.0, 1.0, 2.5, SMALLEST, -SMALLEST, np.inf, -np.inf])
kinds = [st.lists(v, min_size=1, max_size=90) for v in (tied, offset, heavy, clusters, infinite, tied | heavy)]
floats = st.one_of(*kinds)
extremes = st.one_of(*kinds, *(st.lists(v, min_size=1, max_size=90) for v in (odd, anything)))
wholes = st.one_of(
    *(
        st.lists(v, min_size=1, max_size=90)
        for v in (st.integers(-(2**63), 2**63 - 1), st.integers(2**60, 2**60 + 50), st.integers(-5, 5))
    )
)


def pairs(of, dtype):
    return st.tuples(of, of).map(lambda both: tuple(np.array(side, dtype) for side in both))


sides = pairs(floats, np.float64) | pairs(wholes, np.int64)
extreme_sides = sides | pairs(extremes, np.float64)


def exact(values):
    return Numerical.exact(*np.unique(values, return_counts=True), 0)


def read(reader, values, cut=7):
    """Give a reader all values in blocks, as often as it asks for them."""
    while not isinstance(reader, Numerical):
        for start in range(0, len(values), cut):
            reader.add(pl.Series(values[start : start + cut]))
        reader = reader.finish(len(values))
    return reader


def found(reference, batch):
    return measure_column(reference, batch, name="x", level=0.05, tests=1, seed=0)


def digits(measured):
    """Return what sums of values, and so means and areas, are known to: the rounding of the largest."""
    ends = ("min", "max", "reference_min", "reference_max")
    return 1e-15 * max(abs(measured.statistics[end] or 0) for end in ends)


def equal(a, b, rel=1e-9):
    """Compare what is found by a grid (a) and exactly; sums may differ by rounding.

    Of values closer than 1e-140, a grid has no standard deviation.
    """
    assert a.statistics.keys() == b.statistics.keys()
    low, high = a.statistics["min"], a.statistics["max"]
    unknown = {"std"} if None not in (low, high) and 0 < high - low < 1e-140 else set()
    for name in a.statistics.keys() - unknown:
        value, other = a.statistics[name], b.statistics[name]
        exactly = name in ("ks", "ks_p", "psi", "js", "chi2", "median", "q05", "q95", "min", "max")
        assert (value is None) == (other is None), name
        summed = name == "mean" or name.startswith("wasserstein")
        scale = digits(a) / (a.statistics["reference_std"] or 1 if name.endswith("normed") else 1) if summed else 0
        near = value is None or isclose(value, other, rel_tol=rel, abs_tol=1e-280 + scale)
        assert value == other if exactly else near, name
    reasons = {name: reason for name, reason in a.reasons.items() if name not in unknown}
    assert (a.histogram, reasons, a.p) == (b.histogram, b.reasons, b.p)


@given(extreme_sides, st.sampled_from([8, 16, 64]))
def test_positions_are_those_of_a_search(both, size):
    reference, batch = both
    ladder = QuantileGrid.from_counts(*np.unique(reference, return_counts=True), size)
    tally = ladder.empty_counts()
    odd = np.array([np.nan, -0.0] if batch.dtype == np.float64 else [], batch.dtype)  # missing, and 0.0
    running = RunningMoments(batch)
    ladder.add_values(np.concatenate([odd, batch, odd]), tally, running)
    batch = np.append(batch, 0 * odd[1:].repeat(2)) + 0
    m = Moments.from_running(running)
    assert (m.rows, m.low, m.high) == (len(batch), batch.min(), batch.max())
    on, gaps, _ = ladder.collect(tally)
    at = np.searchsorted(ladder.points, batch, "left") + np.searchsorted(ladder.points, batch, "right")
    counts = np.bincount(at, minlength=2 * len(ladder.points) + 1)
    assert on.tolist() == counts[1::2].tolist()
    assert gaps.tolist() == counts[::2].tolist()
    assert np.isin(ladder.points, reference).all()
    laid = ladder.empty_counts()
    ladder.add_counts(*np.unique(batch, return_counts=True), laid)
    assert (laid.on_pivots == tally.on_pivots).all()
    assert (laid.gaps[:, 0] == tally.gaps[:, 0]).all()


def test_minus_zero_has_the_position_of_zero():
    grid = QuantileGrid.from_counts(np.array([-SMALLEST, 0.0, 1.0]), np.ones(3, np.int64), 16)
    assert grid.by_bits  # the bits of the two zeros differ
    wanted = grid.mark_buckets(np.array([False, True, False, False]))
    assert len(grid.select_values(np.array([-0.0, 0.0]), wanted, np.empty(3))) == 0


@given(extreme_sides, st.data())
def test_values_of_wanted_gaps_are_selected(both, data):
    reference, batch = both
    ladder = QuantileGrid.from_counts(*np.unique(reference, return_counts=True), 16)
    wanted = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(ladder.points) + 1, max_size=len(ladder.points) + 1))
    )
    odd = np.array([np.nan, -0.0] if batch.dtype == np.float64 else [], batch.dtype)  # missing, and 0.0
    given_values = np.concatenate([odd, batch, odd])
    room = np.empty(len(given_values) + 1, batch.dtype)
    chosen = np.sort(ladder.select_values(given_values, ladder.mark_buckets(wanted), room))
    batch = np.append(batch, 0 * odd[1:].repeat(2)) + 0
    inside = wanted[np.searchsorted(ladder.points, batch)] & ~np.isin(batch, ladder.points)
    at = wanted[np.searchsorted(ladder.points, chosen)]
    assert chosen[at].tolist() == np.sort(batch[inside]).tolist()


@given(sides, st.sampled_from([8, 16, 64]), st.integers(1, 90))
@example((np.array([0.0] * 50 + [1.0]), np.array([0.0] * 30 + [0.5, 2.0])), 8, 90)
@example((np.array([0.0, 1.0]), np.array([0.0, 0.0, SMALLEST])), 8, 90)
def test_every_figure_is_that_of_all_values(both, size, cut):
    reference, batch = exact(both[0]), both[1]
    column = read(GridAccumulator(reference.quantile_grid(size), reference), batch, cut)
    on_ladder = found(reference, column)
    assert on_ladder.bounds == {}
    equal(on_ladder, found(reference, exact(batch)), rel=1e-6)


@given(sides, st.sampled_from([8, 16]))
def test_every_figure_of_one_pass_is_within_its_bounds(both, size):
    reference, batch = exact(both[0]), both[1]
    rough, sharp = (
        found(reference, read(GridAccumulator(reference.quantile_grid(size), None), batch)),
        found(reference, exact(batch)),
    )
    for name in ("ks", "wasserstein", "median", "q05", "q25", "q75", "q95", "ks_p"):
        value = sharp.statistics[name]
        if value is not None and rough.statistics[name] is not None:  # an end may be infinite
            least = 1e-290 + digits(rough)
            low, high = rough.bounds.get(name, [rough.statistics[name]] * 2)
            assert low * (1 - 1e-9 * np.sign(low)) - least <= value, name
            assert value <= high * (1 + 1e-9 * np.sign(high)) + least, name


UNSAMPLED = np.arange(1.0, 200)[~has_sampled_hash(np.arange(1.0, 200), np.uint64(2))][:20].tolist()
"""Values of which a sample by hash has none."""


@given(floats, floats)
@example(UNSAMPLED[:9], UNSAMPLED)
@example(UNSAMPLED, [5.0])
def test_a_reference_of_too_many_values_gives_bounds_that_hold(before, now):
    before, now = np.array(before), np.array(now)
    reference = read(ExactAccumulator(False, None, 8), before)
    assert (reference.intervals is None) == (len(np.unique(before)) <= 8)
    assert reference.present == len(before)
    rough, sharp = found(reference, exact(now)), found(exact(before), exact(now))
    for name in ("ks", "wasserstein", "reference_median", "ks_p"):
        value = sharp.statistics[name]
        if value is not None and rough.statistics[name] is not None:
            low, high = rough.bounds.get(name, [rough.statistics[name]] * 2)
            least = 1e-290 + digits(rough)
            assert low * (1 - 1e-6 * np.sign(low)) - least <= value <= high * (1 + 1e-6 * np.sign(high)) + least, name


@given(sides, st.integers(0, 90), st.sampled_from([8, 16]))
def test_parts_counted_on_one_ladder_add_up(both, cut, size):
    reference, batch = exact(both[0]), both[1]
    parts = [
        read(GridAccumulator(reference.quantile_grid(size), reference), part) for part in (batch[:cut], batch[cut:])
    ]
    together = parts[0].merge(parts[1], None)
    assert together.present == len(batch)
    value = found(reference, exact(batch)).statistics
    rough = found(reference, together)
    for name in ("ks", "wasserstein", "median"):
        if value[name] is not None:
            low, high = rough.bounds.get(name, [rough.statistics[name]] * 2)
            slack = 1e-6 * max(abs(low), abs(high), 1e-280) + digits(rough)
            assert low - slack <= value[name] <= high + slack, name


@given(sides)
def test_exact_columns_merge_exactly(both):
    merged = exact(both[0]).merge(exact(both[1]), None)
    whole = exact(np.concatenate(both))
    assert merged.values.tolist() == whole.values.tolist()
    assert merged.counts.tolist() == whole.counts.tolist()
    assert astuple(merged.moments) == pytest.approx(astuple(whole.moments), rel=0, abs=0, nan_ok=True)


@given(sides, st.integers(0, 2**32), st.sampled_from([0, 0.02, 0.5]))
@example((np.zeros(1), np.zeros(1)), 56301136, 0.02)  # the largest distance is at the end of a piece of a segment
def test_distances_by_segments_are_those_of_the_sweep(both, seed, moved):
    random = np.random.default_rng(seed)
    n, m = random.integers(1, 3000, 2)
    many = random.standard_normal(n).round(random.integers(1, 9)), random.standard_normal(m).round(3) + moved
    for a, b in (tuple(map(exact, both)), tuple(map(exact, many)), tuple(map(exact, reversed(many)))):
        gap, area = ks_wasserstein(a.values, a.counts, b.values, b.counts)
        same, found = ks_wasserstein_by_segments(
            a.values, a.counts, a.cumulative_counts, b.values, b.counts, b.cumulative_counts
        )
        assert same == gap
        if np.isfinite(area) and np.abs(np.append(a.values, b.values).astype(np.float64)).max() < 1e150:
            assert found == pytest.approx(area, rel=1e-11, abs=1e-300)


@given(sides)
def test_distances_of_tables_are_those_of_their_definition(both):
    a, b = (exact(side) for side in both)
    gap, area = ks_wasserstein(a.values, a.counts, b.values, b.counts)
    union = np.union1d(a.values, b.values)
    rows = [np.searchsorted(np.sort(side), union, "right").tolist() for side in both]
    n, m = map(len, both)
    differences = [abs(i * m - j * n) for i, j in zip(*rows, strict=True)]
    assert gap == max(differences)
    nothing = [np.zeros(len(c.values) + 1, np.int64) for c in (a, b)]
    ends = union[0], union[-1], union[-1]
    low, high, least, most = ks_wasserstein_bounds(
        a.values,
        a.counts,
        nothing[0],
        nothing[0] * 0.0,
        b.values,
        b.counts,
        nothing[1],
        nothing[1] * 0.0,
        ends[0],
        *ends[::2],
    )
    assert low == high == gap
    if np.isfinite(union.astype(np.float64)).all() and np.abs(union.astype(np.float64)).max() < 1e300:
        widths = [int(y) - int(x) if union.dtype == np.int64 else y - x for x, y in pairwise(union)]
        naive = sum(d / (n * m) * float(w) for d, w in zip(differences, widths, strict=False))
        assert area == pytest.approx(naive, rel=1e-9, abs=1e-300)
        assert least == pytest.approx(naive, rel=1e-9, abs=1e-300)
        assert most == pytest.approx(naive, rel=1e-9, abs=1e-300)


@given(extreme_sides)
def test_places_are_those_of_a_search(both):
    table, wanted = np.unique(both[0]), np.sort(both[1])
    assert search_sorted(table, wanted).tolist() == np.searchsorted(table, wanted).tolist()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200).map(np.sort), st.integers(0, 200))
def test_moments_of_parts_are_those_of_the_whole(values, cut):
    exactly = [Fraction(x) for x in values.tolist()]
    mean = sum(exactly) / len(exactly)
    squares = float(sum((x - mean) ** 2 for x in exactly))
    for m in (Moments.from_values(values), Moments.from_values(values[:cut]) + Moments.from_values(values[cut:])):
        assert (m.rows, m.low, m.high) == (len(values), values.min(), values.max())
        assert m.mean == pytest.approx(float(mean), rel=1e-12, abs=1e-9)
        assert m.squares == pytest.approx(squares, rel=1e-9, abs=1e-16)


def test_far_from_zero_no_digits_are_lost():
    values = 1e12 + np.arange(100_000) % 7
    offset, squares = mean_and_squares(values, np.empty(0, np.int64), 1e12)
    near = np.arange(100_000) % 7
    assert offset == pytest.approx(near.mean(), rel=1e-13)
    assert squares == pytest.approx(near.var() * 100_000, rel=1e-12)


def test_millions_of_rows_agree_with_all_values():
    random = np.random.default_rng(0)
    n = 300_000

    def frame(seed, moved):
        random = np.random.default_rng(seed)
        return pl.DataFrame(
            {
                "normal": random.normal(moved, 1, n),
                "skewed": random.lognormal(moved, 3, n),
                "zeros": np.where(random.random(n) < 0.7, 0.0, random.gamma(2, 1, n)),
                "far": random.integers(2**60, 2**60 + 10**9, n),
                "category": random.choice(["a", "b", "c"], n),
            }
        ).with_columns(pl.when(pl.col("skewed") > 1).then("normal").alias("gone"))

    before, now = frame(1, 0.0), frame(2, 0.01)
    reference = profile(before)
    streamed, whole = compare(reference, now), compare(reference, profile(now))
    assert random.random() < 1
    for name, column in streamed.columns.items():
        its = whole.columns[name]
        assert column.bounds == {}
        assert (column.drift, column.drift_p, column.histogram) == (its.drift, its.drift_p, its.histogram)
        for statistic, value in column.statistics.items():
            assert value == pytest.approx(its.statistics[statistic], rel=1e-12), (name, statistic)
    assert {name: c.role for name, c in streamed.columns.items()}["category"] is Role.CATEGORICAL


def test_data_that_is_read_once_has_bounds_that_hold():
    random = np.random.default_rng(0)
    before = pl.DataFrame({"x": random.normal(0, 1, 300_000)})
    now = pl.DataFrame({"x": random.normal(0.01, 1, 1_200_000)})
    reference = profile(before)
    once, twice = (compare(reference, now, exact=exact).columns["x"] for exact in (False, True))
    assert twice.bounds == {}
    assert {"ks", "wasserstein"} <= once.bounds.keys()
    for name, (low, high) in once.bounds.items():
        assert low <= twice.statistics[name] <= high, name
        assert high - low < 1e-3
    assert once.histogram == twice.histogram


def test_quantiles_are_exact_beside_a_reference_without_values():
    x = np.random.default_rng(0).normal(0, 1, 1_200_000)
    empty = pl.DataFrame({"x": pl.Series([None, None], dtype=pl.Float64)})
    reference = profile(empty, {"x": Role.NUMERICAL})
    found, once = (compare(reference, pl.DataFrame({"x": x}), exact=exact).columns["x"] for exact in (True, False))
    assert found.bounds == {}
    assert found.statistics["median"] == np.median(x)
    assert found.reasons["ks"] == "the reference has no value"
    low, high = once.bounds["median"]
    assert low < np.median(x) < high
