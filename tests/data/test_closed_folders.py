"""Folders that may not be listed: their files do not seem to be absent, and so less than all is never measured."""

import subprocess
from glob import glob
from pathlib import Path

import pytest

from engine.discovery.path_patterns import match_paths

from ..command_line import ENGINE, Done
from ..permissions import close_path, find_powerless

SPEC = """
version: 1
project: p
datasets:
  d: {path: "PATH", checks: {rows: {metric: row_count, min: 2, max: 2}}}
scenarios:
  s: {steps: [{name: step, kind: KIND, target: d}]}
"""


def run(folder: Path, path: str, kind: str = "run_checks") -> Done:
    (folder / "p.yaml").write_text(SPEC.replace("PATH", path).replace("KIND", kind))
    command = [*find_powerless(), ENGINE, "run", "p.yaml"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("x", "y"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "d.csv").write_text("a\n1\n")
    return tmp_path


@pytest.mark.parametrize("path", ["in", "in/*/*.csv", "in/**/*.csv", "in/*/d.csv"])
def test_a_folder_that_may_not_be_listed_is_not_taken_for_an_empty_one(folder: Path, path: str) -> None:
    with close_path(folder / "in" / "y"):
        done = run(folder, path)
    assert done.returncode == 3, done.stdout
    assert "dataset 'd': in/y" in done.stderr
    assert "cannot be opened: Permission denied" in done.stderr
    assert "internal error" not in done.stderr
    assert run(folder, path).returncode == 0


@pytest.mark.parametrize("path", ["in", "in/*/*.csv", "in/**/*.csv", "in/*/d.csv"])
@pytest.mark.parametrize("name", ["_temporary", ".trash", "lost+found"])
def test_a_closed_folder_that_holds_no_data_is_left_alone(folder: Path, path: str, name: str) -> None:
    (folder / "in" / name).mkdir()
    with close_path(folder / "in" / name):
        done = run(folder, path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_cleared_if_a_folder_may_not_be_listed(folder: Path) -> None:
    with close_path(folder / "in" / "y"):
        done = run(folder, "in", "clear")
    assert done.returncode == 3
    assert "nothing is removed, because" in done.stderr
    assert "in/y cannot be read: Permission denied" in done.stderr
    assert (folder / "in" / "x" / "d.csv").exists()


@pytest.mark.parametrize(
    "pattern",
    ["*", "**", "**/*", "**/*.csv", "in/*", "in/**", "in/**/d.csv", "in/*/d.csv", "in/[xy]/*", "in/?/.hidden",
     "in/x/d.csv/*", "no/*", "in/**/**/*.csv", "in/link*/*", "**/loop/*", "in/*/broken", "in/x/d*"],
)  # fmt: skip
def test_a_pattern_matches_the_files_that_it_does_in_python(folder: Path, pattern: str) -> None:
    (folder / "in" / "x" / ".hidden").touch()
    (folder / "in" / "x" / "broken").symlink_to("nowhere")
    (folder / "in" / "link").symlink_to("x")
    (folder / "in" / "y" / "loop").symlink_to("loop")
    expected = {Path(one) for one in glob(str(folder / pattern), recursive=True, include_hidden=True)}  # noqa: PTH207
    found = match_paths(folder / pattern)
    assert {one for one in found if not one.is_dir()} == {one for one in expected if not one.is_dir()}
