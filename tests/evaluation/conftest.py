"""A project of one evaluation store, made from two frames and run through the public Python API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

import engine
from engine.evaluation.record import Evaluation, MetricValue

Frames = Mapping[str, pl.DataFrame]


@dataclass
class Watched:
    """A project whose store `mes` compares the dataset `batch` with the dataset `reference`."""

    folder: Path

    @property
    def project(self) -> engine.Project:
        return engine.load(self.folder / "spec.yaml")

    @property
    def store(self) -> engine.EvaluationStore:
        return self.project.store("mes")

    @property
    def metrics(self) -> Mapping[str, MetricValue]:
        return self.store.evaluation().metrics

    @property
    def values(self) -> dict[str, float | None]:
        return {name: metric.value for name, metric in self.metrics.items()}

    def evaluate(self, batch: pl.DataFrame | None = None) -> Evaluation:
        """Evaluate the batch, or another one in its place."""
        if batch is not None:
            batch.write_parquet(self.folder / "batch.parquet")
        run = self.project.run("watch")
        assert run.steps[0].outcome == "SUCCESS", run.steps[0].reason
        return self.store.evaluation()


@pytest.fixture
def watch(tmp_path: Path) -> Callable[..., Watched]:
    """Return a function that makes a project from two frames, and evaluates the batch once."""

    def make(
        reference: pl.DataFrame,
        batch: pl.DataFrame,
        *,
        model: dict[str, Any] | None = None,
        entity: str | None = None,
        own: str = "",
        folder: Path = tmp_path,
        **store: Any,
    ) -> Watched:
        datasets = {name: {"path": f"{name}.parquet", "entity": entity} for name in ("reference", "batch")}
        steps = [{"name": "build", "kind": "build", "target": "mes"}]
        steps += [{"name": "check", "kind": "run_checks", "target": "mes"}] if "checks" in store else []
        declared: dict[str, Any] = {
            "version": 1,
            "project": "watched",
            "datasets": {name: {k: v for k, v in one.items() if v} for name, one in datasets.items()},
            "evaluation_stores": {
                "mes": {"dataset": "batch", "reference": {"kind": "dataset", "dataset": "reference"}, **store}
            },
            "scenarios": {"watch": {"steps": steps}},
        }
        if model:
            declared["models"] = {"scorer": model}
            declared["evaluation_stores"]["mes"]["model"] = "scorer"
        folder.mkdir(exist_ok=True)
        (folder / "spec.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
        (folder / "own.py").write_text(own)
        reference.write_parquet(folder / "reference.parquet")
        watched = Watched(folder)
        watched.evaluate(batch)
        return watched

    return make
