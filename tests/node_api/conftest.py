"""A node that answers over HTTP, and a bundle for it."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from .node_server import NodeServer, make_archive, serve_node


@pytest.fixture
def served(tmp_path: Path) -> Iterator[NodeServer]:
    """Return a running node, which has told nothing in the end."""
    with serve_node(tmp_path) as server:
        yield server
        assert server.told == []


@pytest.fixture
def client(served: NodeServer) -> Iterator[httpx2.Client]:
    """Return a client that may do everything."""
    with served.connect() as client:
        yield client


@pytest.fixture
def bundle(tmp_path: Path) -> tuple[str, bytes]:
    """Return the id and the bytes of a bundle."""
    return make_archive(tmp_path / "made")
