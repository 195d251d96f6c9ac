"""Builds an evaluation store: evaluates the current batch, unless the same batch has been evaluated before."""

from __future__ import annotations  # keeps annotations with types of drift unevaluated: drift loads them lazily

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from engine import drift
from engine.data import Table
from engine.data.file_hashes import hash_file
from engine.data.user_functions import find_module_file
from engine.digests import digest_json
from engine.errors import DataError
from engine.evaluation.evaluation_identity import EvaluationIdentity, build_empty_evaluation
from engine.evaluation.record import Evaluation, EvaluationTime, Fingerprints
from engine.formatting.lists import join_some
from engine.pipeline import models
from engine.pipeline.actions import Action
from engine.pipeline.context import BuildContext
from engine.pipeline.datasets import InspectedDataset, inspect_dataset
from engine.pipeline.decision import Decision, list_sources
from engine.pipeline.estimates import ESTIMATES_VERSION, find_estimate_settings, is_own_reference
from engine.pipeline.evaluation_times import find_declared_time, name_next_evaluation
from engine.pipeline.predecessors import (
    SAME_DATA,
    Predecessors,
    explain_evaluation,
    find_predecessors,
    take_over_numbers,
)
from engine.pipeline.references import (
    SAMPLE_ROWS,
    Reference,
    ReferenceProfile,
    apply_entity,
    resolve_reference,
)
from engine.pipeline.rows_in_spark import require_measurable_rows
from engine.pipeline.segments import (
    CONDITIONS_VERSION,
    count_segment_tests,
    find_search_settings,
    find_segment_rules,
    has_conditions,
    require_segment_columns,
)
from engine.spec.declared_times import find_zone
from engine.spec.resources.resource import facts_of
from engine.store import generate_id

if TYPE_CHECKING:
    import polars as pl

    from engine.evaluation.observation import Observation
    from engine.evaluation.snapshot import Snapshot
    from engine.models import FittedModel

SHOWN_REASONS = 5
"""Columns that are not compared, with their reasons, that a warning lists."""
SEEN_IN_TRAINING = (
    "the batch is the data that the model was trained on, and its performance on those rows says little of other rows: "
    "only the rows that were held out from training are evaluated"
)


@dataclass(frozen=True, slots=True)
class EvaluationBuild:
    """The evaluation of the current batch, whether an earlier one was reused, and what must be known of it.

    `newest` tells whether no evaluation of the store stands for a later time. `supersedes` is the id of the evaluation
    that it has replaced in the history.
    """

    evaluation: Evaluation
    reused: bool = False
    newest: bool = True
    supersedes: str | None = None
    remark: str = ""


def build_evaluation_store(name: str, context: BuildContext, *, force: bool = False) -> EvaluationBuild:
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
        A check of a dataset is ERROR.
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
        decision = plan_evaluation(name, inspected, model_handle, challenger, reference, locked, force=force)
        build = decision.apply(locked)
        evaluation = build.evaluation
        newest = locked.store.evaluations.is_newest(evaluation)
        if build.reused:
            locked.log.info(f"{name}: nothing has changed; evaluation {evaluation.name} is reused")
        empty = "the batch has no rows" if evaluation.metrics and not evaluation.rows_read else None
        seen = SEEN_IN_TRAINING if _select_rows(batch, model_handle, context) is not batch else None
        repeated = next((note for note in evaluation.notes if note.startswith(SAME_DATA)), None)
        late = None if newest or build.reused else "the store has evaluations of later times"
        remark = "; ".join(filter(None, [repeated, late, reference.note, seen, empty]))
        return replace(build, newest=newest, remark=remark)


