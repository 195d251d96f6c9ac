"""A project of three weeks, and the command line in its folder."""

import shutil
import sys
import textwrap
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import engine
from engine.cli import main

from .three_weeks import Engine, Said

SPEC = """
    version: 1
    project: weeks
    variables: {week: w1, most: 0.5}
    datasets:
      before: {path: w0.csv}
      now: {path: "${week}.csv"}
    evaluation_stores:
      drift:
        dataset: now
        evaluation: {name: "${week}", labels: {parity: "${week}"}}
        reference: {kind: dataset, dataset: before}
        checks:
          all is well: {metric: drift.*, soft_max: 0.1, max: "${most}"}
          enough rows: {metric: row_count, min: 50}
    scenarios:
      all weeks:
        for_each: [{week: w1}, {week: w2}, {week: w3}]
        steps:
          - {name: build, kind: build, target: drift}
          - {name: check, kind: run_checks, target: drift}
"""

HOSTILE = "red\x1b[2J\x07roses"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weeks")
    (folder / "weeks.yaml").write_text(textwrap.dedent(SPEC))
    for week in range(4):
        random = np.random.default_rng(week + 10)
        pl.DataFrame(
            {
                "age": random.normal(40 + 5 * (week == 3), 10, 400),
                "a column of a rather long name": random.normal(0, 1, 400),
                "flower": random.choice([HOSTILE, "violets"], 400, p=[0.5, 0.5] if week < 3 else [0.8, 0.2]),
            }
        ).write_csv(folder / f"w{week}.csv")
    assert engine.load(folder / "weeks.yaml").run("all weeks").outcome == "WARNING"
    return folder


@pytest.fixture
def said(built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Engine:
    """The command line, in this process and in the folder of the project, which is only read."""
    monkeypatch.chdir(built)
    return _saying(monkeypatch, capsys)


@pytest.fixture
def said_to_a_copy(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Engine:
    monkeypatch.chdir(shutil.copytree(built, tmp_path / "copy"))
    return _saying(monkeypatch, capsys)


def _saying(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Engine:
    def said(verb: str, *arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["engine", verb, "weeks.yaml", *arguments])
        code = main._main()
        return Said(code, *capsys.readouterr())

    return said
