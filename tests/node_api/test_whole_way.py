"""The whole way by processes: a project is designed here, deployed to a node, runs there, fails there, goes back."""

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.spec import load
from engine.store.node import Node

from ..deployments.deployed import make_bundle  # noqa: TID252 - one way to make bundles for all tests
from ..service.served import Served  # noqa: TID252 - one way to serve for all tests

pytestmark = pytest.mark.slow

SPEC = """
version: 1
project: tiny
connections: {{local: {{root: here}}}}
datasets: {{rows: {{connection: local, path: rows.csv}}}}
secrets: {{factory_token: {{env: FACTORY_TOKEN}}, greeting: {{env: GREETING, optional: true}}}}
channels: {{told: {{kind: file, path: outbox}}}}
variables: {{place: nowhere}}
scenarios:
  probe:
    steps:
      - {{name: call, kind: python, function: "mine:{function}"}}
      - {{name: build, kind: build, target: rows}}
      - {{name: tell, kind: send_message, channel: told, subject: "from ${{place}}", message: "rows are built"}}
infrastructures: {{factory: {{kind: node, url: "{url}", token: "${{secret.factory_token}}"}}}}
deployments:
  production: {{infrastructure: factory, bundle: v3, health: {{run: [probe], within: 120s}}}}
"""
MODULE = "def fine():\n    return 'ok'\n\ndef broken():\n    raise ValueError('this release is broken')\n"
NODE = """
version: 1
node: factory
folder: data
listen: 127.0.0.1:0
allow_code: true
variables: {place: Ulm}
connections: {local: {root: stored}}
"""


class Design:
    """A project in one folder, and a node in another, which is a process with a home and secrets of its own."""

    def __init__(self, folder: Path) -> None:
        self.here, self.there = folder / "design", folder / "factory"
        for one in (self.here / "here", self.there / "stored"):
            one.mkdir(parents=True)
        (self.here / "here/rows.csv").write_text("a\n1\n2\n")
        (self.there / "stored/rows.csv").write_text("a\n3\n4\n5\n")
        (self.here / "mine.py").write_text(MODULE)
        (self.there / "node.yaml").write_text(NODE)
        with Node.open(self.there / "data") as node:
            self.tokens = {role: node.tokens.create(role, role, "tests")[0] for role in ("viewer", "deployer")}
        self.server = Served(self.there, "--node", "node.yaml", "--drain", "1")
        self.url = self.server.wait_for("listening")["url"]
        for name, function in (("v4", "broken"), ("v3", "fine")):
            (self.here / "spec.yaml").write_text(textwrap.dedent(SPEC).format(function=function, url=self.url))
            make_bundle(load(self.here / "spec.yaml"), name)

    def engine(self, *arguments: str, token: str = "deployer") -> "subprocess.CompletedProcess[str]":
        environ = {**os.environ, "FACTORY_TOKEN": self.tokens.get(token, token)}
        return subprocess.run(
            [sys.executable, "-m", "engine", *arguments],
            cwd=self.here,
            env=environ,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def stop(self) -> None:
        self.server.process.kill()
        self.server.process.wait()


@pytest.fixture
def design(tmp_path: Path) -> Iterator[Design]:
    made = Design(tmp_path)
    try:
        yield made
    finally:
        made.stop()


def test_a_project_is_deployed_to_a_node_runs_there_and_goes_back(design: Design) -> None:
    planned = design.engine("deploy", "spec.yaml", "production", "--plan")
    assert planned.returncode == 0, planned.stderr
    weak = design.engine("deploy", "spec.yaml", "production", token="viewer")
    assert (weak.returncode, "deployer" in weak.stderr) == (2, True) or "deployer" in weak.stderr, weak.stderr
    unknown = design.engine("deploy", "spec.yaml", "production", token="eng_00000000_" + "x" * 43)
    assert "does not know the token" in unknown.stderr
    assert "x" * 43 not in unknown.stderr + unknown.stdout

    deployed = design.engine("deploy", "spec.yaml", "production")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    assert "HEALTHY" in deployed.stdout
    assert "reached PRELOADED" in deployed.stderr

    run = design.engine("run", "spec.yaml", "probe", "--on", "production", "--format", "json")
    assert run.returncode == 0, run.stdout + run.stderr
    (ended,) = json.loads(run.stdout)
    assert (ended["state"], ended["scenario"]) == ("SUCCESS", "probe")
    home = design.there / "data/deployments/production/home"
    told = "".join(path.read_text() for path in (home / "outbox").rglob("*") if path.is_file())
    assert "from Ulm" in told  # the variable, and the rows, are the node's
    status = design.engine("status", "spec.yaml", "--format", "json")
    (found,) = json.loads(status.stdout)
    assert (found["deployment"]["state"], found["execution"]["state"]) == ("HEALTHY", "OK"), found

    broken = design.engine("deploy", "spec.yaml", "production", "--bundle", "v4")
    assert broken.returncode == 3, broken.stdout + broken.stderr
    assert "ROLLED_BACK" in broken.stdout
    again = design.engine("deploy", "spec.yaml", "production", "--bundle", "v4")
    assert (again.returncode, "was rolled back here" in again.stderr) == (3, True) or "rolled back" in again.stderr
    listed = design.engine("deployments", "spec.yaml", "--format", "json")
    assert '"HEALTHY"' in listed.stdout, listed.stdout + listed.stderr
    shown = design.engine("deployments", "spec.yaml", "show", "production")
    assert "ROLLED_BACK" in shown.stdout
    disabled = design.engine("deployments", "spec.yaml", "disable", "production", "--yes")
    assert disabled.returncode == 0, disabled.stdout + disabled.stderr
    removed = design.engine("deployments", "spec.yaml", "delete", "production", "--yes", token="deployer")
    assert "admin" in removed.stderr  # which this token is not
    for place in (design.here, design.there / "data"):
        for path in (one for one in place.rglob("*") if one.is_file()):
            content = path.read_bytes()
            assert not any(token.encode()[-43:] in content for token in design.tokens.values()), path


def test_a_node_that_is_down_is_told_and_nothing_is_lost(design: Design) -> None:
    assert design.engine("deploy", "spec.yaml", "production", "--now").returncode == 0
    design.stop()
    for arguments in (["status", "spec.yaml"], ["deployments", "spec.yaml"], ["rollback", "spec.yaml", "production"]):
        said = design.engine(*arguments)
        assert said.returncode != 0
        assert "the node 'factory'" in said.stderr
        assert "is it running?" in said.stderr
        assert "Traceback" not in said.stderr