def plan_evaluation(
    name: str,
    inspected: InspectedDataset,
    model_handle: models.ModelHandle | None,
    challenger: models.ModelHandle | None,
    reference: Reference,
    context: BuildContext,
    *,
    force: bool,
) -> Decision[EvaluationBuild]:
    """Plan the evaluation of the batch: reuse one with the same fingerprints, or make one, profiling the reference.

    If a time is declared, only an evaluation of that time is reused. The numbers of one of another time with the same
    fingerprints are taken over, and one of that time with others is superseded.
    """
    spec = context.project.evaluation_stores[name]
    batch = inspected.table
    facts = context.secrets.redact_values(
        _collect_evaluation_facts(name, batch, model_handle, challenger, reference, context)
    )
    fingerprints = Fingerprints(
        model=model_handle.fingerprint if model_handle else "",
        dataset=batch.fingerprint,
        reference=reference.fingerprint,
        parameters=_digest_parameters(facts, challenger),
    )
    unchallenged = None
    if challenger:
        alone = _collect_evaluation_facts(name, batch, model_handle, None, reference, context)
        unchallenged = replace(fingerprints, parameters=_digest_parameters(context.secrets.redact_values(alone), None))
    time = find_declared_time(name, context)
    predecessors = find_predecessors(name, time, fingerprints, unchallenged, context, force=force)
    if (stored := predecessors.equal) is not None and not force:
        reused = Action(
            kind="evaluate", target=name, result=stored.name, because="reused", reason="nothing has changed"
        )
        build = EvaluationBuild(stored, reused=True)
        return Decision(reused, lambda: build, lambda: build)
    from engine.pipeline.reference_schemas import describe_differences

    places = {"store": ("evaluation_stores", name), "dataset": ("datasets", spec.dataset)}
    if spec.model:
        places["model"] = ("models", spec.model)
    if spec.challenger:
        places["challenger"] = ("models", spec.challenger)
    reason = explain_evaluation(name, time, predecessors, facts, places, context)
    profile = None
    if predecessors.twin is None:
        profile = reference.plan_profile(batch)
        context.journal.actions.append(profile.action)
    rows = inspected.metrics["row_count"].value if "row_count" in inspected.metrics else None
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
    created = context.clock()
    identity = EvaluationIdentity(
        id=generate_id(created),
        store=name,
        name=context.secrets.redact(name_next_evaluation(name, context) or f"{created:%Y-%m-%d %H:%M:%S}"),
        labels=context.secrets.redact_values(spec.evaluation.labels),
        created=created,
        fingerprints=fingerprints,
        run=context.run,
        model=spec.model,
        model_version=str(model_handle.trained.version) if model_handle and model_handle.trained else None,
        facts=facts,
        time=time or _find_moment_among_times(name, created, context),
        same_data_as=predecessors.repeated.id if predecessors.repeated else None,
        release=context.project.revision.release if context.project.revision else None,
        revision=context.project.revision.number if context.project.revision else None,
    )
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
            evaluation = _evaluate_batch(
                identity, batch, model_handle, challenger, reference, profile, predecessors, context
            )
        if predecessors.note:
            context.log.warning(f"{name}: evaluation {evaluation.name}: {predecessors.note}")
        return EvaluationBuild(evaluation, supersedes=supersedes)

    return Decision(action, execute, simulate)


def _digest_parameters(facts: Mapping[str, Any], challenger: models.ModelHandle | None) -> str:
    """Return the digest of what the numbers depend on besides the data, the reference and the model."""
    own = [challenger.fingerprint] if challenger else []
    return digest_json([facts["spec"], sorted(facts["code"].values()), facts["versions"], *own])


def _find_moment_among_times(name: str, created: datetime, context: BuildContext) -> EvaluationTime | None:
    """Return the moment of the run as a time if earlier evaluations of the store have declared ones, else None.

    Without it, the evaluation would come before them in the history, like those of before times were declared.
    """
    newest = context.store.evaluations.history(name, 1, metrics=[])
    if not newest or newest[0].time is None:
        return None
    local = created.astimezone(find_zone(context.project.resources))
    return EvaluationTime(created, None, f"{local:%Y-%m-%d %H:%M:%S}")


