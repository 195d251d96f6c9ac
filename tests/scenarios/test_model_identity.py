"""A trained model is known by its content: under another number, in another state, its evaluations are the same."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from engine import models
from engine.outcome import Outcome
from engine.scenarios import scenario_selection, session
from engine.spec import load
from engine.store import Store

SPEC = """
datasets:
  train: {path: train.parquet, entity: person}
  batch: {path: batch.parquet, entity: person}
models:
  m: {dataset: train, task: binary_classification, target: label, algorithm: decision_tree}
evaluation_stores:
  s: {model: m, dataset: batch, checks: {n: {metric: row_count, min: 1}}}
"""


@pytest.fixture
def here(tmp_path, spec, rows, run) -> Path:
    """Give the folder of a project whose model is trained and has evaluated one batch."""
    rows("train.parquet")
    rows("batch.parquet", seed=1)
    spec(SPEC)
    assert [one.outcome for one in run().runs] == [Outcome.SUCCESS]
    return tmp_path


def open_state(folder: Path) -> Store:
    return Store.open(folder / ".engine" / "test")


def run_elsewhere(folder: Path) -> None:
    project = load(folder / "project.yaml", {}, environ={})
    result = session.run_scenarios(project, scenario_selection.select_scenarios(project), environ={})
    assert [one.outcome for one in result.runs] == [Outcome.SUCCESS]


def test_the_same_model_under_another_number_in_another_state_has_the_same_evaluations(here, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for name in ("train.parquet", "batch.parquet"):
        shutil.copy(here / name, elsewhere)
    text = (here / "project.yaml").read_text()
    (elsewhere / "project.yaml").write_text(text.replace("decision_tree}", "decision_tree, seed: 7}"))
    run_elsewhere(elsewhere)  # so that number 1 is taken by another model
    (elsewhere / "project.yaml").write_text(text)

    with open_state(here) as one, open_state(elsewhere) as other:
        original = one.models.find("m", 1)
        with other.folders.stage() as files:
            shutil.copytree(original.folder, files, dirs_exist_ok=True)
            pl.read_parquet(files / "test.parquet").write_parquet(files / "test.parquet", compression="uncompressed")
            facts = {**original.facts, "files": models.digest_files(files)}
            identity = models.identify_version(files)
            imported = other.models.add("m", original.fingerprint, files, facts, identity)
        assert (imported.version, imported.identity) == (2, original.identity)
        assert other.models.find("m", 1).identity != original.identity
        before = one.evaluations.find_newest("s")

    run_elsewhere(elsewhere)
    with open_state(elsewhere) as other:
        assert other.models.find_newest("m").version == 2  # it was not trained again
        first, second = other.evaluations.history("s")
    assert (second.model_version, before.model_version) == ("2", "1")
    assert second.fingerprints == before.fingerprints
    assert second.metrics == before.metrics
    assert first.fingerprints != before.fingerprints


def test_a_version_of_before_identities_keeps_its_evaluations(here, run):
    """The identity that a migration gives, and an evaluation that was made with it."""
    path = here / ".engine" / "test" / "state.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("DELETE FROM evaluations")
        database.execute("UPDATE model_versions SET identity = fingerprint || '.' || version")
        database.execute("UPDATE model_versions SET facts = json_remove(facts, '$.held_out')")
    for _ in range(2):
        assert [one.outcome for one in run().runs] == [Outcome.SUCCESS]
    with open_state(here) as state:
        (evaluation,) = state.evaluations.history("s")
        version = state.models.find_newest("m")
    assert version.held_out == version.identity == f"{version.fingerprint}.1"
    assert evaluation.model_version == "1"
