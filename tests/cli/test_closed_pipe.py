"""A reader that closes its pipe early, as `head` does, changes no exit code, and ends what answers again and again."""

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
    (tmp_path / "project.yaml").write_text(SPEC)
    (tmp_path / "wrong.yaml").write_text(SPEC.replace("min", "mni"))
    pl.DataFrame({"x": [1, 2]}).write_parquet(tmp_path / "batch.parquet")
    assert run_without_reader(tmp_path, *arguments) == code


def test_watch_ends_with_its_reader(tmp_path: Path):
    (tmp_path / "project.yaml").write_text(SPEC)
    pl.DataFrame({"x": [1, 2]}).write_parquet(tmp_path / "batch.parquet")
    assert run_without_reader(tmp_path, "watch", "project.yaml") == ExitCode.OK
