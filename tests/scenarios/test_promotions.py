"""A candidate that takes the place of the model in use: real models, real data, the real store, a real deployment."""

import shutil

import pytest

import engine
from engine.outcome import Outcome
from engine.store import Store
from engine.store.location import resolve_state_folder

from ..command_line import call_engine
from .test_challengers import draw, outcomes, run_once

SPEC = """
datasets:
  old: {path: old.parquet}
  new: {path: new.parquet}
  batch: {path: batch.parquet}
models:
  used:
    dataset: old
    task: binary_classification
    target: label
    algorithm: decision_tree
    features: {exclude: [id]}
    frozen: true
  candidate: {dataset: new, task: binary_classification, target: label, algorithm: decision_tree,
              features: {exclude: [id]}}
evaluation_stores:
  duel:
    model: used
    challenger: candidate
    dataset: batch
    checks: {better: {metric: advantage_low.roc_auc, soft_min: 0}}
  quality: {model: used, dataset: batch}
scenarios:
  retrain:
    steps:
      - {name: compare, kind: build, target: duel}
      - {name: judge, kind: run_checks, target: duel}
      - name: promote
        kind: promote
        model: used
        candidate: candidate
        run_condition: checks['better'].outcome == 'OK' && metrics['advantage_low.roc_auc'] > 0
"""
ALONE = """
  promote: {steps: [{name: promote, kind: promote, model: used, candidate: candidate}]}
  train: {steps: [{name: train, kind: build, target: candidate}]}
  build: {steps: [{name: build, kind: build, target: used}]}
  watch: {steps: [{name: watch, kind: build, target: quality}]}
  measured: {steps: [{name: compare, kind: build, target: duel}, {name: newer, kind: build, target: candidate,
             mode: force}, {name: promote, kind: promote, model: used, candidate: candidate}]}
"""
SHIPPED = """\
      - {name: pack, kind: create_bundle, bundle: v1, called: "v-${as_of}",
         run_condition: stepOutcome_promote == 'SUCCESS'}
      - {name: ship, kind: update_deployment, deployment: production, run_condition: stepOutcome_pack == 'SUCCESS'}
  watch: {steps: [{name: watch, kind: build, target: quality}]}
bundles: {v1: {include: {datasets: [batch], models: [used]}}}
infrastructures: {automation: {path: automation}}
deployments: {production: {infrastructure: automation, health: {run: [watch], within: 120s}}}
"""


@pytest.fixture
def here(tmp_path, spec):
    draw(300, seed=1, noise=4).write_parquet(tmp_path / "old.parquet")
    draw(3000, seed=2, noise=0.3).write_parquet(tmp_path / "new.parquet")
    draw(1000, seed=3).write_parquet(tmp_path / "batch.parquet")
    spec(SPEC + ALONE)
    return tmp_path


def list_versions(folder, model: str) -> list:
    with Store.open(folder / ".engine" / "test") as store:
        found = [store.models.find(model, number) for number in (1, 2, 3)]
        return [one for one in found if one is not None]


def run_engine(folder, *arguments: str) -> str:
    done = call_engine(folder, *arguments)
    return done.stdout + done.stderr


def find_evaluation(folder, store_name: str = "quality"):
    with Store.open(folder) as store:
        return store.evaluations.get(store.evaluations.find_newest(store_name).id)


def test_a_better_candidate_counts_from_then_on(here, run):
    result = run_once(run, "retrain")
    assert outcomes(result)["promote"] is Outcome.SUCCESS
    assert result.steps[-1].reason == "used version 2: promoted from candidate version 1, in place of version 1"
    first, second = list_versions(here, "used")
    (candidate,) = list_versions(here, "candidate")
    assert second.identity == candidate.identity != first.identity
    assert second.files == candidate.files
    promoted = second.facts["promoted"]
    assert (promoted["model"], promoted["version"]) == ("candidate", 1)
    assert promoted["by"]
    assert promoted["at"]

    # The data of the model itself have changed, and are not even read: it is frozen, and another version counts.
    (here / "old.parquet").unlink()
    assert outcomes(run_once(run, "build")) == {"build": Outcome.SUCCESS}
    watched = run_once(run, "watch")
    told = next(one for one in watched.steps[0].actions if one.kind == "train")
    assert told.reason == "it is the active version, promoted from candidate version 1"
    found = find_evaluation(here / ".engine" / "test")
    assert (found.facts["model"], found.facts["identity"]) == ("version 2", candidate.identity)


