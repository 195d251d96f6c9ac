"""Evaluations that a node has made come to whoever has deployed there, by processes of both sides."""

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from datetime import date
from pathlib import Path

import httpx2
import pytest

import engine
from engine.store.node import Node

from ..command_line import call_engine
from ..deployments.evaluated import (
    dump,
    list_rows,
    read_files,
    write_days,
    write_project,
)
from ..service.served import Served
from ..waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # on a busy machine, a process takes ten seconds to start

NODE = """
version: 1
node: factory
folder: data
listen: 127.0.0.1:0
connections: {local: {root: stored}}
"""


class Design:
    """A project that was deployed to a node, which is a process, and has evaluated two days there."""

    def __init__(self, folder: Path) -> None:
        self.here, self.factory = folder / "design", folder / "factory"
        for one in (self.here, self.factory):
            one.mkdir()
        write_days(self.factory / "stored", 1, 2, shift=0.3)
        (self.factory / "stored/before.csv").write_text((self.factory / "stored/2026-03-01.csv").read_text())
        (self.factory / "node.yaml").write_text(NODE)
        with Node.open(self.factory / "data") as node:
            self.tokens = {role: node.tokens.create(role, role, "tests")[0] for role in ("viewer", "deployer")}
        self.server = Served(self.factory, "--node", "node.yaml", "--drain", "1")
        self.url: str = self.server.wait_for("listening")["url"].rstrip("/")
        write_project(self.here, self.url)
        self.there = self.factory / "data/deployments/distant/state/watched"
        self.state = self.here / ".engine/watched"

    def open(self, token: str = "viewer") -> engine.Project:
        environ = {**os.environ, "FACTORY_TOKEN": self.tokens[token]}
        return dataclasses.replace(engine.load(self.here / "spec.yaml"), environ=environ)

    def evaluate(self, day: int) -> None:
        arguments = ["run", "spec.yaml", "monitor", "--on", "distant", "--var", f"day=2026-03-{day:02}"]
        run = call_engine(self.here, *arguments, FACTORY_TOKEN=self.tokens["deployer"])
        assert run.returncode == 0, run.stdout + run.stderr


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Design]:
    made = Design(tmp_path_factory.mktemp("distant"))
    try:
        project = made.open("deployer")
        project.create_bundle("v3")
        assert project.deploy("distant", now=True).state == "HEALTHY"
        made.evaluate(1)
        made.evaluate(2)
        yield made
    finally:
        made.server.process.kill()
        made.server.process.wait()


def test_the_evaluations_of_a_node_come_back_whatever_happens_on_both_sides(design: Design) -> None:
    first = design.open().pull("distant", since=date(2026, 3, 2))
    assert (first.evaluations, first.known, first.infrastructure) == (1, 0, "factory")

    # evaluated here and there while all is pulled
    environ = {**os.environ, "FACTORY_TOKEN": design.tokens["viewer"]}
    here = subprocess.Popen([sys.executable, "-m", "engine", "run", "spec.yaml", "monitor"], cwd=design.here)
    pulls = [
        subprocess.Popen([sys.executable, "-m", "engine", "pull", "spec.yaml", "distant"], cwd=design.here, env=environ)
        for _ in range(2)
    ]
    write_days(design.factory / "stored", 2, shift=0.9)
    design.evaluate(2)
    assert [one.wait(200) for one in (here, *pulls)] == [0, 0, 0]
    design.open().pull("distant")
    ids = {path.split("/")[0] for path in read_files(design.there)}
    assert len(ids) == 3
    assert list_rows(design.state, ids) == list_rows(design.there, ids)
    assert read_files(design.state).items() >= read_files(design.there).items()
    store = engine.load(design.here / "spec.yaml").store("drift")
    assert (store.count(), store.count(origin="distant")) == (3, 2)
    assert store.evaluation().origin is None
    before = dump(design.state)
    again = design.open().pull("distant")
    assert (again.evaluations, again.known) == (0, 3)
    assert dump(design.state) == before
    for path in (one for one in design.here.rglob("*") if one.is_file()):
        assert not any(token.encode()[-43:] in path.read_bytes() for token in design.tokens.values()), path


def test_the_api_gives_a_page_at_a_time_and_nothing_but_evaluations(design: Design) -> None:
    prefix = f"{design.url}/v1/deployments/distant/evaluations"
    with httpx2.Client(headers={"authorization": f"Bearer {design.tokens['viewer']}"}, trust_env=False) as client:
        page = client.get(prefix).json()
        assert (page["project"], page["deployment"], page["next"]) == ("watched", "distant", None)
        first = page["evaluations"][0]
        rest = client.get(prefix, params={"after": first["number"]}).json()
        assert rest["evaluations"] == page["evaluations"][1:]
        assert client.get(prefix, params={"store": "sizes"}).json()["evaluations"] == []
        assert client.get(prefix, params={"since": "2030-01-01T00:00:00Z"}).json()["evaluations"] == []
        one = client.get(f"{prefix}/{first['id']}").json()
        assert (one["evaluation"]["id"], one["evaluation"]["revision"]) == (first["id"], 1)
        for name, file in one["files"].items():
            assert len(client.get(f"{prefix}/{first['id']}/files/{name}").content) == file["bytes"]
        for path, status in (
            (f"{first['id']}/files/state.db", 404),
            (f"{first['id']}/files/..%2F..%2Fstate.db", 404),
            (f"{first['id']}/files/%2e%2e", 404),
            ("..%2Fstate", 404),
            ("20260301-nothing", 404),
            (f"20260301-nothing/files/{name}", 404),
            ("?after=-1", 422),
            ("?since=2026-03-01", 422),
            ("?since=0001-01-01T00:00:00%2B14:00", 422),
            ("?origin=x", 422),
        ):
            answer = client.get(prefix + (path if path.startswith("?") else f"/{path}"))
            assert answer.status_code in (status, 422), (path, answer.status_code, answer.text)
            assert answer.json()["error"]
    for token in ("x", "eng_00000000_" + "x" * 43):
        assert httpx2.get(prefix, headers={"authorization": f"Bearer {token}"}, trust_env=False).status_code == 401


def has_connection(pid: int) -> bool:
    with suppress(OSError):  # what was open is closed
        return any(str(one.readlink()).startswith("socket:") for one in Path(f"/proc/{pid}/fd").iterdir())
    return False


def test_a_pull_that_is_interrupted_by_the_node_or_by_who_pulls_ends_in_words(design: Design, tmp_path: Path) -> None:
    spec = write_project(tmp_path, design.url)
    environ = {**os.environ, "FACTORY_TOKEN": design.tokens["viewer"]}
    pull = subprocess.Popen(
        [sys.executable, "-m", "engine", "pull", str(spec), "distant"], env=environ, stderr=subprocess.PIPE, text=True
    )
    design.server.process.send_signal(signal.SIGSTOP)
    try:
        wait_for(lambda: has_connection(pull.pid), "the connection of the pull")
        pull.send_signal(signal.SIGINT)
        _, told = pull.communicate(timeout=60)
    finally:
        design.server.process.send_signal(signal.SIGCONT)
    assert (pull.returncode, told) == (130, "engine: interrupted\n")
    assert call_engine(tmp_path, "pull", "spec.yaml", "distant", FACTORY_TOKEN=design.tokens["viewer"]).returncode == 0
