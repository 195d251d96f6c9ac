"""A project that is planned, run and changed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from engine.scenarios import scenario_selection, session
from engine.scenarios.plan import Plan
from engine.scenarios.result import RunResult
from engine.spec import load

ENVIRON = {"PATH": "/usr/bin:/bin"}

Edit = Callable[[Path], None]


def people(path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    age, n = random.normal(40, 10, 300), 300
    known = {"person": random.integers(0, 150, n), "age": age, "score": random.normal(600, 50, n)}
    group = random.choice(["a", "b", "c"], n)
    pl.DataFrame({**known, "group": group, "label": (age > 40).astype(int)}).write_parquet(path)


def planned(folder: Path, **variables: object) -> Plan:
    project = load(folder / "project.yaml", variables, environ={})
    return session.plan_scenarios(project, scenario_selection.select_scenarios(project), environ=ENVIRON)


def done(folder: Path, **variables: object) -> list[RunResult]:
    project = load(folder / "project.yaml", variables, environ={})
    return session.run_scenarios(project, scenario_selection.select_scenarios(project), environ=ENVIRON).runs


def spec(old: str, new: str) -> Edit:
    def edit(folder: Path) -> None:
        path = folder / "project.yaml"
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    return edit
