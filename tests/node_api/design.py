"""A project in one folder, and a node in another, which is a process with a home and secrets of its own."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from engine.spec import load
from engine.store.node import Node

from ..deployments.deployed import make_bundle
from ..service.served import Served

SPEC = """
version: 1
project: tiny
connections: {{local: {{root: here}}}}
datasets:
  rows: {{connection: local, path: rows.csv}}
  few: {{connection: local, path: rows.csv, checks: {{many rows: {{metric: row_count, min: 1000}}}}}}
secrets: {{factory_token: {{env: FACTORY_TOKEN}}, greeting: {{env: GREETING, optional: true}}}}
channels: {{told: {{kind: file, path: outbox}}}}
variables: {{place: nowhere}}
scenarios:
  probe:
    steps:
      - {{name: call, kind: python, function: "mine:{function}"}}
      - {{name: build, kind: build, target: rows}}
      - {{name: tell, kind: send_message, channel: told, subject: "from ${{place}}", message: "rows are built"}}
  judge: {{steps: [{{name: look, kind: run_checks, target: few}}]}}
  stop: {{steps: [{{name: build, kind: build, target: few}}]}}
  tolerate:
    steps:
      - {{name: look, kind: run_checks, target: few, on_failure: warn}}
      - {{name: run, kind: run_scenario, scenario: fail, on_failure: warn}}
  fail: {{steps: [{{name: call, kind: python, function: "mine:broken"}}]}}
  tolerate the failure: {{steps: [{{name: run, kind: run_scenario, scenario: fail, on_failure: warn}}]}}
  pass on: {{steps: [{{name: run, kind: run_scenario, scenario: stop}}]}}
infrastructures: {{factory: {{kind: node, url: "{url}", token: "${{secret.factory_token}}"}}}}
deployments:
  production: {{infrastructure: factory, bundle: v3, health: {{run: [probe], within: 120s}}}}
"""
MODULE = """
import os

def fine():
    if "OF_THE_NODE" in os.environ:
        raise ValueError("it has the environment of the node")
    return "ok"

def broken():
    raise ValueError("this release is broken")
"""
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
    """The two folders.

    Parameters
    ----------
    node
        The file of the node.
    environ
        What is in the environment of its server besides.
    entry
        The program of its server, as arguments of Python.
    """

    def __init__(
        self,
        folder: Path,
        node: str,
        environ: Mapping[str, str] | None = None,
        entry: Sequence[str] = ("-m", "engine"),
    ) -> None:
        self.here, self.there = folder / "design", folder / "factory"
        for one in (self.here, self.there):
            one.mkdir(exist_ok=True)
        (self.there / "node.yaml").write_text(node)
        with Node.open(self.there / "data") as opened:
            roles = ("viewer", "operator", "deployer", "admin")
            self.tokens = {role: opened.tokens.create(role, role, "tests")[0] for role in roles}
        self._entry, self._environ = entry, {"OF_THE_NODE": "what no deployment gets", **(environ or {})}
        self.url = self.serve()

    def serve(self) -> str:
        """Start the server of the node, and return where it answers."""
        self.server = Served(
            self.there, "--node", "node.yaml", "--drain", "1", entry=self._entry, environ=self._environ
        )
        url: str = self.server.wait_for("listening")["url"]
        file = self.there / "node.yaml"
        file.write_text(file.read_text().replace("127.0.0.1:0", url.removeprefix("http://")))  # also after a restart
        return url

    def engine(self, *arguments: str, token: str = "deployer") -> "subprocess.CompletedProcess[str]":
        """Do what a command line of the design says, and return what has become of it."""
        process = self.begin(*arguments, token=token)
        try:
            said, told = process.communicate(timeout=400)
        finally:
            process.kill()
        return subprocess.CompletedProcess(arguments, process.returncode, said, told)

    def begin(self, *arguments: str, token: str = "deployer") -> "subprocess.Popen[str]":
        """Begin what a command line of the design says."""
        return subprocess.Popen(
            [sys.executable, "-m", "engine", *arguments],
            cwd=self.here,
            env={**os.environ, "FACTORY_TOKEN": self.tokens.get(token, token)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def stop(self) -> None:
        self.server.process.kill()
        self.server.process.wait()

    def ask(self, path: str, method: str = "GET", *, token: str = "viewer", **options: Any) -> httpx2.Response:
        """Ask the node over HTTP."""
        headers = {"authorization": f"Bearer {self.tokens[token]}"}
        url = path if path.startswith("http") else self.url + path
        return httpx2.request(method, url, headers=headers, timeout=60, **options)


@contextmanager
def design_tiny(
    folder: Path,
    more: str = "",
    environ: Mapping[str, str] | None = None,
    entry: Sequence[str] = ("-m", "engine"),
    node: str = NODE,
) -> Iterator[Design]:
    """Return a small project, whose release v3 runs and v4 does not, with its node; the server is killed in the end.

    Parameters
    ----------
    node, more
        The file of the node, and what it says besides.
    """
    made = Design(folder, node + more, environ, entry)
    try:
        for place, rows in ((made.here / "here", "1\n2\n"), (made.there / "stored", "3\n4\n5\n")):
            place.mkdir()
            (place / "rows.csv").write_text(f"a\n{rows}")
        (made.here / "mine.py").write_text(MODULE)
        for name, function in (("v4", "broken"), ("v3", "fine")):
            (made.here / "spec.yaml").write_text(textwrap.dedent(SPEC).format(function=function, url=made.url))
            make_bundle(load(made.here / "spec.yaml"), name)
        yield made
    finally:
        made.stop()
