"""Deployments that were made in the folder of a node, but not through the node: they are confined, or not served."""

import time
from pathlib import Path

import httpx2
import pytest

import engine
from engine.service.deployments.node_mark import find_marked_node
from engine.spec import load
from engine.spec.revisions.revision_file import find_node_path
from engine.store.node import Node, OperationState

from ..deployments.deployed import make_bundle, write_spec
from ..service.served import Served, wait_until
from ..waiting import wait_for

pytestmark = pytest.mark.slow

NODE = "version: 1\nnode: late\nfolder: automation\nlisten: 127.0.0.1:0\n"


def test_what_the_node_does_not_confine_is_not_served_until_it_is_deployed_again(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    text = spec.read_text().replace("  probe:\n", "  probe:\n    triggers: [{name: each, kind: interval, every: 1s}]\n")
    spec.write_text(text)
    make_bundle(load(spec), "v1")
    project = engine.load(spec)
    assert project.deploy("production", "v1", now=True).state is OperationState.HEALTHY
    folder = tmp_path / "automation"
    current = folder / "deployments/production/current.yaml"
    assert find_node_path(current.resolve()) is None
    assert find_marked_node(folder) is None
    (tmp_path / "node.yaml").write_text(NODE)
    with Node.open(folder) as node:
        token = node.tokens.create("admin", "admin", "tests")[0]
    server = Served(tmp_path, "--node", "node.yaml", "--drain", "1")
    try:
        url = server.wait_for("listening")["url"]
        told = server.wait_for("invalid spec")["text"]
        assert "was made before" in told
        assert "deploy it again" in told
        assert find_marked_node(folder) == tmp_path / "node.yaml"
        with httpx2.Client(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=60) as client:
            status = client.get("/v1/deployments/production/status").json()
            assert (status["deployment"]["state"], status["well"]) == ("ERROR", False)
            asked = client.post("/v1/deployments/production/scenarios/probe/runs", json={})
            assert (asked.status_code, "was made before" in asked.text) == (503, True), asked.text
            time.sleep(2.5)
            assert project.on("production").tables.count_runs() == 0

            done = project.deploy("production", "v1", now=True)  # with the folder, and confined all the same
            assert done.state is OperationState.HEALTHY, done.reason
            assert find_node_path(current.resolve()) == tmp_path / "node.yaml"
            wait_until(lambda: project.on("production").tables.count_runs() > 0, "no run has started", server)
            wait_for(lambda: "FAILED" in list(project.on("production").runs()["state"]), "the end of a run")
            runs = project.on("production").runs()
            log = " ".join(project.on("production").log(runs["id"][0])["text"])
            assert "allow_code" in log, log  # which this node does not say
    finally:
        server.process.kill()
        server.process.wait()
