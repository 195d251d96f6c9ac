"""Standard output that takes no more: a reader that closes its pipe early, as `head` does, or a full disk.

A closed pipe changes no exit code, and ends what answers again and again. An answer that is lost is an error.
"""

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from engine.outcome import ExitCode

SPEC = """
version: 1
project: p
datasets:
  batch:
    path: batch.parquet
    checks: {rows: {metric: row_count, min: 10}}
scenarios:
  checks: {steps: [{name: Rows, kind: run_checks, target: batch}]}
"""


def write_project(folder: Path) -> None:
    (folder / "project.yaml").write_text(SPEC)
    (folder / "wrong.yaml").write_text(SPEC.replace("min", "mni"))
    pl.DataFrame({"x": [1, 2]}).write_parquet(folder / "batch.parquet")


def run_on_full_disk(folder: Path, *arguments: str, stderr: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "engine", *arguments]
    with Path("/dev/full").open("w") as full:
        return subprocess.run(command, cwd=folder, stdout=full, stderr=stderr, text=True, timeout=60, check=False)


def run_without_reader(folder: Path, *arguments: str) -> int:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "engine", *arguments]
    try:
        return subprocess.run(
            command, cwd=folder, stdout=writing, stderr=subprocess.DEVNULL, timeout=60, check=False
        ).returncode
    finally:
        os.close(writing)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["validate", "project.yaml"], ExitCode.OK),
        (["validate", "wrong.yaml"], ExitCode.USAGE),
        (["run", "project.yaml"], ExitCode.CHECK_ERROR),
        (["run", "project.yaml", "--verbose"], ExitCode.CHECK_ERROR),
        (["schema"], ExitCode.OK),
    ],
)
def test_the_exit_code_is_that_of_the_command(tmp_path: Path, arguments: list[str], code: ExitCode):
    write_project(tmp_path)
    assert run_without_reader(tmp_path, *arguments) == code


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--help"], ExitCode.COULD_NOT_RUN),
        (["show", "project.yaml"], ExitCode.COULD_NOT_RUN),
        (["run", "project.yaml"], ExitCode.CHECK_ERROR),
    ],
)
def test_an_answer_for_which_the_disk_has_no_space_is_not_a_success(
    tmp_path: Path, arguments: list[str], code: ExitCode
):
    write_project(tmp_path)
    done = run_on_full_disk(tmp_path, *arguments, stderr=subprocess.PIPE)
    assert done.returncode == code, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last == "engine: error: standard output cannot be written: No space left on device; it is incomplete"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["validate", "wrong.yaml"], ExitCode.USAGE), (["run", "project.yaml", "--verbose"], ExitCode.CHECK_ERROR)],
)
def test_messages_for_which_the_disk_has_no_space_change_no_exit_code(
    tmp_path: Path, arguments: list[str], code: ExitCode
):
    write_project(tmp_path)
    assert run_on_full_disk(tmp_path, *arguments, stderr=subprocess.STDOUT).returncode == code


def test_watch_ends_with_its_reader(tmp_path: Path):
    write_project(tmp_path)
    assert run_without_reader(tmp_path, "watch", "project.yaml") == ExitCode.OK
