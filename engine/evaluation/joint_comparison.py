"""Judge all comparisons of an evaluation together: columns, drift model, predictions and segments share one level.

Without drift, at most a share of 1 - confidence of all evaluations has any alarm (see
`engine.drift.significance.hierarchy`).
"""

from __future__ import annotations  # types of drift in annotations must not be evaluated: drift loads them lazily

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil

import numpy as np

from engine import drift
from engine.evaluation.segments.comparison import ComparedSegment, pair_segments
from engine.evaluation.segments.found import SearchSettings, SegmentProposals, propose_segments
from engine.evaluation.snapshots.snapshot import Snapshot
from engine.spec.resources.evaluation_stores import DriftSettings


@dataclass(frozen=True, slots=True)
class ComparableSides:
    """The profiles of two sides in comparable form: both with an entity, or both without.

    Attributes
    ----------
    roles
        The columns for the drift model: both sides have them in the same role.
    notes
        Notes on the comparison.
    """

    reference: drift.Profile
    batch: drift.Profile
    entity: str | None
    roles: Mapping[str, drift.Role]
    notes: Sequence[str]

    @classmethod
    def of_snapshots(cls, reference: Snapshot, batch: Snapshot) -> ComparableSides:
        """Return the sides of two snapshots; an entity that one of them lacks is left out."""
        before, now, notes = reference.columns, batch.columns, []
        if (before.entities is None) != (now.entities is None):
            side, entity = ("batch", reference.entity) if now.entities is None else ("reference", batch.entity)
            notes.append(f"the {side} has no column {entity!r}, the entity: p-values count every row as independent")
            before, now = before.without_entities(), now.without_entities()
        elif before.entities and now.entities and not _repeat_entity(before, now):
            notes.append(f"no value of {batch.entity!r}, the entity, occurs twice: every row counts as independent")
        sampled = reference.sample.columns
        roles = {
            name: role
            for name, role in before.roles.items()
            if name in now.columns and now.columns[name].role is role and name in sampled
        }
        return cls(before, now, None if before.entities is None else reference.entity, roles, notes)


def _repeat_entity(*sides: drift.Profile) -> bool:
    """Return whether two rows, of one side or of both, are of the same entity."""
    keys, rows = [side.entities.keys for side in sides if side.entities], sum(side.rows for side in sides)
    return sum(map(len, keys)) < rows or len(np.unique(np.concatenate(keys))) < rows


@dataclass(frozen=True, slots=True)
class JointComparison:
    """The comparisons of a batch, with p-values adjusted for all tests of the evaluation.

    Attributes
    ----------
    columns
        The drift of the columns.
    predictions
        The drift of the predictions, if both sides have predictions.
    drift_model
        The classifier that distinguishes rows of the batch from rows of the reference.
    segments
        The declared segments with enough rows on both sides, each with its drifts.
    proposals
        The proposals of a search for segments; None without a search.
    found
        Per proposed segment, its drifts and the adjusted p-value of its losses.
    tests
        The number of tests sharing the whole level that would give each the level of the whole batch's tests.
    """

    columns: drift.Drift
    predictions: Sequence[drift.Drift]
    drift_model: drift.DomainClassifierResult
    segments: Sequence[tuple[ComparedSegment, Sequence[drift.Drift]]]
    proposals: SegmentProposals | None
    found: Sequence[tuple[Sequence[drift.Drift], Sequence[float]]]
    tests: int


def compare_jointly(
    reference: Snapshot, batch: Snapshot, sides: ComparableSides, settings: DriftSettings, search: SearchSettings | None
) -> JointComparison:
    """Compare a batch with a reference: as a whole, in its segments, and in segments that a search proposes."""
    drift_model = drift.domain_classifier(
        reference.sample,
        batch.sample,
        sides.roles,
        entity=sides.entity,
        confidence=settings.confidence,
        max_rows=settings.max_rows,
        seed=settings.seed,
        drawn_from=(reference.columns.rows, batch.columns.rows),
    )
    pairs = [(sides.reference, sides.batch)]
    if reference.predictions is not None and batch.predictions is not None:
        pairs.append((reference.predictions, batch.predictions))
    segments = pair_segments(reference, batch)
    proposals = None
    if search is not None:
        proposals = propose_segments(reference, batch, sides.roles, search, entity=sides.entity)
    proposed = None if proposals is None else len(proposals.proposed)
    weight, *weights = drift.weigh_groups(len(segments), proposed)
    whole = drift.ComparedGroup(pairs, [] if drift_model.p_value is None else [drift_model.p_value], weight)
    parts = [drift.ComparedGroup(one.pairs, weight=share) for one, share in zip(segments, weights, strict=False)]
    if proposals:
        parts += proposals.arrange_groups(weights[len(segments) :])
    ((columns, *predictions), adjusted), *judged = drift.compare_groups([whole, *parts], confidence=settings.confidence)
    if adjusted:
        drift_model = replace(drift_model, p_value=adjusted[0], significant=adjusted[0] < 1 - settings.confidence)
    return JointComparison(
        columns,
        predictions,
        drift_model,
        [(segment, drifts) for segment, (drifts, _) in zip(segments, judged, strict=False)],
        proposals,
        judged[len(segments) :][:proposed],
        ceil(whole.tests / weight),
    )
