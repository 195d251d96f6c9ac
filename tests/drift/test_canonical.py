"""Equal values are equal in whatever type they are held, as numbers and as text."""

import math
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from polars.testing import assert_series_equal

from engine.drift import Role
from engine.drift.reading.blocks import iterate_blocks
from engine.drift.reading.normalization import normalize_categories, plan_normalization
from engine.errors import DataError

INT, FLOAT = pl.Int64(), pl.Float64()
NUMERIC = [t for t in pl.datatypes.group.NUMERIC_DTYPES if not t.is_decimal()]


def ordered(column: pl.Series) -> pl.Series:
    """Return the column as it is read where it is numerical."""
    frame = column.to_frame()
    return frame.select(plan_normalization(frame.lazy(), {column.name: Role.NUMERICAL})[column.name]).to_series()


def same_bits(found: pl.Series, wanted: list[float | None]) -> None:
    assert found.dtype == FLOAT
    assert [v is None for v in found] == [v is None for v in wanted]
    assert [v.hex() for v in found.drop_nulls()] == [v.hex() for v in wanted if v is not None]


@pytest.mark.parametrize("dtype", sorted(NUMERIC, key=str))
def test_every_numeric_type_reads_as_int64_or_float64(dtype: Any):
    found = ordered(pl.Series("x", [0, 1, None, 100], dtype=dtype))
    assert_series_equal(found, pl.Series("x", [0, 1, None, 100], dtype=INT if dtype.is_integer() else FLOAT))
    assert normalize_categories(pl.Series("x", [0, 1, None, 100], dtype=dtype)).to_list() == ["0", "1", None, "100"]


@pytest.mark.parametrize("dtype", [pl.Float16, pl.Float32, pl.Float64])
def test_floats_lose_nan_and_the_sign_of_zero_and_nothing_else(dtype: Any):
    same_bits(
        ordered(pl.Series([-0.0, math.nan, None, math.inf, -math.inf, 1.5, -0.25], dtype=dtype)),
        [0.0, None, None, math.inf, -math.inf, 1.5, -0.25],
    )
    text = normalize_categories(pl.Series([-0.0, math.nan, None, math.inf, -math.inf, 1.5, 3.0], dtype=dtype))
    assert text.to_list() == ["0", None, None, "inf", "-inf", "1.5", "3"]


@given(st.lists(st.integers(0, 2**64 - 1) | st.sampled_from([0x7FF8000000000001, 0xFFF0000000000001, 1, 2**63])))
def test_any_bits(bits: list[int]):
    floats = np.array(bits, np.uint64).view(np.float64)
    same_bits(ordered(pl.Series(floats)), [None if math.isnan(v) else v + 0.0 for v in floats.tolist()])


@pytest.mark.parametrize(
    ("dtype", "values", "wide"),
    [
        (pl.Int64, [-(2**63), 2**53 + 1, 2**63 - 1], False),
        (pl.UInt64, [0, 2**63 - 1], False),
        (pl.UInt64, [0, 2**63], True),
        (pl.UInt64, [2**64 - 1], True),
        (pl.Int128, [-(2**63), 2**63 - 1], False),
        (pl.Int128, [-(2**63) - 1], True),
        (pl.UInt128, [2**53 + 1], False),
        (pl.UInt128, [2**100 + 1], True),
    ],
)
def test_whole_numbers_stay_whole_if_int64_holds_them(dtype: Any, values: list[int], wide: bool):
    found = ordered(pl.Series("n", [*values, None], dtype=dtype))
    assert found.dtype == (FLOAT if wide else INT)
    assert found.to_list() == [*(map(float, values) if wide else values), None]
    assert normalize_categories(pl.Series("n", [*values, None], dtype=dtype)).to_list() == [*map(str, values), None]


