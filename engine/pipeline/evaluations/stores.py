"""Builds an evaluation store: evaluates the current batch, unless it was evaluated before."""

from __future__ import annotations  # keeps annotations with types of drift unevaluated: drift loads them lazily

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.evaluation.record import Evaluation, EvaluationTime, Fingerprints
from engine.pipeline import models
from engine.pipeline.actions import Action
from engine.pipeline.context import BuildContext
from engine.pipeline.datasets import inspect_dataset
from engine.pipeline.decision import Decision, list_sources
from engine.pipeline.evaluation_times import find_declared_time, name_next_evaluation
from engine.pipeline.evaluations.inputs import SEEN_IN_TRAINING, EvaluationInputs, collect_evaluation_facts
from engine.pipeline.evaluations.predecessors import (
    COPIED_ROWS,
    SAME_DATA,
    SAME_ROWS,
    Predecessors,
    explain_evaluation,
    find_predecessors,
    take_over_numbers,
)
from engine.pipeline.references.resolution import resolve_reference
from engine.pipeline.rows_in_spark import require_measurable_rows
from engine.pipeline.segments import count_segment_tests, require_segment_columns
from engine.spec.times.declared_times import find_zone
from engine.store import generate_id

if TYPE_CHECKING:
    from engine.evaluation.evaluation_identity import EvaluationIdentity


class EvaluationBuild(NamedTuple):
    """The evaluation of the current batch, whether an earlier one was reused, and notes.

    `newest` is True if no evaluation of the store has a later time. `supersedes` is the id of the evaluation that it
    replaced in the history.
    """

    evaluation: Evaluation
    reused: bool = False
    newest: bool = True
    supersedes: str | None = None
    remark: str = ""


def build_evaluation_store(name: str, context: BuildContext, *, force: bool) -> EvaluationBuild:
    """Evaluate the store's batch, after building its dataset and its model.

    Parameters
    ----------
    force
        Add an evaluation even if nothing has changed.

    Raises
    ------
    DataError, ModelError, StoreError
        A dataset, the model, the reference or the state cannot be used.
    ChecksFailed
        A check of a dataset has the outcome ERROR.
    """
    spec = context.project.evaluation_stores[name]
    inspected = inspect_dataset(spec.dataset, context)
    batch = inspected.table
    require_measurable_rows(name, batch, context)
    require_segment_columns(name, batch, context)
    model_handle = models.use_model(spec.model, context) if spec.model else None
    challenger = models.use_model(spec.challenger, context) if spec.challenger else None
    # One writer at a time: a second run waits here and then finds the evaluation of the first.
    with context.lock(f"evaluation store {name}") as locked:
        reference = resolve_reference(name, batch, model_handle, locked)
        if reference.table is not None:
            require_measurable_rows(name, reference.table, context, reference=True)
        inputs = EvaluationInputs(name, inspected, model_handle, challenger, reference)
        decision = plan_evaluation(inputs, locked, force=force)
        build = decision.apply(locked)
        evaluation = build.evaluation
        newest = locked.store.evaluations.is_newest(evaluation)
        if build.reused:
            locked.log.info(f"{name}: nothing has changed; evaluation {evaluation.name} is reused")
        empty = "the batch has no rows" if evaluation.metrics and not evaluation.rows_read else None
        seen = SEEN_IN_TRAINING if inputs.select_rows(context) is not batch else None
        repeated = [note for note in evaluation.notes if note.startswith((SAME_DATA, SAME_ROWS, COPIED_ROWS))]
        late = None if newest or build.reused else "the store has evaluations of later times"
        remark = "; ".join(filter(None, [*repeated, late, reference.note, seen, empty]))
        return build._replace(newest=newest, remark=remark)


