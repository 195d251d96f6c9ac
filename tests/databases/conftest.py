"""Projects whose datasets are tables of databases."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.data import Datasets, InMemoryFileHashes
from engine.spec import load
from engine.spec.secrets.values import Secrets

from .postgres_server import Database

OpenDatasets = Callable[..., Datasets]


@pytest.fixture
def open_datasets(tmp_path: Path) -> OpenDatasets:
    """Write a spec with a connection `warehouse`, and give its datasets, each of which is named like its table."""

    def write(connection: dict[str, Any], *tables: str, url: str | None = None, **sections: Any) -> Datasets:
        datasets = {
            table.replace(".", "_"): {"kind": "stored", "connection": "warehouse", "table": table} for table in tables
        }
        spec = tmp_path / "spec.yaml"
        sections["datasets"] = {**datasets, **sections.get("datasets", {})}
        secrets = {"secrets": {"warehouse": {"env": "WAREHOUSE"}}} if url else {}
        written = {"version": 1, "project": "test", "connections": {"warehouse": connection}, **secrets, **sections}
        spec.write_text(json.dumps(written))
        project = load(spec)
        environ = {"WAREHOUSE": url} if url else {}
        scratch = lambda: Path(tempfile.mkdtemp(dir=tmp_path))  # noqa: E731 - as it is passed on
        return Datasets(project, InMemoryFileHashes(), scratch, Secrets(project, environ))

    return write


@pytest.fixture
def open_tables(open_datasets: OpenDatasets, database: Database) -> OpenDatasets:
    """Give the datasets of tables of the test's PostgreSQL database."""

    def write(*tables: str, url: str | None = None, **sections: Any) -> Datasets:
        connection = {"kind": "postgresql", "url": "${secret.warehouse}"}
        return open_datasets(connection, *tables, url=url or database.url(), **sections)

    return write
