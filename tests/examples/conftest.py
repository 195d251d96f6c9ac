"""The examples as a newcomer runs them: a copy of specs/, the installed console script, nothing configured."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ..command_line import ENGINE, Done

SPECS = Path(__file__).parents[2] / "specs"


def copy_of_specs(folder: Path) -> Path:
    left_behind = shutil.ignore_patterns(".engine", "data", "automation", "outbox", "__pycache__")
    return Path(shutil.copytree(SPECS, folder / "specs", ignore=left_behind))


def engine(folder: Path, *arguments: str, **variables: str) -> Done:
    environment = {name: value for name, value in os.environ.items() if name != "CARD_FRAUD_SMTP_URL"}
    return subprocess.run(
        [ENGINE, *arguments],
        cwd=folder,
        env=environment | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )


@pytest.fixture(name="engine")
def _engine() -> Callable[..., Done]:
    return engine


@pytest.fixture
def specs(tmp_path: Path) -> Path:
    return copy_of_specs(tmp_path)


@pytest.fixture(scope="session")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """The first run of card_fraud.yaml: its folder and how it ended."""
    folder = copy_of_specs(tmp_path_factory.mktemp("card_fraud"))
    return folder, engine(folder, "run", "card_fraud.yaml", "--format", "json")


@pytest.fixture(scope="session")
def card_fraud(first_run: tuple[Path, Done]) -> Path:
    """The folder of card_fraud.yaml after its first run, to read; whoever goes on takes `card_fraud_copy`."""
    folder, done = first_run
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def card_fraud_copy(card_fraud: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(card_fraud, tmp_path / "specs"))
