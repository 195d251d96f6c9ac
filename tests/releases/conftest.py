"""A small project with a model whose data are made by functions, and a deployment of it made by hand."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine import spec
from engine.bundles.extraction import extract_archive
from engine.bundles.replacements import collect_replacements
from engine.pipeline.bundles.released_models import activate_models
from engine.spec.revisions.revision_file import Revision

CODE = """
import numpy as np
import polars as pl
from shared.shift import move

def people(n=500, seed=0, by=0.0):
    random = np.random.default_rng(seed)
    age, score = random.normal(40, 10, n), random.normal(600, 50, n)
    label = (age / 10 + score / 50 + random.normal(0, 1, n) > 16).astype(int)
    return pl.DataFrame({"person": random.integers(0, n // 2, n), "age": move(age, by), "score": score,
                         "group": random.choice(["a", "b", "c"], n), "label": label})
"""
SPEC = """
version: 1
project: small
variables: {limit: 0.45}
datasets:
  people: {kind: python, function: "mine:people"}
  train: {kind: query, sql: "SELECT * FROM people WHERE age < 70", entity: person}
  batch:
    kind: python
    function: "mine:people"
    arguments: {seed: 1, by: 4}
    entity: person
    description: newer people
    columns: {age: {type: number, max: 200}}
    checks: {enough: {metric: row_count, min: 10}}
models:
  m: {dataset: train, task: binary_classification, target: label, algorithm: decision_tree,
      features: {exclude: [person]}}
evaluation_stores:
  s: {model: m, dataset: batch, checks: {d: {metric: data_drift, soft_max: "${limit}"}}}
bundles:
  v1: {release_notes: first, include: {datasets: [batch], models: [m]}}
scenarios:
  main: {steps: [{name: b, kind: build, target: s}, {name: c, kind: run_checks, target: s}]}
  again: {steps: [{name: t, kind: build, target: m, mode: force}, {name: b, kind: build, target: s}]}
"""


def write_project(folder: Path, text: str = SPEC) -> Path:
    """Write the project into a folder and return the path of its spec."""
    (folder / "shared").mkdir(parents=True)
    (folder / "shared" / "shift.py").write_text("def move(values, by):\n    return values + by\n")
    (folder / "mine.py").write_text(CODE)
    path = folder / "project.yaml"
    path.write_text(text.lstrip())
    return path


def run_engine(*arguments: object, code: int = 0, python: str = sys.executable, **environ: str) -> str:
    """Run the command line as a process, and return what it has printed."""
    import os

    done = subprocess.run(
        [python, "-m", "engine", *map(str, arguments)],
        capture_output=True, text=True, timeout=240, check=False, env={**os.environ, **environ},
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def find_archive(path: Path, name: str = "v1") -> Path:
    """Return the archive of a bundle of the project."""
    from engine.bundles.project_bundles import find_bundle

    return find_bundle(spec.load(path), name).path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "design")


@pytest.fixture
def release(tmp_path: Path) -> Callable[..., Path]:
    """Release an archive as a revision, and return the file that stands for it."""

    def lay_down(archive: Path, remapped: dict[str, object] | None = None) -> Path:
        node = tmp_path / "node"
        shutil.rmtree(node, ignore_errors=True)
        for part in ("releases", "revisions", "home"):
            (node / part).mkdir(parents=True)
        folder = node / "releases" / archive.stem
        manifest = extract_archive(archive, folder, archive.stem)
        found = collect_replacements(manifest, folder, remapped or {})
        revision = Revision(
            "production", 1, manifest.id, "v1", f"../releases/{archive.stem}/{manifest.spec}",
            included=found.included, frozen=found.frozen,
            replaced={**found.replaced, **({"connections": remapped} if remapped else {})},
        )  # fmt: skip
        path = node / "revisions" / "1.yaml"
        path.write_text(revision.to_text())
        activate_models(path, folder, {})
        return path

    return lay_down