@given(st.lists(st.integers(-(2**63 // 10**6), 2**63 // 10**6)))
@example([17_280_000_001, 9_007_199_254_741, 1, -1, -1_500])
def test_a_duration_is_the_same_float_in_any_unit(milliseconds: list[int]):
    column = pl.Series(milliseconds, dtype=pl.Duration("ms"))
    wanted = ordered(column)
    for unit in ("us", "ns"):
        assert ordered(column.cast(pl.Duration(unit))).equals(wanted)
        assert ordered(column.to_physical().cast(pl.Datetime("ms")).cast(pl.Datetime(unit))).equals(wanted)
        assert normalize_categories(column.cast(pl.Duration(unit))).equals(normalize_categories(column))
    for found, exact in zip(wanted, milliseconds, strict=True):
        assert abs(found - exact / 1000) <= math.ulp(exact / 1000)


def test_values_of_each_type_are_ordered_and_named_as_people_write_them():
    assert ordered(pl.Series([timedelta(seconds=1.1), timedelta(milliseconds=1)])).to_list() == [1.1, 0.001]
    assert ordered(pl.Series([date(1970, 1, 2), date(1969, 12, 31), None])).to_list() == [86400, -86400, None]
    assert ordered(pl.Series([time(0, 0, 1)])).to_list() == [10**9]
    assert ordered(pl.Series([datetime(1970, 1, 2, tzinfo=UTC)])).to_list() == [86400.0]
    assert ordered(pl.Series([True, None, False])).to_list() == [1, None, 0]
    assert ordered(pl.Series([Decimal("1.10"), Decimal("-0.5"), None])).to_list() == [1.1, -0.5, None]
    assert normalize_categories(pl.Series([Decimal("1.10"), Decimal("3.00"), None])).to_list() == ["1.1", "3", None]
    assert normalize_categories(pl.Series([True, None])).to_list() == ["true", None]
    assert normalize_categories(pl.Series([date(2017, 1, 2)])).to_list() == ["2017-01-02"]


@pytest.mark.parametrize("dtype", [pl.Categorical, pl.Enum(["b", "a", ""])])
def test_encoded_text_is_the_text(dtype: Any):
    text = pl.Series("t", ["a", None, "b", "", "a"])
    assert_series_equal(normalize_categories(text.cast(dtype)), text)


@pytest.mark.parametrize(
    "dtype", [pl.Null, pl.String, pl.Binary, pl.Boolean, pl.List(pl.Int8), pl.Struct({"a": pl.Int8}), pl.Enum(["a"])]
)
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_column_without_values_is_fine_in_any_type(dtype: Any, rows: int):
    column = pl.Series("c", [None] * rows, dtype=dtype)
    assert_series_equal(ordered(column), pl.Series("c", [None] * rows, dtype=INT if dtype == pl.Boolean else FLOAT))
    assert_series_equal(normalize_categories(column), pl.Series("c", [None] * rows, dtype=pl.String))
    read = column.to_frame().lazy().select(plan_normalization(column.to_frame().lazy(), {"c": Role.NUMERICAL})["c"])
    assert read.collect().height == rows


def test_data_that_cannot_be_read_are_reported():
    frame = pl.LazyFrame({"t": [None, "high"], "l": [[1], None], "b": [b"x", None], "n": [1, 2]})
    for column, role, problem in (
        (
            "t",
            Role.NUMERICAL,
            (
                "column 't' is compared as numerical, but row 2 holds text: 'high'; correct it, "
                "or declare what it means if it stands for a missing value (csv: null_values)"
            ),
        ),
        ("l", Role.CATEGORICAL, "column 'l' is compared as categorical, but holds lists or structures"),
        ("b", Role.CATEGORICAL, "column 'b' is compared as categorical, but holds bytes"),
        ("x", Role.NUMERICAL, "the data lacks 'x'; it has 't', 'l', 'b', 'n'"),
    ):
        with pytest.raises(DataError) as caught:
            plan_normalization(frame, {"n": Role.NUMERICAL, column: role})
        assert str(caught.value) == problem
    with pytest.raises(DataError, match="'o' is compared as categorical, but holds object"):
        normalize_categories(pl.Series("o", [object()], dtype=pl.Object))


@given(st.lists(st.floats(width=32) | st.none(), max_size=30), st.integers(1, 9))
def test_read_by_blocks_is_read_whole(values: list[float | None], rows: int):
    frame = pl.LazyFrame(
        {
            "f": pl.Series(values, dtype=pl.Float32),
            "u": pl.Series([2**63 if i == 20 else i for i in range(len(values))], dtype=pl.UInt64),
            "d": pl.Series(range(len(values)), dtype=pl.Duration("ns")),
        }
    )
    reading = frame.select(plan_normalization(frame, dict.fromkeys("fud", Role.NUMERICAL)).values())
    for name in "fud":
        whole = ordered(frame.collect()[name])
        parts = [block[name] for block in iterate_blocks(reading, rows)]
        assert_series_equal(pl.concat([whole.clear(), *parts]), whole)
