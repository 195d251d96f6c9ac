"""Computes an evaluation: scores the batch, measures it, compares it with the reference, and stores the result."""

from __future__ import annotations  # keeps annotations with types of drift unevaluated: drift loads them lazily

from collections.abc import Set
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.data import Table
from engine.evaluation.evaluation_identity import EvaluationIdentity
from engine.evaluation.record import Evaluation
from engine.formatting.lists import join_some
from engine.pipeline.context import BuildContext
from engine.pipeline.evaluations.estimates import find_estimate_settings, is_own_reference
from engine.pipeline.evaluations.inputs import SEEN_IN_TRAINING, EvaluationInputs
from engine.pipeline.evaluations.predecessors import COPIED_ROWS, SAME_ROWS, Predecessors, take_over_numbers
from engine.pipeline.references.profiles import SAMPLE_ROWS, ReferenceProfile, apply_entity
from engine.pipeline.segments import find_search_settings, find_segment_rules

if TYPE_CHECKING:
    import polars as pl

    from engine.evaluation.observation import Observation
    from engine.evaluation.snapshots.snapshot import Snapshot
    from engine.models import FittedModel

SHOWN_REASONS = 5
"""Most columns without a comparison that a warning lists, with reasons."""


def measure_batch(
    identity: EvaluationIdentity,
    inputs: EvaluationInputs,
    profile: ReferenceProfile,
    predecessors: Predecessors,
    context: BuildContext,
) -> Evaluation:
    """Compute an evaluation and store it with the snapshot of its batch; log its notes."""
    from engine.data import require_unchanged_rows
    from engine.data.rereadable_tables import make_rereadable
    from engine.evaluation.batch_evaluation import evaluate_batch
    from engine.evaluation.custom_metrics import compute_custom_metrics
    from engine.pipeline.data_validation import require_target
    from engine.pipeline.evaluations.challengers import measure_challenger
    from engine.pipeline.evaluations.repeated_rows import note_repeated_rows

    name, batch, reference, model_handle = inputs.store, inputs.batch, inputs.reference, inputs.model
    spec = context.project.evaluation_stores[name]
    context.log.info(f"{name}: evaluating {identity.name}, dataset {batch.name}")
    rows = inputs.select_rows(context)
    with context.store.folders.stage() as folder, make_rereadable(rows, folder / "rows") as table:
        if model_handle:
            require_target(model_handle.name, batch, reference.table, context)
        model = model_handle.load(table, context, profile.observe_classes()) if model_handle else None
        against = profile.execute(model)
        # The batch uses the reference's entity and roles, so that both sides are comparable.
        comparable = apply_entity(table, against.entity)
        if inputs.pair:
            context.log.info(f"{name}: comparing {inputs.pair[0].name} with its challenger, {inputs.pair[1].name}")
        if model and inputs.pair and (earlier := predecessors.unchallenged):
            known = against.describe_known_columns()
            added = measure_challenger(earlier, model, inputs.pair, comparable, known, spec.drift.confidence, context)
            for note in added[1]:
                context.log.info(f"{name}: {note}")
            return take_over_numbers(identity, earlier, predecessors, context, added)
        seen = _measure_rows(comparable, against, model, inputs, context)
        remarks = filter(None, [reference.note, SEEN_IN_TRAINING if rows is not batch else None])
        read = dict.fromkeys([*batch.reading_notes(), *reference.reading_notes])
        seen = replace(
            seen, left_out=_list_new_columns(comparable, against, model), notes=(*seen.notes, *remarks, *read)
        )
        own_metrics = compute_custom_metrics(
            spec.metrics,
            _join_predictions(comparable, seen),
            context.project.code_of("evaluation_stores", name),
            context.secrets.redact,
        )
        evaluation = evaluate_batch(
            identity,
            seen,
            against,
            spec.drift,
            model_importance=model.importance if model else None,
            own_metrics=own_metrics,
            estimates=find_estimate_settings(name, context, own_reference=is_own_reference(reference, batch, rows)),
            search=find_search_settings(name, context),
        )
        evaluation = note_repeated_rows(evaluation, seen.snapshot.columns, against, context)
        if predecessors.note:
            evaluation = replace(evaluation, notes=(predecessors.note, *evaluation.notes))
        superseded = predecessors.superseded
        with context.store.folders.stage() as files:
            seen.snapshot.save(files)
            context.datasets.files.verify()
            require_unchanged_rows(rows)
            context.store.evaluations.add(evaluation, files, supersedes=superseded.id if superseded else None)
    _log_notes(evaluation, {*read, predecessors.note}, context)
    return evaluation


def _measure_rows(
    table: Table, against: Snapshot, model: FittedModel | None, inputs: EvaluationInputs, context: BuildContext
) -> Observation:
    """Return the measurements of a batch's rows, and those of its challenger."""
    from engine.evaluation.observation import snapshot_side
    from engine.pipeline.evaluations.challengers import add_advantage

    spec, handle = context.project.evaluation_stores[inputs.store], inputs.model
    known = against.describe_known_columns()
    seen = snapshot_side(
        table,
        known,
        against.left_out,
        model=model,
        cost_matrix=context.project.models[handle.name].cost_matrix if handle else None,
        sample_rows=max(SAMPLE_ROWS, spec.drift.max_rows),
        seed=spec.drift.seed,
        confidence=spec.drift.confidence,
        against=against,
        scored_by=handle.fingerprint if handle and spec.keeps_scored_rows else None,
        segments=find_segment_rules(inputs.store, context),
        segment_values=against.segment_values,
    )
    if model and inputs.pair:
        return add_advantage(seen, model, inputs.pair, table, known, spec.drift.confidence, context)
    return seen


def _log_notes(evaluation: Evaluation, logged: Set[str | None], context: BuildContext) -> None:
    """Log the notes of an evaluation, except those logged before: when data were read, or as a warning."""
    name = evaluation.store
    if evaluation.rows_read and not evaluation.columns:
        reasons = [f"{column} {reason}" for column, reason in evaluation.left_out.items()]
        context.log.warning(f"{name}: no column is compared: {join_some(reasons, SHOWN_REASONS) or 'there is none'}")
    for note in evaluation.notes:
        if note not in logged:
            serious = not evaluation.rows_read or note.startswith((SAME_ROWS, COPIED_ROWS))
            context.log.write("warning" if serious else "info", f"{name}: {note}")


def _list_new_columns(table: Table, against: Snapshot, model: FittedModel | None) -> dict[str, str]:
    """Return a reason for each column that only the batch has, so that no column is ignored silently.

    With a model, only its features are compared.
    """
    if model is not None:
        return {}
    expected = {*against.columns.columns, *against.left_out, *against.absent, table.entity}
    return {name: "the reference has no such column" for name in table.frame.collect_schema() if name not in expected}


def _join_predictions(table: Table, seen: Observation) -> pl.LazyFrame:
    """Return the batch with the model's predictions as additional columns, for custom metrics."""
    import polars as pl

    if seen.scored is None:
        return table.frame
    schema = table.frame.collect_schema()
    predicted = seen.scored.select(column for column in seen.scored.columns if column not in schema)
    return pl.concat([table.frame, predicted.lazy()], how="horizontal")
