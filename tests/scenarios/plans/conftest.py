"""A project that has run once."""

import shutil
from pathlib import Path

import pytest

from engine.outcome import ExitCode

from .planned_project import done, people, planned

SPEC = """
version: 1
project: test
variables: {name: first, oldest: 90, batch: new.parquet}
secrets: {url: {env: URL, optional: true}}
datasets:
  old: {path: old.parquet, entity: person}
  later: {path: "${batch}", entity: person, description: what came later}
  groups: {kind: python, function: "mine:groups"}
  new:
    kind: query
    sql: SELECT l.* FROM later l JOIN groups g ON l."group" = g.name WHERE l.age < ${oldest}
    columns: {age: {min: -1000}}
    checks: {enough: {metric: row_count, min: 1}}
models:
  it:
    algorithm: decision_tree
    task: binary_classification
    dataset: old
    target: label
    features: {exclude: [person]}
    test: {seed: 1}
evaluation_stores:
  watched:
    model: it
    dataset: new
    evaluation: {name: "${name}"}
    drift: {confidence: 0.95}
    metrics: {own: {function: "own:count", arguments: {times: 1}}}
    checks: {moved: {metric: drift.*, max: 1}}
channels: {box: {kind: file, path: outbox}}
scenarios:
  all:
    steps:
      - {name: build, kind: build, target: watched, mode: changed}
      - {name: check, kind: run_checks, target: watched}
    reporters: [{name: tell, channel: box, run_condition: "outcome != 'SUCCESS'"}]
"""

MINE = """
import polars as pl

def groups():
    return pl.DataFrame({"name": ["a", "b"]})
"""

OWN = """
import polars as pl

def count(frame, times):
    return frame.select(pl.len()).collect().item() * times
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has run once."""
    folder = tmp_path_factory.mktemp("built")
    people(folder / "old.parquet", 0)
    people(folder / "new.parquet", 1)
    for name, content in {"project.yaml": SPEC, "mine.py": MINE, "own.py": OWN}.items():
        (folder / name).write_text(content)
    assert planned(folder).exit_code is ExitCode.OK
    (result,) = done(folder)
    assert str(result.outcome) == "SUCCESS", result.steps
    return folder


@pytest.fixture
def folder(built: Path, tmp_path: Path) -> Path:
    return shutil.copytree(built, tmp_path / "copy")
