"""Trained models under other versions of the libraries. tests/upgrade does it with real installations, which is slow.

Here the files of a version are rewritten as another scikit-learn would have written them, and so is what the state
knows of them.
"""

import json
import sqlite3
import zipfile
from collections.abc import Callable
from contextlib import closing
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.digests import digest_file
from engine.models.split import split_held_out, split_off_rows
from engine.outcome import Outcome
from engine.pipeline.actions import Action
from engine.scenarios import scenario_selection, session
from engine.scenarios.plan import Plan
from engine.spec import load

SPEC = """
datasets:
  train: {path: train.parquet, entity: person}
  batch: {path: batch.parquet, entity: person}
models:
  m: {dataset: train, task: binary_classification, target: label, algorithm: decision_tree, more}
evaluation_stores:
  s: {model: m, dataset: batch, checks: {n: {metric: row_count, min: 1}}}
"""


@pytest.fixture
def version(tmp_path, spec, rows, run) -> Path:
    """Train version 1 and give its folder."""
    rows("train.parquet")
    rows("batch.parquet", seed=1)
    spec(SPEC.replace(", more", ""))
    assert succeeds(run)
    return tmp_path / ".engine" / "test" / "models" / "m" / "1"


def succeeds(run) -> bool:
    (result,) = run().runs
    assert result.outcome in (Outcome.SUCCESS, Outcome.FAILED)
    return result.outcome is Outcome.SUCCESS


def read_logs(version: Path) -> str:
    return "".join(path.read_text() for path in (version.parents[2] / "runs").glob("*/log.txt"))


def rewrite(version: Path, *, saved_by: str, change: Callable[[str], str] = lambda text: text) -> None:
    """Pretend that another scikit-learn wrote the version, with a schema that `change` makes of that in the file."""
    facts = json.loads((version / "model.json").read_text())
    facts["details"]["versions"]["scikit-learn"] = saved_by
    (version / "model.json").write_text(json.dumps(facts))
    made = BytesIO()
    with zipfile.ZipFile(version / "model.skops") as source, zipfile.ZipFile(made, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, change(content.decode()).encode() if name == "schema.json" else content)
    (version / "model.skops").write_bytes(made.getvalue())
    set_digests(version, {path.name: digest_file(path) for path in version.iterdir()})


def set_digests(version: Path, files: dict[str, str]) -> None:
    with closing(sqlite3.connect(version.parents[2] / "state.db")) as database, database:
        (facts,) = database.execute("SELECT facts FROM model_versions").fetchone()
        database.execute("UPDATE model_versions SET facts = ?", [json.dumps(json.loads(facts) | {"files": files})])


def gone(text: str) -> str:
    return text.replace("DecisionTreeClassifier", "ClassifierOfLongAgo")


def make_plan(folder: Path) -> Plan:
    project = load(folder / "project.yaml", {}, environ={})
    return session.plan_scenarios(project, scenario_selection.select_scenarios(project), environ={})


def plan_actions(folder: Path) -> dict[str, Action]:
    plan = make_plan(folder)
    steps = [step for scenario in plan.scenarios for step in scenario.steps]
    assert [step.problem for step in steps if step.problem] == []
    return {f"{action.kind} {action.target}": action for step in steps for action in step.actions}


def test_what_cannot_be_loaded_is_trained_again_with_the_same_held_out_rows(version, tmp_path, run):
    before = pl.read_parquet(version / "test.parquet")
    rewrite(version, saved_by="1.8.0", change=gone)
    planned = plan_actions(tmp_path)["train m"]
    assert (planned.because, planned.result) == ("changed", "version 2")
    (change,) = planned.changes
    assert change.says.startswith("the installed scikit-learn 1.")
    assert change.says.endswith(" cannot load version 1, which scikit-learn 1.8.0 saved")
    assert succeeds(run)
    again = version.parent / "2"
    assert pl.read_parquet(again / "test.parquet").equals(before)
    assert {action.because for action in plan_actions(tmp_path).values()} <= {"reused", "always"}
    with closing(sqlite3.connect(version.parents[2] / "state.db")) as database:
        found = database.execute("SELECT DISTINCT reference_fingerprint FROM evaluations").fetchall()
        assert database.execute("SELECT count(*) FROM evaluations").fetchone() == (1,)  # the model came out the same
    assert len(found) == 1  # the reference is the same rows
    # The same data and settings make the same model, whichever version draws the held-out rows.
    assert (again / "probe.parquet").read_bytes() == (version / "probe.parquet").read_bytes()


