"""Rows are recognized whatever type holds their values, and counted as often as they occur."""

from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.data import RowCounts, Table, count_rows, find_incomparable_columns, measure_repeated_share, repeated_rows
from engine.drift.reading.hash_version import HASH_VERSION
from engine.errors import DataError

SAME = [
    ([1, 2, None], pl.Int8, pl.Float64),
    ([1, 2, None], pl.UInt64, pl.Decimal(10, 2)),
    ([1.0, None, 2.5], pl.Float64, pl.Decimal(10, 1)),
    (["a", None, "b"], pl.String, pl.Categorical),
    ([date(2026, 1, 1), None], pl.Date, pl.Datetime("ns")),
    ([datetime(2026, 1, 1, 5, tzinfo=UTC), None], pl.Datetime("ms", "UTC"), pl.Datetime("us", "Asia/Tokyo")),
    ([None, None], pl.Null, pl.String),
    ([-0.0, float("nan")], pl.Float64, pl.Float64),
]


def table(frame: pl.DataFrame) -> Table:
    return Table("t", frame.lazy(), "")


def share(now: pl.DataFrame, before: pl.DataFrame) -> float | None:
    counts, earlier = count_rows(table(now)), count_rows(table(before))
    assert find_incomparable_columns(counts, earlier) is None
    return measure_repeated_share(counts, earlier)


@pytest.mark.parametrize(("values", "first", "second"), SAME)
def test_the_same_values_in_another_type_are_the_same_rows(values, first, second):
    one = pl.DataFrame({"k": range(len(values)), "x": pl.Series(values, dtype=first)})
    other = one.with_columns(pl.col("x").cast(second))
    assert share(one, other.select("x", "k")) == 1


def test_names_that_look_like_patterns_and_thousands_of_columns():
    frame = pl.DataFrame({"*": [1, 2], "^a.*$": [3, 4], "ab": [5, 6]})
    assert share(frame, frame.with_columns(ab=pl.Series([5, 7]))) == 0.5
    wide = pl.DataFrame({f"x{i}": [i, -i] for i in range(3_000)})
    assert share(wide, wide.reverse()) == 1


def test_missing_is_not_zero_and_columns_are_not_exchanged():
    assert share(pl.DataFrame({"x": [None, 1]}), pl.DataFrame({"x": [0, 1]})) == 0.5
    assert share(pl.DataFrame({"a": [1], "b": [2]}), pl.DataFrame({"a": [2], "b": [1]})) == 0
    assert share(pl.DataFrame({"x": [2**63 + 1]}, schema={"x": pl.UInt64}), pl.DataFrame({"x": [2**63 - 1]})) == 0


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", None])), min_size=1, max_size=30),
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", None])), max_size=30),
)
def test_equal_rows_count_as_often_as_both_batches_have_them(now, before):
    schema = {"i": pl.Int64, "s": pl.String}
    frames = [pl.DataFrame(rows, schema=schema, orient="row") for rows in (now, before)]
    assert share(*frames) == (Counter(now) & Counter(before)).total() / len(now)


def test_a_sample_of_many_different_rows_is_counted(monkeypatch):
    monkeypatch.setattr(repeated_rows, "MAX_DIFFERENT_ROWS", 5_000)
    rows = pl.DataFrame({"x": np.arange(60_000) // 2})  # each row twice
    before, now = count_rows(table(rows[:40_000])), count_rows(table(rows[20_000:]))
    assert not before.complete
    assert len(before.hashes) == 5_000
    assert set(before.times) == {2}
    assert measure_repeated_share(now, before) == pytest.approx(0.5, abs=0.04)
    few = count_rows(table(rows[20_000:22_000]))
    assert few.complete
    assert measure_repeated_share(few, before) == 1


def test_no_rows_have_no_share():
    empty = count_rows(table(pl.DataFrame({"x": []}, schema={"x": pl.Int64})))
    some = count_rows(table(pl.DataFrame({"x": [1]})))
    assert measure_repeated_share(empty, some) is None
    assert measure_repeated_share(some, empty) == 0


def test_counts_come_back_from_their_file(tmp_path: Path):
    counts = count_rows(table(pl.DataFrame({"x": [1] * 300 + [2], "s": ["a"] * 301})))
    counts.save(tmp_path / "rows.npz")
    back = RowCounts.load(tmp_path / "rows.npz")
    assert (back.types, back.limit, back.rows, back.version) == (counts.types, counts.limit, 301, HASH_VERSION)
    assert list(back.hashes) == list(counts.hashes)
    assert sorted(back.times) == [1, 300]
    (tmp_path / "rows.npz").write_bytes((tmp_path / "rows.npz").read_bytes()[:200])
    with pytest.raises(DataError, match="damaged"):
        RowCounts.load(tmp_path / "rows.npz")


def test_python_objects_are_refused():
    with pytest.raises(DataError, match="'o' holds Python objects"):
        count_rows(table(pl.DataFrame({"o": pl.Series([object()], dtype=pl.Object)})))
