"""Finds earlier evaluations of the same time or data, to be reused, superseded or copied."""

import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.evaluation.record import Evaluation, EvaluationTime, Fingerprints, MetricValue
from engine.pipeline.changes import MAX_CANDIDATES, ChangeReason, explain_change, list_evaluation_places
from engine.pipeline.context import BuildContext
from engine.store import EvaluationFilter, PastFacts

if TYPE_CHECKING:
    from engine.evaluation.evaluation_identity import EvaluationIdentity

SAME_DATA = "same data as "
"""The beginning of the note on a batch that is exactly the data of another time."""

SAME_ROWS = "probably the same rows as "
"""The beginning of the note on a batch of other data with the statistics of an earlier batch."""

COPIED_ROWS = "each row may be there "
"""The beginning of the note on a batch in which each row occurs several times."""


class Predecessors(NamedTuple):
    """Earlier evaluations of a store that affect a new one.

    Attributes
    ----------
    equal
        One with the same fingerprints and, if a time is declared, of that time; without its details.
    superseded
        The one of the declared time and model, which the new one replaces in the history; without its details.
    repeated
        One of another declared time with the same data as its batch.
    twin
        One with the same fingerprints and any time, whose numbers can be copied.
    unchallenged
        One with the same fingerprints without the challenger, so that only the challenger is measured.
    """

    equal: Evaluation | None
    superseded: Evaluation | None = None
    repeated: Evaluation | None = None
    twin: Evaluation | None = None
    unchallenged: Evaluation | None = None

    @property
    def note(self) -> str | None:
        """The note on a batch with the same data as that of another time."""
        if self.repeated is None or self.repeated.time is None:
            return None
        name, text = self.repeated.name, self.repeated.time.text
        return f"{SAME_DATA}evaluation {name}" + (f", evaluated for {text}" if name != text else "")

    @property
    def note_of_twin(self) -> str:
        """The note on copied numbers; an empty text if none are copied."""
        if self.twin:
            return f"nothing is measured: data, model, reference and settings are those of evaluation {self.twin.name}"
        if self.unchallenged:
            same = f"data, model, reference and settings are those of evaluation {self.unchallenged.name}"
            return f"only the challenger is measured: {same}"
        return ""


def find_predecessors(
    store: str,
    time: EvaluationTime | None,
    fingerprints: Fingerprints,
    unchallenged: Fingerprints | None,
    context: BuildContext,
    *,
    force: bool,
) -> Predecessors:
    """Return the predecessors for a batch of a time; without a time, only those with the same fingerprints.

    If there is an equal evaluation, it is the only one. With `force` no numbers are copied. `unchallenged` are the
    fingerprints without the challenger, if there is one.
    """
    evaluations = context.store.evaluations
    if time is None:
        current = equal = evaluations.find(store, fingerprints)
    else:
        of_time = EvaluationFilter(at=time, model=fingerprints.model)
        current = evaluations.find_newest(store, of_time, details=False)
        equal = current if current and current.fingerprints == fingerprints else None
    if equal is not None and not force:
        return Predecessors(equal)
    alone = _find_whole(store, unchallenged, context) if unchallenged and not force else None
    if time is None:
        return Predecessors(equal, unchallenged=alone)
    same = EvaluationFilter(dataset=fingerprints.dataset, not_at=time, superseded=True)
    repeated = evaluations.find_newest(store, replace(same, earlier_than=time)) or evaluations.find_newest(store, same)
    return Predecessors(
        equal=equal,
        superseded=current,
        repeated=repeated,
        twin=None if force else _find_whole(store, fingerprints, context),
        unchallenged=alone,
    )


def _find_whole(store: str, fingerprints: Fingerprints, context: BuildContext) -> Evaluation | None:
    """Return the newest evaluation with these fingerprints, if its numbers can be copied."""
    where = EvaluationFilter(fingerprints=fingerprints, superseded=True)
    found = context.store.evaluations.find_newest(store, where)
    return found if found and _can_be_taken_over(found, context) else None


def _can_be_taken_over(twin: Evaluation, context: BuildContext) -> bool:
    """Return whether the files of an evaluation are complete; a simulated one will have them."""
    from engine.evaluation.snapshots.snapshot import DamagedSnapshot, load_snapshot_of

    if not twin.metrics:
        return True
    try:
        load_snapshot_of(twin, context.store.evaluations.folder_of(twin.id))
    except DamagedSnapshot:
        return False
    return True


def explain_evaluation(
    store: str,
    time: EvaluationTime | None,
    predecessors: Predecessors,
    facts: Mapping[str, Any],
    context: BuildContext,
) -> ChangeReason:
    """Return why a batch is evaluated although the store may have evaluations already."""
    evaluations, replaced = context.store.evaluations, predecessors.superseded
    at_time = replaced or (evaluations.find_newest(store, EvaluationFilter(at=time)) if time else None)
    if predecessors.equal is not None:
        reason = ChangeReason("forced", "mode: force", [])
    elif time is not None and at_time is None:
        reason = ChangeReason("new", f"there is no evaluation for {time.text} yet", [])
    else:
        earlier = (
            [PastFacts(at_time.name, evaluations.get(at_time.id).facts)]
            if at_time
            else evaluations.list_facts(store, MAX_CANDIDATES)
        )
        never, since = "it was never evaluated", "" if replaced else "evaluation "
        places = list_evaluation_places(store, context.project)
        reason = explain_change(facts, earlier, places, context.project, never=never, since=since)
    if replaced is None or time is None:
        return reason
    superseding = f"supersedes evaluation {replaced.name}" + (f" of {time.text}" if replaced.name != time.text else "")
    return reason._replace(reason="; ".join(filter(None, [superseding, reason.reason])))


def take_over_numbers(
    identity: "EvaluationIdentity",
    twin: Evaluation,
    predecessors: Predecessors,
    context: BuildContext,
    added: tuple[Mapping[str, MetricValue], Sequence[str]] = ({}, ()),
) -> Evaluation:
    """Store an evaluation with the numbers of another. Its files are hard links to those of the other where possible.

    Parameters
    ----------
    added
        Metrics and notes that the other lacks.
    """
    from engine.evaluation.evaluation_identity import measure_repetition

    metrics, added_notes = added
    evaluations = context.store.evaluations
    own = {one.name: getattr(identity, one.name) for one in fields(identity)}
    notes = [note for note in twin.notes if not note.startswith(SAME_DATA)]
    # the rows of the other evaluation may be those of a third one, and still are
    repetition = {} if any(note.startswith(SAME_ROWS) for note in notes) else measure_repetition(identity)
    evaluation = replace(
        evaluations.get(twin.id),
        **own,
        metrics={**twin.metrics, **repetition, **metrics},
        notes=tuple(filter(None, [predecessors.note, *notes, *added_notes])),
        superseded_by=None,
    )
    with context.store.folders.stage() as files:
        for path in sorted(evaluations.folder_of(twin.id).iterdir()):
            _link_file(path, files / path.name)
        context.datasets.files.verify()
        superseded = predecessors.superseded
        evaluations.add(evaluation, files, supersedes=superseded.id if superseded else None)
    return evaluation


def _link_file(path: Path, target: Path) -> None:
    """Create a hard link to an immutable file; copy it if the file system has no hard links."""
    with suppress(OSError):
        target.hardlink_to(path)
        return
    shutil.copyfile(path, target)
