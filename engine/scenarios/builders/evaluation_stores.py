"""Builds an evaluation store: evaluates the current batch, unless the same batch has been evaluated before."""

from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from engine import drift
from engine.data import Table, materialise
from engine.data.fingerprints import HashesInMemory, of_file
from engine.data.functions import module_file
from engine.evaluation.evaluate import Identity, evaluate, without_numbers
from engine.evaluation.observe import Observation, observe
from engine.evaluation.own_metrics import own_metrics
from engine.evaluation.record import CheckResult, Evaluation, Fingerprints
from engine.evaluation.snapshot import digest
from engine.scenarios.actions import Action
from engine.scenarios.builders import models
from engine.scenarios.builders.datasets import Inspected, inspect
from engine.scenarios.builders.decision import Decision, reads_of
from engine.scenarios.builders.references import SAMPLE_ROWS, Look, Reference, by_entity, reference_of
from engine.scenarios.changes import CANDIDATES, Why, why
from engine.scenarios.context import Context
from engine.spec.resources.resource import facts_of
from engine.store import new_id


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The evaluation of the current batch, and whether an earlier one was reused."""

    evaluation: Evaluation
    reused: bool


def build(name: str, context: Context, found: list[CheckResult], *, force: bool = False) -> Evaluated:
    """Evaluate the store's batch, after building its dataset and its model.

    Parameters
    ----------
    found
        The results of the datasets' checks are appended to it.
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
    inspected = inspect(spec.dataset, context, found)
    batch = inspected.table
    version = models.build(spec.model, context, found) if spec.model else None
    # One writer at a time: a second run waits here and then finds the evaluation of the first.
    with context.lock(f"evaluation store {name}") as locked:
        reference = reference_of(name, batch, version, locked, found)
        decision = decide(name, inspected, version, reference, locked, force=force)
        evaluation = decision.act(locked)
        if decision.action.reused:
            locked.log.info(f"{name}: nothing has changed; evaluation {evaluation.name} is reused")
        return Evaluated(evaluation, decision.action.reused)


def decide(
    name: str,
    inspected: Inspected,
    version: models.Version | None,
    reference: Reference,
    context: Context,
    *,
    force: bool,
) -> Decision[Evaluation]:
    """Plan the evaluation of the batch: reuse one with the same fingerprints, or make one, profiling the reference."""
    spec = context.project.evaluation_stores[name]
    batch = inspected.table
    facts = _facts(name, batch, version, reference, context)
    fingerprints = Fingerprints(
        model=version.fingerprint if version else "",
        dataset=batch.fingerprint,
        reference=reference.fingerprint,
        parameters=digest([facts["spec"], sorted(facts["code"].values()), facts["versions"]]),
    )
    known = context.store.find_evaluation(name, fingerprints)
    if known is not None and not force:
        reused = Action(kind="evaluate", target=name, result=known.name, because="reused", reason="nothing has changed")
        return Decision(reused, lambda: known, lambda: known)
    if known is not None:
        reason = Why("forced", "mode: force", [])
    else:
        earlier = context.store.evaluation_facts(name, CANDIDATES)
        places = {"store": ("evaluation_stores", name), "dataset": ("datasets", spec.dataset)}
        if spec.model:
            places["model"] = ("models", spec.model)
        reason = why(facts, earlier, places, context.project, never="it was never evaluated", since="evaluation ")
    profile = reference.decide(batch)
    context.actions.append(profile.action)
    rows = inspected.metrics["row_count"].value if "row_count" in inspected.metrics else None
    action = Action(
        kind="evaluate",
        target=name,
        result=spec.evaluation.name or "",
        because=reason.because,
        reason=reason.reason,
        changes=reason.changes,
        reads=reads_of(batch, context, rows),
        notes=[reference.note] if reference.note else [],
    )
    created = context.clock()
    identity = Identity(
        id=new_id(created),
        store=name,
        name=spec.evaluation.name or f"{created:%Y-%m-%d %H:%M:%S}",
        labels=spec.evaluation.labels,
        created=created,
        fingerprints=fingerprints,
        run=context.run,
        model=spec.model,
        model_version=str(version.trained.version) if version and version.trained else None,
        facts=facts,
    )

    def simulate() -> Evaluation:
        profile.pretend()
        evaluation = without_numbers(identity)
        context.store.add_evaluation(evaluation)
        return evaluation

    return Decision(action, lambda: _evaluate(identity, batch, version, reference, profile, context), simulate)


