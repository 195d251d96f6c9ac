"""Measure one side of a comparison: scores of its rows, profiles of columns and predictions, performance.

A side is measured independently of the other side, so a reference is measured once and stored as a snapshot.
"""

from __future__ import annotations  # types of drift in annotations must not be evaluated: drift loads them lazily

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import polars as pl

from engine import drift
from engine.data import Table, explain_read_errors
from engine.data.files.csv_faults import suggest_separator
from engine.data.segments import SegmentMembers, SegmentRules, find_members, plan_marks
from engine.drift.reading.segment_marks import SegmentMarks
from engine.errors import DataError
from engine.evaluation.performance.labelled_rows import LabelledRows
from engine.evaluation.performance.measured_predictions import performance_metrics, profile_predictions
from engine.evaluation.record import MetricValue
from engine.evaluation.segments.observation import (
    add_segments,
    keep_scored_segments,
    measure_segments,
    require_types_of_executors,
)
from engine.evaluation.snapshots.scored_rows import ScoredRows, sample_scored_rows, sample_spark_scored_rows
from engine.evaluation.snapshots.snapshot import AbsentColumn, Snapshot
from engine.formatting.hints import suggest_name
from engine.formatting.lists import join_words
from engine.models import (
    FittedModel,
    Performance,
    PerformanceDetail,
    RowError,
    find_labelled,
    label_of,
    measure_performance,
    score_frame,
)
from engine.models.spark_scoring import MEMBERS, explain_too_many_rows, score_spark_rows
from engine.spec.resources.models import CostMatrix


@dataclass(frozen=True, slots=True)
class Observation:
    """One measured side: its snapshot, and data for this evaluation only.

    `scored` holds the predictions of every row, with target and entity if the dataset has them; None without a model.
    `labelled` holds profiles of the predictions of rows with and without a label, if there are both. `left_out` gives,
    by column, the reason why a column of this side alone is not compared. `advantage` holds the metrics of a challenger
    measured on the same rows.
    """

    rows: int
    snapshot: Snapshot
    scored: pl.DataFrame | None = None
    labelled: LabelledRows | None = None
    performance_detail: PerformanceDetail = field(default_factory=PerformanceDetail)
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    advantage: Mapping[str, MetricValue] = field(default_factory=dict)

    def as_reference(self) -> Snapshot:
        """Return the snapshot for use as a reference, with notes on its converted columns."""
        return replace(self.snapshot, notes=tuple(self.snapshot.columns.type_changes.values()))


