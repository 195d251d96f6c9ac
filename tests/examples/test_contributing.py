"""CONTRIBUTING.md and .ci/run speak of things that are there."""

import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_path_of_contributing_exists() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"(?:engine|tests|specs|schemas)/[\w./]*", text)) | {".ci/run"}
    assert len(named) > 10
    assert {path for path in named if not (ROOT / path.rstrip(".")).exists()} == set()


def test_ci_runs_the_commands_of_the_readme(tmp_path: Path) -> None:
    """A checkout of nothing but .ci/run and a README: what stands there is what is run, and a failure is told."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci" / "run")
    readme = tmp_path / "README.md"
    readme.write_text(
        "# a\n```sh\npython3 -m venv --without-pip .venv && echo engine run specs/card_fraud.yaml\n```\n"
        "```sh\n$ python3 -m venv --without-pip .venv && echo '==== 3 passed in 0.10s ====' && : pytest\n```\n",
        encoding="utf-8",
    )
    ended = subprocess.run([tmp_path / ".ci" / "run"], capture_output=True, text=True, cwd="/", check=False)
    assert "engine run specs/card_fraud.yaml" in ended.stdout.splitlines()
    assert ended.stdout.splitlines()[-1] == "3 passed in 0.10s"
    assert "FAILED: ruff check" in ended.stdout
    assert ended.returncode == 1

    readme.write_text("# a\n", encoding="utf-8")
    nothing = subprocess.run([tmp_path / ".ci" / "run"], capture_output=True, text=True, cwd="/", check=False)
    assert "README.md has no line" in nothing.stderr
    assert nothing.returncode == 1


def test_ci_is_executable() -> None:
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
