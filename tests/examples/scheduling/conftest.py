"""The project and the package that the files of specs/scheduling.md run."""

import re
import shutil
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest

from .guide_files import ROOT, run


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folder that the page calls /srv/nightly, as `engine init` writes it, with the environment of these tests."""
    folder = tmp_path / "nightly"
    assert run([sys.executable, "-m", "engine", "init", str(folder), "--example", "nightly"], tmp_path).returncode == 0
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.fixture
def in_project(project: Path) -> Callable[[str], str]:
    """Give a text of the page, with the folder of the project in place of /srv/nightly."""
    return lambda text: text.replace("/srv/nightly", str(project))


@pytest.fixture(scope="session")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH whose python makes environments that see the packages of the tests, except engine.

    So the commands of the page install the engine itself, and download nothing else.
    """
    folder = tmp_path_factory.mktemp("python")
    folder.chmod(0o755)  # whoever the job is must be able to import them
    packages = link_packages(folder / "packages")
    for name in ("python", "python3"):
        (folder / name).write_text(
            f'#!/bin/sh\n{sys._base_executable} "$@" || exit\n[ "$1 $2" = "-m venv" ] || exit 0\n'
            f'for found in "$3"/lib/python*/site-packages; do echo {packages} >"$found/tests.pth"; done\n',
            encoding="utf-8",
        )
        (folder / name).chmod(0o755)
    return folder


def link_packages(folder: Path) -> Path:
    folder.mkdir()
    for found in Path(sysconfig.get_path("purelib")).iterdir():
        if not re.match(r"engine\b|.*editable|.*\.pth$|pip\b", found.name):
            (folder / found.name).symlink_to(found)
    return folder


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a package is built from."""
    folder = tmp_path_factory.mktemp("checkout") / "copy"
    left_out = shutil.ignore_patterns("__pycache__", ".engine", "outbox")
    for name in ("engine", "specs"):
        shutil.copytree(ROOT / name, folder / name, ignore=left_out)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / name)
    return folder
