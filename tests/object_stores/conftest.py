"""Projects whose datasets are objects."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.data import Datasets, InMemoryFileHashes
from engine.spec import load

OpenLake = Callable[..., Datasets]


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
