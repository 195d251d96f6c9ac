"""A store that runs during the tests, a bucket per test, and projects whose datasets are objects."""

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest

from engine.data import Datasets, InMemoryFileHashes
from engine.spec import load

from .store_server import StoreServer, run_server

OpenLake = Callable[..., Datasets]


@pytest.fixture(scope="session")
def server_url() -> Iterator[str]:
    """Give the address of a server."""
    with run_server() as url:
        yield url


@pytest.fixture
def bucket(server_url: str) -> StoreServer:
    """Give a new bucket."""
    made = StoreServer(server_url, f"bucket-{token_hex(6)}")
    made.request("PUT")
    return made


@pytest.fixture
def open_lake(tmp_path: Path) -> OpenLake:
    """Write a spec with a connection `lake`, and give its datasets."""

    def write(connection: dict[str, Any], as_of: Any = None, **datasets: Any) -> Datasets:
        spec = tmp_path / "spec.json"
        declared = {name: {"connection": "lake", **one} for name, one in datasets.items()}
        written = {"version": 1, "project": "test", "connections": {"lake": connection}, "datasets": declared}
        spec.write_text(json.dumps(written))
        scratch = lambda: Path(tempfile.mkdtemp(dir=tmp_path))  # noqa: E731 - as it is passed on
        project = load(spec) if as_of is None else load(spec, as_of=as_of)
        return Datasets(project, InMemoryFileHashes(), scratch, objects=tmp_path / "objects")

    return write
