"""A state that this user may not read, or may read and not write: it is said, or shown, and it stays as it is."""

import os
import subprocess
import textwrap
from pathlib import Path

import pytest

from ..command_line import ENGINE, Done
from ..permissions import close_path, find_powerless

SPEC = """
    version: 1
    project: p
    datasets: {now: {path: now.csv}, before: {path: before.csv}}
    evaluation_stores: {s: {dataset: now, reference: {kind: dataset, dataset: before}, evaluation: {name: last}}}
"""


def call(folder: Path, *arguments: str) -> Done:
    """Call the command line without the rights of root, with a folder of its own for temporary files."""
    (folder / "temporary").mkdir(exist_ok=True)
    return subprocess.run(
        [*find_powerless(), ENGINE, *arguments],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder / "temporary")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p.yaml").write_text(textwrap.dedent(SPEC))
    for name in ("now", "before"):
        (tmp_path / f"{name}.csv").write_text("x\n" + "".join(f"{value * 37 % 61}\n" for value in range(80)))
    done = call(tmp_path, "run", "p.yaml")
    assert done.returncode == 0, done.stderr
    return tmp_path


@pytest.mark.parametrize("closed", [".engine", ".engine/p", ".engine/p/state.db"])
@pytest.mark.parametrize("verb", ["show", "plan"])
def test_a_state_that_may_not_be_read(folder: Path, closed: str, verb: str) -> None:
    with close_path(folder / closed):
        done = call(folder, verb, "p.yaml")
    assert done.returncode == 3
    assert done.stderr.startswith(
        f"engine: error: state folder {folder / '.engine' / 'p'}: a file or folder in it cannot"
    )
    assert "What to do: give this user read access to it" in done.stderr
    assert call(folder, verb, "p.yaml").returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files to another user")
@pytest.mark.parametrize("arguments", [("show", "p.yaml"), ("plan", "p.yaml"), ("run", "p.yaml", "--dry-run")])
def test_a_state_of_another_user_that_may_only_be_read(folder: Path, arguments: tuple[str, ...]) -> None:
    paths = [folder / ".engine", *(folder / ".engine").rglob("*")]
    for path in paths:
        path.chmod(path.stat().st_mode & ~0o222)
        os.chown(path, 65534, 65534)
    before = [path.stat() for path in paths]
    done = call(folder, *arguments)
    assert done.returncode == 0, done.stderr
    assert "last" in done.stdout
    assert [(one.st_mode, one.st_mtime_ns) for one in before] == [
        (one.st_mode, one.st_mtime_ns) for one in map(Path.stat, paths)
    ]
    assert list((folder / "temporary").iterdir()) == []
