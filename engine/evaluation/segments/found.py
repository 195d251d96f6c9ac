"""Find segments that nobody declared: one half of the entities shows where drift is largest, the other half tests it.

The search uses the samples of rows that both sides keep, so a reference measured once can be searched with every batch.
The rows are divided by a hash of the entity, or of the row if there is none. The search may try any number of groups on
the first half; the few that it proposes are tested on the second half like declared segments. They have a fixed part of
the level, whether or not the search proposes any: if the whole got that part whenever nothing is proposed, the first
half would decide on the level of tests in which its own rows take part.
"""

from __future__ import annotations  # types of drift in annotations must not be evaluated: drift loads them lazily

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np
import polars as pl

from engine import drift
from engine.evaluation.performance.estimation import EstimateSettings
from engine.evaluation.performance.scored_performance import (
    average_by_entity,
    compare_losses,
    measure_scored_rows,
    name_loss,
)
from engine.evaluation.record import MetricValue
from engine.evaluation.segments.comparison import ComparedSegment, describe_compared
from engine.evaluation.segments.searched_rows import (
    SearchedSide,
    choose_columns,
    describe_sample,
    divide_rows,
    find_rows,
    have_comparable_scores,
    list_prediction_columns,
    score_excess,
    write_condition,
)
from engine.evaluation.snapshots.scored_rows import SCORE
from engine.evaluation.snapshots.snapshot import Snapshot
from engine.formatting.lists import join_some
from engine.formatting.numbers import format_share
from engine.spec.metrics.names import MetricName
from engine.spec.resources.models import CostMatrix
from engine.spec.segments import FOUND, FOUND_SEGMENTS, name_found

LEAST_EXCESS = 1.645
"""Minimum drift of a column in a found segment beyond its drift in all rows: the 95 % quantile."""

_WHY = "not compared, or neither numbers nor text on both sides"
SHOWN_COLUMNS = 5
"""Maximum number of columns without conditions that a note names."""


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """The settings of the search.

    Attributes
    ----------
    columns
        The columns that conditions may use; empty for all compared columns.
    min_rows
        Minimum number of rows of a group on each side; half of them are for the test.
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

    Attributes
    ----------
    share
        The share of the batch in the group.
    loss, loss_p
        The metric of the losses, and the p-value of its worsening; None if losses are unknown on a side.
    excess
        The drift of each column, and of `loss`, beyond that in all rows, as a standard normal quantile.
    """

    segment: ComparedSegment
    share: float
    loss: str | None = None
    loss_p: float | None = None
    excess: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SegmentProposals:
    """The proposals of a search.

    `reason` says why no search was possible; `too_small` means that there are only too few rows; `notes` say what the
    search left out.
    """

    proposed: tuple[ProposedSegment, ...] = ()
    reason: str = ""
    too_small: bool = False
    notes: tuple[str, ...] = ()

    def arrange_groups(self, weights: Sequence[float]) -> list[drift.ComparedGroup]:
        """Return the tests of the proposed segments; without any, a failing one that keeps the level from others."""
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
    """Search one half of the rows for groups that drifted or lost performance, and measure them on the other half.

    Parameters
    ----------
    roles
        The common columns of both sides.
    entity
        The common entity of both sides; None if one side lacks it.
    """
    scored = have_comparable_scores(reference, batch)
    frames = [one.scored_rows.frame if scored and one.scored_rows else one.sample for one in (reference, batch)]
    roles = {name: role for name, role in roles.items() if all(name in frame.columns for frame in frames)}
    split_by, without = choose_columns(roles, frames, settings.columns)
    if not split_by:
        return SegmentProposals(reason=f"no conditions can be made of {join_some(without, SHOWN_COLUMNS)}: {_WHY}")
    least = -(-settings.min_rows // 2)
    sides = [
        divide_rows(one, frame, entity, settings.seed, scored=scored)
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
    predicted = list_prediction_columns(sides[0].scored)
    groups = drift.find_subgroups(
        sides[0].frame[sides[0].searched],
        sides[1].frame[sides[1].searched],
        {**roles, **predicted},
        split_by=split_by,
        losses=(sides[0].losses[sides[0].searched], sides[1].losses[sides[1].searched]) if labelled else None,
        max_depth=settings.max_depth,
        min_rows=least,
        most=settings.max_segments,
    )
    conditions = [" AND ".join(write_condition(one, frames[0].schema) for one in group.conditions) for group in groups]
    members = [[find_rows(side.frame, text) for side in sides] for text in conditions]
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
            score_excess(sides, members[i], members[:i], {**roles, **predicted}),
        )
        for i in kept
    ]
    notes = list(describe_sample((reference, batch), sides, len(roles) + len(predicted), len(split_by)))
    if without:
        notes.append(f"no conditions are made of {join_some(without, SHOWN_COLUMNS)}: {_WHY}")
    if lost := len(groups) - len(kept):
        notes.append(f"{lost} of the {len(groups)} groups proposed have too few rows left for the test")
    return SegmentProposals(tuple(proposed), notes=tuple(notes))


