"""Segments that nobody has declared: one half of the entities shows where drift is largest, the other tests it.

What is searched are the samples of rows that both sides keep, so a reference that was measured once can be searched
with every batch. The halves are those of a hash of the entity, or of the row where there is none. The search may try
any number of groups on the first half; the few that it proposes are tests on the second half like those of declared
segments, with a part of the level that is theirs whether or not the search proposes any: if the whole had that part
whenever nothing is proposed, what the first half shows would decide on the level of tests that it takes part in.
"""

from __future__ import annotations  # keeps annotations with types of drift unevaluated: drift loads them lazily

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from engine import drift
from engine.data import Table
from engine.data.segments import SegmentRules, find_members
from engine.errors import Position
from engine.evaluation.estimation import EstimateSettings
from engine.evaluation.record import MetricValue
from engine.evaluation.scored_performance import (
    average_by_entity,
    compare_losses,
    measure_losses,
    measure_scored_rows,
    name_loss,
)
from engine.evaluation.scored_rows import PREDICTED, SCORE, ScoredRows
from engine.evaluation.segments import ComparedSegment, describe_compared
from engine.evaluation.snapshot import Snapshot
from engine.formatting.lists import join_some
from engine.formatting.numbers import format_share
from engine.spec.metric_names import MetricName
from engine.spec.resources.models import CostMatrix
from engine.spec.segments import FOUND, FOUND_SEGMENTS, name_found
from engine.spec.sql.row_conditions import bind_row_condition, write_row_condition

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_WHY = "not compared, or neither numbers nor text on both sides"
SHOWN_COLUMNS = 5
"""Columns without conditions that a note names."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How to search.

    Attributes
    ----------
    columns
        Those that conditions may be about; empty for all that are compared.
    min_rows
        Rows that a group needs on each side, half of them for the test.
    """

    columns: Sequence[str] = ()
    max_depth: int = 2
    min_rows: int = 100
    max_segments: int = 3
    seed: int = 0
    confidence: float = 0.95
    cost_matrix: CostMatrix | None = None


@dataclass(frozen=True, slots=True)
class ProposedSegment:
    """A group of rows to be tested, measured on the half of the rows that the search has not seen.

    `share` is the share of the batch in the group, `loss` the metric whose worsening has the p-value `loss_p`; None
    where losses are not known on both sides.
    """

    segment: ComparedSegment
    share: float
    loss: str | None
    loss_p: float | None


@dataclass(frozen=True, slots=True)
class SegmentProposals:
    """What a search proposes.

    `reason` says why no search was possible, and `too_small` that there are only too few rows; `notes` tell what the
    search left out.
    """

    proposed: tuple[ProposedSegment, ...] = ()
    reason: str = ""
    too_small: bool = False
    notes: tuple[str, ...] = ()

    def arrange_groups(self, weights: Sequence[float]) -> list[drift.ComparedGroup]:
        """Return the tests of the proposed segments; without any, one that fails and keeps the level from others."""
        if not self.proposed:
            return [drift.ComparedGroup([], [1.0], weight) for weight in weights]
        return [
            drift.ComparedGroup(one.segment.pairs, [] if one.loss_p is None else [one.loss_p], weight)
            for one, weight in zip(self.proposed, weights, strict=True)
        ]


