"""A project of nothing but datasets, in a folder of its own."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.data import Datasets, InMemoryFileHashes
from engine.spec import load

Opened = Callable[..., Datasets]


@pytest.fixture
def project(tmp_path: Path) -> Opened:
    """Write a spec beside the test's files and give its datasets."""

    def write(datasets: dict[str, Any], **sections: Any) -> Datasets:
        spec = tmp_path / "spec.yaml"
        spec.write_text(json.dumps({"version": 1, "project": "test", "datasets": datasets, **sections}))
        return Datasets(load(spec), InMemoryFileHashes(), lambda: Path(tempfile.mkdtemp(dir=tmp_path)))

    return write