def describe_found(
    proposals: SegmentProposals,
    judged: Sequence[tuple[Sequence[drift.Drift], Sequence[float]]],
    changes: Callable[[Snapshot, Snapshot], Mapping[str, MetricValue]],
    estimates: EstimateSettings | None,
    level: float,
) -> tuple[dict[str, MetricValue], list[str]]:
    """Return the metrics of the proposed segments that the test confirms, and their number; and notes.

    Parameters
    ----------
    judged
        Per proposed segment, the comparisons of its pairs and the adjusted p-value of its losses.
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
    confirmed, rejected, alike = [], [], []
    for one, (drifts, adjusted) in zip(proposals.proposed, judged, strict=True):
        shown = f"{one.segment.name.removeprefix(FOUND)} (about {format_share(one.share)} of the batch)"
        moved = [name for each in drifts for name, column in each.columns.items() if column.drift]
        worse = [one.loss for p in adjusted if p < level and one.loss]
        if not moved and not worse:
            rejected.append(shown)
        elif max(one.excess.get(name, -inf) for name in (*moved, *worse)) < LEAST_EXCESS:
            alike.append(shown)
        else:
            changed = dict(changes(one.segment.reference, one.segment.batch))
            name = str(MetricName("performance_change", one.loss)) if one.loss else ""
            if name in changed:
                changed[name] = replace(changed[name], p_value=adjusted[0])
            metrics |= describe_compared(one.segment, drifts, changed, estimates)
            confirmed.append(f"{shown}{f', where {one.loss} has become worse' if worse else ''}")
    by = "by the half of the rows that was not searched"
    if confirmed:
        notes.append(f"find_segments: confirmed {by}: {'; '.join(confirmed)}")
    if rejected:
        notes.append(f"find_segments: not confirmed {by}: {'; '.join(rejected)}")
    if alike:
        notes.append(f"find_segments: changed, but no more than all rows have: {'; '.join(alike)}")
    why: str | None = None
    if not proposals.proposed:
        why = "no group of rows with enough rows differs between reference and batch more than all rows do"
        notes.append(f"find_segments: {why}")
    elif not confirmed:
        why = f"none of {len(proposals.proposed)} groups of rows that it proposed is confirmed {by}"
    return {FOUND_SEGMENTS: MetricValue(float(len(confirmed)), reason=why), **metrics}, notes


def _measure_segment(
    name: str,
    parts: Sequence[SearchedSide],
    share: float,
    roles: Mapping[str, drift.Role],
    settings: SearchSettings,
    entity: str | None,
    excess: Mapping[str | None, float],
) -> ProposedSegment:
    """Measure a group of rows of both sides that the search has not seen."""
    reference_part, _ = parts
    columns = _profile_pair([one.frame for one in parts], roles, entity)
    predicted = list_prediction_columns(reference_part.scored)
    names = {column: "probability" if column.startswith(SCORE) else "prediction" for column in predicted}
    loss = name_loss(reference_part.scored) if reference_part.scored else None
    named = {(loss if one is None else names.get(one, one)) or "": score for one, score in excess.items()}
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
    if loss is None or not all(map(len, losses)):
        return ProposedSegment(segment, share, excess=named)
    return ProposedSegment(segment, share, loss, compare_losses(*losses), named)


def _profile_pair(
    frames: Sequence[pl.DataFrame], roles: Mapping[str, drift.Role], entity: str | None
) -> tuple[drift.Profile, drift.Profile]:
    reference = drift.profile(frames[0].lazy(), roles, entity=entity)
    return reference, drift.profile(frames[1].lazy(), roles, entity=entity, against=reference)
