"""`show --metric drift.*` of 200 columns: a page that a person can read, and what is said of metrics without values."""

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import engine
from engine.cli import main

SPEC = """\
version: 1
project: wide
datasets: {a: {path: a.csv}, b: {path: b.csv}}
evaluation_stores:
  wide: {dataset: b, evaluation: {name: one}, reference: {kind: dataset, dataset: a}}
"""


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wide")
    (folder / "wide.yaml").write_text(SPEC)
    random = np.random.default_rng(0)
    for name in ("a", "b"):
        moved = {150: 2.0, 160: 1.0} if name == "b" else {}
        columns = {f"column_{i:03}": random.normal(moved.get(i, 0), 1, 200) for i in range(200)}
        pl.DataFrame(columns).write_csv(folder / f"{name}.csv")
    engine.run(folder / "wide.yaml")
    return folder


def test_many_metrics_are_rows_with_the_worst_first(
    wide: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["engine", "show", str(wide / "wide.yaml"), "wide", "--metric", "drift.*"])
    assert main._main() == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["metric", "drift.column_150", "drift.column_160"]
    assert "170 more metrics" in lines[-1]
    assert len(lines) < 40
    monkeypatch.setattr(sys, "argv", [*sys.argv[:-1], "drift_p.*"])
    assert main._main() == 0
    assert capsys.readouterr().out.splitlines()[2].split()[0] == "drift_p.column_150"


def test_a_metric_that_nothing_has_is_reported_with_a_similar_one(
    wide: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["engine", "show", str(wide / "wide.yaml"), "wide", "--metric", "psi.colum_150"])
    assert main._main() == 2
    assert "wide has not measured psi.colum_150; did you mean 'psi.column_150'?" in capsys.readouterr().err
