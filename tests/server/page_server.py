"""A server of a project that has run, for tests of pages."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
from sqlalchemy import Engine, event

from engine.server.callers import Caller, Role
from engine.server.listener import ListenerOptions, create_listener
from engine.server.tokens import OneToken
from engine.service.control import ServedProject
from engine.spec import load
from engine.store import Store

from .small_server import SmallServer

TOKEN = "a-token-of-more-than-thirty-two-letters"


class PageServer(SmallServer):
    """A server of one project in its own state, without a loop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        spec = load(path)
        (folder,) = (path.parent / ".engine").iterdir()
        self.store = Store.open(folder, patience=0.2)
        self.project = ServedProject(spec.name, path, spec, self.store, leader=True)
        self.token, self.ticked, self.draining = "", 0.0, False
        self.loop_answers = self.has_projects = True
        self.started_runs: set[str] = set()
        self.aborted: list[tuple[str, str]] = []

    def measure_tick_age(self) -> float:
        return 0.0

    def list_next_times(self, project: str, count: int) -> list[object]:
        return []


class OneRole(OneToken):
    """A token with a role other than that of a server with a single token."""

    def __init__(self, role: Role) -> None:
        super().__init__(TOKEN)
        self.role = role

    def identify(self, token: str) -> Caller:
        super().identify(token)
        return Caller("ann", self.role)


@contextmanager
def serve_pages(server: PageServer, tokens: OneToken | None = None) -> Iterator[tuple[httpx2.Client, str]]:
    """Serve pages; yield a client that has logged in as a browser does, and the address."""
    told: list[str] = []
    listener = create_listener(server, ListenerOptions("127.0.0.1:0"), {"ENGINE_SERVE_TOKEN": TOKEN}, told.append)
    listener.tokens = tokens or listener.tokens
    listener.start()
    try:
        headers = {"accept": "text/html", "origin": listener.url}
        with httpx2.Client(base_url=listener.url, headers=headers, timeout=60, follow_redirects=True) as client:
            assert client.get(f"/?token={TOKEN}").status_code == 200
            yield client, listener.url
    finally:
        listener.stop()
    assert told == []


def count_steps(server: PageServer, addresses: list[str]) -> dict[str, tuple[int, int]]:
    """Return what each page costs: the steps of the database, in hundreds, and the bytes."""
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    def listen(connection: sqlite3.Connection, *_: object) -> None:
        connection.set_progress_handler(count, 100)

    event.listen(Engine, "checkout", listen)
    costs = {}
    try:
        with serve_pages(server) as (client, _):
            for address in addresses:
                before = steps
                size = len(client.get(address).content)
                costs[address] = (steps - before, size)
    finally:
        event.remove(Engine, "checkout", listen)
    return costs