def snapshot_side(
    table: Table,
    known: Mapping[str, drift.KnownColumn],
    left_out: Mapping[str, str],
    *,
    model: FittedModel | None,
    cost_matrix: CostMatrix | None,
    sample_rows: int,
    seed: int,
    confidence: float,
    known_side: str = "the reference",
    against: Snapshot | None = None,
    scored_by: str | None = None,
    segments: SegmentRules | None = None,
    segment_values: Mapping[str, Sequence[str]] | None = None,
) -> Observation:
    """Measure a table as one side of a comparison.

    The table is read several times, so its reads should be cheap: see `engine.data.rereadable_tables`. A column that is
    gone or cannot be read is absent from the snapshot. If the model needs it, the rows are not scored, but their drift
    is measured all the same.

    Parameters
    ----------
    known, left_out
        The facts about the compared columns from the other side or the model, and the reasons why others are left out.
        Both sides use those of the reference.
    model, cost_matrix
        The model that scores the rows, and the gain of a row for each combination of true and predicted class; None for
        a comparison without a model.
    sample_rows
        Maximum number of rows to keep for the drift model.
    known_side
        The name of the known side, for messages.
    confidence
        The confidence level of the intervals of the performance.
    against
        The reference with which this side will be compared. A column with too many distinct values to be kept whole is
        then profiled at the values that the comparison needs.
    scored_by
        The fingerprint of the model if scored rows are kept for estimates; else None.
    segments
        The segments to measure separately, if any.
    segment_values
        By column, the values with a segment on the other side; None for a side that is measured first.

    Raises
    ------
    DataError, ModelError
        The table cannot be read, or has none of the columns.
    """
    with explain_read_errors(table), _add_dataset_name(table):
        alignment = drift.align_columns(table.frame, known, known_side=known_side, side=f"dataset {table.name!r}")
        if known and not alignment.roles:
            raise DataError(_explain_no_column(table, known, alignment))
        entity = [table.entity] if table.entity and table.entity not in alignment.roles else []
        sampled = [*alignment.roles, *entity]
        snapshot = Snapshot(
            columns=_profile_columns(table, known, alignment, against),
            left_out=dict(left_out),
            sample=drift.sample(table.give_rows(alignment), sampled, sample_rows, entity=table.entity, seed=seed),
            entity=table.entity,
            predictions=None,
            performance={},
            confidence=confidence,
        )
        snapshot = replace(snapshot, absent=_list_absent_columns(snapshot.columns, known))
        members, marks = None, None
        if segments and table.spark:
            require_types_of_executors(alignment)
            values, marks = plan_marks(table, segments, segment_values)
            snapshot = add_segments(snapshot, table.spark.frame, alignment.roles, marks, values, against)
        elif segments:
            members = find_members(table, segments, segment_values)
            snapshot = add_segments(snapshot, alignment.frame, alignment.roles, members.rows, members.values, against)
        if model is None:
            return Observation(snapshot.columns.rows, snapshot)
        scored, unscored = score_rows(model, table, alignment, marks)
        if MEMBERS in scored.columns:
            members = SegmentMembers(snapshot.segment_values, scored[MEMBERS].struct.unnest().to_dict())
            scored = scored.drop(MEMBERS)
        measured = measure_performance(
            model, scored, cost_matrix, table.name_row, entity=table.entity, confidence=confidence
        )
        if scored_by is not None and not unscored:
            kept_rows = _keep_scored_rows(table, alignment, scored, model, scored_by, sample_rows, seed)
            snapshot = replace(snapshot, scored_rows=kept_rows)
    if unscored:
        notes = (*model.notes, f"the rows are not scored: {unscored}")
        return Observation(snapshot.columns.rows, _fail_performance(snapshot, measured, unscored, table), notes=notes)
    snapshot = replace(
        snapshot,
        predictions=profile_predictions(scored, model, table.entity, against.predictions if against else None),
        performance=performance_metrics(measured),
        classes=model.known_classes,
        scored_as=tuple(map(label_of, model.classes)),
    )
    if members is not None:
        snapshot = measure_segments(snapshot, scored, members, model, cost_matrix, confidence, against)
        if scored_by is not None:
            snapshot = keep_scored_segments(
                snapshot, alignment.frame, scored, members, model, scored_by, sample_rows, seed
            )
    labelled = _profile_labelled_rows(scored, model, table.entity) if against else None
    undecided = [f"{join_words(model.classes)} are taken as classes: {model.undecided}"] if model.undecided else []
    decided = model.describe_decisions(scored)
    notes = (*model.notes, *undecided, *([decided] if decided else []), *measured.notes)
    return Observation(snapshot.columns.rows, snapshot, scored, labelled, measured.detail, notes)


def _profile_columns(
    table: Table, known: Mapping[str, drift.KnownColumn], alignment: drift.Alignment, against: Snapshot | None
) -> drift.Profile:
    """Profile the columns of a side, with notes on those that were converted or not measured."""
    profile = drift.profile(
        table.give_rows(alignment),
        alignment.roles,
        entity=table.entity,
        against=against.columns.round_columns(alignment.rounded) if against else None,
    )
    unmeasured = _suggest_names(alignment.unmeasured, table, known)
    return replace(profile, unmeasured=unmeasured, type_changes=alignment.changes)


def _list_absent_columns(columns: drift.Profile, known: Mapping[str, drift.KnownColumn]) -> dict[str, AbsentColumn]:
    return {
        name: AbsentColumn(str(known[name].role), known[name].family, reason)
        for name, reason in columns.unmeasured.items()
    }


def _keep_scored_rows(
    table: Table,
    alignment: drift.Alignment,
    scored: pl.DataFrame,
    model: FittedModel,
    scored_by: str,
    rows: int,
    seed: int,
) -> ScoredRows:
    """Draw the rows to keep with their scores, for estimates."""
    draw = partial(sample_scored_rows, alignment.frame)
    if table.spark:
        of_model = _align_for_model(model, table, alignment)
        draw = partial(sample_spark_scored_rows, table.spark, of_model.expressions, alignment.expressions)
    return draw(scored, list(alignment.roles), model, scored_by, entity=table.entity, rows=rows, seed=seed)


def _fail_performance(snapshot: Snapshot, measured: Performance, unscored: str, table: Table) -> Snapshot:
    """Return a side whose rows were not scored: no performance metric has a value; only the labels may be known."""
    performance = performance_metrics(replace(measured, unlabelled=False))
    # if there are too many rows to score, the labels are not read either
    known = [] if table.spark and explain_too_many_rows(table.spark) else ["labelled_share"]
    failed = MetricValue(None, reason=unscored, failed=True)
    performance = {name: metric if name in known else failed for name, metric in performance.items()}
    unknown = {name: metric for name, metric in performance.items() if name not in known}
    segments = {name: replace(one, performance=unknown) for name, one in snapshot.segments.items()}
    return replace(snapshot, performance=performance, unscored=unscored, segments=segments)


