"""A node that runs as a process, with a token of each role, for tests that ask it over HTTP."""

from collections.abc import Mapping
from pathlib import Path

import httpx2

from engine.server.callers import Role
from engine.store.node import Node

from ..command_line import call_engine
from ..service.served import Served

NODE = "version: 1\nnode: factory\nfolder: data\nlisten: 127.0.0.1:0\n"


def write_node(folder: Path, more: str = "") -> Path:
    path = folder / "node.yaml"
    path.write_text(NODE + more, encoding="utf-8")
    return path


def make_token(folder: Path, name: str, role: str, *options: str) -> str:
    """Make a token as people do, and return it."""
    command = ["node", "token", "create", "node.yaml", name, "--role", role, *options]
    return call_engine(folder, *command).stdout.strip()


class AskedNode:
    """A node that runs, with a token of each role."""

    def __init__(self, folder: Path, more: str = "", environ: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.path = write_node(folder, more)
        with Node.open(folder / "data") as node:
            self.tokens = {role.word: node.tokens.create(f"the {role.word}", role.word, "test")[0] for role in Role}
        self.server = Served(folder, "--node", "node.yaml", "--drain", "1", environ=environ)
        self.url: str = self.server.wait_for("listening")["url"]

    def ask(
        self,
        path: str,
        token: str | None = None,
        method: str = "GET",
        address: str = "127.0.0.1",
        content: bytes | None = None,
        **headers: str,
    ) -> httpx2.Response:
        """Send a request, from one of the addresses of this machine."""
        given = {"authorization": f"Bearer {token}"} if token else {}
        encrypted = self.url.startswith("https")  # to read the system's certificates takes longer than a request
        transport = httpx2.HTTPTransport(local_address=address, verify=encrypted)
        with httpx2.Client(transport=transport, base_url=self.url, timeout=60) as client:
            return client.request(method, path, content=content, headers=given | headers)

    def end(self) -> None:
        if self.server.process.poll() is None:
            assert self.server.end() == 0, self.server.describe()

    def kill(self) -> None:
        self.server.process.kill()
        self.server.process.wait()
