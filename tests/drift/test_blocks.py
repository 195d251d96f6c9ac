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

from engine.drift.reading.blocks import BLOCK_ROWS, finds_slices, iterate_blocks


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
    kept = frame.filter(pl.col("i") % 7 != 0).with_columns(y=pl.col("x") * 2)
    assert lengths(kept, 1_000) == expected(table.filter(pl.col("i") % 7 != 0).height, 1_000)
    assert_frame_equal(pl.concat(iterate_blocks(kept, 1_000)), kept.collect())


@pytest.mark.parametrize("group", [7_001, BLOCK_ROWS, 10**6])
@pytest.mark.parametrize("columns", [1, 20])
def test_slices_of_files_are_blocks_in_order(tmp_path: Path, group: int, columns: int):
    total = 2 * BLOCK_ROWS + 1_234
    rng = np.random.default_rng(1)
    numbers = {f"x{k}": rng.permutation(total) for k in range(columns)}
    table = pl.DataFrame(numbers | {"text": [None if i % 3 else f"row {i}" for i in range(total)]})
    for i, part in enumerate((table[:100_000], table[100_000:])):
        part.write_parquet(tmp_path / f"{i}.parquet", row_group_size=group)
    frame = pl.scan_parquet(sorted(tmp_path.glob("*.parquet"))).with_columns(pl.col("x0").cast(pl.Float64))
    assert finds_slices(frame)
    assert lengths(frame, BLOCK_ROWS) == expected(total, BLOCK_ROWS)
    assert lengths(frame.head(BLOCK_ROWS), BLOCK_ROWS) == [BLOCK_ROWS]
    assert_frame_equal(pl.concat(iterate_blocks(frame)), table.cast({"x0": pl.Float64}))


def test_rows_of_other_frames_are_read_once(tmp_path: Path):
    """A slice of them would need all rows before it: the time would grow with the square of the rows."""
    table = pl.DataFrame({"x": range(10)})
    table.write_parquet(tmp_path / "t.parquet")
    table.write_csv(tmp_path / "t.csv")
    file = pl.scan_parquet(tmp_path / "t.parquet")
    assert finds_slices(file)
    for frame in (
        pl.scan_csv(tmp_path / "t.csv"),
        file.filter(pl.col("x") > 3),
        file.with_columns(pl.col("x").shift()),
        pl.concat([file, file.reverse()]),
        file.join(table.lazy(), on="x"),
    ):
        assert not finds_slices(frame)


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


@pytest.mark.parametrize("chosen", [{}, {"_RJEM_MALLOC_CONF": "dirty_decay_ms:100"}])
def test_the_memory_of_polars_is_kept_for_seconds_unless_the_user_says_otherwise(chosen: dict[str, str]):
    environment = {name: value for name, value in os.environ.items() if name != "_RJEM_MALLOC_CONF"} | chosen
    code = "import engine, os, polars; print(os.environ['_RJEM_MALLOC_CONF'])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    # polars puts its own settings first, and the last one counts; of one that is unknown the allocator writes
    last = done.stdout.strip().rpartition(",")[2]
    assert (last, done.stderr) == (chosen.get("_RJEM_MALLOC_CONF", "dirty_decay_ms:3000"), "")


@pytest.mark.parametrize(("chosen", "expected"), [({}, "20"), ({"OPENBLAS_THREAD_TIMEOUT": "26"}, "26")])
def test_idle_threads_of_numpy_sleep_soon_unless_the_user_says_otherwise(chosen: dict[str, str], expected: str):
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_THREAD_TIMEOUT"} | chosen
    code = "import engine, os, numpy; print(os.environ['OPENBLAS_THREAD_TIMEOUT'])"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert (done.stdout.strip(), done.stderr) == (expected, "")