def _profile_labelled_rows(scored: pl.DataFrame, model: FittedModel, entity: str | None) -> LabelledRows | None:
    """Profile the predictions of the rows with a label and of those without; None unless there are both."""
    known = pl.Series(find_labelled(model, scored))
    if known.all() or not known.any():
        return None
    unlabelled = profile_predictions(scored.filter(~known), model, entity, None)
    return LabelledRows(profile_predictions(scored.filter(known), model, entity, unlabelled), unlabelled)


def score_rows(
    model: FittedModel, table: Table, alignment: drift.Alignment, marks: SegmentMarks | None = None
) -> tuple[pl.DataFrame, str]:
    """Return the scores of all rows with target and entity; and, if a column prevents scoring, the reason.

    A trained model knows the types of its features. Any other model gets the columns in the form used for drift.
    `marks` assigns rows in Spark to segments: see `score_spark_rows`.
    """
    alignment, extra, obstacle = prepare_scoring(model, table, alignment)
    frame = alignment.frame
    if table.spark and not obstacle:
        obstacle = explain_too_many_rows(table.spark)
        extra = [] if obstacle else extra
    if obstacle:
        rows = frame.select(extra).collect(engine="streaming") if extra else pl.DataFrame()
        return rows.with_columns(pl.lit(None).alias("prediction")), obstacle
    try:
        if table.spark:
            return score_spark_rows(model, table.spark, alignment.expressions, extra, marks), ""
        return score_frame(model, frame, extra), ""
    except RowError as fault:
        raise fault.name_place(table.name_row(fault.row + 1)) from fault


def prepare_scoring(
    model: FittedModel, table: Table, alignment: drift.Alignment
) -> tuple[drift.Alignment, list[str], str]:
    """Return the columns in the form for a model, those kept with its scores, and why it cannot score (or empty)."""
    alignment = _align_for_model(model, table, alignment)
    available = alignment.frame.collect_schema().names()
    kept = list(dict.fromkeys(name for name in (model.target, table.entity) if name and name in available))
    needed = list(model.predictor.columns)
    obstacles = [_describe_missing_column(name, table, model) for name in needed if name not in available]
    obstacles += [reason for name, reason in alignment.unmeasured.items() if name in needed and name in available]
    return alignment, kept, obstacles[0] if obstacles else ""


def _align_for_model(model: FittedModel, table: Table, alignment: drift.Alignment) -> drift.Alignment:
    if not model.known:
        return alignment
    known_side = f"the training data of model {model.name!r}"
    return drift.align_columns(table.frame, model.known, known_side=known_side, side=f"dataset {table.name!r}")


def _describe_missing_column(name: str, table: Table, model: FittedModel) -> str:
    available = table.frame.collect_schema().names()
    others = [column for column in available if column not in model.predictor.columns] or available
    hint = suggest_separator(available) or suggest_name(name, others)
    return f"dataset {table.name!r} has no column {name!r}, which model {model.name!r} needs{hint}"


def _explain_no_column(table: Table, known: Mapping[str, drift.KnownColumn], alignment: drift.Alignment) -> str:
    """Return the message for a table that lacks all compared columns, or in which none can be read."""
    available = table.frame.collect_schema().names()
    if any(name in available for name in known):
        return f"no column can be compared: {'; '.join(list(alignment.unmeasured.values())[:3])}"
    first, *others = known
    hint = suggest_separator(available) or suggest_name(first, available)
    more = f", nor {', '.join(map(repr, others[:9]))}" if others else ""
    return f"dataset {table.name!r} has no column {first!r}{more}, which the reference has{hint}"


def _suggest_names(
    unmeasured: Mapping[str, str], table: Table, known: Mapping[str, drift.KnownColumn]
) -> dict[str, str]:
    """Return the reasons for unmeasured columns; a column that is gone may be a new column under another name."""
    available = table.frame.collect_schema().names()
    new = [name for name in available if name not in known]
    return {
        name: reason if name in available or not new else f"{reason}{suggest_name(name, new)}"
        for name, reason in unmeasured.items()
    }


@contextmanager
def _add_dataset_name(table: Table) -> Iterator[None]:
    """Prefix the message of a DataError with the name of the dataset unless it contains it."""
    try:
        yield
    except DataError as error:
        if str(error).startswith("dataset "):
            raise
        raise DataError(f"dataset {table.name!r}: {error}") from error
