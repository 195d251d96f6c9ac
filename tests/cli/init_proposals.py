"""Tables, and the specs that `engine init` proposes for them."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from engine import spec
from engine.cli.verbs import init
from engine.scenarios import scenario_selection, session
from engine.scenarios.result import RunResult, exit_code
from engine.spec import ProjectSpec

N = 300


def write(folder: Path, data: Path, **options: Any) -> ProjectSpec:
    """Propose a spec for a file; it must be valid without a warning."""
    init.command(folder / "it is", [str(data)], **options)
    project = spec.load(folder / "it is" / "project.yaml")
    assert project.warnings == ()
    return project


def proposed(folder: Path, frame: pl.DataFrame, **columns: Any) -> ProjectSpec:
    folder.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(folder / "data.parquet")
    return write(folder, folder / "data.parquet", **columns)


def ran(project: ProjectSpec, *scenarios: str) -> list[RunResult]:
    """Run what `engine run` runs, or these scenarios; checks may fail, nothing else may."""
    finished = session.run_scenarios(project, scenario_selection.select_scenarios(project, scenarios))
    reasons = [step.reason for run in finished.runs for step in run.all_steps()]
    assert exit_code(finished.runs, undelivered=len(finished.undelivered), fail_on="error") in (0, 1), reasons
    return finished.runs


def text(project: ProjectSpec) -> str:
    return project.path.read_text(encoding="utf-8")


def plain(n: int = N) -> pl.DataFrame:
    draw = np.random.default_rng(0)
    shop = draw.choice(["a", "b", "c"], n)
    return pl.DataFrame({"amount": draw.normal(50, 9, n), "items": draw.integers(0, 9, n), "shop": shop})
