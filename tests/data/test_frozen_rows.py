"""Rows that are frozen into a file: equal rows, equal bytes."""

from datetime import date
from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.data.output.frozen_rows import freeze_rows
from engine.data.table import Table

ROW = st.tuples(
    st.integers(-3, 3) | st.none(),
    st.floats(width=64, allow_nan=True) | st.none(),
    st.sampled_from(["a", "b", "ü", ""]) | st.none(),
    st.dates(date(2000, 1, 1), date(2000, 1, 5)) | st.none(),
    st.lists(st.integers(0, 2), max_size=2) | st.none(),
)
SCHEMA = {"n": pl.Int64, "x": pl.Float64, "c": pl.Categorical, "d": pl.Date, "l": pl.List(pl.Int64)}


def freeze(rows: list[tuple[object, ...]], path: Path) -> bytes:
    frame = pl.DataFrame(
        rows, {name: pl.String if name == "c" else dtype for name, dtype in SCHEMA.items()}, orient="row"
    )
    table = Table("t", frame.with_columns(pl.col("c").cast(pl.Categorical)).lazy(), "f")
    assert freeze_rows(table, path) == len(rows)
    return path.read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROW, max_size=12), st.randoms(use_true_random=False))
def test_the_same_rows_in_another_order_are_the_same_bytes(tmp_path, rows, random):
    # 0.0 and -0.0 are equal for a sort, and so is their order among rows that are otherwise equal
    rows = [(n, 0.0 if x == 0 else x, c, d, inside) for n, x, c, d, inside in rows]
    shuffled = random.sample(rows, len(rows))
    pl.Series(["ü", "b", "zz"]).cast(pl.Categorical)  # so that categories have other codes
    assert freeze(rows, tmp_path / "one.parquet") == freeze(shuffled, tmp_path / "other.parquet")


def test_types_and_values_are_read_as_they_were_written(tmp_path):
    frame = pl.DataFrame(
        {
            "e": pl.Series(["b", "a"], dtype=pl.Enum(["b", "a"])),
            "c": pl.Series(["y", "x"], dtype=pl.Categorical),
            "t": pl.Series([b"\x00", None], dtype=pl.Binary),
            "s": [{"a": 1}, {"a": None}],
            "nothing": pl.Series([None, None], dtype=pl.Null),
            "dec": pl.Series(["1.25", "-3.50"]).cast(pl.Decimal(10, 2)),
            "when": pl.Series([0, 1]).cast(pl.Duration("us")),
        }
    )
    freeze_rows(Table("t", frame.lazy(), "f"), tmp_path / "t.parquet")
    back = pl.read_parquet(tmp_path / "t.parquet")
    assert back.schema == frame.schema
    assert sorted(map(repr, back.rows())) == sorted(map(repr, frame.rows()))
