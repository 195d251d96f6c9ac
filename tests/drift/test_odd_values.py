"""Columns of odd values, in every type: each way to read them gives the numbers of a naive twin.

Blocks, tables and grids are so small that a few rows need many of them.
"""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from math import inf, isfinite, isnan, nan, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.drift import compare, profile
from engine.drift.comparison import ColumnDrift
from engine.drift.profiles import accumulators, profiling
from engine.drift.reading import blocks

X = {"x": "numerical"}
NANS = np.array([0x7FF8000000000001, 0xFFF8000000000000, 0x7FF0000000000001], np.uint64).view(np.float64).tolist()
"""With a payload, with a sign, and signalling."""

NEAR = {of: [of + i for i in range(60)] for of in (2**53, 2**62, 2**63 - 60, -(2**63))}
FLOATS = [0.0, -0.0, 5e-324, -5e-324, 1 + 2**-52, 0.1, 2.0**53, 1e300, -1.7e308, inf, -inf, nan, *NANS]
RANDOM = np.random.default_rng(0)
NORMAL, WHOLE = RANDOM.normal(size=60).tolist(), RANDOM.integers(-(2**63), 2**63 - 1, 60).tolist()
TICKS = [0, -1, 999, 10**15 + 1, -(10**15) - 7, *range(1753 * 10**15, 1753 * 10**15 + 20)]
POOLS: list[tuple[pl.DataType, list[Any]]] = [
    (pl.Float64(), FLOATS),
    (pl.Float64(), [*FLOATS, *NORMAL]),
    (pl.Float64(), [*(one for one in FLOATS if not abs(one) > 1e100), *NORMAL]),
    (pl.Float64(), [1e9 + i / 128 for i in range(60)] + [nan]),
    (pl.Float32(), np.array([0.0, -0.0, 1e-45, -1e-45, 0.1, 3.4e38, inf, -inf, nan, *range(40)], np.float32).tolist()),
    (pl.Int64(), [0, 1, -1, 2**53, 2**53 + 1, 2**63 - 1, 2**63 - 2, -(2**63), -(2**63) + 1, *WHOLE]),
    *((pl.Int64(), near) for near in NEAR.values()),
    (pl.UInt64(), [0, 2**53 + 1, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1]),
    (pl.UInt64(), NEAR[2**62]),
    (pl.Int128(), [0, 2**63 - 1, -(2**63), 2**63, 2**100]),
    (pl.Int8(), [-128, 127, 0, 5]),
    (pl.Boolean(), [True, False]),
    (pl.Decimal(38, 0), [Decimal(n) for n in (0, 2**53 + 1, 2**63 - 1, 10**30)]),
    (pl.Decimal(20, 2), [Decimal(n).scaleb(-2) for n in (0, 1, -1, 100, 12_345)]),
    (pl.Date(), [date(1, 1, 1), date(1970, 1, 1), date(9999, 12, 31)]),
    (pl.Datetime("us"), TICKS),
    (pl.Duration("ns"), TICKS),
    (pl.Time(), [0, 1, 10**9, 86_399_999_999_999]),
]
TICKS_PER_SECOND = {"us": 10**6, "ns": 10**9}


def column(dtype: pl.DataType, values: list[Any], cut: int) -> pl.Series:
    """Return a slice, so that values and their validity start somewhere in memory; in two parts, if `cut` is in it."""
    stored = pl.Int64() if dtype.is_temporal() and dtype != pl.Date else dtype
    whole = pl.Series("x", [values[0]] * 3 + values + [values[-1]] * 2, stored, strict=False).cast(dtype)
    part = whole.slice(3, len(values))
    return pl.concat([part[:cut], part[cut:]], rechunk=False) if 0 < cut < len(part) else part


def exceeds_int64(one: pl.Series) -> bool:
    """Return whether the column holds integers that are compared as floats, because some have more than 64 bits."""
    may = one.dtype in (pl.UInt64, pl.Int128, pl.Decimal(38, 0))
    return may and not all(-(2**63) <= int(value) < 2**63 for value in one.drop_nulls())


def present(one: pl.Series, *, wide: bool) -> list[Any]:
    """Return the numbers that a column stands for, ascending: integers, or floats."""
    values = (one.to_physical() if one.dtype.is_temporal() else one).drop_nulls().to_list()
    if one.dtype == pl.Date:
        values = [day * 86_400 for day in values]
    elif isinstance(one.dtype, pl.Datetime | pl.Duration):
        unit = TICKS_PER_SECOND[one.dtype.time_unit]
        sizes = [(1 if tick > 0 else -1, *divmod(abs(tick), unit)) for tick in values]
        values = [sign * (float(whole) + float(rest) / unit) for sign, whole, rest in sizes]
    elif one.dtype.is_float() or getattr(one.dtype, "scale", 0):
        values = [float(value) + 0.0 for value in values if not isnan(value)]
    else:
        values = [float(value) if wide else int(value) for value in values]
    return sorted(values)


