"""The proof of sameness finds a difference of every kind, and none where only times, ids and folders differ."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TOOL = Path(__file__).with_name("same_kept.py")
SNAPSHOT = "0123456789abcdef0123456789abcdef"


def ran(folder: Path, run: str, clock: str, took: str) -> Path:
    """Write what a run could have left behind."""
    state = folder / ".engine" / "it"
    for path in (folder / "said", state / "snapshots" / SNAPSHOT, state / "runs" / run):
        path.mkdir(parents=True)
    with sqlite3.connect(state / "state.db") as database:
        database.execute("CREATE TABLE measured (number INTEGER PRIMARY KEY, run TEXT, metric TEXT, value REAL)")
        database.execute("CREATE TABLE built (number INTEGER PRIMARY KEY, at TEXT, fingerprint TEXT, facts TEXT)")
        database.execute("INSERT INTO measured VALUES (1, ?, 'mean.age', 0.1)", [run])
        facts = json.dumps({"share": 0.2, "files": {"a.csv": SNAPSHOT}})
        database.execute("INSERT INTO built VALUES (1, ?, ?, ?)", [f"2026-11-28 {clock}", SNAPSHOT, facts])
    (state / "snapshots" / SNAPSHOT / "columns.profile").write_bytes(b"profile")
    (state / "runs" / run / "log.txt").write_text(f"2026-11-28T{clock}Z {folder}/it.yaml ended after {took}\n")
    (folder / "said" / "00 plan it.yaml.out").write_text(json.dumps({"steps": [{"reason": "it was never read"}]}))
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders of the same run at two times."""
    return (
        ran(tmp_path / "a", "20261128-013800-123456-7f3a9c1b", "01:38:00.123", "0.4 s"),
        ran(tmp_path / "longer", "20261128-014501-654321-00aa11bb", "01:45:01", "1 min 2 s"),
    )


def compared(pair: tuple[Path, Path]) -> tuple[int, dict[str, str]]:
    """Return the exit code, and what is said of each kind."""
    done = subprocess.run([sys.executable, TOOL, *pair], capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines() if not line.startswith(" ")]
    return done.returncode, {kind: said.partition(" of")[0] for _, kind, said in lines}


def changed(sql: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        with sqlite3.connect(folder / ".engine" / "it" / "state.db") as database:
            database.execute(sql)

    return edit


def replaced(pattern: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        (path,) = folder.rglob(pattern)
        path.write_text(path.read_text().replace(old, new))

    return edit


KINDS = ("metrics", "fingerprints", "messages", "plans", "profiles", "store")
EDITS: dict[str, Callable[[Path], None]] = {
    "metrics": changed("UPDATE measured SET value = 0.10000000000000002"),
    "fingerprints": changed(f"UPDATE built SET fingerprint = '{SNAPSHOT[::-1]}'"),
    "messages": replaced("log.txt", "ended", "stopped"),
    "plans": replaced("00 plan*", "never", "often"),
    "profiles": replaced("columns.profile", "profile", "profit"),
    "store": changed("UPDATE built SET facts = replace(facts, '0.2', '0.3')"),
}


def test_only_times_ids_and_folders_differ(pair: tuple[Path, Path]) -> None:
    assert compared(pair) == (0, dict.fromkeys(KINDS, "equal"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_difference_of_each_kind_is_found(kind: str, pair: tuple[Path, Path]) -> None:
    EDITS[kind](pair[1])
    assert compared(pair) == (1, {**dict.fromkeys(KINDS, "equal"), kind: "1 differ"})


def test_what_only_one_side_has_is_found(pair: tuple[Path, Path]) -> None:
    changed("INSERT INTO measured SELECT 2, run, 'std.age', 1.0 FROM measured")(pair[1])
    code, said = compared(pair)
    assert (code, said["metrics"]) == (1, "4 differ")
