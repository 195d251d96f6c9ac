"""Categories are counted as by hand, in any type, split and order."""

import gc
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.drift.distributions import category_counter
from engine.drift.distributions.category_counter import CategoryCounter
from engine.drift.kernels.key_counts import SLOTS_PER_KEY, count_keys
from engine.drift.reading.normalization import normalize_categories


def by_hand(column: pl.Series) -> dict[str, int]:
    counts = Counter(normalize_categories(column))
    counts.pop(None, 0)
    return {text: counts[text] for text in sorted(counts, key=str.encode)}


def found(counted: CategoryCounter) -> dict[str, int]:
    column = counted.make_column(1_000)
    labels, counts = counted.sorted_counts()
    assert column.labels == labels.to_list()
    assert column.counts.tolist() == counts.tolist()
    assert (column.missing, column.text.dtype, column.ends.dtype) == (1_000 - counts.sum(), np.uint8, np.int64)
    assert labels.dtype == pl.String
    assert counts.dtype == np.int64
    assert list(labels) == sorted(set(labels), key=str.encode)
    return dict(zip(labels, counts.tolist(), strict=True))


def tallied(*columns: pl.Series) -> CategoryCounter:
    counted = CategoryCounter()
    for column in columns:
        counted.add(column)
    return counted


ODD_TEXTS = ["", "\0", "é", "\U0001f600", "\uffff", "a" * 40, "a" * 11 + "\0", "a" * 12, "a" * 13, "a" * 12 + "b"]
TEXTS = st.lists(st.none() | st.text(max_size=3) | st.sampled_from(ODD_TEXTS))
LIMITS = st.fixed_dictionaries(
    {
        "BLOCK_ROWS": st.sampled_from([2, 7, category_counter.BLOCK_ROWS]),
        "FEW_LABELS": st.sampled_from([-1, category_counter.FEW_LABELS]),
        "MAX_SHORT_TEXTS": st.sampled_from([0, 2, category_counter.MAX_SHORT_TEXTS]),
        "VALUES_PER_VIEW": st.sampled_from([1, category_counter.VALUES_PER_VIEW]),
    }
)
TYPES = st.sampled_from([pl.String, pl.String, pl.Categorical])


