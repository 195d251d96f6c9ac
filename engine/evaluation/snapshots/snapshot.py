"""Snapshots: the stored summary of one side of a comparison.

A snapshot holds the profiles of columns and predictions, the model's performance, and a bounded sample of rows for the
drift model. Every evaluation stores the snapshot of its batch, and every reference is a snapshot. So any earlier
evaluation can be the reference of a later one, and the data of a reference are never read again.
"""

from __future__ import annotations  # types of drift in annotations must not be evaluated: drift loads them lazily

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import reduce
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import polars as pl

from engine import drift
from engine.digests import digest_file, digest_json
from engine.errors import StoreError
from engine.evaluation.changes import average_metrics
from engine.evaluation.record import Evaluation, MetricValue
from engine.evaluation.snapshots.files import FACTS_FILE, FILES, SCORED_ROWS_FILE, SEGMENTS_FILE, verify_files
from engine.evaluation.snapshots.scored_rows import ScoredRows
from engine.formatting.moments import format_minute
from engine.models import ClassValue, sort_classes, unite_classes


class DamagedSnapshot(StoreError):  # noqa: N818  (a state of files; callers add what to do)
    """A snapshot cannot be used. `folder` is its place, `fault` the problem.

    `remedy` begins the sentence that says what to do.
    """

    remedy = "Restore them from a backup, or"

    def __init__(self, folder: Path, fault: str) -> None:
        super().__init__(f"the kept statistics in {folder} are missing or damaged ({fault})")
        self.folder, self.fault = folder, fault


class RemovedSnapshot(DamagedSnapshot):
    """The files of an evaluation were removed by retention, as configured by the user."""

    remedy = "Its numbers are kept, but nothing can be compared with it:"

    def __init__(self, folder: Path, removed: datetime) -> None:
        StoreError.__init__(self, f"its files were removed by retention on {format_minute(removed)}")
        self.folder, self.fault = folder, "removed by retention"


def load_snapshot_of(evaluation: Evaluation, folder: Path) -> Snapshot:
    """Load the snapshot of an evaluation's batch from the folder of its files.

    Raises
    ------
    DamagedSnapshot
        It cannot be used; RemovedSnapshot if retention removed it.
    """
    if evaluation.files_removed is not None:
        raise RemovedSnapshot(folder, evaluation.files_removed)
    return Snapshot.load(folder)


