"""A node that runs, whose server, clients and operations are killed in the middle; and what must hold after that."""

import json
import os
import random
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.bundles.archive_checks import verify_archive
from engine.store.node import Node

from ..deployments.deployed import check_infrastructure
from ..processes import is_alive, list_descendants
from ..server.asked_node import AskedNode
from ..service.served import Served
from ..waiting import wait_for
from .node_server import describe_update, make_archive

PRODUCTION = "/v1/deployments/production"
STARTING_SECONDS = 600.0
"""How long a server may take to start beside other work on the machine."""

ENDED_WELL = ("HEALTHY", "FAILED", "ROLLED_BACK")


def find_update(operation: str) -> list[int]:
    """Return the process that carries out an operation, and those that it has started; none before and after."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            line = (folder / "cmdline").read_bytes()
            if (
                b"engine.service.deployments.updates.process" in line
                and operation.encode() in line
                and is_alive(int(folder.name))
            ):
                return [int(folder.name), *list_descendants(int(folder.name))]
    return []


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class KilledNode:
    """A node with an active deployment; each way to kill is a method, see `WAYS`."""

    def __init__(self, folder: Path, number: int) -> None:
        self.chosen = random.Random(number)
        self.node = AskedNode(folder, "allow_code: true\nlimits: {bundles: 6}\n")
        self.data = folder / "data"
        self.first = make_archive(folder / "first", "first", more="variables: {note: first}\n")
        self.hanging = make_archive(folder / "hanging", "hanging", imported="import time\n\ntime.sleep(600)\n")
        self.folder, self.made = folder, 0
        self.upload(self.first)
        for archive in (self.first, self.make_bundle()):  # so that there always is a healthy revision to go back to
            self.upload(archive)
            began = time.monotonic()
            self.wait_for_end(self.begin(archive))
        self.longest = 1.2 * (time.monotonic() - began)
        """Seconds within which a kill comes after an update was asked for; one takes about that long here."""

    # --- requests

    def ask(self, method: str, path: str, body: Any = None, role: str = "admin") -> Any:
        """Send a request, and return its answer."""
        kind = {"content-type": "application/json"} if body is not None else {}
        content = None if body is None else json.dumps(body).encode()
        answer = self.node.ask(path, self.node.tokens[role], method, content=content, **kind)
        assert answer.status_code < 300, (path, answer.status_code, answer.text)
        return answer.json()

    def upload(self, archive: tuple[str, bytes]) -> None:
        answer = self.node.ask(f"/v1/bundles/{archive[0]}", self.node.tokens["deployer"], "PUT", content=archive[1])
        assert answer.status_code in (200, 201), answer.text

    def make_bundle(self) -> tuple[str, bytes]:
        """Return a bundle that is not on the node yet, with 2 MB that nobody needs."""
        self.made += 1
        more = f"variables: {{note: {os.urandom(500_000).hex()}}}\n"
        return make_archive(self.folder / f"made{self.made}", "made", more=more)

    def read_active(self) -> int:
        found: int = self.ask("GET", PRODUCTION)["state"]["row"]["active_revision"]
        return found

    def begin(self, archive: tuple[str, bytes], **more: Any) -> str:
        """Ask for an update, and return the id of its operation."""
        known = self.node.ask(PRODUCTION, self.node.tokens["viewer"])
        active = self.read_active() if known.status_code == 200 else None
        more.setdefault("now", True)
        body = describe_update(archive[0], active, again=True, **more)
        answer: str = self.ask("POST", f"{PRODUCTION}/updates", body)["operation"]["id"]
        return answer

    def wait_for_end(self, operation: str) -> dict[str, Any]:
        def look() -> Any:
            found = self.ask("GET", f"/v1/operations/{operation}")
            return found if found["ended"] else None

        found: dict[str, Any] = wait_for(look, f"the end of {operation}; {self.node.server.describe()}")
        return found

    def restart(self) -> None:
        """Kill the server, if it lives, and start it again."""
        self.node.kill()
        self.node.server = Served(self.folder, "--node", "node.yaml", "--drain", "1")
        self.node.url = self.node.server.wait_for("listening", seconds=STARTING_SECONDS)["url"]

    # --- ways to kill; each returns the bundle that was on its way, and the operation, if there was one

    def kill_client_in_upload(self) -> tuple[tuple[str, bytes], str]:
        archive = self.make_bundle()
        sender = self._fork(lambda: self._send_slowly(archive))
        time.sleep(self.chosen.uniform(0.0, 0.8))
        kill(sender)
        os.waitpid(sender, 0)
        return archive, ""

    def kill_client_in_waiting(self) -> tuple[tuple[str, bytes], str]:
        archive = self.make_bundle()
        self.upload(archive)
        operation = self.begin(archive, care=self._draw_care())
        follower = self._fork(lambda: self._follow(operation))
        time.sleep(self.chosen.uniform(0.0, 1.0))
        kill(follower)
        os.waitpid(follower, 0)
        return archive, operation

    def kill_server_in_upload(self) -> tuple[tuple[str, bytes], str]:
        archive = self.make_bundle()
        sender = self._fork(lambda: self._send_slowly(archive))
        time.sleep(self.chosen.uniform(0.0, 0.8))
        self.node.kill()
        kill(sender)
        os.waitpid(sender, 0)
        self.restart()
        return archive, ""

    def kill_server_between_upload_and_update(self) -> tuple[tuple[str, bytes], str]:
        archive = self.make_bundle()
        self.upload(archive)
        self.restart()
        return archive, self.begin(archive, care=self._draw_care())

    def kill_server_in_update(self) -> tuple[tuple[str, bytes], str]:
        """Kill the server alone: the process that carries out the operation works on."""
        archive, operation = self._begin_and_wait()
        self.restart()
        return archive, operation

    def kill_server_and_update(self) -> tuple[tuple[str, bytes], str]:
        """Kill the server and all that it has started, as a machine does that loses its power."""
        archive, operation = self._begin_and_wait()
        all_of_it = [self.node.server.process.pid, *list_descendants(self.node.server.process.pid)]
        for pid in {*all_of_it, *find_update(operation)}:
            kill(pid)
        self.restart()
        return archive, operation

    def kill_update(self) -> tuple[tuple[str, bytes], str]:
        """Kill the process that carries out the operation; the server goes on."""
        archive, operation = self._begin_and_wait()
        for pid in find_update(operation)[:1]:
            kill(pid)
        return archive, operation

    def kill_a_child_of_the_update(self) -> tuple[tuple[str, bytes], str]:
        """Kill a process that the update has started, such as a hook or its supervisor."""
        archive, operation = self._begin_and_wait()
        if children := find_update(operation)[1:]:
            kill(self.chosen.choice(children))
        return archive, operation

    def kill_proofs(self) -> tuple[tuple[str, bytes], str]:
        """Kill the process of the proofs alone, as the system does that has no memory left, or its supervisor."""
        operation = self._begin_hanging(600)
        proving = wait_for(lambda: find_update(operation)[1:] or None, "the process of the proofs")
        time.sleep(self.chosen.uniform(0.0, 3.0))
        proving = find_update(operation)[1:] or proving
        kill(proving[-1] if self.chosen.random() < 0.7 else proving[0])
        assert self.wait_for_end(operation)["state"] == "FAILED"
        return self.hanging, operation

    def let_proofs_hang(self) -> tuple[tuple[str, bytes], str]:
        operation = self._begin_hanging(8)
        ended = self.wait_for_end(operation)
        assert (ended["state"], "the proofs took longer than 8 s" in ended["reason"]) == ("FAILED", True), ended
        return self.hanging, operation

    def _begin_hanging(self, seconds: int) -> str:
        self.upload(self.hanging)
        return self.begin(self.hanging, now=False, care={"preload_seconds": seconds})

    def _begin_and_wait(self) -> tuple[tuple[str, bytes], str]:
        archive = self.make_bundle()
        self.upload(archive)
        operation = self.begin(archive, care=self._draw_care())
        time.sleep(self.chosen.uniform(0.0, self.longest))
        return archive, operation

    def _draw_care(self) -> dict[str, Any]:
        """Return a health check of half a second, which one time in three fails."""
        end = self.chosen.choice((0, 0, 1))
        return {"after": ((("sh", "-c", f"sleep 0.5; exit {end}"), 60),)}

    def _fork(self, work: Callable[[], None]) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                work()
            finally:
                os._exit(0)
        return pid

    def _connect(self) -> tuple[socket.socket, str]:
        host, port = self.node.url.removeprefix("http://").split(":")
        head = f"HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {self.node.tokens['deployer']}\r\n"
        return socket.create_connection((host, int(port)), timeout=60), head

    def _send_slowly(self, archive: tuple[str, bytes]) -> None:
        id_, content = archive
        connection, head = self._connect()
        connection.sendall(f"PUT /v1/bundles/{id_} {head}Content-Length: {len(content)}\r\n\r\n".encode())
        part = len(content) // 20
        for start in range(0, len(content), part):
            connection.sendall(content[start : start + part])
            time.sleep(0.03)
        connection.recv(10_000)

    def _follow(self, operation: str) -> None:
        connection, head = self._connect()
        connection.sendall(f"GET /v1/operations/{operation}/events {head}Accept: text/event-stream\r\n\r\n".encode())
        while connection.recv(10_000):
            pass

    # --- what must hold

    def check(self, before: int, archive: tuple[str, bytes], operation: str) -> str:
        """Check what must hold after a kill, as soon as all operations have ended; return how the last one has."""
        state = "no operation"
        if operation:
            ended = self.wait_for_end(operation)
            state = str(ended["state"])
            assert state in ENDED_WELL, ended
            events = self.ask("GET", f"/v1/operations/{operation}/events")["events"]
            assert ended["reason"] or events or ended["steps"], ended
            if state != "HEALTHY":
                assert ended["reason"], ended
        wait_for(self._is_at_rest, f"an end of all; {self.node.server.describe()}")
        self._check_bundles()
        active, _ = check_infrastructure(self.data)
        assert active is not None
        shown = self.ask("GET", PRODUCTION)["state"]
        assert (shown["row"]["active_revision"], shown["active"]["state"]) == (active, "HEALTHY"), shown
        assert active == before or active > before
        if state == "FAILED":
            assert active == before
        self.upload(archive)
        self._check_bundles()
        return state

    def _is_at_rest(self) -> bool:
        """Tell whether nobody works on it: old releases are removed after the end of an operation was recorded."""
        with Node.open(self.data) as node:
            at_work = node.operations.list_open() or node.is_locked("production")
            return not at_work and not list((self.data / "staging").iterdir())

    def _check_bundles(self) -> None:
        """Check that each bundle that is listed is whole."""
        for one in self.ask("GET", "/v1/bundles")["bundles"]:
            found = verify_archive(self.data / "bundles" / f"{one['id']}.zip", [], 0)
            assert found.manifest.id == one["id"]


WAYS: dict[str, Callable[[KilledNode], tuple[tuple[str, bytes], str]]] = {
    "client in upload": KilledNode.kill_client_in_upload,
    "client in waiting": KilledNode.kill_client_in_waiting,
    "server in upload": KilledNode.kill_server_in_upload,
    "server between upload and update": KilledNode.kill_server_between_upload_and_update,
    "server in update": KilledNode.kill_server_in_update,
    "server and update": KilledNode.kill_server_and_update,
    "update": KilledNode.kill_update,
    "child of the update": KilledNode.kill_a_child_of_the_update,
    "proofs": KilledNode.kill_proofs,
    "proofs that hang": KilledNode.let_proofs_hang,
}


def kill_once(killed: KilledNode, way: str) -> str:
    """Kill in one way, check what must hold, and return how the operation has ended."""
    before = killed.read_active()
    archive, operation = WAYS[way](killed)
    return killed.check(before, archive, operation)
