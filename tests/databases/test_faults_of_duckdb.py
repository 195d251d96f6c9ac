"""What is said about a DuckDB file that is damaged, another program's, or closed, and that nothing half-read counts."""

import json
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from ..command_line import ENGINE, Done
from ..permissions import close_path, find_powerless

SPEC = {
    "version": 1,
    "project": "p",
    "connections": {"lake": {"kind": "duckdb", "path": "in/lake.duckdb"}},
    "datasets": {"d": {"kind": "stored", "connection": "lake", "table": "rows",
                       "checks": {"count": {"metric": "row_count", "min": 20_000}}}},
    "scenarios": {"s": {"steps": [{"name": "check", "kind": "run_checks", "target": "d"}]}},
}  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    (tmp_path / "p.yaml").write_text(json.dumps(SPEC))
    path = tmp_path / "in" / "lake.duckdb"
    path.parent.mkdir()
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE rows AS SELECT i, md5(i::VARCHAR) AS t FROM range(20000) r(i)")
    return path


def call(lake: Path, verb: str, *before: str) -> Done:
    command = [*before, ENGINE, verb, "p.yaml"]
    return subprocess.run(command, cwd=lake.parents[1], capture_output=True, text=True, timeout=120, check=False)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 3, len(content), 1000):
        content[place] ^= 0xFF
    path.write_bytes(content)


def make_sqlite(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE rows (i INTEGER)")
    connection.close()


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut, "its end is missing, because it was cut or is being replaced; restore it or write it again"),
        (flip, "it is damaged; restore it or write it again"),
        (make_sqlite, "it is not a DuckDB file, but one of SQLite"),
        (
            lambda path: path.write_text("i,t"),
            "it is not a DuckDB file; restore it, or correct path: of the connection",
        ),
    ],
    ids=["cut", "flipped", "sqlite", "text"],
)
def test_a_file_that_cannot_be_read(lake: Path, damage: Callable[[Path], object], said: str) -> None:
    good = lake.read_bytes()
    damage(lake)
    for verb in ("plan", "run"):
        done = call(lake, verb)
        assert done.returncode == 3
        told = " ".join((done.stdout + done.stderr).split())
        assert f"dataset 'd': connection 'lake': DuckDB file in/lake.duckdb: {said}" in told
        assert "internal error" not in told
    lake.write_bytes(good)
    assert call(lake, "run").returncode == 0


def test_a_file_in_a_closed_folder(lake: Path) -> None:
    with close_path(lake.parent):
        done = call(lake, "run", *find_powerless())
    assert done.returncode == 3
    assert "DuckDB file in/lake.duckdb: it cannot be opened: Permission denied" in done.stderr
    assert "internal error" not in done.stderr