@given(TEXTS, st.lists(st.tuples(st.integers(0, 30), TYPES), max_size=5), st.booleans(), LIMITS)
def test_texts_in_any_split(
    texts: list[str | None], cuts: list[tuple[int, Any]], share_views: bool, limits: dict[str, int]
):
    column = pl.Series("c", texts, dtype=pl.String)
    if share_views:  # as texts from a dictionary do
        column = column.gather(pl.Series([texts.index(text) for text in texts], dtype=pl.UInt32))
    ends = [0, *sorted(min(cut, len(column)) for cut, _ in cuts), len(column)]
    kinds = [pl.String, *(kind for _, kind in cuts)]
    parts = [column[a:b].cast(kind) for (a, b), kind in zip(pairwise(ends), kinds, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        for name, limit in limits.items():
            patch.setattr(category_counter, name, limit)
        assert found(tallied(*parts)) == by_hand(column)
        assert list(found(tallied(*reversed(parts)))) == list(found(tallied(column)))


@pytest.mark.parametrize(
    "column",
    [
        pl.Series([1, None, 1, 2**53 + 1]),
        pl.Series([0.0, -0.0, 1.0, 1.5, float("nan"), None, float("inf"), 1e300]),
        pl.Series([0.5, 2.0, None], dtype=pl.Float32),
        pl.Series([True, None, False, True]),
        pl.Series(["b", "a", None, "b"], dtype=pl.Enum(["b", "a", "c"])),
        pl.Series(["b", "a", None, "b"], dtype=pl.Categorical),
        pl.Series([Decimal("1.50"), Decimal("2.00"), None]),
        pl.Series([2**64 - 1, 0], dtype=pl.UInt64),
        pl.Series([2**100, None], dtype=pl.Int128),
        pl.Series([date(2017, 1, 1), None]),
        pl.Series([timedelta(seconds=1), None]),
        pl.Series([None, None]),
        pl.Series([], dtype=pl.String),
        pl.Series(["one row"]),
    ],
    ids=lambda column: str(column.dtype),
)
def test_values_of_any_type_are_counted(column: pl.Series):
    assert found(tallied(column, column[:1])) == by_hand(pl.concat([column, column[:1]]))


def test_types_that_hold_the_same_categories_add_up():
    parts = [
        pl.Series([1, 2, None]),
        pl.Series([1.0, float("nan")]),
        pl.Series(["1", "b"]),
        pl.Series([1], dtype=pl.UInt8),
    ]
    assert found(tallied(*parts)) == {"1": 4, "2": 1, "b": 1}


def test_a_counter_without_values_is_empty():
    assert found(CategoryCounter()) == {}


@pytest.mark.parametrize("kinds", [2, 3_000, 10**6])
def test_many_rows_and_categories(kinds: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(category_counter, "MAX_PENDING_LABELS", 1_000)
    numbers = np.random.default_rng(0).integers(0, kinds, 400_000)
    column = pl.Series(numbers).cast(pl.String) + " of a text that is too long to be kept inline"
    labels, counts = tallied(column, column[:7]).sorted_counts()
    wanted = pl.concat([column, column[:7]]).alias("v").value_counts().sort("v")
    assert labels.to_list() == wanted["v"].to_list()
    assert counts.tolist() == wanted["count"].to_list()


def test_the_text_of_a_block_is_not_kept():
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    counted, before = CategoryCounter(), 0
    for i in range(60):
        counted.add(pl.Series([f"{i} {'long' * 25}"]).gather([0] * 3 + [0]))
        block = pl.Series(["x" * 100_000 + str(j % 2) for j in range(20)])
        counted.add(block)
        if i == 10:
            gc.collect()
            before = resident()
    assert resident() - before < 40e6
    assert len(counted.sorted_counts()[0]) == 62


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3)))
def test_distinct_keys_are_counted_as_by_a_dictionary(keys: list[int]):
    """Against a dictionary; the keys need not be mixed to be counted, only to be counted fast."""
    array = np.array(keys, np.uint64)
    slots = np.empty(1 << (SLOTS_PER_KEY * len(keys)).bit_length(), np.int32)
    places: dict[str, Any] = {"found": array.copy(), "firsts": np.empty(len(keys), np.int32)}
    counts = np.empty(len(keys), np.int64)
    n = count_keys(array, slots, places["found"], places["firsts"], counts)
    wanted = Counter(keys)
    assert places["found"][:n].tolist() == list(wanted)
    assert places["firsts"][:n].tolist() == [keys.index(key) for key in wanted]
    assert counts[:n].tolist() == list(wanted.values())


def test_distinct_keys_beyond_every_size_of_its_table():
    keys = np.random.default_rng(0).permutation(np.repeat(np.arange(30_000, dtype=np.uint64) << np.uint64(3), 3))
    found, firsts, counts = np.empty(90_000, np.uint64), np.empty(90_000, np.int32), np.empty(90_000, np.int64)
    n = count_keys(keys, np.empty(1 << 19, np.int32), found, firsts, counts)
    assert n == 30_000
    assert (counts[:n] == 3).all()
    assert (keys[firsts[:n]] == found[:n]).all()
    assert (np.sort(found[:n]) == np.unique(keys)).all()


def test_long_texts_of_a_csv_file_do_not_share_their_views(tmp_path: Path):
    random = np.random.default_rng(0)
    # each of 50 long texts stands in the file 400 times, each time at a place of its own
    column = pl.Series("c", [f"a text of more than twelve bytes, number {i}" for i in random.integers(0, 50, 20_000)])
    pl.DataFrame([column]).write_csv(tmp_path / "texts.csv")
    read = pl.read_csv(tmp_path / "texts.csv").get_column("c")
    assert found(tallied(read)) == by_hand(column)
    counted = tallied(*(read[at : at + 3_000] for at in range(0, 20_000, 3_000)), column)
    assert found(counted) == {text: 2 * rows for text, rows in by_hand(column).items()}
