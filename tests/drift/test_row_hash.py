"""Hashes of values and rows: by their definition, the same in every type and form that holds the same values."""

import math
import struct
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from engine.drift.reading.row_hash import hash_rows, hash_values, row_content_hash, value_hash
from engine.drift.reading.text_buffers import copy_texts, iterate_texts
from engine.errors import DataError

WORD = 2**64


def mix(z):
    """SplitMix64 in Python's integers."""
    z = (z + 0x9E3779B97F4A7C15) % WORD
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % WORD
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % WORD
    return z ^ (z >> 31)


def words_of(value):
    """The words of a value, as the kernels' module defines them."""
    if value is None:
        return [0x7FF8000000000001]
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        padded = value + bytes(-len(value) % 8)
        return [len(value), *(int.from_bytes(padded[i : i + 8], "little") for i in range(0, len(padded), 8))]
    if isinstance(value, list | tuple):
        return [len(value), *(naive(item, 0) for item in value)]
    if isinstance(value, dict):
        return words_of([value[name] for name in sorted(value)])
    if isinstance(value, int) and value != float(value):
        return [2, value % WORD, int(value < 0)]
    if math.isnan(value):
        return [0x7FF8000000000000]
    return [struct.unpack("<Q", struct.pack("<d", float(value) or 0.0))[0]]


def naive(value, seed):
    found = mix(seed)
    for word in words_of(value):
        found = mix(found ^ word)
    return found


def naive_row(values, seed):
    return mix(sum(naive(value, mix((mix(seed) + i) % WORD)) for i, value in enumerate(values)) % WORD)


FLOATS = st.floats(allow_subnormal=True) | st.sampled_from([0.0, -0.0, float("nan"), 2.0**63, -(2.0**63)])
SIGNED = st.integers(-(2**63), 2**63 - 1) | st.integers(2**53 - 3, 2**53 + 3) | st.integers(-(2**53) - 3, 3 - 2**53)
UNSIGNED = (
    st.integers(0, 2**64 - 1) | st.integers(2**63 - 3, 2**63 + 3) | st.integers(0, 11).map(lambda k: 2**64 - 2**k)
)
TEXTS = st.text(max_size=40)
KINDS = {
    pl.Float64: FLOATS,
    pl.Float32: st.floats(width=32),
    pl.Int64: SIGNED,
    pl.UInt64: UNSIGNED,
    pl.Int8: st.integers(-128, 127),
    pl.UInt32: st.integers(0, 2**32 - 1),
    pl.Int128: SIGNED | UNSIGNED,
    pl.Boolean: st.booleans(),
    pl.String: TEXTS,
    pl.Categorical: TEXTS,
    pl.Binary: st.binary(max_size=40),
    pl.Null: st.none(),
    pl.List(pl.Int64): st.lists(SIGNED | st.none(), max_size=4),
    pl.List(pl.String): st.lists(TEXTS | st.none(), max_size=4),
    pl.List(pl.List(pl.Float64)): st.lists(st.lists(FLOATS, max_size=3) | st.none(), max_size=3),
    pl.Array(pl.Int64, 2): st.lists(SIGNED, min_size=2, max_size=2),
    pl.Struct({"a": pl.Int64, "b": pl.String}): st.fixed_dictionaries({"a": SIGNED | st.none(), "b": TEXTS}),
}


@pytest.mark.parametrize("dtype", KINDS, ids=str)
def test_a_value_has_the_hash_of_its_definition(dtype):
    @settings(max_examples=60)
    @given(st.lists(KINDS[dtype] | st.none(), max_size=12), st.integers(0, 2**64 - 1))
    def compare(values, seed):
        column = pl.Series("x", values, dtype=dtype)
        assert hash_values(column, seed).tolist() == [naive(value, seed) for value in values]

    compare()


@given(st.lists(st.tuples(FLOATS | st.none(), TEXTS | st.none(), SIGNED | st.none()), max_size=12), st.integers(0, 9))
def test_a_row_has_the_hash_of_its_definition(rows, seed):
    frame = pl.DataFrame(rows, {"a": pl.Float64, "b": pl.String, "c": pl.Int64}, orient="row")
    assert hash_rows(frame, seed).tolist() == [naive_row(row, seed) for row in rows]


def test_the_mixing_function_gives_the_published_numbers():
    """The first outputs of SplitMix64 from the seed 1234567, which many implementations use as test vectors."""
    state, found = 1234567, []
    for _ in range(3):
        found.append(mix(state))
        state = (state + 0x9E3779B97F4A7C15) % WORD
    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]


PINNED = [
    ([0.0, 1.0, 0.1, None], "a706dd2f4d197e6f 03953eea0e693074 98d13f15e928ee8e a4410fdd3c66fea2"),
    ([2**53 + 1, -1], "f9a689bace081622 c91d005ca9fb5ada"),
    (["", "a", "customer-17"], "a706dd2f4d197e6f ed673babe737fe57 4196bf0ce5797491"),
    (["a text of more than 16 bytes, é"], "61c3598b2e77c731"),
    ([[1, 2], []], "9b7284f9efc57cbd a706dd2f4d197e6f"),
    ([date(2026, 11, 28)], "15b75008af6830ab"),
]