def _collect_evaluation_facts(
    name: str,
    batch: Table,
    model_handle: models.ModelHandle | None,
    challenger: models.ModelHandle | None,
    reference: Reference,
    context: BuildContext,
) -> dict[str, Any]:
    """Return everything that the numbers depend on: data, model, reference, settings, custom metrics, kernel."""
    spec = context.project.evaluation_stores[name]
    folder = context.project.folder_of("evaluation_stores", name)
    custom = {metric: facts_of(declared, {"function", "arguments"}) for metric, declared in spec.metrics.items()}
    modules = {find_module_file(folder, declared["function"].partition(":")[0]) for declared in custom.values()}
    code = {path.name: hash_file(path, context.datasets.files) for path in sorted(modules)}
    model: dict[str, Any] = {}
    if model_handle:
        model = {**model_handle.facts["spec"], **facts_of(context.project.models[model_handle.name], {"cost_matrix"})}
        code |= model_handle.facts["code"]
    if challenger:
        code |= challenger.facts["code"]
    return {
        "spec": {
            "store": {**facts_of(spec, {"drift", "estimates"}), **_describe_segments(name, context), "metrics": custom},
            "dataset": {
                "entity": batch.entity,
                "columns": {column: {"role": role} for column, role in batch.roles.items()},
            },
            "model": model,
            **({"challenger": challenger.facts["spec"]} if challenger else {}),
            **({"rows": "held out"} if _select_rows(batch, model_handle, context) is not batch else {}),
        },
        "datasets": batch.provenance(),
        "code": code,
        "versions": {
            "kernel": drift.KERNEL_VERSION,
            **({"estimates": ESTIMATES_VERSION} if spec.estimates else {}),
            **({"conditions": CONDITIONS_VERSION} if has_conditions(name, context) else {}),
        },
        "model": _describe_version(model_handle),
        **({"challenger": {"model": challenger.name, "version": _describe_version(challenger)}} if challenger else {}),
        **({"identity": model_handle.trained.identity} if model_handle and model_handle.trained else {}),
        "reference": reference.facts,
    }


def _describe_segments(store: str, context: BuildContext) -> dict[str, Any]:
    """Return the segments of a store as they are computed, with the values of their variables; nothing without any."""
    rules, search = find_segment_rules(store, context), context.project.evaluation_stores[store].segment_search
    return {
        **({"segments": {"columns": list(rules.columns), "conditions": dict(rules.conditions)}} if rules else {}),
        **({"find_segments": search.model_dump(mode="json")} if search else {}),
    }


def _describe_version(handle: models.ModelHandle | None) -> str | None:
    return f"version {handle.trained.version}" if handle and handle.trained else None