def plan_evaluation(inputs: EvaluationInputs, context: BuildContext, *, force: bool) -> Decision[EvaluationBuild]:
    """Plan the evaluation of the batch: reuse one with the same fingerprints, or profile the reference and create one.

    If a time is declared, only an evaluation of that time is reused. One of another time with the same fingerprints is
    copied, and one of that time with other fingerprints is superseded.
    """
    name, batch, reference = inputs.store, inputs.batch, inputs.reference
    facts, fingerprints = _fingerprint_inputs(inputs, context)
    unchallenged = None
    if inputs.challenger:
        _, unchallenged = _fingerprint_inputs(inputs._replace(challenger=None), context)
    time = find_declared_time(name, context)
    predecessors = find_predecessors(name, time, fingerprints, unchallenged, context, force=force)
    if (stored := predecessors.equal) is not None and not force:
        reused = Action(
            kind="evaluate", target=name, result=stored.name, because="reused", reason="nothing has changed"
        )
        build = EvaluationBuild(stored, reused=True)
        return Decision(reused, lambda: build, lambda: build)
    from engine.evaluation.evaluation_identity import build_empty_evaluation
    from engine.pipeline.evaluations.batch_measurement import measure_batch
    from engine.pipeline.references.schemas import describe_differences

    reason = explain_evaluation(name, time, predecessors, facts, context)
    profile = None
    if predecessors.twin is None:
        profile = reference.plan_profile(batch)
        context.journal.actions.append(profile.action)
    rows = inputs.inspected.metrics["row_count"].value if "row_count" in inputs.inspected.metrics else None
    action = Action(
        kind="evaluate",
        target=name,
        result=name_next_evaluation(name, context) or "",
        because=reason.cause,
        reason=reason.reason,
        changes=reason.changes,
        reads=list_sources(batch, context, rows) if profile else [],
        notes=[
            *filter(None, [predecessors.note, reference.note, predecessors.note_of_twin]),
            *describe_differences(name, batch, context),
            *count_segment_tests(name, batch, context),
        ],
    )
    identity = _identify_evaluation(inputs, facts, fingerprints, time, predecessors, context)
    supersedes = predecessors.superseded.id if predecessors.superseded else None

    def simulate() -> EvaluationBuild:
        if profile:
            profile.simulate()
        evaluation = build_empty_evaluation(identity)
        context.store.evaluations.add(evaluation, supersedes=supersedes)
        return EvaluationBuild(evaluation, supersedes=supersedes)

    def execute() -> EvaluationBuild:
        if predecessors.twin:
            evaluation = take_over_numbers(identity, predecessors.twin, predecessors, context)
        elif profile:
            evaluation = measure_batch(identity, inputs, profile, predecessors, context)
        if predecessors.note:
            context.log.warning(f"{name}: evaluation {evaluation.name}: {predecessors.note}")
        return EvaluationBuild(evaluation, supersedes=supersedes)

    return Decision(action, execute, simulate)


def _fingerprint_inputs(inputs: EvaluationInputs, context: BuildContext) -> tuple[dict[str, Any], Fingerprints]:
    """Return the facts that the numbers of an evaluation depend on, secrets masked, and their fingerprints."""
    facts = context.secrets.redact_values(collect_evaluation_facts(inputs, context))
    return facts, inputs.compute_fingerprints(facts)


def _identify_evaluation(
    inputs: EvaluationInputs,
    facts: Mapping[str, Any],
    fingerprints: Fingerprints,
    time: EvaluationTime | None,
    predecessors: Predecessors,
    context: BuildContext,
) -> EvaluationIdentity:
    """Return what the next evaluation of a store is called, when it is made, and what it belongs to."""
    from engine.evaluation.evaluation_identity import EvaluationIdentity

    name, spec = inputs.store, context.project.evaluation_stores[inputs.store]
    trained, revision = inputs.model.trained if inputs.model else None, context.project.revision
    created = context.clock()
    return EvaluationIdentity(
        id=generate_id(created),
        store=name,
        name=context.secrets.redact(name_next_evaluation(name, context) or f"{created:%Y-%m-%d %H:%M:%S}"),
        labels=context.secrets.redact_values(spec.evaluation.labels),
        created=created,
        fingerprints=fingerprints,
        run=context.run,
        model=spec.model,
        model_version=str(trained.version) if trained else None,
        facts=facts,
        time=time or _find_moment_among_times(name, created, context),
        same_data_as=predecessors.repeated.id if predecessors.repeated else None,
        release=revision.release if revision else None,
        revision=revision.number if revision else None,
    )


def _find_moment_among_times(name: str, created: datetime, context: BuildContext) -> EvaluationTime | None:
    """Return the moment of the run as a time if earlier evaluations of the store have declared times, otherwise None.

    Without it, the evaluation would precede them in the history, like those from before times were declared.
    """
    newest = context.store.evaluations.history(name, 1, metrics=[])
    if not newest or newest[0].time is None:
        return None
    local = created.astimezone(find_zone(context.project.resources))
    return EvaluationTime(created, None, f"{local:%Y-%m-%d %H:%M:%S}")
