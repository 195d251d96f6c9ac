"""Files of one dataset that hold a column in several types: united without loss, or refused by name."""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data.contract import verify_contract
from engine.data.files.common_types import cast_exactly, find_common_dtype
from engine.errors import DataError

TOKYO = pl.Datetime("ns", "Asia/Tokyo")
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def series(values: list[Any], dtype: Any = None) -> pl.Series:
    return pl.Series("c", values, dtype=dtype)


@pytest.mark.parametrize("write", ["write_parquet", "write_ipc"])
@pytest.mark.parametrize(
    ("first", "second", "united", "dtype"),
    [
        (series([1, 2]), series([0.5, None]), [1.0, 2.0, 0.5, None], pl.Float64),
        (series([0.1], pl.Float32), series([0.1]), [0.1, 0.1], pl.Float64),
        (series([1], pl.Int8), series([2**40]), [1, 2**40], pl.Int64),
        (series([2**63 + 1], pl.UInt64), series([-1]), [2**63 + 1, -1], pl.Int128),
        (series([Decimal("1.5")]), series([Decimal("1.25")]), [Decimal("1.50"), Decimal("1.25")], pl.Decimal(38, 2)),
        (series([2**53 + 1]), series([Decimal("0.5")]), [Decimal(2**53 + 1), Decimal("0.5")], pl.Decimal(38, 1)),
        (series(["x"], pl.Enum(["x", "y"])), series(["y"], pl.Enum(["y", "x"])), ["x", "y"], pl.String),
        (series(["x"], pl.Enum(["x", "y"])), series(["y"], pl.Enum(["x", "y"])), ["x", "y"], pl.Enum(["x", "y"])),
        (series(["x"], pl.Categorical), series(["y"]), ["x", "y"], pl.String),
        (series([None]), series([[1]]), [None, [1]], pl.List(pl.Int64)),
        (series([True, None]), series([0, 1]), [1, None, 0, 1], pl.Int64),
        (series([1.0, math.nan]), series([False]), [1.0, math.nan, 0.0], pl.Float64),
        (series([date(2024, 1, 1)]), series([NOON.replace(tzinfo=None)]), None, pl.Datetime("us")),
        (series([NOON], pl.Datetime("ms", "UTC")), series([NOON], TOKYO), None, pl.Datetime("ns", "UTC")),
        (series([timedelta(1)], pl.Duration("ms")), series([timedelta(1)], pl.Duration("us")), None, pl.Duration("us")),
        (series([7]).ext.to(pl.Extension("my.id", pl.Int64())), series([7]), [7, 7], pl.Int64),
        (series([[1]]), series([[1.5]]), [[1.0], [1.5]], pl.List(pl.Float64)),
    ],
)  # fmt: skip
def test_parts_are_united_where_no_value_changes(project, tmp_path, write, first, second, united, dtype):
    getattr(first.to_frame(), write)(tmp_path / "1.dat")
    getattr(second.to_frame(), write)(tmp_path / "2.dat")
    format_ = "parquet" if write == "write_parquet" else "arrow"
    table = project({"t": {"path": "*.dat", "format": format_}}).open("t")
    verify_contract(table)
    found = table.frame.collect()["c"]
    assert found.dtype == dtype
    if united is not None:
        assert found.equals(pl.Series("c", united, dtype=dtype))


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (series([1]), series(["x"]), "is integer in {0} and text in {1}"),
        (series([True]), series([0, 2]), "is boolean in {0} and integer in {1}"),
        (series([date(2024, 1, 1)]), series([1.5]), "is date in {0} and number in {1}"),
        (
            series([NOON.replace(tzinfo=None)]),
            series([NOON]),
            "is datetime without a time zone in {0} and datetime in {1}",
        ),
        (series([[1]]), series([1]), "is List(Int64) in {0} and integer in {1}"),
    ],
)
def test_parts_that_differ_are_refused_by_file_column_and_types(project, tmp_path, first, second, words):
    paths = tmp_path / "1.parquet", tmp_path / "2.parquet"
    first.to_frame().write_parquet(paths[0])
    second.to_frame().write_parquet(paths[1])
    with pytest.raises(DataError, match=r"dataset 't': column 'c' is .*: all files of a dataset must have") as caught:
        project({"t": {"path": "*.parquet"}}).open("t")
    assert words.format(*paths) in str(caught.value)


def test_a_rule_finds_its_rows_in_parts_of_two_types(project, tmp_path):
    series([1, 2]).to_frame().write_parquet(tmp_path / "1.parquet")
    series([2.5, None]).to_frame().write_parquet(tmp_path / "2.parquet")
    table = project({"t": {"path": "*.parquet", "columns": {"c": {"type": "integer", "max": 1}}}}).open("t")
    with pytest.raises(DataError) as caught:
        verify_contract(table)
    assert "1 of 4 values is not whole, but the column is declared as integer: row 1 of 2.parquet (2.5)" in str(
        caught.value
    )
    assert "2 of 4 values are above max 1: row 2 of 1.parquet (2.0), row 1 of 2.parquet (2.5)" in str(caught.value)


NUMBERS = st.one_of(
    st.builds(lambda values: pl.Series(values, dtype=pl.Int64), st.lists(st.integers(-(2**63), 2**63 - 1))),
    st.builds(lambda values: pl.Series(values, dtype=pl.UInt64), st.lists(st.integers(0, 2**64 - 1))),
    st.builds(lambda values: pl.Series(values, dtype=pl.Int8), st.lists(st.integers(-128, 127))),
    st.builds(
        lambda values: pl.Series(values, dtype=pl.Decimal(20, 3)),
        st.lists(st.decimals(-(10**16), 10**16, places=3)),
    ),
)


@given(NUMBERS, NUMBERS)
def test_numbers_of_two_exact_types_lose_no_digit(a, b):
    common = find_common_dtype([a.dtype, b.dtype])
    for one in (a.alias("c"), b.alias("c")):
        cast = one.to_frame().select(cast_exactly("c", one.dtype, common))["c"]
        assert [Decimal(value) for value in cast] == [Decimal(value) for value in one]
