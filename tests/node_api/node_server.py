"""A node that answers over HTTP in this process; what carries out its operations are real processes."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import uvicorn

from engine.server.app import build_app
from engine.server.connections import TimedConnection
from engine.server.listener import _bind
from engine.server.node_api.application import NodeApi
from engine.server.tokens import NodeTokens
from engine.service.control import NextTimes, RequestedRun, ServedProject
from engine.service.deployments.settings import Care
from engine.spec import load
from engine.spec.reading.node_file import load_node
from engine.store.node import Node

from ..deployments.deployed import make_bundle, write_spec
from ..waiting import wait_for

PATIENCE = 300.0


class QuietControl:
    """A server that serves nothing yet."""

    draining = False

    def measure_tick_age(self) -> float:
        return 0.0

    def is_draining(self) -> bool:
        return self.draining

    def list_projects(self) -> Sequence[ServedProject]:
        return []

    def list_next_times(self, project: str, count: int) -> Sequence[NextTimes]:
        return []

    def reload(self) -> Sequence[ServedProject]:
        return []

    def request_run(self, project: str, scenario: str, values: Any, request: str) -> RequestedRun:
        raise NotImplementedError

    def abort_run(self, project: str, run: str, by: str) -> bool:
        raise NotImplementedError

    def pause(self, project: str, scenario: str, until: Any, by: str, reason: str) -> None:
        raise NotImplementedError

    def resume(self, project: str, scenario: str, by: str) -> bool:
        raise NotImplementedError


@dataclass
class NodeServer:
    """A running node, and clients of it."""

    url: str
    folder: Path
    node: Node
    api: NodeApi
    control: QuietControl
    told: list[str]
    tokens: dict[str, str]

    def connect(self, role: str = "admin", **options: Any) -> httpx2.Client:
        headers = {"authorization": f"Bearer {self.tokens[role]}"}
        return httpx2.Client(base_url=self.url, headers=headers, timeout=60, **options)

    def wait_for_end(self, operation: str) -> dict[str, Any]:
        with self.connect("viewer") as client:
            return wait_for(lambda: _read_ended(client, operation), f"the end of {operation}; told: {self.told}")


def _read_ended(client: httpx2.Client, operation: str) -> dict[str, Any] | None:
    found: dict[str, Any] = client.get(f"/v1/operations/{operation}").json()
    return found if found["ended"] else None


@contextmanager
def serve_node(folder: Path, more: str = "", program: Sequence[str] | None = None) -> Iterator[NodeServer]:
    """Serve a node whose folder is `node` in a folder; `program` carries out its operations."""
    file = folder / "node.yaml"
    file.write_text(f"version: 1\nnode: tests\nfolder: node\nallow_code: true\n{more}")
    told: list[str] = []
    control = QuietControl()
    node = Node.open(load_node(file).node_folder)
    tokens = {role: node.tokens.create(role, role, "tests")[0] for role in ("viewer", "operator", "deployer", "admin")}
    api = NodeApi(control, node, lambda: load_node(file), os.environ, told.append)
    if program is not None:
        api.updates.program = program
    api.start()
    app = build_app(control, NodeTokens(node.tokens, told.append), told.append, api=api)
    bound = _bind("127.0.0.1", 0, "--listen")
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=TimedConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([bound],), daemon=True)
    thread.start()
    try:
        yield NodeServer(
            f"http://127.0.0.1:{bound.getsockname()[1]}", folder / "node", node, api, control, told, tokens
        )
    finally:
        control.draining = True
        server.should_exit = True
        thread.join(5)
        api.stop()
        node.close()


def make_archive(
    folder: Path, name: str = "v1", *, function: str = "fine", more: str = "", imported: str = ""
) -> tuple[str, bytes]:
    """Return the id and the bytes of a bundle, another one for each name; `imported` is done when it is imported."""
    folder.mkdir(exist_ok=True)
    spec = write_spec(folder, f"{more}# {name}\n", function=function)
    with (folder / "mine.py").open("a") as module:
        module.write(imported)
    id_ = make_bundle(load(spec), name)
    return id_, (folder / f"{name}.zip").read_bytes()


def describe_update(bundle: str, expected: int | None, **more: Any) -> dict[str, Any]:
    """Return the body of an update to a bundle of the project `tiny`."""
    values = {
        "variables": {},
        "connections": {},
        "channels": {},
        "secrets": {},
        "server_url": None,
        "scenarios": {},
    }
    care = Care(**more.pop("care", {})).to_json()
    return {
        "project": "tiny",
        "bundle": bundle,
        "bundle_name": more.pop("bundle_name", "v1"),
        "settings": {"values": values, "care": care},
        "expected_revision": expected,
        **more,
    }


def name_program(point: str) -> tuple[str, ...]:
    """Return the program of an operation that kills itself at a point."""
    return (str(Path(__file__).with_name("crashing_update.py")), point)


def find_processes(marks: tuple[str, ...]) -> list[int]:
    """Return the processes whose command lines hold all of some texts."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if all(mark in line for mark in marks):
            found.append(int(folder.name))
    return found
