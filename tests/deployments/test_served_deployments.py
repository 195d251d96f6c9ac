"""`engine serve` of an infrastructure: all its deployments, each update of one, and what an update has left."""

import subprocess
import sys
from pathlib import Path

import pytest

import engine
from engine.spec import load
from engine.store.node import OperationState

from ..service.served import Served, wait_until  # noqa: TID252 - one way to start a server for all tests
from .deployed import make_bundle, write_spec


@pytest.mark.slow
def test_a_server_takes_over_the_updates_of_two_deployments_of_one_project(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    text = spec.read_text()
    timed = text.replace("  probe:\n", "  probe:\n    triggers: [{name: each, kind: interval, every: 1s}]\n")
    timed += "  staging: {infrastructure: automation, scenarios: {probe: inactive}}\n"
    spec.write_text(timed)
    make_bundle(load(spec), "v1")
    project = engine.load(spec)
    for name in ("production", "staging"):
        assert project.deploy(name, "v1", now=True).state is OperationState.HEALTHY
    server = Served(tmp_path, "automation", "--drain", "1")
    try:
        server.wait_for("served", 2)
        names = {one["project"] for one in server.list_told("served")}
        assert names == {"tiny@production", "tiny@staging"}
        production = project.on("production")
        wait_until(lambda: production.count_runs() > 0, "no run has started", server)
        assert project.on("staging").count_runs() == 0

        spec.write_text(timed.replace("mine:fine", "mine:broken"))
        make_bundle(load(spec), "v2")
        assert project.deploy("production", "v2", now=True).state is OperationState.HEALTHY
        server.wait_for("spec")
        wait_until(lambda: "FAILED" in list(production.runs()["state"]), "the new release does not run", server)
        assert server.end() == 0, server.describe()
    finally:
        server.process.kill()
        server.process.wait()


@pytest.mark.slow
def test_a_server_concludes_a_killed_update_before_it_serves(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    make_bundle(load(spec), "v1")
    project = engine.load(spec)
    project.deploy("production", "v1", now=True)
    program = Path(__file__).with_name("crashing_deploy.py")
    subprocess.run([sys.executable, str(program), str(spec), "v1", "moved"], cwd=tmp_path, check=False)
    assert project.status("production")[0].deployment.state == "UNKNOWN"  # type: ignore[union-attr]
    server = Served(tmp_path, "automation", "--drain", "1")
    try:
        server.wait_for("served")
        assert "concludes the operation" in server.list_told("deployment")[0]["text"]
        assert project.updates("production")[-1].state is OperationState.HEALTHY
        assert server.end() == 0, server.describe()
    finally:
        server.process.kill()
        server.process.wait()