@dataclass(frozen=True, slots=True)
class AbsentColumn:
    """A column that should have been compared, but is gone or cannot be read: its role and family, and the reason."""

    role: str
    family: str
    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The stored summary of one side of a comparison.

    `columns` is the profile of the compared columns; `left_out` gives, by column, the reason why it is not compared.
    `sample` holds rows with these columns and the `entity`, for the drift model. `predictions` is the profile of
    `prediction` (the class or the value) and, for a binary model with probabilities, of `probability`. `performance`
    holds the performance metrics by name, with intervals at the level `confidence`, which is None in snapshots of
    versions that had no intervals. `absent` are columns that should have been compared, but are gone or cannot be read,
    with the reasons. `unscored` says why the model could not score the rows, if so. `notes` are remarks about a
    reference that every evaluation against it repeats. `classes` are the classes found in the rows and in the reference
    of this side, if the model does not declare its classes; None if they were not stored. `scored_as` are the labels of
    all classes with which the rows were scored, including assumed ones. `scored_rows` are kept if performance is
    estimated. `segments` are the snapshots of the segments by name, without a sample, and `segment_values` are, by
    column, the values with a segment of their own.
    """

    columns: drift.Profile
    left_out: Mapping[str, str]
    sample: pl.DataFrame
    entity: str | None
    predictions: drift.Profile | None
    performance: Mapping[str, MetricValue]
    absent: Mapping[str, AbsentColumn] = field(default_factory=dict)
    unscored: str = ""
    notes: Sequence[str] = ()
    classes: tuple[ClassValue, ...] | None = ()
    scored_as: tuple[str, ...] = ()
    confidence: float | None = None
    scored_rows: ScoredRows | None = None
    segments: Mapping[str, Snapshot] = field(default_factory=dict)
    segment_values: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def describe_known_columns(self) -> dict[str, drift.KnownColumn]:
        """Return the facts about every column that another side must have, including those that are absent here."""
        types = {name: drift.known_type(dtype) for name, dtype in self.sample.schema.items()}
        known = self.columns.describe_known_columns(types)
        return known | {name: drift.KnownColumn(drift.Role(one.role), one.family) for name, one in self.absent.items()}

    def list_predicted_classes(self) -> tuple[str, ...]:
        """Return the labels of the predicted classes, for a snapshot of an earlier version without `classes`."""
        column = self.predictions.columns["prediction"] if self.predictions else None
        return tuple(map(column.label_at, range(len(column.counts)))) if isinstance(column, drift.Categorical) else ()

    def save(self, folder: Path) -> None:
        """Write the snapshot into `folder`, which must exist."""
        self.columns.save(folder / "columns.profile")
        if self.predictions is not None:
            self.predictions.save(folder / "predictions.profile")
        self.sample.write_parquet(folder / "sample.parquet", statistics=False)
        if self.scored_rows is not None:
            self.scored_rows.frame.write_parquet(folder / SCORED_ROWS_FILE)
        if self.segments:
            _pack_segments(self.segments, folder / SEGMENTS_FILE)
        facts = {
            "left_out": dict(self.left_out),
            "entity": self.entity,
            "performance": {name: asdict(metric) for name, metric in self.performance.items()},
            "absent": {name: asdict(column) for name, column in self.absent.items()},
            "unscored": self.unscored,
            "notes": list(self.notes),
            "classes": self.classes,
            "scored_as": self.scored_as,
            "confidence": self.confidence,
            "scored_rows": self.scored_rows and self.scored_rows.facts(),
            **(
                {
                    "segments": list(self.segments),
                    "segment_values": {k: list(v) for k, v in self.segment_values.items()},
                }
                if self.segments or self.segment_values
                else {}
            ),
        }
        facts["files"] = {path.name: digest_file(path) for path in sorted(folder.iterdir()) if path.name in FILES}
        sealed = {**facts, "digest": digest_json(facts)}
        (folder / FACTS_FILE).write_text(json.dumps(sealed), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Snapshot:
        """Load a snapshot written by `save`.

        Raises
        ------
        DamagedSnapshot
            A file of the snapshot is missing, damaged, or has changed.
        """
        predictions = folder / "predictions.profile"
        try:
            facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
            verify_files(facts, folder)
            return cls(
                columns=drift.Profile.load(folder / "columns.profile"),
                left_out=facts["left_out"],
                sample=pl.read_parquet(folder / "sample.parquet"),
                entity=facts["entity"],
                predictions=drift.Profile.load(predictions) if predictions.exists() else None,
                performance={name: _read_metric(metric) for name, metric in facts["performance"].items()},
                # snapshots of earlier versions have none of these
                absent={name: AbsentColumn(**column) for name, column in facts.get("absent", {}).items()},
                unscored=facts.get("unscored", ""),
                notes=tuple(facts.get("notes", ())),
                classes=_read_list(facts, "classes"),
                scored_as=_read_list(facts, "scored_as") or (),
                confidence=facts.get("confidence"),
                scored_rows=ScoredRows.load(folder, facts.get("scored_rows")),
                segments=_unpack_segments(facts.get("segments", ()), folder / SEGMENTS_FILE),
                segment_values={key: tuple(values) for key, values in facts.get("segment_values", {}).items()},
            )
        except (
            OSError, ValueError, KeyError, TypeError, AttributeError, StoreError, BadZipFile, pl.exceptions.PolarsError
        ) as error:  # fmt: skip
            raise DamagedSnapshot(folder, " ".join(str(error).split())[:200]) from error

    @classmethod
    def union(cls, snapshots: Sequence[Snapshot]) -> Snapshot:
        """Unite the snapshots of several batches, as if their rows were one batch.

        Performance cannot be united exactly, so each metric becomes its mean over the batches, weighted by their rows
        with a label. Its interval treats the batches as independent.
        """
        first, *others = snapshots
        shared = [name for name in first.columns.columns if all(_has_column(name, first, one) for one in others)]
        known = {name: column for one in snapshots for name, column in one.describe_known_columns().items()}
        absent = {name: column for one in snapshots for name, column in one.absent.items()}
        absent |= {
            name: AbsentColumn(str(column.role), column.family, "not every earlier batch has this column in this role")
            for name, column in known.items()
            if name not in shared and name not in absent
        }
        unlike = any((one.columns.entities is None) != (first.columns.entities is None) for one in others)
        profiles = [one.columns.without_entities() if unlike else one.columns for one in snapshots]
        columns = reduce(drift.Profile.merge, [profile.select(shared) for profile in profiles])
        predicted = [one.predictions for one in snapshots if one.predictions is not None]
        unscored = "" if predicted else next((one.unscored for one in snapshots if one.unscored), "")
        entity = None if unlike else first.entity
        kept = [*shared, *([entity] if entity and entity not in shared else [])]
        classes = [snapshot.classes for snapshot in snapshots if snapshot.classes is not None]
        return cls(
            columns=columns,
            left_out=first.left_out,
            sample=drift.unite_samples([one.sample.select(kept) for one in snapshots], columns.roles),
            entity=entity,
            predictions=reduce(drift.Profile.merge, predicted) if predicted else None,
            performance={name: _mean_metric(name, snapshots) for name in first.performance},
            absent=absent,
            unscored=unscored,
            classes=sort_classes(unite_classes(*classes)) if classes else None,
            scored_as=first.scored_as,
            confidence=first.confidence if len({snapshot.confidence for snapshot in snapshots}) == 1 else None,
            scored_rows=ScoredRows.union([one.scored_rows for one in snapshots], columns.roles),
            segments=_unite_segments(snapshots),
            segment_values=first.segment_values,
        )


def _unite_segments(snapshots: Sequence[Snapshot]) -> dict[str, Snapshot]:
    """Return the segments of several batches, each united; none unless all batches have the same segments."""
    if len({json.dumps({key: list(values) for key, values in one.segment_values.items()}) for one in snapshots}) > 1:
        return {}
    names = dict.fromkeys(name for one in snapshots for name in one.segments)
    return {name: Snapshot.union([one.segments[name] for one in snapshots if name in one.segments]) for name in names}


def _pack_segments(segments: Mapping[str, Snapshot], path: Path) -> None:
    """Write the snapshots of segments into one archive, each into a folder with its number."""
    with TemporaryDirectory(dir=path.parent) as temporary, ZipFile(path, "w") as archive:
        for number, segment in enumerate(segments.values()):
            folder = Path(temporary) / str(number)
            folder.mkdir()
            segment.save(folder)
            for file in sorted(folder.iterdir()):
                archive.write(file, f"{number}/{file.name}")


def _unpack_segments(names: Sequence[str], path: Path) -> dict[str, Snapshot]:
    if not names:
        return {}
    with TemporaryDirectory() as temporary, ZipFile(path) as archive:
        members = archive.namelist()
        if any(one.compress_type != ZIP_STORED for one in archive.infolist()):  # so unpacking cannot enlarge it
            raise ValueError(f"{path.name} is not as it was written")
        allowed = {f"{number}/{file}" for number in range(len(names)) for file in (FACTS_FILE, *FILES)}
        if not allowed.issuperset(members):
            raise ValueError(f"{path.name} holds a file that no snapshot has")
        archive.extractall(temporary)
        return {name: Snapshot.load(Path(temporary) / str(number)) for number, name in enumerate(names)}


def _has_column(name: str, first: Snapshot, other: Snapshot) -> bool:
    """Return whether another snapshot has a column of the first one in the same role."""
    column = other.columns.columns.get(name)
    return column is not None and column.role is first.columns.columns[name].role


def _read_metric(facts: Mapping[str, Any]) -> MetricValue:
    """Return a metric of a snapshot's facts; `counts_as_ok` was called `unlabelled` in earlier versions."""
    return MetricValue(**{"counts_as_ok" if key == "unlabelled" else key: value for key, value in facts.items()})


def _read_list(facts: Mapping[str, Any], key: str) -> tuple[Any, ...] | None:
    """Return a list of a snapshot's facts; None if an earlier version did not write it."""
    return None if facts.get(key) is None else tuple(facts[key])


def _mean_metric(name: str, snapshots: Sequence[Snapshot]) -> MetricValue:
    """Return the mean of a metric over the snapshots that have a value, weighted by their rows with a label.

    If none has a value, the first is returned with its reason. The shares of rows are weighted by all rows, which makes
    them exact.
    """
    of_all_rows = name in ("labelled_share", "prediction_missing_share")
    parts = [
        (metric, float(one.columns.rows) * (1 if of_all_rows else _labelled_share(one)))
        for one in snapshots
        if (metric := one.performance.get(name)) is not None and metric.value is not None
    ]
    if not any(weight for _, weight in parts):
        return snapshots[0].performance[name]
    return average_metrics([metric for metric, _ in parts], [weight for _, weight in parts])


def _labelled_share(snapshot: Snapshot) -> float:
    share = snapshot.performance.get("labelled_share")
    return 0.0 if share is None or share.value is None else share.value
