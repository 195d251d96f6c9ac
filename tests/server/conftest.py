"""A real listener on this machine, over a small server whose state is a real one."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from engine.server.listener import ListenerOptions, create_listener

from .small_server import SmallServer, write_spec


@pytest.fixture
def served(tmp_path: Path) -> Iterator[SmallServer]:
    """Return a small server of one project."""
    server = SmallServer(write_spec(tmp_path))
    yield server
    server.close()


@pytest.fixture
def told() -> list[str]:
    """Return what the listener has told those who run it: faults, which a test must expect or have none of."""
    return []


@pytest.fixture
def address(served: SmallServer, told: list[str]) -> Iterator[str]:
    """Return the address of a listener; its token is `served.token`."""
    listener = create_listener(served, ListenerOptions("127.0.0.1:0"), {}, told.append)
    listener.start()
    served.token = listener.token
    yield listener.url
    listener.stop()
    assert told == []


@pytest.fixture
def client(served: SmallServer, address: str) -> Iterator[httpx2.Client]:
    """Return a client that has the token."""
    headers = {"authorization": f"Bearer {served.token}"}
    with httpx2.Client(base_url=address, headers=headers, timeout=20) as client:
        yield client
