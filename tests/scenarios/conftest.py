"""Projects of a few lines, run in this process: real store, real data, real model."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.scenarios import scenario_selection, session
from engine.scenarios.session import CallResult
from engine.spec import load

Run = Callable[..., CallResult]


@pytest.fixture
def spec(tmp_path: Path) -> Callable[[str], Path]:
    """Write project.yaml: its text follows the two lines that every spec has."""

    def write(text: str) -> Path:
        path = tmp_path / "project.yaml"
        path.write_text("version: 1\nproject: test\n" + textwrap.dedent(text), encoding="utf-8")
        return path

    return write


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run scenarios of project.yaml as it now is."""

    def run(*scenarios: str, **variables: object) -> CallResult:
        project = load(tmp_path / "project.yaml", variables, environ={})
        return session.run_scenarios(
            project, scenarios or scenario_selection.select_scenarios(project), environ={"PATH": "/usr/bin:/bin"}
        )

    return run


@pytest.fixture
def module(tmp_path: Path) -> Callable[[str], None]:
    """Write mine.py, the module of the user's functions."""

    def write(text: str) -> None:
        (tmp_path / "mine.py").write_text(textwrap.dedent(text), encoding="utf-8")

    return write


@pytest.fixture
def rows(tmp_path: Path) -> Callable[..., Path]:
    """Write a Parquet file of n rows of a person's age, score and group, with a label that depends on them."""

    def write(name: str, n: int = 400, *, seed: int = 0, shift: float = 0.0, labelled: float = 1.0) -> Path:
        random = np.random.default_rng(seed)
        age = random.normal(40 + shift, 10, n)
        score = random.normal(600, 50, n)
        label = (age / 10 + score / 50 + random.normal(0, 1, n) > 16).astype(int)
        known = random.random(n) < labelled
        frame = pl.DataFrame(
            {
                "person": random.integers(0, n // 2, n),
                "age": age,
                "score": score,
                "group": random.choice(["a", "b", "c"], n),
                "label": [int(value) if there else None for value, there in zip(label, known, strict=True)],
            }
        )
        path = tmp_path / name
        frame.write_parquet(path)
        return path

    return write
