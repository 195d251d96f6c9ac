"""Snapshots: what is kept of one side of a comparison in place of all its rows.

A snapshot holds the profiles of columns and predictions, the model's performance, and a bounded sample of rows for the
drift model. Every evaluation keeps the snapshot of its batch, and every reference is a snapshot. So any earlier
evaluation can be the reference of a later one, and the data of a reference are never read again.
"""

from __future__ import annotations  # keeps annotations with types of drift unevaluated: drift loads them lazily

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from engine import drift
from engine.errors import StoreError
from engine.evaluation.changes import average_metrics
from engine.evaluation.record import MetricValue


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is kept of one side of a comparison in place of all its rows.

    `columns` is the profile of the columns that are compared; `left_out` gives, by column, the reason why it is not.
    `sample` holds rows with these columns and the `entity`, for the drift model. `predictions` is the profile of
    `prediction` (the class or the value) and, for a binary model with probabilities, of `probability`. `performance`
    holds the performance metrics by name, with intervals at the level `confidence`; it is None in snapshots of versions
    that had no intervals.
    """

    columns: drift.Profile
    left_out: Mapping[str, str]
    sample: pl.DataFrame
    entity: str | None
    predictions: drift.Profile | None
    performance: Mapping[str, MetricValue]
    confidence: float | None = None

    def save(self, folder: Path) -> None:
        """Write the snapshot into `folder`, which must exist."""
        self.columns.save(folder / "columns.profile")
        if self.predictions is not None:
            self.predictions.save(folder / "predictions.profile")
        self.sample.write_parquet(folder / "sample.parquet")
        facts = {
            "left_out": dict(self.left_out),
            "entity": self.entity,
            "performance": {name: asdict(metric) for name, metric in self.performance.items()},
            "confidence": self.confidence,
        }
        (folder / "snapshot.json").write_text(json.dumps(facts), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Snapshot:
        """Load a snapshot that `save` wrote.

        Raises
        ------
        StoreError
            A file of the snapshot is missing or damaged.
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
                confidence=facts.get("confidence"),
            )
        except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
            raise StoreError(
                f"the snapshot of an earlier batch in {folder} is missing or damaged: restore it from a backup, or "
                "evaluate that batch again by a build step with mode: force"
            ) from error

    @classmethod
    def union(cls, snapshots: Sequence[Snapshot]) -> Snapshot:
        """Unite the snapshots of several batches, as if their rows were one batch.

        Performance cannot be united exactly, so each metric becomes its mean over the batches, weighed by their rows
        with a label. Its interval treats the batches as independent.
        """
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
            performance={name: _mean_metric(name, snapshots) for name in first.performance},
            confidence=first.confidence if len({snapshot.confidence for snapshot in snapshots}) == 1 else None,
        )


def _mean_metric(name: str, snapshots: Sequence[Snapshot]) -> MetricValue:
    """Return the mean of a metric over the snapshots that have a value, weighed by their rows with a label.

    Where none has, the first with its reason. `labelled_share` is weighed by all rows, which makes it exact.
    """
    parts = [
        (metric, float(one.columns.rows) * (1 if name == "labelled_share" else _labelled_share(one)))
        for one in snapshots
        if (metric := one.performance.get(name)) is not None and metric.value is not None
    ]
    if not any(weight for _, weight in parts):
        return snapshots[0].performance[name]
    return average_metrics([metric for metric, _ in parts], [weight for _, weight in parts])


def _labelled_share(snapshot: Snapshot) -> float:
    share = snapshot.performance.get("labelled_share")
    return 0.0 if share is None or share.value is None else share.value