def _evaluate_batch(
    identity: EvaluationIdentity,
    batch: Table,
    model_handle: models.ModelHandle | None,
    challenger: models.ModelHandle | None,
    reference: Reference,
    profile: ReferenceProfile,
    predecessors: Predecessors,
    context: BuildContext,
) -> Evaluation:
    """Compute an evaluation and store it, with the snapshot of its batch."""
    from engine.data import require_unchanged_rows
    from engine.data.materialise import materialise
    from engine.evaluation.batch_evaluation import evaluate_batch
    from engine.evaluation.custom_metrics import compute_custom_metrics
    from engine.evaluation.observation import snapshot_side
    from engine.pipeline.challengers import add_advantage, measure_challenger
    from engine.pipeline.data_validation import require_target

    name = identity.store
    spec = context.project.evaluation_stores[name]
    context.log.info(f"{name}: evaluating {identity.name}, dataset {batch.name}")
    rows = _select_rows(batch, model_handle, context)
    with context.store.folders.stage() as folder, materialise(rows, folder / "rows") as table:
        if model_handle:
            require_target(model_handle.name, batch, reference.table, context)
        model = model_handle.load(table, context, profile.observe_classes()) if model_handle else None
        against = profile.execute(model)
        # The batch is measured by the reference's entity and roles, so that both sides are comparable.
        comparable = apply_entity(table, against.entity)
        known = against.describe_known_columns()
        pair = (model_handle, challenger) if model_handle and challenger else None
        if pair:
            context.log.info(f"{name}: comparing {pair[0].name} with its challenger, {pair[1].name}")
        if model and pair and (earlier := predecessors.unchallenged):
            added = measure_challenger(earlier, model, pair, comparable, known, spec.drift.confidence, context)
            for note in added[1]:
                context.log.info(f"{name}: {note}")
            return take_over_numbers(identity, earlier, predecessors, context, added)
        seen = snapshot_side(
            comparable,
            known,
            against.left_out,
            model=model,
            cost_matrix=context.project.models[model_handle.name].cost_matrix if model_handle else None,
            sample_rows=max(SAMPLE_ROWS, spec.drift.max_rows),
            seed=spec.drift.seed,
            confidence=spec.drift.confidence,
            against=against,
            scored_by=model_handle.fingerprint if model_handle and spec.keeps_scored_rows else None,
            segments=find_segment_rules(name, context),
            segment_values=against.segment_values,
        )
        if model and pair:
            seen = add_advantage(seen, model, pair, comparable, known, spec.drift.confidence, context)
        seen = replace(seen, left_out=_list_new_columns(comparable, against, model))
        told = filter(None, [reference.note, SEEN_IN_TRAINING if rows is not batch else None])
        seen = replace(seen, notes=(*seen.notes, *told))
        read = dict.fromkeys([*batch.reading_notes(), *reference.reading_notes])
        seen = replace(seen, notes=(*seen.notes, *read))
        own_metrics = compute_custom_metrics(
            spec.metrics,
            _join_predictions(comparable, seen),
            context.project.code_of("evaluation_stores", name),
            context.secrets.redact,
        )
        importance = model.importance if model else None
        evaluation = evaluate_batch(
            identity,
            seen,
            against,
            spec.drift,
            model_importance=importance,
            own_metrics=own_metrics,
            estimates=find_estimate_settings(name, context, own_reference=is_own_reference(reference, batch, rows)),
            search=find_search_settings(name, context),
        )
        if predecessors.note:
            evaluation = replace(evaluation, notes=(predecessors.note, *evaluation.notes))
        superseded = predecessors.superseded
        with context.store.folders.stage() as files:
            seen.snapshot.save(files)
            context.datasets.files.verify()
            require_unchanged_rows(rows)
            context.store.evaluations.add(evaluation, files, supersedes=superseded.id if superseded else None)
    if evaluation.rows_read and not evaluation.columns:
        reasons = [f"{column} {reason}" for column, reason in evaluation.left_out.items()]
        context.log.warning(f"{name}: no column is compared: {join_some(reasons, SHOWN_REASONS) or 'there is none'}")
    for note in evaluation.notes:
        if note not in read and note != predecessors.note:  # logged when the dataset was read, or as a warning
            context.log.write("info" if evaluation.rows_read else "warning", f"{name}: {note}")
    return evaluation


def _select_rows(batch: Table, model_handle: models.ModelHandle | None, context: BuildContext) -> Table:
    """Return the batch; if the model was trained on it, its held-out rows alone."""
    original = batch.undisturbed or batch
    training = model_handle.training if model_handle else None
    if model_handle is None or training is None or original.fingerprint != training.fingerprint:
        return batch
    if model_handle.test is None:
        raise DataError(
            f"dataset {batch.name!r} is the data that model {model_handle.name} was trained on, and the bundle has no "
            "held-out rows: evaluate other data"
        )
    rows = replace(original, frame=model_handle.test.frame, inputs=(), files=None, rereadable=True, spark=None)
    return rows if original is batch else context.datasets.disturb_table(rows)


def _list_new_columns(table: Table, against: Snapshot, model: FittedModel | None) -> dict[str, str]:
    """Return a reason for each column that only the batch has, so that nothing is compared or ignored in silence.

    With a model, its features alone are compared.
    """
    if model is not None:
        return {}
    expected = {*against.columns.columns, *against.left_out, *against.absent, table.entity}
    return {name: "the reference has no such column" for name in table.frame.collect_schema() if name not in expected}


def _join_predictions(table: Table, seen: Observation) -> pl.LazyFrame:
    """Return the batch with the model's predictions as further columns, for custom metrics."""
    import polars as pl

    if seen.scored is None:
        return table.frame
    schema = table.frame.collect_schema()
    predicted = seen.scored.select(column for column in seen.scored.columns if column not in schema)
    return pl.concat([table.frame, predicted.lazy()], how="horizontal")