def exact_numbers(reference: list[Any], batch: list[Any]) -> dict[str, float | None]:
    """Return the statistics of all values, from their definitions; None where a value is infinite."""
    found: dict[str, Any] = {}
    for prefix, values in (("reference_", reference), ("", batch)):
        if not values:
            continue
        found |= {prefix + "min": float(values[0]), prefix + "max": float(values[-1])}
        for name, percent in (("median", 50), ("q05", 5), ("q25", 25), ("q75", 75), ("q95", 95)):
            rank, rest = divmod(percent * (len(values) - 1), 100)
            low, high = (float(values[i]) for i in (rank, rank + (rest > 0)))
            found[prefix + name] = low if low == high else low * (1 - rest / 100) + high * (rest / 100)
        if max(map(abs, values)) < 1e150 and len(values) > 1:
            mean = sum(map(Fraction, values)) / len(values)
            found[prefix + "mean"] = float(mean)
            if not 0 < values[-1] - values[0] < 1e-140:  # the squares of closer values are 0 on a grid
                found[prefix + "std"] = sqrt(sum((Fraction(v) - mean) ** 2 for v in values) / (len(values) - 1))
    if reference and batch:
        points = sorted({*reference, *batch})
        ranks = [np.searchsorted(np.array(points, object), np.array(side, object)) for side in (reference, batch)]
        upto = [np.cumsum(np.bincount(rank, minlength=len(points))).tolist() for rank in ranks]
        gaps = [abs(Fraction(i, len(reference)) - Fraction(j, len(batch))) for i, j in zip(*upto, strict=True)]
        found["ks"] = float(max(gaps))
        if max(map(abs, points)) < 1e150:
            widths = [Fraction(b) - Fraction(a) for a, b in pairwise(points)]
            found["wasserstein"] = float(sum(gap * width for gap, width in zip(gaps, widths, strict=False)))
    return {name: value if isfinite(value) else None for name, value in found.items()}


def wrong(found: ColumnDrift, wanted: dict[str, float | None], *, bounded: bool, whole: bool) -> Iterator[str]:
    """Yield what differs by more than rounding: sums round their terms, and deviations those that are not integers."""
    rounding = 2**-52 * max(abs(wanted[name] or 0.0) for name in wanted if name.endswith(("min", "max")))
    for name, value in wanted.items():
        number = found.statistics[name]
        low, high = found.bounds.get(name, (number, number))
        if number is None or value is None:
            if number is not value and not bounded:  # a bound may be infinite
                yield f"{name} is {number}, not {value}"
            continue
        if name in found.bounds and not bounded:
            yield f"{name} has bounds"
        near = 1e-15 * (1 if name == "ks" else abs(value))
        if name.endswith("mean") or name == "wasserstein":
            near = 1e-9 * abs(value) + 500 * rounding + 1e-320
        elif name.endswith("std"):
            near = 1e-9 * value + rounding * (not whole) + 1e-160
        if not low - near <= value <= high + near or not low <= number <= high:
            yield f"{name} is {number} in {low} to {high}, not {value}"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(pool=st.sampled_from(POOLS), data=st.data())
