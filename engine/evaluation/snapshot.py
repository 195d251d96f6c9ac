"""One side of a comparison, as it is kept: what a batch looked like, without the batch.

A snapshot holds the profile of the columns, the profile of the predictions, what the model achieved, and a bounded
sample of rows for the drift model. Every evaluation keeps its own and every reference is one: any earlier evaluation
can be the reference of a later one, and nobody reads the raw reference again.
"""

from __future__ import annotations  # drift's types are named here and loaded when they are used

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from engine import drift
from engine.errors import StoreError
from engine.evaluation.record import MetricValue


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is kept of one side.

    `columns` profiles the columns that take part, `left_out` says why others do not. `sample` holds those columns and
    the `entity` for the drift model. `predictions` profiles `prediction` (the class, or the value) and, for a binary
    model with probabilities, `probability`. `performance` is what the model achieved, by metric.
    """

    columns: drift.Profile
    left_out: Mapping[str, str]
    sample: pl.DataFrame
    entity: str | None
    predictions: drift.Profile | None
    performance: Mapping[str, MetricValue]

    def save(self, folder: Path) -> None:
        """Write into `folder`, which must exist."""
        self.columns.save(folder / "columns.profile")
        if self.predictions is not None:
            self.predictions.save(folder / "predictions.profile")
        self.sample.write_parquet(folder / "sample.parquet")
        facts = {
            "left_out": dict(self.left_out),
            "entity": self.entity,
            "performance": {name: asdict(metric) for name, metric in self.performance.items()},
        }
        (folder / "snapshot.json").write_text(json.dumps(facts), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Snapshot:
        """Read what `save` wrote.

        Raises
        ------
        StoreError
            It is not there any more, or damaged.
        """
        predictions = folder / "predictions.profile"
        try:
            facts = json.loads((folder / "snapshot.json").read_text(encoding="utf-8"))
            return cls(
                columns=drift.Profile.load(folder / "columns.profile"),
                left_out=facts["left_out"],
                sample=pl.read_parquet(folder / "sample.parquet"),
                entity=facts["entity"],
                predictions=drift.Profile.load(predictions) if predictions.exists() else None,
                performance={name: MetricValue(**metric) for name, metric in facts["performance"].items()},
            )
        except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
            raise StoreError(
                f"what was kept of an earlier batch, {folder}, is lost or damaged. What to do: restore it from a "
                "backup, or build the evaluation that it belongs to again with mode: force"
            ) from error

    @classmethod
    def union(cls, snapshots: Sequence[Snapshot]) -> Snapshot:
        """Take several batches together. Performance does not add up: a metric becomes the mean over the batches."""
        first, *others = snapshots
        columns, predictions = first.columns, first.predictions
        for other in others:
            columns = columns.merge(other.columns)
            if predictions is not None and other.predictions is not None:
                predictions = predictions.merge(other.predictions)
        return cls(
            columns=columns,
            left_out=first.left_out,
            sample=pl.concat([snapshot.sample for snapshot in snapshots], how="vertical_relaxed"),
            entity=first.entity,
            predictions=predictions,
            performance={
                name: _mean([s.performance[name] for s in snapshots if name in s.performance])
                for name in first.performance
            },
        )


def _mean(metrics: Sequence[MetricValue]) -> MetricValue:
    values = [metric.value for metric in metrics if metric.value is not None]
    return MetricValue(sum(values) / len(values)) if values else metrics[0]


def digest(value: object) -> str:
    """BLAKE2b hex digest of JSON-ready data: the fingerprint of settings, or of other fingerprints together."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