def test_the_history_shows_the_change_of_model(here, run):
    run_once(run, "watch")
    run_once(run, "train")
    run_once(run, "promote")
    result = run_once(run, "watch")
    told = next(one for one in result.steps[0].actions if one.kind == "evaluate")
    assert [change.says for change in told.changes] == ["model used version 1 → version 2"]


def test_what_is_in_use_already_is_left_as_it_is(here, run):
    run_once(run, "train")
    run_once(run, "promote")
    again = run_once(run, "promote").steps[0]
    assert (again.outcome, again.reused) == (Outcome.SUCCESS, True)
    assert again.reason == "used version 1: candidate version 1 is already in use"
    assert len(list_versions(here, "used")) == 1


def test_the_version_that_was_measured_is_promoted_not_a_newer_one(here, run):
    result = run_once(run, "measured")
    assert result.steps[-1].reason.startswith("used version 2: promoted from candidate version 1")
    assert len(list_versions(here, "candidate")) == 2


@pytest.mark.parametrize("command", [["plan"], ["run", "--dry-run"]])
def test_a_plan_and_a_dry_run_tell_it_and_change_nothing(here, run, command):
    run_once(run, "train")
    before = sorted(here.rglob("*.skops"))
    done = run_engine(here, *command, "project.yaml", "promote")
    assert "promoted from candidate version 1" in done, done
    assert list_versions(here, "used") == []
    assert sorted(here.rglob("*.skops")) == before


def test_a_candidate_that_cannot_be_promoted_says_why(here, run):
    failed = run_once(run, "promote").steps[0]
    assert failed.outcome is Outcome.FAILED
    assert failed.reason == "model candidate was never trained, so it cannot be promoted: build it in a step before"
    run_once(run, "train")
    with (list_versions(here, "candidate")[0].folder / "model.json").open("a") as file:
        file.write(" ")
    failed = run_once(run, "promote").steps[0]
    assert failed.outcome is Outcome.FAILED
    assert "a file of version 1 has changed since the engine wrote it" in failed.reason
    folder = list_versions(here, "candidate")[0].folder
    (folder / "model.json").unlink()
    (folder / "model.json").symlink_to("nowhere")
    failed = run_once(run, "promote").steps[0]
    assert failed.outcome is Outcome.FAILED
    assert "the files of version 1 cannot be copied ([Errno 2] No such file or directory" in failed.reason
    shutil.rmtree(folder)
    failed = run_once(run, "promote").steps[0]
    assert failed.outcome is Outcome.FAILED
    assert "the files of version 1 cannot be copied ([Errno 2] No such file or directory" in failed.reason
    assert list_versions(here, "used") == []


@pytest.mark.slow
def test_a_better_candidate_ships_itself_and_a_worse_one_does_not(here, spec):
    path = spec(SPEC + SHIPPED)

    told = run_engine(here, "run", "project.yaml", "retrain", "--as-of", "2026-01-05")
    assert "production: bundle v-2026-01-05, revision 1" in told, told
    candidate = list_versions(here, "candidate")[0]
    production = engine.load(path).on("production")
    state = resolve_state_folder(production.spec)
    found = find_evaluation(state)
    assert found.facts["identity"] == candidate.identity
    assert engine.load(path).status("production")[0].deployment.state == "HEALTHY"

    draw(200, seed=4, noise=9).write_parquet(here / "new.parquet")
    told = run_engine(here, "run", "project.yaml", "retrain", "--as-of", "2026-01-06")
    lines = {line.split()[0]: line.split(maxsplit=2)[1:] for line in told.splitlines() if line.startswith("  ")}
    for step in ("promote", "pack", "ship"):
        assert lines[step][0] == "SKIPPED", told
        assert "its run_condition is false" in lines[step][1], told
    assert list(engine.load(path).deployments()["revision"]) == [1]
    assert find_evaluation(state).id == found.id