def test_every_way_to_read_odd_values_gives_the_same_numbers(
    pool: tuple[pl.DataType, list[Any]], data: st.DataObject, tmp_path: Path
):
    dtype, values = pool
    draw = st.sampled_from([*values, None])
    repeated = st.tuples(st.lists(draw, min_size=1, max_size=60), st.sampled_from([1, 1, 30])).map(
        lambda x: x[0] * x[1]
    )
    missing = st.sampled_from([0, 0, 1, 8, 70]).map(lambda size: [None] * size)
    sides = [column(dtype, data.draw(missing) + data.draw(repeated), data.draw(st.integers(0, 60))) for _ in range(2)]
    wide = any(map(exceeds_int64, sides))
    numbers = [present(side, wide=wide) for side in sides]
    if not numbers[0]:
        return  # a column without values has no grid
    wanted, whole = exact_numbers(*numbers), all(type(number) is int for side in numbers for number in side)
    reference, batch = (side.to_frame() for side in sides)
    cut = data.draw(st.integers(0, len(batch)))
    most, block = data.draw(st.sampled_from([30, 50])), data.draw(st.sampled_from([1, 7, 64, 600]))
    with pytest.MonkeyPatch.context() as patch:
        exact = profile(reference, X)
        merged = profile(batch[:cut], X).merge(profile(batch[cut:], X))
        ways = {"table": compare(exact, batch), "merged tables": compare(exact, merged)}
        patch.setattr(blocks, "BLOCK_ROWS", block if len(batch) < 100 else 600)
        patch.setattr(profiling, "MAX_DISTINCT_VALUES", most)
        patch.setattr(accumulators, "MIN_REFERENCE_VALUES", data.draw(st.sampled_from([1, 5_000])))
        patch.setattr(accumulators, "MAX_SORTED_ROWS", most)
        patch.setattr(accumulators, "GRID_POINTS", data.draw(st.sampled_from([8, 16, 32, 64])))
        exact = profile(reference, X)
        ways["grid"] = compare(exact, batch)
        if dtype != pl.Int128:
            batch.write_parquet(tmp_path / "batch.parquet", row_group_size=block)
            ways["file"] = compare(exact, tmp_path / "batch.parquet")
        bounded = {"one pass": compare(exact, batch, exact=False)}
        parts = [profile(part, X, against=exact, most_values=most) for part in (batch[:cut], batch[cut:])]
        bounded["merged grids"] = compare(exact, parts[0].merge(parts[1]))
        coarse = profile(reference, X, most_values=most)
        bounded["coarse reference"] = compare(coarse, batch)
        bounded["coarse sides"] = compare(coarse, profile(batch, X, most_values=most))
    for way, drift in (ways | bounded).items():
        assert list(wrong(drift.columns["x"], wanted, bounded=way in bounded, whole=whole)) == [], way
    shown = ways["table"].columns["x"]
    for way, drift in ways.items():
        found = drift.columns["x"]
        assert (found.drift_p, found.histogram) == (shown.drift_p, shown.histogram), way


@pytest.mark.parametrize(("far", "nothing"), [(2**62, None), (2.0**52, None), (2.0**52, nan)])
def test_a_first_block_without_values_costs_no_digits(far: float, nothing: float | None, tmp_path: Path):
    """Moments are sums of differences from a value of the first block that has one; those from 0 would lose digits."""
    steps = np.arange(1_100_000) % 7
    path = tmp_path / "batch.parquet"
    column = pl.concat([pl.Series([nothing] * 140_000, dtype=pl.Series([far]).dtype), pl.Series(far + steps)])
    pl.DataFrame({"x": column}).write_parquet(path)
    reference = profile(pl.DataFrame({"x": far + np.arange(6_000)}), X)
    found = compare(reference, path).columns["x"].statistics
    assert found["std"] == pytest.approx(steps.std(ddof=1), rel=1e-12)
    assert found["mean"] == pytest.approx(far + steps.mean(), rel=1e-15)


def test_the_middle_of_very_large_bounds_is_between_them():
    reference = profile(pl.DataFrame({"x": [-1.7e308, 1.7e308] * 50}), X)
    batch = pl.DataFrame({"x": np.linspace(-1.6, 1.5, 70_000) * 1e308})
    found = compare(reference, batch, exact=False).columns["x"]
    low, high = found.bounds["median"]
    assert (low, high) == (batch["x"].min(), batch["x"].max())
    assert low < found.statistics["median"] < high


def test_sums_that_overflow_are_no_warning():
    parts = [pl.DataFrame({"x": np.repeat(np.linspace(-end, end, 500) * 1e308, 3)}) for end in (1.7, 1.6)]
    coarse = [profile(part, X, most_values=50) for part in parts]
    found = compare(coarse[0].merge(coarse[1]), coarse[1]).columns["x"]
    assert found.statistics["wasserstein"] is None


def test_a_value_that_is_rounded_to_zero_has_no_sign():
    single = pl.DataFrame({"x": pl.Series([-1.0, 0.0, 2.0], dtype=pl.Float32)})
    found = compare(profile(pl.DataFrame({"x": [-1.0, -1e-60, 2.0]}), X), single).columns["x"]
    assert found.statistics["ks"] == 0
    assert "-0.0" not in map(str, found.histogram["edges"])


@pytest.mark.parametrize("exact", [True, False])
def test_a_signalling_nan_is_missing_and_no_warning(exact: bool):
    bits = np.full(70_000, 0x7F800001, np.uint32)
    bits[::7] = np.float32(1.5).view(np.uint32)
    batch = pl.DataFrame({"x": bits.view(np.float32)})
    reference = profile(pl.DataFrame({"x": pl.Series([1.5, 2.5], dtype=pl.Float32)}), X)
    assert compare(reference, batch, exact=exact).columns["x"].histogram["missing"] == [0, 60_000]