def propose_segments(
    reference: Snapshot,
    batch: Snapshot,
    roles: Mapping[str, drift.Role],
    settings: SearchSettings,
    *,
    entity: str | None,
) -> SegmentProposals:
    """Search one half of the rows for groups that have drifted or lost performance, and measure them on the other half.

    Parameters
    ----------
    roles
        The columns that both sides have.
    entity
        The entity that both sides have; None if one lacks it.
    """
    scored = _have_comparable_scores(reference, batch)
    frames = [one.scored_rows.frame if scored and one.scored_rows else one.sample for one in (reference, batch)]
    roles = {name: role for name, role in roles.items() if all(name in frame.columns for frame in frames)}
    split_by, without = _choose_columns(roles, frames, settings.columns)
    if not split_by:
        return SegmentProposals(reason=f"no conditions can be made of {join_some(without, SHOWN_COLUMNS)}: {_WHY}")
    least = -(-settings.min_rows // 2)
    sides = [
        _divide_rows(one, frame, entity, settings.seed, scored=scored)
        for one, frame in zip((reference, batch), frames, strict=True)
    ]
    for of_side, name in zip(sides, ("reference", "batch"), strict=True):
        if len(of_side.searched) < least:
            what = f"entities of the {name} are" if entity else f"rows of the {name} are"
            reason = (
                f"too few rows: {len(of_side.searched):,} {what} in the half that is searched, {least:,} are needed"
            )
            return SegmentProposals(reason=reason, too_small=True)
    labelled = all(np.isfinite(one.losses).any() for one in sides)
    predicted = _list_prediction_columns(sides[0].scored)
    groups = drift.find_subgroups(
        *(one.frame[one.searched] for one in sides),
        {**roles, **predicted},
        split_by=split_by,
        losses=(sides[0].losses[sides[0].searched], sides[1].losses[sides[1].searched]) if labelled else None,
        max_depth=settings.max_depth,
        min_rows=least,
        most=settings.max_segments,
    )
    conditions = [" AND ".join(_write_condition(one, frames[0].schema) for one in group.conditions) for group in groups]
    members = [[_find_rows(side.frame, text) for side in sides] for text in conditions]
    tested = [
        [np.flatnonzero(mask & side.tested) for mask, side in zip(masks, sides, strict=True)] for masks in members
    ]
    kept = [i for i, rows in enumerate(tested) if min(map(len, rows)) >= least]
    shared = replace(settings, confidence=1 - (1 - settings.confidence) / max(1, len(kept)))
    proposed = [
        _measure_segment(
            name_found(conditions[i]),
            [side.take(rows) for side, rows in zip(sides, tested[i], strict=True)],
            float(members[i][1].mean()),
            roles,
            shared,
            entity,
        )
        for i in kept
    ]
    notes = list(_describe_rows((reference, batch), sides, len(roles) + len(predicted), len(split_by)))
    if without:
        notes.append(f"no conditions are made of {join_some(without, SHOWN_COLUMNS)}: {_WHY}")
    if lost := len(groups) - len(kept):
        notes.append(f"{lost} of the {len(groups)} groups proposed have too few rows left for the test")
    return SegmentProposals(tuple(proposed), notes=tuple(notes))


@dataclass(frozen=True, slots=True)
class _Side:
    """The rows of one side.

    Attributes
    ----------
    scored
        The same rows with what the model says of them; None without comparable scores.
    losses
        NaN where a loss is not known, shape (rows,).
    searched
        The rows that are searched, one per entity, in the order of a hash.
    tested
        Which rows are left for the test, shape (rows,).
    """

    frame: pl.DataFrame
    scored: ScoredRows | None
    losses: Floats
    searched: Ints
    tested: Bools

    def take(self, rows: Ints) -> _Side:
        """Return some of the rows, for the test."""
        scored = self.scored and replace(self.scored, frame=self.scored.frame[rows])
        return _Side(self.frame[rows], scored, self.losses[rows], self.searched[:0], self.tested[rows])


def _have_comparable_scores(reference: Snapshot, batch: Snapshot) -> bool:
    theirs, mine = reference.scored_rows, batch.scored_rows
    if theirs is None or mine is None:
        return False
    return (theirs.scored_by, theirs.classes) == (mine.scored_by, mine.classes)


def _divide_rows(of: Snapshot, frame: pl.DataFrame, entity: str | None, seed: int, *, scored: bool) -> _Side:
    half = drift.number_folds(frame, 2, entity=entity, seed=seed)
    order = np.argsort(drift.number_folds(frame, 2**62, seed=seed + 1), kind="stable")
    searched = order[half[order] == 0]
    if entity is not None:
        entities = frame[entity][searched]
        searched = searched[(entities.is_first_distinct() | entities.is_null()).to_numpy()]
    rows = of.scored_rows if scored else None
    losses = np.full(frame.height, np.nan) if rows is None else measure_losses(rows)
    return _Side(frame, rows, losses, searched, half == 1)


def _choose_columns(
    roles: Mapping[str, drift.Role], frames: Sequence[pl.DataFrame], wanted: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Return the columns that conditions may be about, and those of the wanted ones (or all) that have none."""
    kinds = {
        name: {_name_kind(frame.schema[name], role) for frame in frames}
        for name, role in roles.items()
        if not wanted or name in wanted
    }
    usable = [name for name, found in kinds.items() if len(found) == 1 and "" not in found]
    return usable, [name for name in wanted or roles if name not in usable]


def _name_kind(dtype: pl.DataType, role: drift.Role) -> str:
    """Return which literals a condition on a column has; empty if none."""
    if role is drift.Role.NUMERICAL:
        return "number" if dtype.is_numeric() else ""
    if dtype == pl.Boolean or dtype.is_integer():
        return "truth" if dtype == pl.Boolean else "number"
    return "text" if dtype in (pl.String, pl.Categorical, pl.Enum) else ""


def _write_condition(one: drift.Condition, schema: Mapping[str, pl.DataType]) -> str:
    value: float | str | bool | None = one.value
    dtype = schema[one.column]
    if isinstance(value, str) and dtype == pl.Boolean:
        value = value == "true"
    elif isinstance(value, str) and dtype.is_integer():
        value = int(value)
    return write_row_condition(one.column, one.relation, value)


def _find_rows(frame: pl.DataFrame, condition: str) -> Bools:
    rules = SegmentRules(
        conditions={condition: bind_row_condition(condition, {})}, places={condition: Position("find_segments")}
    )
    return find_members(Table("rows", frame.lazy(), ""), rules).rows[condition].to_numpy()


def describe_found(
    proposals: SegmentProposals,
    judged: Sequence[tuple[Sequence[drift.Drift], Sequence[float]]],
    changes: Callable[[Snapshot, Snapshot], Mapping[str, MetricValue]],
    estimates: EstimateSettings | None,
    level: float,
) -> tuple[dict[str, MetricValue], list[str]]:
    """Return the metrics of the proposed segments that the test confirms, and their number; and what must be told.

    Parameters
    ----------
    judged
        By proposed segment the comparisons of its pairs, and the adjusted p-value of its losses.
    changes
        Returns the change of each performance metric from the first snapshot to the second.
    level
        The level of all verdicts together.
    """
    notes = [f"find_segments: {note}" for note in proposals.notes]
    if proposals.reason:
        reason = f"no search was possible: {proposals.reason}"
        nothing = MetricValue(None, reason=reason, counts_as_ok=proposals.too_small)
        return {FOUND_SEGMENTS: nothing}, [*notes, f"find_segments: {reason}"]
    metrics: dict[str, MetricValue] = {}
    confirmed, rejected = [], []
    for one, (drifts, adjusted) in zip(proposals.proposed, judged, strict=True):
        name = one.segment.name
        shown = f"{name.removeprefix(FOUND)} (about {format_share(one.share)} of the batch)"
        worse = any(p < level for p in adjusted)
        if not worse and not any(column.drift for each in drifts for column in each.columns.values()):
            rejected.append(shown)
            continue
        changed = dict(changes(one.segment.reference, one.segment.batch))
        moved = str(MetricName("performance_change", one.loss)) if one.loss else None
        if moved in changed:
            changed[moved] = replace(changed[moved], p_value=adjusted[0])
        metrics |= describe_compared(one.segment, drifts, changed, estimates)
        confirmed.append(f"{shown}{f', where {one.loss} has become worse' if worse else ''}")
    tested = f"the {len(proposals.proposed)} most conspicuous of the half that was searched"
    if confirmed:
        notes.append(f"find_segments: {'; '.join(confirmed)}: confirmed by the half of the rows that was not searched")
    if rejected:
        notes.append(
            f"find_segments: not confirmed by the half of the rows that was not searched: {'; '.join(rejected)}"
        )
    reason = None if confirmed else f"none of {tested} is confirmed by the other half"
    if not proposals.proposed:
        reason = "no group of rows differs between reference and batch more than all rows do"
        notes.append(f"find_segments: {reason}")
    return {FOUND_SEGMENTS: MetricValue(float(len(confirmed)), reason=reason), **metrics}, notes


def _list_prediction_columns(scored: ScoredRows | None) -> dict[str, drift.Role]:
    """Return the columns of scored rows that tell how predictions have moved, with their roles."""
    if scored is None:
        return {}
    if scored.task == "regression":
        return {PREDICTED: drift.Role.NUMERICAL}
    probability = f"{SCORE}{len(scored.classes) - 1}"
    binary = scored.task == "binary_classification" and probability in scored.frame.columns
    return {PREDICTED: drift.Role.CATEGORICAL, **({probability: drift.Role.NUMERICAL} if binary else {})}


def _measure_segment(
    name: str,
    parts: Sequence[_Side],
    share: float,
    roles: Mapping[str, drift.Role],
    settings: SearchSettings,
    entity: str | None,
) -> ProposedSegment:
    """Measure a group of rows of both sides that the search has not seen."""
    theirs, mine = parts
    columns = _profile_pair([one.frame for one in parts], roles, entity)
    predicted = _list_prediction_columns(theirs.scored)
    names = {column: "probability" if column.startswith(SCORE) else "prediction" for column in predicted}
    renamed = [
        one.frame.select(*(pl.col(old).alias(new) for old, new in names.items()), *([entity] if entity else []))
        for one in parts
    ]
    predictions = _profile_pair(renamed, {names[c]: r for c, r in predicted.items()}, entity) if predicted else None
    reference, batch = (
        Snapshot(
            columns=columns[i],
            left_out={},
            sample=one.frame.clear(),
            entity=entity,
            predictions=None if predictions is None else predictions[i],
            performance={}
            if one.scored is None
            else measure_scored_rows(one.scored, settings.cost_matrix, entity=entity, confidence=settings.confidence),
            confidence=settings.confidence,
            scored_rows=one.scored,
        )
        for i, one in enumerate(parts)
    )
    segment = ComparedSegment(name, reference, batch, [columns, *([predictions] if predictions else [])])
    losses = [average_by_entity(one.losses, one.frame, entity) for one in parts]
    if theirs.scored is None or mine.scored is None or not all(map(len, losses)):
        return ProposedSegment(segment, share, None, None)
    return ProposedSegment(segment, share, name_loss(theirs.scored), compare_losses(*losses))


def _profile_pair(
    frames: Sequence[pl.DataFrame], roles: Mapping[str, drift.Role], entity: str | None
) -> tuple[drift.Profile, drift.Profile]:
    reference = drift.profile(frames[0].lazy(), roles, entity=entity)
    return reference, drift.profile(frames[1].lazy(), roles, entity=entity, against=reference)


def _describe_rows(snapshots: Sequence[Snapshot], sides: Sequence[_Side], columns: int, split_by: int) -> list[str]:
    """Return, by side, that only a sample of its rows takes part."""
    most = drift.count_searched_rows(columns, split_by)
    notes = []
    for of, side, name in zip(snapshots, sides, ("reference", "batch"), strict=True):
        searched, tested = min(most, len(side.searched)), int(side.tested.sum())
        if side.frame.height < of.columns.rows or searched < len(side.searched):
            notes.append(
                f"of {of.columns.rows:,} rows of the {name}, {searched:,} are searched and {tested:,} kept for the test"
            )
    return notes
