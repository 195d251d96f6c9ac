"""Materialised tables: cheap to read again, and nothing left behind."""

import json
import subprocess
import sys

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.data.rereadable_tables import make_rereadable
from engine.errors import DataError


def test_parquet_is_scanned_as_it_is(project, tmp_path):
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "t.parquet")
    table = project({"t": {"path": "t.parquet"}}).open("t")
    with make_rereadable(table, tmp_path / "temporary") as same:
        assert same is table
    assert not (tmp_path / "temporary").exists()


def test_anything_else_is_written_once_and_removed(project, tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,x\n2,\n")
    table = project({"t": {"path": "t.csv", "entity": "a"}}).open("t")
    with make_rereadable(table, tmp_path / "temporary") as cheap:
        (tmp_path / "t.csv").unlink()
        assert cheap.rereadable
        assert (cheap.name, cheap.fingerprint, cheap.entity) == (table.name, table.fingerprint, "a")
        assert_frame_equal(cheap.frame.collect(), pl.DataFrame({"a": [1, 2], "b": ["x", None]}))
    assert not any((tmp_path / "temporary").iterdir())


def test_nothing_is_left_where_the_table_cannot_be_read(project, tmp_path):
    (tmp_path / "t.csv").write_text("a\n" + "1\n" * 20_000 + "x\n")
    table = project({"t": {"path": "t.csv"}}).open("t")
    with pytest.raises(DataError, match=r"dataset 't': .*line 20002"), make_rereadable(table, tmp_path / "temporary"):
        pass
    assert not any((tmp_path / "temporary").iterdir())


BOUNDED = """
import json, resource, sys
from pathlib import Path
from engine.data import Datasets, InMemoryFileHashes, compute_dataset_metrics, verify_contract
from engine.data.rereadable_tables import make_rereadable
from engine.spec import load

datasets = Datasets(load(Path(sys.argv[1])), InMemoryFileHashes(), lambda: Path(sys.argv[1]).parent)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
table = datasets.open("t")
verify_contract(table)
with make_rereadable(table, Path(sys.argv[1]).parent) as cheap:
    found = compute_dataset_metrics(cheap, ["row_count", "mean.x0", "missing_count.x1"])
print(json.dumps({"mb": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, **found}))
"""


def test_a_table_larger_than_what_may_be_held_streams(project, tmp_path):
    rows, columns = 6_000_000, 12
    numbers = pl.LazyFrame({"k": pl.int_range(rows, eager=True)})
    frame = numbers.select((pl.col("k") * (7919 + i) % 97 / 3).alias(f"x{i}") for i in range(columns))
    frame.sink_parquet(tmp_path / "raw.parquet", row_group_size=100_000)
    (tmp_path / "made.py").write_text(
        "import polars as pl\nfrom pathlib import Path\ndef rows():\n"
        "    return pl.scan_parquet(Path(__file__).with_name('raw.parquet')).with_columns(pl.col('x0') / 2)\n"
    )
    project({"t": {"kind": "python", "function": "made:rows", "columns": {"x0": {"min": 0, "required": True}}}})
    command = [sys.executable, "-c", BOUNDED, tmp_path / "spec.yaml"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert found["row_count"] == rows
    assert found["missing_count.x1"] == 0
    assert found["mb"] < 0.9 * rows * columns * 8 / 2**20
