"""The way of a project: bundles are made by runs, deployed by runs, rolled back; the state outlives all of them."""

import subprocess
from pathlib import Path

import polars as pl
import pytest

import engine
from engine.service.deployments.updates.order import DeploymentRefusedError

from ..command_line import call_engine
from .deployed import check_infrastructure

SPEC = """
version: 1
project: cycle
variables: {{quarter: Q3}}
datasets:
  before: {{path: before.csv}}
  now: {{path: now.csv}}
evaluation_stores:
  drift: {{dataset: now, reference: {{kind: dataset, dataset: before}}, evaluation: {{name: "${{quarter}}"}}}}
bundles:
  next: {{include: {{datasets: [before, now]}}}}
infrastructures: {{automation: {{path: automation}}}}
deployments:
  production:
    infrastructure: automation
    variables: {{quarter: {quarter}}}
    health: {{run: [monitor], within: 5m}}
scenarios:
  monitor:
    steps:
      - {{name: build, kind: build, target: drift}}
      - {{name: end, kind: python, function: "mine:{function}"}}
  release:
    steps:
      - {{name: pack, kind: create_bundle, bundle: next, called: {name}}}
      - {{name: deploy, kind: update_deployment, deployment: production, timeout: 5m}}
"""
MODULE = """
def fine():
    pass

def broken():
    raise ValueError("this release is broken")
"""


def release(folder: Path, name: str, quarter: str, function: str, first: int) -> "subprocess.CompletedProcess[str]":
    """Write a version of the project, and run the scenario that packs and deploys it."""
    (folder / "spec.yaml").write_text(SPEC.format(quarter=quarter, function=function, name=name))
    (folder / "mine.py").write_text(MODULE)
    pl.DataFrame({"a": range(500), "b": [str(n % 7) for n in range(500)]}).write_csv(folder / "before.csv")
    pl.DataFrame({"a": range(first, first + 400), "b": [str(n % 7) for n in range(400)]}).write_csv(folder / "now.csv")
    return call_engine(folder, "run", "spec.yaml", "release")


@pytest.mark.slow
def test_a_run_deploys_the_bundle_that_it_has_made_and_fails_if_that_is_rolled_back(tmp_path: Path) -> None:
    first = release(tmp_path, "v3", "Q4", "fine", 50)
    assert first.returncode == 0, first.stdout + first.stderr
    second = release(tmp_path, "v4", "Q5", "broken", 90)
    assert second.returncode == 3, second.stdout + second.stderr
    assert "bundle v4: ROLLED_BACK: scenario 'monitor' ended FAILED" in second.stdout
    assert check_infrastructure(tmp_path / "automation")[0] == 3

    project = engine.load(tmp_path / "spec.yaml")
    assert list(project.deployments()["bundle_name"]) == ["v3"]
    active = project.on("production")
    assert active.spec.variables["quarter"] == "Q4"
    # both releases have evaluated, and the evaluations of both are in the one state, with the release that made them
    evaluations = active.store("drift").select()
    assert {one.name for one in evaluations} == {"Q4", "Q5"}
    assert len({one.release for one in evaluations}) == 2
    with pytest.raises(DeploymentRefusedError, match="the bundle v4 was rolled back here"):
        project.deploy("production", "v4", now=True)
