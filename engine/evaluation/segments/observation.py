"""Measure the segments of one side of a comparison: profiles of columns and predictions, performance, scored rows."""

from __future__ import annotations  # types of drift in annotations must not be evaluated: drift loads them lazily

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from engine import drift
from engine.data.segments import SegmentMembers, list_rest_segments
from engine.drift.reading.segment_marks import SegmentMarks
from engine.errors import DataError
from engine.evaluation.performance.measured_predictions import performance_metrics, profile_predictions
from engine.evaluation.record import MetricValue
from engine.evaluation.segments.comparison import share_confidence
from engine.evaluation.snapshots.scored_rows import sample_scored_rows
from engine.evaluation.snapshots.snapshot import Snapshot
from engine.formatting.lists import join_words
from engine.models import FittedModel, measure_performance
from engine.spec.resources.models import CostMatrix
from engine.spec.segments import MIN_SEGMENT_ROWS

_MEMBER = "\0member"


def require_types_of_executors(alignment: drift.Alignment) -> None:
    """Raise a DataError if columns of rows in Spark need a conversion, which executors cannot do for segments."""
    if alignment.expressions:
        named = join_words([*map(repr, alignment.expressions)], "and")
        raise DataError(
            f"segments cannot be computed where rows stay with Spark and {named} must be brought to the type that the "
            "other side has: give both sides the same type, or leave segments out"
        )


def add_segments(
    snapshot: Snapshot,
    rows: Any,
    roles: Mapping[str, drift.Role],
    members: Mapping[str, pl.Series] | SegmentMarks,
    values: Mapping[str, Sequence[str]],
    against: Snapshot | None,
) -> Snapshot:
    """Return a snapshot with its segments, without predictions yet."""
    known = {} if against is None else {name: one.columns for name, one in against.segments.items()}
    profiles = drift.profile_segments(rows, roles, members, entity=snapshot.entity, against=known)
    # for rows that are marked block by block, only now is it known that these segments are empty
    unused = {name for name in list_rest_segments(values) if name in profiles and not profiles[name].rows}
    parts = {
        name: Snapshot(
            columns=replace(of_rows, unmeasured=snapshot.columns.unmeasured),
            left_out={},
            sample=snapshot.sample.clear(),
            entity=snapshot.entity,
            predictions=None,
            performance={},
            confidence=snapshot.confidence,
        )
        for name, of_rows in profiles.items()
        if name not in unused
    }
    return replace(snapshot, segments=parts, segment_values=values)


def measure_segments(
    snapshot: Snapshot,
    scored: pl.DataFrame,
    members: SegmentMembers,
    model: FittedModel,
    cost_matrix: CostMatrix | None,
    confidence: float,
    against: Snapshot | None,
) -> Snapshot:
    """Return a snapshot whose segments have predictions and, if they are large enough, performance."""
    # the number of segments that share the confidence is that of the reference, so that both sides' intervals are alike
    sides = against.segments if against and against.segments else snapshot.segments
    shared = share_confidence(confidence, [one.columns.rows for one in sides.values()])
    measured = {}
    for name, segment in snapshot.segments.items():
        rows = scored.filter(members.rows[name])
        of_reference = against.segments.get(name) if against else None
        known = of_reference.predictions if of_reference else None
        performance: Mapping[str, MetricValue] = {}
        if rows.height >= MIN_SEGMENT_ROWS:
            performance = performance_metrics(
                measure_performance(model, rows, cost_matrix, entity=snapshot.entity, confidence=shared)
            )
        measured[name] = replace(
            segment,
            predictions=profile_predictions(rows, model, snapshot.entity, known),
            performance=performance,
            confidence=shared,
        )
    return replace(snapshot, segments=measured)


def keep_scored_segments(
    snapshot: Snapshot,
    frame: pl.LazyFrame,
    scored: pl.DataFrame,
    members: SegmentMembers,
    model: FittedModel,
    scored_by: str,
    sample_rows: int,
    seed: int,
) -> Snapshot:
    """Return a snapshot whose segments have scored rows for estimating their performance."""
    kept = {}
    for name, segment in snapshot.segments.items():
        mask = members.rows[name]
        in_segment = pl.concat([frame, mask.alias(_MEMBER).to_frame().lazy()], how="horizontal").filter(_MEMBER)
        rows = sample_scored_rows(
            in_segment,
            scored.filter(mask),
            list(segment.columns.roles),
            model,
            scored_by,
            entity=snapshot.entity,
            rows=sample_rows,
            seed=seed,
        )
        kept[name] = replace(segment, scored_rows=rows)
    return replace(snapshot, segments=kept)
