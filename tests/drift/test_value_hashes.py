"""The hashes of values: the same for ever, the same in pieces, and as good as random."""

import math
import struct
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from engine.drift.reading.value_hashes import hash_expression, hash_row_expression, hash_rows, hash_values

WIDTH = 2**64


def mix(state: int) -> int:
    """Return the next output of splitmix64, as it is published."""
    state = (state + 0x9E3779B97F4A7C15) % WIDTH
    state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 % WIDTH
    state = (state ^ (state >> 27)) * 0x94D049BB133111EB % WIDTH
    return state ^ (state >> 31)


def key_of(place: int, seed: int) -> int:
    return mix((seed * 0xBF58476D1CE4E5B9 + place * 0x9E3779B97F4A7C15) % WIDTH)


def hash_by_hand(value: object, seed: int = 0) -> int:
    """Return the hash of a row of one value."""
    return mix(sum_by_hand(value, key_of(0, seed)))


def sum_by_hand(value: object, key: int) -> int:
    if value is None:
        return mix(key ^ 0x9E3779B97F4A7C15)
    if isinstance(value, str):
        text = value.encode()
        found = mix((key + len(text)) % WIDTH)
        for start in range(0, len(text), 8):
            found = mix(found ^ int.from_bytes(text[start : start + 8], "little"))
        return mix((found + key) % WIDTH)
    if isinstance(value, float):
        value = value + 0.0
        (bits,) = struct.unpack("<Q", struct.pack("<d", value))
        bits = 0x7FF8000000000000 if math.isnan(value) else bits
    else:
        bits = int(value) % WIDTH  # type: ignore[call-overload]
    return mix((mix(bits ^ key) + key) % WIDTH)


texts = st.lists(st.none() | st.text(max_size=40), min_size=1, max_size=20)
whole = st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20)
floats = st.lists(st.none() | st.floats(), min_size=1, max_size=20)
seeds = st.integers(0, 2**63)


@given(texts, seeds)
def test_texts_are_hashed_as_by_hand(values: list[str | None], seed: int) -> None:
    assert hash_values(pl.Series(values, dtype=pl.String), seed).to_list() == [
        hash_by_hand(value, seed=seed) for value in values
    ]


@given(whole, seeds)
def test_integers_are_hashed_as_by_hand(values: list[int | None], seed: int) -> None:
    assert hash_values(pl.Series(values, dtype=pl.Int64), seed).to_list() == [
        hash_by_hand(value, seed=seed) for value in values
    ]


@given(floats, seeds)
def test_floats_are_hashed_as_by_hand(values: list[float | None], seed: int) -> None:
    assert hash_values(pl.Series(values, dtype=pl.Float64), seed).to_list() == [
        hash_by_hand(value, seed=seed) for value in values
    ]


def test_these_hashes_never_change() -> None:
    """If they do, every sample, split and fingerprint changes: raise HASH_VERSION and KERNEL_VERSION."""
    frame = pl.DataFrame(
        {
            "whole": [0, 7],
            "number": [0.5, None],
            "text": ["", "Zürich, Straße"],
            "day": [date(2026, 1, 1), None],
            "moment": [datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(1969, 12, 31, tzinfo=UTC)],
            "yes": [True, False],
            "list": [[1, 2], None],
        }
    )
    assert hash_rows(frame.get_columns()).tolist() == [8786750863681800554, 11862818293689782997]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pl.Series([7, None], dtype=pl.Int8), pl.Series([7, None], dtype=pl.Int64)),
        (pl.Series([200], dtype=pl.UInt64), pl.Series([200], dtype=pl.UInt8)),
        (pl.Series([0.5, None], dtype=pl.Float32), pl.Series([0.5, None], dtype=pl.Float64)),
        (pl.Series([-0.0]), pl.Series([0.0])),
        (pl.Series([float("nan")]), pl.Series([float("inf")]) - pl.Series([float("inf")])),
        (pl.Series(["a", None], dtype=pl.Categorical), pl.Series(["a", None])),
        (pl.Series(["a"], dtype=pl.Enum(["b", "a"])), pl.Series(["a"])),
    ],
)
def test_equal_values_of_different_types_have_equal_hashes(one: pl.Series, other: pl.Series) -> None:
    assert hash_values(one).to_list() == hash_values(other).to_list()


@pytest.mark.parametrize(
    "values",
    [
        ["", None, "a", "a\0", "\0", "a" * 8, "a" * 9],
        [1, None, 0, -1, 2**62],
        [0.0, None, float("nan"), 1.0, float("inf")],
        [b"", None, b"a", b"61"],
        [[], None, [1], [None]],
        [{"a": 1}, {"a": None}, None],
    ],
)
def test_different_values_have_different_hashes(values: list[object]) -> None:
    assert hash_values(pl.Series(values, strict=False)).n_unique() == len(values)


def test_pieces_and_expressions_give_the_hashes_of_the_whole(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    frame = pl.DataFrame(
        {"a": random.random(250_001), "b": [f"v{code}" for code in random.integers(0, 5000, 250_001)]}
    ).with_columns(pl.when(pl.col("a") < 0.9).then("b").alias("b"))
    whole = hash_rows(frame.get_columns())
    assert np.array_equal(np.concatenate([hash_rows(part.get_columns()) for part in frame.iter_slices(7001)]), whole)
    frame.write_parquet(tmp_path / "rows.parquet", row_group_size=30_000)
    frame.write_csv(tmp_path / "rows.csv")
    for read in (pl.scan_parquet(tmp_path / "rows.parquet"), pl.scan_csv(tmp_path / "rows.csv")):
        row = hash_row_expression([pl.col("a"), pl.col("b")])
        found = read.select(row=row, b=hash_expression(pl.col("b"), 3)).collect(engine="streaming")
        assert np.array_equal(found["row"].to_numpy(), whole)
        assert found["b"].to_list() == hash_values(frame["b"], 3).to_list()


def test_the_order_and_the_seed_of_columns_count() -> None:
    one, other = pl.Series(["x"]), pl.Series(["y"])
    hashes = {int(hash_rows(columns, seed)[0]) for columns in ([one, other], [other, one]) for seed in (0, 1)}
    assert len(hashes) == 4


@pytest.mark.parametrize("kind", ["counter", "floats", "texts", "dates"])
def test_hashes_are_spread_like_random_numbers(kind: str) -> None:
    counter = pl.Series(range(200_000))
    values = {
        "counter": counter,
        "floats": counter / 7,
        "texts": counter.cast(pl.String),
        "dates": counter.cast(pl.Date),
    }[kind]
    hashes = hash_rows([values])
    for shift in (0, 28, 56):
        counts = np.bincount((hashes >> np.uint64(shift)).astype(np.int64) & 255, minlength=256)
        assert stats.chisquare(counts).pvalue > 1e-4
    bits = (hashes[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 5 * 0.5 / len(hashes) ** 0.5


def test_each_bit_of_a_value_changes_half_of_the_bits_of_its_hash() -> None:
    random = np.random.default_rng(2)
    numbers = random.integers(0, 2**63, 2000, np.int64)
    plain = hash_rows([pl.Series(numbers)])
    for bit in range(63):
        changed = np.bitwise_count(plain ^ hash_rows([pl.Series(numbers ^ (1 << bit))]))
        assert 31 < changed.mean() < 33