@pytest.mark.parametrize(("values", "hashes"), PINNED, ids=lambda value: str(value)[:20])
def test_hashes_stay_what_they_are(values, hashes):
    """Others would give other samples and held-out rows: `row_hash` says what versions to raise."""
    assert [f"{h:016x}" for h in hash_values(pl.Series(values), 0)] == hashes.split()


def test_hashes_of_rows_stay_what_they_are():
    rows = pl.DataFrame({"a": [1, None], "b": ["x", "y"]})
    assert [f"{h:016x}" for h in hash_rows(rows)] == ["8985120b65f6c1f9", "9c05339e6d55c05f"]


EQUAL = [
    ([7, 0, -1, None], [pl.Int8, pl.Int32, pl.Int64, pl.Int128, pl.Float32, pl.Float64, pl.Decimal(10, 2)]),
    ([2**63, 2**64 - 1], [pl.UInt64, pl.Int128, pl.UInt128, pl.Decimal(38, 0), pl.Decimal(38, 3)]),
    ([2**53 + 1, -(2**63)], [pl.Int64, pl.Int128, pl.Decimal(38, 0), pl.Decimal(38, 3)]),
    ([2**62, -(2**63)], [pl.Int64, pl.Float32, pl.Float64]),
    ([True, False], [pl.Boolean, pl.Int8, pl.Float64]),
    ([0.5, -2.25, None], [pl.Float32, pl.Float64]),
    ([Decimal("1.5"), Decimal("-0.1")], [pl.Decimal(10, 1), pl.Decimal(38, 7)]),
    (["b", "a", "", None], [pl.String, pl.Binary, pl.Categorical, pl.Enum(["a", "b", ""]), pl.Enum(["", "b", "a"])]),
    ([[1], [], None], [pl.List(pl.Int8), pl.List(pl.Float64)]),
    ([[1, 2], None], [pl.List(pl.Int64), pl.Array(pl.Int64, 2)]),
    ([None, None], [pl.Null, pl.Int64, pl.String, pl.Date, pl.List(pl.Int64), pl.Struct({"a": pl.Int64}), pl.Boolean]),
]


@pytest.mark.parametrize(("values", "dtypes"), EQUAL, ids=lambda value: str(value)[:40])
def test_equal_values_have_equal_hashes_in_every_type(values, dtypes):
    first = pl.Series(values, dtype=dtypes[0])
    hashes = [hash_values(first if dtype == dtypes[0] else first.cast(dtype), 3).tolist() for dtype in dtypes]
    assert hashes == [hashes[0]] * len(dtypes)
    assert len(set(hashes[0])) == len(set(map(str, values)))


def test_values_that_differ_have_other_hashes():
    columns = [
        pl.Series([0.1, -0.1, float("inf"), -float("inf"), float("nan"), None, 0.0]),
        pl.concat([pl.Series([0.1]), pl.Series([0.1], dtype=pl.Float32).cast(pl.Float64)]),
        pl.Series(["", "0", "a", "a\0", "\0", "ab", "1234567", "12345678", "123456781"]),
        pl.Series([2**53 - 1, 2**53 + 1, 2**53 + 2, 2**63 - 1, -(2**63 - 1)]),
        pl.Series([[], [0], [0, 0], [None], [1, 2], [2, 1]], dtype=pl.List(pl.Int64)),
        pl.Series([[[], [1]], [[1], []]], dtype=pl.List(pl.List(pl.Int64))),
        pl.Series([Decimal("0.3"), Decimal("0.30000000000000000001")], dtype=pl.Decimal(38, 20)),
        pl.Series([2**64, 2**100, -(2**70)], dtype=pl.Int128),
    ]
    for column in columns:
        hashes = np.concatenate([hash_values(column, seed) for seed in (0, 1, 2)])
        assert len(np.unique(hashes)) == len(hashes)


def test_dates_and_times_are_hashed_by_their_number():
    day = pl.Series([date(2026, 1, 2)])
    moment = pl.Series([datetime(2026, 1, 2, 3, tzinfo=UTC)], dtype=pl.Datetime("us", "UTC"))
    for column in (day, moment, pl.Series([time(1, 2, 3)]), pl.Series([timedelta(seconds=-5)])):
        assert hash_values(column, 0).tolist() == hash_values(column.to_physical(), 0).tolist()
    assert hash_values(moment, 0) == hash_values(moment.dt.convert_time_zone("Asia/Tokyo"), 0)


def test_columns_are_not_exchanged_and_sums_of_rows_know_their_rows():
    pairs = pl.DataFrame({"a": [1, 1, 2, 2], "b": [1, 2, 1, 2]})
    assert len(set(hash_rows(pairs).tolist())) == 4
    swapped = pl.DataFrame({"a": [1, 2], "b": [2, 1]})
    straight = pl.DataFrame({"a": [1, 2], "b": [1, 2]})
    assert hash_rows(swapped).sum() != hash_rows(straight).sum()