def test_a_frozen_model_is_not_trained_again(version, tmp_path, spec, run):
    spec(SPEC.replace("more", "frozen: true"))
    assert succeeds(run)  # to freeze it changes nothing
    rewrite(version, saved_by="1.8.0", change=gone)
    assert not succeeds(run)
    text = read_logs(version)
    assert "model m is frozen, but version 1 would be replaced by a new one: the installed scikit-learn 1." in text
    assert "To keep it, install scikit-learn==1.8.0; to train it again, remove frozen: true" in text
    assert not (version.parent / "2").exists()
    spec(SPEC.replace("more", "frozen: true, seed: 7"))
    assert not succeeds(run)
    assert "models.m.seed 0 → 7. To keep it, undo the change" in read_logs(version)


def test_other_versions_that_predict_the_same_are_recorded_once(version, tmp_path, run):
    rewrite(version, saved_by="1.8.0")
    assert plan_actions(tmp_path)["train m"].because == "reused"
    assert succeeds(run)
    with closing(sqlite3.connect(version.parents[2] / "state.db")) as database:
        (facts,) = database.execute("SELECT facts FROM model_versions").fetchone()
    assert json.loads(facts)["confirmed"]["scikit-learn"] != "1.8.0"
    assert not (version.parent / "2").exists()


def test_other_versions_that_predict_something_else_are_reported_and_it_is_trained_again(version, tmp_path, run):
    probe = pl.read_parquet(version / "probe.parquet")
    probe.with_columns(pl.col("0") + 1e-6).write_parquet(version / "probe.parquet")
    rewrite(version, saved_by="1.8.0")
    (change,) = plan_actions(tmp_path)["train m"].changes
    assert change.says.startswith("version 1, which scikit-learn 1.8.0 saved, predicts something else with the ")
    assert succeeds(run)
    assert (version.parent / "2").exists()


@pytest.mark.parametrize("file", ["model.skops", "model.json", "test.parquet"])
def test_a_file_that_was_changed_in_the_state_is_not_loaded(file, version, tmp_path, run):
    content = (version / file).read_bytes()
    (version / file).write_bytes(content + b" ")
    for _ in range(2):
        assert not succeeds(run)
    plan = make_plan(tmp_path)
    (problem,) = [step.problem for step in plan.scenarios[0].steps if step.problem]
    assert f"{file} has changed since the engine wrote it: restore it from a backup, or train" in problem
    (version / file).write_bytes(content)
    assert succeeds(run)
    (version / file).unlink()
    assert not succeeds(run)


def test_a_state_without_digests_is_read_as_before(version, tmp_path, run):
    """An early engine kept neither digests nor a probe."""
    (version / "probe.parquet").unlink()
    rewrite(version, saved_by="1.8.0")
    set_digests(version, {})
    assert plan_actions(tmp_path)["train m"].because == "reused"
    assert succeeds(run)


def test_two_installations_that_share_a_state_have_a_version_each(version, tmp_path, run):
    rewrite(version, saved_by="1.8.0", change=gone)
    assert succeeds(run)
    assert plan_actions(tmp_path)["train m"].result == "version 2"
    with closing(sqlite3.connect(version.parents[2] / "state.db")) as database, database:
        database.execute("UPDATE model_versions SET version = 3 WHERE version = 1")
    planned = plan_actions(tmp_path)["train m"]
    assert (planned.because, planned.result) == ("reused", "version 2")
    assert "cannot load version 3, which scikit-learn 1.8.0 saved" in planned.reason


@settings(max_examples=30)
@given(
    values=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b", None])), min_size=4, max_size=60),
    share=st.floats(0.1, 0.9),
)
def test_the_rows_that_were_held_out_are_found_again_in_any_order(values, share):
    frame = pl.DataFrame(
        {
            "x": [x for x, _ in values],
            "group": [group for _, group in values],
            "y": [float("nan") if x == 2 else x / 2 for x, _ in values],
            "other": range(len(values)),
        },
        schema={"x": pl.Int64, "group": pl.String, "y": pl.Float64, "other": pl.Int64},
    )
    training, held = split_held_out(frame, target="y", entity=None, share=share, seed=0, where="m")
    kept = held.drop("other")
    parts = split_off_rows(frame.sample(fraction=1, shuffle=True, seed=1), kept, target="y")
    assert parts is not None
    names = kept.columns
    assert parts[1].select(names).equals(kept)
    assert parts[0].select(names).sort(names).equals(training.select(names).sort(names))
    assert sorted([*parts[0]["other"], *parts[1]["other"]]) == list(range(len(values)))
    assert split_off_rows(frame.filter(pl.col("other") > 0), frame.drop("other"), target="y") is None
