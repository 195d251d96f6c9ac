"""Samples: the lowest keys of all rows, whatever the order, the pieces and the memory; no row counts more than once."""

from collections import Counter

import numpy as np
import polars as pl
import pytest

from engine.drift import sample
from engine.drift.profiles import drawn_rows, sampling
from engine.drift.profiles.drawn_rows import limit_rows
from engine.drift.profiles.sampling import row_keys
from engine.drift.reading.row_hash import row_content_hash

COLUMNS = ["a", "b", "c"]


def table(n, seed=0, distinct=10**9):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, distinct, n)
    return pl.DataFrame(
        {"a": a, "b": pl.Series(a % 7).cast(pl.Float64).replace(0.0, None), "c": pl.Series(a % 11).cast(pl.String)}
    )


def naive(frame, rows, seed):
    """All keys at once, the lowest of them."""
    drawn = frame[np.argsort(row_keys(frame, frame.columns, seed))[:rows]]
    return Counter(drawn.rows())


@pytest.fixture
def narrow(monkeypatch):
    """Budgets so small that a small table goes through files and is read twice."""
    monkeypatch.setattr(sampling, "_MAX_BUFFERED_HASHES", 100)
    for module in (drawn_rows, sampling):
        monkeypatch.setattr(module, "MAX_SAMPLE_VALUES", 1500)


@pytest.mark.parametrize("distinct", [1, 3, 400, 10**9])
@pytest.mark.parametrize("rows", [1, 50, 300])
def test_it_is_the_lowest_keys(distinct, rows):
    frame = table(3000, distinct=distinct)
    assert Counter(sample(frame.lazy(), COLUMNS, rows, seed=5).rows()) == naive(frame, rows, 5)


@pytest.mark.usefixtures("narrow")
@pytest.mark.parametrize("distinct", [1, 3, 400, 10**9])
def test_a_frame_that_does_not_fit_gives_the_same(distinct, tmp_path):
    frame = table(3000, distinct=distinct)
    frame.write_parquet(tmp_path / "rows.parquet", row_group_size=170)
    for rows in (1, 50, 300):
        drawn = sample(pl.scan_parquet(tmp_path / "rows.parquet"), COLUMNS, rows, seed=5)
        assert Counter(drawn.rows()) == naive(frame, rows, 5)
        shuffled = sample(frame.sample(fraction=1, shuffle=True, seed=1).lazy(), COLUMNS, rows, seed=5)
        assert shuffled.equals(drawn)


def test_wide_frames_give_fewer_rows():
    assert limit_rows(30, 100_000) == 100_000
    assert limit_rows(2000, 100_000) == 5000
    assert limit_rows(10**9, 100) == 1
    wide = pl.DataFrame(np.zeros((4, 3000)))
    assert sample(wide.lazy(), wide.columns, 3).shape == (3, 3000)


def test_columns_of_equal_values_swapped_hash_differently():
    rows = pl.DataFrame({"a": [1, 2, 1, 2], "b": [2, 1, 1, 2]})
    assert rows.select(row_content_hash(["b", "a"])).to_series().n_unique() == 4
    assert rows.select(x=row_content_hash(["b", "a"])).equals(rows.select(x=row_content_hash(["a", "b"])))


def test_rows_of_small_numbers_do_not_collide():
    grid = pl.DataFrame(np.stack(np.meshgrid(*[np.arange(64)] * 3), -1).reshape(-1, 3), schema=COLUMNS)
    assert grid.select(row_content_hash(COLUMNS)).to_series().n_unique() == 64**3


def test_how_a_category_is_stored_does_not_matter():
    text = pl.Series("c", ["x", "y", "z", None] * 20)
    stored = [text, text.cast(pl.Categorical), text.cast(pl.Enum(["z", "q", "y", "x"]))]
    drawn = [sample(pl.DataFrame({"c": c}).lazy(), ["c"], 9)["c"].cast(pl.String).to_list() for c in stored]
    assert drawn[0] == drawn[1] == drawn[2]


def test_every_row_is_as_likely():
    frame = pl.DataFrame({"a": range(20_000)})
    places = sample(frame.lazy(), ["a"], 5000)["a"].to_numpy()
    assert abs(places.mean() - 10_000) < 4 * 20_000 / np.sqrt(12 * 5000)
    assert len(np.unique(places)) == 5000