def some_rows(n):
    random = np.random.default_rng(5)
    number, missing = random.integers(0, 1_000, n), random.random(n) < 0.1
    texts = [f"{'' if k % 3 else 'a text that is longer than a view '}é{k}" for k in number]
    frame = pl.DataFrame({"text": texts, "number": random.normal(size=n), "whole": number})
    return frame.with_columns(pl.when(~pl.Series(missing)).then(pl.all()))


def test_batches_slices_and_shuffled_rows_have_the_same_hashes():
    frame = some_rows(200_000)
    whole = hash_rows(frame)
    parts = pl.concat([frame[start : start + 30_011] for start in range(0, len(frame), 30_011)], rechunk=False)
    assert (hash_rows(parts) == whole).all()
    assert (hash_rows(frame[77:60_000]) == whole[77:60_000]).all()
    order = np.random.default_rng(1).permutation(len(frame))
    assert (hash_rows(frame[order]) == whole[order]).all()
    names = sorted(frame.columns)
    expected = hash_rows(frame.select(names))
    for engine in ("streaming", "in-memory"):
        found = parts.lazy().select(row_content_hash(frame.columns)).collect(engine=engine).to_series()
        assert (found.to_numpy() == expected).all()
    assert (parts.select(value_hash(pl.col("text"), 4)).to_series().to_numpy() == hash_values(frame["text"], 4)).all()


def test_files_of_both_kinds_have_the_same_hashes(tmp_path):
    frame = some_rows(5_000)
    frame.write_parquet(tmp_path / "t.parquet", row_group_size=700)
    frame.write_csv(tmp_path / "t.csv")
    for scanned in (pl.scan_parquet(tmp_path / "t.parquet"), pl.scan_csv(tmp_path / "t.csv")):
        found = scanned.select(row_content_hash(frame.columns)).collect(engine="streaming").to_series().to_numpy()
        assert (found == hash_rows(frame.select(sorted(frame.columns)))).all()


def test_texts_are_where_polars_holds_them():
    column = some_rows(1_000)["text"].drop_nulls().alias("t")
    for part in (column, column[10:500], column.head(0), pl.concat([column[:9], column[400:]], rechunk=False)):
        copied, found = copy_texts(part), []
        for memory, starts, lengths in iterate_texts(part):
            found += [memory[i : i + n].tobytes() for i, n in zip(starts, lengths, strict=True)]
        assert found == [text.encode() for text in part]
        assert found == [copied[0][i : i + n].tobytes() for i, n in zip(*copied[1:], strict=True)]


def test_python_objects_are_refused():
    with pytest.raises(DataError, match="'o' holds Object"):
        hash_values(pl.Series("o", [object()], dtype=pl.Object), 0)


SEQUENCES = {
    "whole numbers": pl.Series(range(100_000)),
    "floats": pl.Series(np.arange(100_000) / 10),
    "floats in 32 bits": pl.Series(np.arange(100_000) / 8, dtype=pl.Float32),
    "short texts": pl.Series(map(str, range(100_000))),
    "long texts": pl.Series(f"a customer whose number is {i}" for i in range(100_000)),
    "large whole numbers": pl.Series(np.arange(100_000) + 2**60),
}


@pytest.mark.parametrize("name", SEQUENCES)
@pytest.mark.parametrize("shift", [0, 24, 54])
def test_hashes_of_a_sequence_are_spread_evenly(name, shift):
    bits = (hash_values(SEQUENCES[name], 1) >> np.uint64(shift)) % np.uint64(1_024)
    buckets = np.bincount(bits.astype(np.int64), minlength=1_024)
    assert chisquare(buckets).pvalue > 1e-5


@pytest.mark.parametrize("name", SEQUENCES)
def test_neighbours_differ_in_half_of_the_bits(name):
    hashes = hash_values(SEQUENCES[name], 1)
    bits = np.unpackbits(hashes.view(np.uint8)).reshape(-1, 64)
    others = np.unpackbits((hashes[1:] ^ hashes[:-1]).view(np.uint8)).reshape(-1, 64)
    # 6 standard deviations of the mean of 100,000 bits
    assert np.abs(bits.mean(axis=0) - 0.5).max() < 0.0095
    assert np.abs(others.mean(axis=0) - 0.5).max() < 0.0095


def test_each_bit_of_a_number_changes_half_of_the_bits_of_its_hash():
    random = np.random.default_rng(3)
    numbers = random.integers(0, 2**62, 3_000).astype(np.uint64)
    finite = numbers & np.uint64(0xBFFFFFFFFFFFFFFF)
    for bit in range(62):
        both = [pl.Series((finite ^ np.uint64(change)).view(np.float64)) for change in (0, 1 << bit)]
        changed = hash_values(both[0], 0) ^ hash_values(both[1], 0)
        assert abs(np.unpackbits(changed.view(np.uint8)).mean() - 0.5) < 0.01
