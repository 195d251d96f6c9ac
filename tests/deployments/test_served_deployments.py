"""`engine serve` of an infrastructure: all its deployments, each update of one, and what an update has left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import engine
from engine.service.deployments.deploying import disable_deployment
from engine.spec import load
from engine.store.node import OperationRow, OperationState

from ..service.served import Served, wait_until
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
        wait_until(lambda: production.tables.count_runs() > 0, "no run has started", server)
        assert project.on("staging").tables.count_runs() == 0

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
    assert project.status("production")[0].deployment.state == "UNKNOWN"
    server = Served(tmp_path, "automation", "--drain", "1")
    try:
        server.wait_for("served")
        assert "concludes the operation" in server.list_told("deployment")[0]["text"]
        assert project.updates("production")[-1].state is OperationState.HEALTHY
        assert server.end() == 0, server.describe()
    finally:
        server.process.kill()
        server.process.wait()


@contextmanager
def serve(folder: Path) -> Iterator[Served]:
    server = Served(folder, "automation", "--drain", "1")
    try:
        server.wait_for("started")
        yield server
    finally:
        server.process.send_signal(signal.SIGCONT)
        server.process.kill()
        server.process.wait()


def write_timed(folder: Path, *, care: str = "") -> tuple[Path, "engine.Project"]:
    """Write a project whose scenario runs each second in `production`, and deploy it without triggers to `staging`."""
    spec = write_spec(folder, care=care)
    text = spec.read_text().replace("  probe:\n", "  probe:\n    triggers: [{name: each, kind: interval, every: 1s}]\n")
    spec.write_text(text + "  staging: {infrastructure: automation, scenarios: {probe: inactive}}\n")
    make_bundle(load(spec), "v1")
    project = engine.load(spec)
    assert project.deploy("staging", "v1", now=True).state is OperationState.HEALTHY
    return spec, project


def find_log(done: OperationRow, step: str) -> str:
    return next(one.log for one in done.steps if one.name == step)


@pytest.mark.slow
def test_triggers_stop_and_start_with_what_is_done_to_a_served_deployment(tmp_path: Path) -> None:
    spec, project = write_timed(tmp_path)

    def list_runs(done: OperationRow) -> list[str]:
        """Return the outcomes of the runs that were begun after an operation."""
        runs = project.on("production").runs()
        return [one["state"].split()[0] for one in runs.iter_rows(named=True) if one["started"] > done.ended]

    with serve(tmp_path) as server:
        looks = f"the server looks at its triggers (process {server.process.pid})"
        first = project.deploy("production", "v1", now=True)
        assert first.state is OperationState.HEALTHY, first.reason
        assert looks in find_log(first, "health check")  # it serves a deployment that was made while it runs
        wait_until(lambda: "SUCCESS" in list_runs(first), "no run has started", server)

        off = disable_deployment(project.spec, "production", environ=os.environ)
        assert (off.state, find_log(off, "switching off")) == (OperationState.HEALTHY, looks)
        time.sleep(2.5)
        assert list_runs(off) == []

        again = project.deploy("production", "v1", now=True)
        wait_until(lambda: "SUCCESS" in list_runs(again), "no run has started again", server)
        spec.write_text(spec.read_text().replace("mine:fine", "mine:broken"))
        make_bundle(load(spec), "v2")
        broken = project.deploy("production", "v2", now=True)
        wait_until(lambda: "FAILED" in list_runs(broken), "the new release does not run", server)
        back = project.roll_back("production", now=True)
        assert looks in find_log(back, "health check")
        wait_until(lambda: "SUCCESS" in list_runs(back), "the old release does not run", server)
        assert set(list_runs(back)) <= {"SUCCESS", "RUNNING"}
        assert server.end() == 0, server.describe()
    without = project.deploy("production", "v1", now=True)
    assert "no server serves it: triggers start nothing until one does" in find_log(without, "health check")


@pytest.mark.slow
def test_an_update_that_the_server_does_not_follow_is_not_healthy(tmp_path: Path) -> None:
    _, project = write_timed(tmp_path, care="health: {within: 3s}")
    with serve(tmp_path) as server:
        assert project.deploy("production", "v1", now=True).state is OperationState.HEALTHY
        server.process.send_signal(signal.SIGSTOP)
        stuck = project.deploy("production", "v1", now=True)
        assert stuck.state is OperationState.ERROR
        assert (
            "the server does not look at the triggers of revision 2 after 3 s, but at those of revision 1"
            in stuck.reason
        )
        server.process.send_signal(signal.SIGCONT)
        assert project.deploy("production", "v1", now=True, again=True).state is OperationState.HEALTHY


@pytest.mark.slow
def test_a_running_server_concludes_an_update_that_was_killed(tmp_path: Path) -> None:
    spec, project = write_timed(tmp_path)
    with serve(tmp_path) as server:
        program = Path(__file__).with_name("crashing_deploy.py")
        subprocess.run([sys.executable, str(program), str(spec), "v1", "moved"], cwd=tmp_path, check=False)
        server.wait_for("deployment", holds=lambda one: "concludes the operation" in one["text"])
        (done,) = project.updates("production")
        assert done.state is OperationState.HEALTHY
        assert f"(process {server.process.pid})" in find_log(done, "health check")
        assert server.end() == 0, server.describe()
