"""Blocks hold the rows in order, in equal sizes, whatever the pieces that polars reads them in."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from engine.drift.reading.blocks import iterate_blocks


def lengths(frame: pl.LazyFrame, rows: int) -> list[int]:
    return [len(block) for block in iterate_blocks(frame, rows)]


def expected(total: int, rows: int) -> list[int]:
    return [rows] * (total // rows) + [total % rows] * (total % rows > 0)


@given(st.lists(st.integers(0, 40), max_size=8), st.integers(1, 50))
def test_any_pieces_become_blocks_of_one_size_in_order(pieces: list[int], rows: int):
    total = sum(pieces)
    ends = np.cumsum(pieces)
    table = pl.DataFrame({"i": range(total), "text": [f"row {i}" for i in range(total)]})
    chunks = [table[int(end - piece) : int(end)] for piece, end in zip(pieces, ends, strict=True)]
    frame = pl.concat(chunks, rechunk=False) if chunks else table
    found = list(iterate_blocks(frame.lazy(), rows))
    assert [len(block) for block in found] == expected(total, rows)
    assert all(block.n_chunks() == 1 for block in found)
    assert_frame_equal(pl.concat([table.clear(), *found]), table)


@pytest.mark.parametrize("group", [97, 1_000, 10_000])
def test_row_groups_of_any_size(tmp_path: Path, group: int):
    table = pl.DataFrame({"i": np.arange(10_000), "x": np.linspace(0, 1, 10_000)})
    table.write_parquet(tmp_path / "t.parquet", row_group_size=group)
    frame = pl.scan_parquet(tmp_path / "t.parquet")
    for rows in (64, 1_000, 4_096, 10_000, 20_000):
        assert lengths(frame, rows) == expected(10_000, rows)
    assert_frame_equal(pl.concat(iterate_blocks(frame, 4_096)), table)
    assert_frame_equal(pl.concat(iterate_blocks(frame, 4_096, row_groups_ahead=2)), table)
    kept = frame.filter(pl.col("i") % 7 != 0).with_columns(y=pl.col("x") * 2)
    assert lengths(kept, 1_000) == expected(table.filter(pl.col("i") % 7 != 0).height, 1_000)
    assert_frame_equal(pl.concat(iterate_blocks(kept, 1_000)), kept.collect())


def test_no_rows_no_blocks():
    assert not list(iterate_blocks(pl.LazyFrame({"a": [1]}).clear()))
    assert not list(iterate_blocks(pl.LazyFrame()))


def test_sums_over_blocks_are_the_same_bits_for_any_number_of_threads(tmp_path: Path):
    rng = np.random.default_rng(0)
    pl.DataFrame({"x": rng.standard_cauchy(300_000)}).write_parquet(tmp_path / "t.parquet", row_group_size=7_001)
    code = (
        "import sys, polars as pl; from engine.drift.reading.blocks import iterate_blocks\n"
        "frame = pl.scan_parquet(sys.argv[1]).with_columns(pl.col('x') * 3)\n"
        "print(sum(float(block['x'].to_numpy().sum()) for block in iterate_blocks(frame, 8_192)).hex())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code, tmp_path / "t.parquet"],
            env=os.environ | {"POLARS_MAX_THREADS": threads},
            check=True,
            capture_output=True,
        ).stdout
        for threads in ("1", "2", "5")
    }
    assert len(found) == 1


def test_polars_waits_for_a_slow_caller_and_stops_when_left():
    """Counts the rows that were computed, as Python functions within the query see them."""
    seen = 0

    def count(values: pl.Series) -> pl.Series:
        nonlocal seen
        seen += len(values)
        return values

    total = 4_000_000
    frame = pl.LazyFrame({"x": np.arange(total)}).with_columns(
        pl.col("x").map_batches(count, return_dtype=pl.Int64, is_elementwise=True)
    )
    iterator = iterate_blocks(frame, 1_000)
    next(iterator)
    ahead = -1
    while ahead != seen:
        ahead = seen
        time.sleep(0.3)
    assert ahead < total / 2
    iterator.close()
    time.sleep(0.3)
    after = seen
    time.sleep(0.3)
    assert seen == after < total
