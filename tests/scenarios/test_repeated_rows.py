"""Rows that come again under another load date, and rows that a join repeats, are told by the run that meets them."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ..command_line import Done, call_engine

SPEC = """
version: 1
project: nightly
datasets:
  past: {path: past.csv}
  day: {path: "${as_of}.csv"}
evaluation_stores:
  timed:
    dataset: day
    reference: {kind: dataset, dataset: past}
    evaluation: {time: "${as_of}"}
    checks: {new rows: {metric: repeated_data, max: 0}}
  timeless: {dataset: day, reference: {kind: dataset, dataset: past}}
"""
AGAIN = "probably the same rows as evaluation "
COPIED = "each row may be there "

Night = Callable[[int, pl.DataFrame], Done]


def make_rows(seed: int, loaded: int = 1) -> pl.DataFrame:
    """Return rows with a load date, and with the number of the load."""
    random = np.random.default_rng(seed)
    rows = {"amount": random.normal(0, 1, 200), "kind": random.choice(list("abc"), 200)}
    return pl.DataFrame({**rows, "loaded": [f"2026-03-0{loaded}"] * 200, "load": [loaded] * 200})


@pytest.fixture
def night(tmp_path: Path) -> Night:
    make_rows(0).write_csv(tmp_path / "past.csv")
    (tmp_path / "project.yaml").write_text(SPEC, encoding="utf-8")

    def run(day: int, rows: pl.DataFrame) -> Done:
        rows.write_csv(tmp_path / f"2026-03-0{day}.csv")
        return call_engine(tmp_path, "run", "project.yaml", "--as-of", f"2026-03-0{day}", "--format", "json")

    return run


def list_reasons(done: Done) -> list[str]:
    """Return what a run says about the build of each store."""
    (run,) = json.loads(done.stdout)["runs"]
    return [step["reason"] for step in run["steps"] if step["kind"] == "build"]


def test_rows_that_come_again_under_another_load_date_are_told(night: Night) -> None:
    night(1, make_rows(1, loaded=1))
    other = night(2, make_rows(2, loaded=2))  # as many rows, but other ones
    assert other.returncode == 0, other.stderr
    assert not any(AGAIN in reason for reason in list_reasons(other))
    repeated = night(3, make_rows(1, loaded=3).sample(fraction=1, shuffle=True, seed=5))
    timed, timeless = list_reasons(repeated)
    assert f"{AGAIN}2026-03-01: " in timed
    assert AGAIN in timeless
    assert f"warning default [build timed] timed: {AGAIN}2026-03-01: " in repeated.stderr
    assert repeated.returncode == 1
    assert f"ERROR new rows: repeated_data 1 is above max 0: {AGAIN}2026-03-01: " in repeated.stderr


def test_a_correction_of_the_same_day_and_values_that_arrive_late_are_no_repetition(night: Night) -> None:
    night(1, make_rows(1, loaded=1).with_columns(kind=pl.when(pl.col("kind") != "c").then("kind")))
    corrected = night(1, make_rows(1, loaded=2))
    assert "supersedes" in corrected.stdout
    assert AGAIN not in "".join(list_reasons(corrected))


def test_a_batch_in_which_each_row_is_there_three_times_is_told(night: Night, tmp_path: Path) -> None:
    tripled = night(1, pl.concat([make_rows(1)] * 3))
    for reason in list_reasons(tripled):
        assert f"{COPIED}3 times" in reason
    assert f"warning default [build timed] timed: {COPIED}3 times" in tripled.stderr
    # where the rows of the reference are so, too, it is usual
    pl.concat([make_rows(0)] * 3).write_csv(tmp_path / "past.csv")
    usual = night(2, pl.concat([make_rows(2)] * 3))
    assert usual.returncode == 0, usual.stderr
    assert COPIED not in "".join(list_reasons(usual))
