"""How a deployment on a node stands: each of the four answers turns bad, over HTTP, for Prometheus and for people."""

import json
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.spec import load

from ..deployments.deployed import make_bundle
from ..waiting import wait_for
from .design import SPEC, Design, design_tiny

pytestmark = pytest.mark.slow

RUNS = "/v1/deployments/production/scenarios/{}/runs"
MORE = """
scenarios:
  fails: {steps: [{name: call, kind: python, function: "mine:broken"}]}
  checks: {steps: [{name: look, kind: run_checks, target: rows}]}
"""
MODEL = """
models: {guess: {kind: train, algorithm: logistic_regression, task: binary_classification, dataset: rows, target: a}}
evaluation_stores: {watched: {model: guess, dataset: rows, reference: {kind: model_test}}}
"""


@pytest.fixture
def design(tmp_path: Path) -> Iterator[Design]:
    with design_tiny(tmp_path) as made:
        yield made


def deploy(design: Design, name: str, more: str = "") -> None:
    text = textwrap.dedent(SPEC).format(function="fine", url=design.url)
    text = text.replace("path: rows.csv}", "path: rows.csv, checks: {enough: {metric: row_count, min: 100}}}")
    text = text.replace("\nscenarios:\n", MORE) + more
    path = design.here / "spec.yaml"
    text = text.replace("bundle: v3", f"bundle: {name}")
    path.write_text(text.replace("health: {run: [probe], within: 120s}", "health: {within: 60s}"))
    make_bundle(load(path), name)
    done = design.engine("deploy", "spec.yaml", "production", "--bundle", name, "--now")
    assert done.returncode == 0, done.stdout + done.stderr


def read_status(design: Design) -> dict[str, str]:
    """Return the answers, which are the same over HTTP, for Prometheus, and of the command line."""
    there = design.ask("/v1/deployments/production/status").json()
    said = design.engine("status", "spec.yaml", "production", "--format", "json")
    (here,) = json.loads(said.stdout)
    states = {name: there[name]["state"] for name in ("deployment", "model", "execution", "data") if there[name]}
    assert {name: here[name]["state"] for name in states} == states
    assert (here["well"], said.returncode) == (there["well"], 0 if there["well"] else 1)
    found = re.findall(
        r'engine_status_well\{answer="(\w+)",project="tiny@production"\} ([01])', design.ask("/metrics").text
    )
    metrics = {name: value == "1" for name, value in found}
    assert metrics == {**{name: there[name]["well"] for name in states}, "worst": there["well"]}
    return states


def wait_for_state(design: Design, state: str) -> None:
    path = "/v1/deployments/production/status"
    wait_for(lambda: design.ask(path).json()["deployment"]["state"] == state, f"the deployment is {state}")


def run(design: Design, scenario: str) -> None:
    asked: dict[str, Any] = design.ask(RUNS.format(scenario), "POST", token="operator", json={}).json()
    fire = f"/v1/deployments/production/fires/{asked['fire']['number']}"
    wait_for(lambda: design.ask(fire).json()["state"] == "DONE", f"the end of {scenario}")


@pytest.mark.timeout(600)
def test_each_answer_turns_bad(design: Design) -> None:
    deploy(design, "v1")
    well = {"deployment": "HEALTHY", "model": "OK", "execution": "OK", "data": "UNKNOWN"}
    wait_for(lambda: design.ask("/v1/deployments/production/status").json()["model"], "the server takes it over")
    assert read_status(design) == well
    run(design, "fails")
    assert read_status(design) == {**well, "execution": "FAILED"}
    run(design, "checks")
    assert read_status(design) == {**well, "execution": "FAILED", "data": "ERROR"}
    deploy(design, "v2", MODEL)
    bad = {"model": "MISSING", "execution": "FAILED", "data": "ERROR"}
    assert read_status(design) == {"deployment": "HEALTHY", **bad}
    file = design.there / "node.yaml"
    text = file.read_text()
    file.write_text(f"{text}limts: {{}}\n")
    wait_for_state(design, "ERROR")
    assert read_status(design) == {"deployment": "ERROR", **bad}
    assert "limts" in design.engine("status", "spec.yaml", "production").stdout
    file.write_text(text)
    wait_for_state(design, "HEALTHY")
    assert read_status(design) == {"deployment": "HEALTHY", **bad}
