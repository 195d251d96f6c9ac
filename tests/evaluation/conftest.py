"""A project of one evaluation store, made from two frames and run through the public Python API."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

import engine
from engine import drift
from engine.data import Table
from engine.evaluation.batch_evaluation import evaluate_batch
from engine.evaluation.evaluation_identity import EvaluationIdentity
from engine.evaluation.observation import Observation, snapshot_side
from engine.evaluation.record import Evaluation, Fingerprints, MetricValue
from engine.evaluation.snapshots.snapshot import Snapshot
from engine.spec.resources.evaluation_stores import DriftSettings


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
        folder = tmp_path / f"project {len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / "spec.yaml").write_text(yaml.safe_dump(declared, sort_keys=False))
        (folder / "own.py").write_text(own)
        reference.write_parquet(folder / "reference.parquet")
        watched = Watched(folder)
        watched.evaluate(batch)
        return watched

    return make


def observe_frame(
    frame: pl.DataFrame | pl.LazyFrame,
    against: Snapshot | None = None,
    *,
    entity: str | None = None,
    name: str = "rows",
    sample_rows: int = 1000,
) -> Observation:
    """Measure a frame as a reference, or as a batch that will be compared with one; there is no model."""
    lazy = frame.lazy()
    roles, left_out = drift.roles(lazy, entity=entity)
    known = against.describe_known_columns() if against else drift.describe_columns(lazy, roles, {})
    return snapshot_side(
        Table(name, lazy, "fingerprint", entity, rereadable=True),
        known,
        against.left_out if against else left_out,
        model=None,
        cost_matrix=None,
        sample_rows=sample_rows,
        seed=0,
        confidence=0.95,
        against=against,
    )


def evaluate_sides(batch: Observation, reference: Snapshot, **settings: Any) -> Evaluation:
    """Evaluate a measured batch against a snapshot."""
    moment = datetime(2026, 2, 3, tzinfo=UTC)
    identity = EvaluationIdentity("id", "mes", "name", {}, moment, Fingerprints("", "d", "r", "p"))
    return evaluate_batch(identity, batch, reference, DriftSettings(**settings))


@pytest.fixture(scope="session")
def observe() -> Callable[..., Observation]:
    return observe_frame


@pytest.fixture(scope="session")
def evaluate() -> Callable[..., Evaluation]:
    return evaluate_sides


@pytest.fixture(scope="session")
def compare() -> Callable[..., Evaluation]:
    """Return a function that compares two frames without a project: fast enough for many examples."""

    def compare_frames(
        before: pl.DataFrame, now: pl.DataFrame, entity: str | None = None, **settings: Any
    ) -> Evaluation:
        reference = observe_frame(before, entity=entity, name="reference").as_reference()
        return evaluate_sides(observe_frame(now, reference, entity=entity, name="batch"), reference, **settings)

    return compare_frames