def _facts(
    name: str, batch: Table, version: models.Version | None, reference: Reference, context: Context
) -> dict[str, Any]:
    """Return everything that the numbers depend on: data, model, reference, settings, custom metrics, kernel."""
    spec = context.project.evaluation_stores[name]
    folder = context.project.folder_of("evaluation_stores", name)
    custom = {metric: facts_of(declared, {"function", "arguments"}) for metric, declared in spec.metrics.items()}
    modules = {module_file(folder, declared["function"].partition(":")[0]) for declared in custom.values()}
    code = {path.name: of_file(path, HashesInMemory()) for path in sorted(modules)}
    model: dict[str, Any] = {}
    if version:
        model = {**version.facts["spec"], **facts_of(context.project.models[version.name], {"cost_matrix"})}
        code |= version.facts["code"]
    return {
        "spec": {
            "store": {**facts_of(spec, {"drift"}), "metrics": custom},
            "dataset": {
                "entity": batch.entity,
                "columns": {column: {"role": role} for column, role in batch.roles.items()},
            },
            "model": model,
        },
        "datasets": batch.provenance(),
        "code": code,
        "versions": {"kernel": drift.KERNEL_VERSION},
        "model": f"version {version.trained.version}" if version and version.trained else None,
        "reference": reference.facts,
    }


def _evaluate(
    identity: Identity,
    batch: Table,
    version: models.Version | None,
    reference: Reference,
    profile: Look,
    context: Context,
) -> Evaluation:
    """Compute an evaluation and store it, with the snapshot of its batch."""
    name = identity.store
    spec = context.project.evaluation_stores[name]
    context.log.info(f"{name}: evaluating {identity.name}, dataset {batch.name}")
    with context.store.staging() as folder, materialise(batch, folder / "rows") as table:
        model = version.load(table, context) if version else None
        against = profile.do(model)
        # The batch is measured by the reference's entity and roles, so that both sides are comparable.
        steady = by_entity(table, against.entity)
        seen = observe(
            steady,
            {name: column.role for name, column in against.columns.columns.items()},
            against.left_out,
            model=model,
            cost_matrix=context.project.models[version.name].cost_matrix if version else None,
            sample_rows=max(SAMPLE_ROWS, spec.drift.max_rows),
            seed=spec.drift.seed,
            against=against,
        )
        if reference.note:
            seen = replace(seen, notes=(*seen.notes, reference.note))
        evaluation = evaluate(
            identity,
            seen,
            against,
            spec.drift,
            model_importance=model.importance if model else None,
            own_metrics=own_metrics(
                spec.metrics, _with_predictions(steady, seen), _folder(name, context), context.secrets.redact
            ),
        )
        with context.store.staging() as files:
            seen.snapshot.save(files)
            context.store.add_evaluation(evaluation, files)
    for note in evaluation.notes:
        context.log.info(f"{name}: {note}")
    return evaluation


def _with_predictions(table: Table, seen: Observation) -> pl.LazyFrame:
    """Return the batch with the model's predictions as further columns, for custom metrics."""
    if seen.scored is None:
        return table.frame
    schema = table.frame.collect_schema()
    predicted = seen.scored.select(column for column in seen.scored.columns if column not in schema)
    return pl.concat([table.frame, predicted.lazy()], how="horizontal")


def _folder(name: str, context: Context) -> Any:
    return context.project.folder_of("evaluation_stores", name)
