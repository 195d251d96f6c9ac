"""Build an evaluation store: evaluate the batch as it is now, unless the very same has been evaluated before."""

from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from engine import drift
from engine.data import Table, materialise
from engine.data.fingerprints import HashesInMemory, of_file
from engine.data.functions import module_file
from engine.evaluation.evaluate import Identity, evaluate
from engine.evaluation.observe import Observation, observe
from engine.evaluation.own_metrics import own_metrics
from engine.evaluation.record import CheckResult, Evaluation, Fingerprints
from engine.evaluation.snapshot import digest
from engine.scenarios.build import models
from engine.scenarios.build.datasets import inspect
from engine.scenarios.build.references import SAMPLE_ROWS, Reference, by_entity, reference_of
from engine.scenarios.context import Context
from engine.store import new_id


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The evaluation of the batch as it is now, and whether it was there already."""

    evaluation: Evaluation
    reused: bool


def build(name: str, context: Context, found: list[CheckResult], *, force: bool = False) -> Evaluated:
    """Evaluate the store's batch; what the checks of the datasets found is added to `found`.

    Raises
    ------
    DataError, ModelError, StoreError
        As what it needs: datasets, the model, the reference, the state.
    ChecksFailed
        A check of a dataset is ERROR.
    """
    spec = context.project.evaluation_stores[name]
    batch = inspect(spec.dataset, context, found).table
    version = models.build(spec.model, context, found) if spec.model else None
    with context.lock(f"evaluation store {name}") as locked:
        reference = reference_of(name, batch, version, locked, found)
        fingerprints = Fingerprints(
            model=version.fingerprint if version else "",
            dataset=batch.fingerprint,
            reference=reference.fingerprint,
            parameters=_parameters(name, batch, locked),
        )
        known = None if force else locked.store.find_evaluation(name, fingerprints)
        if known is not None:
            locked.log.info(f"{name}: evaluation {known.name} reused, nothing has changed")
            return Evaluated(known, reused=True)
        return Evaluated(_evaluate(name, batch, version, reference, fingerprints, locked), reused=False)


def _parameters(name: str, batch: Table, context: Context) -> str:
    """Fingerprint of everything else that changes a number: settings, roles, own metrics, the kernel itself."""
    spec = context.project.evaluation_stores[name]
    folder = context.project.folder_of("evaluation_stores", name)
    own = {
        metric: [
            declared.model_dump(mode="json", include={"function", "arguments"}),
            of_file(module_file(folder, declared.function.partition(":")[0]), HashesInMemory()),
        ]
        for metric, declared in spec.metrics.items()
    }
    costs = context.project.models[spec.model].cost_matrix.model_dump() if spec.model else None
    settings = spec.drift.model_dump(mode="json")
    return digest([settings, batch.roles, batch.entity, own, costs, drift.KERNEL_VERSION])


def _evaluate(
    name: str,
    batch: Table,
    version: models.Version | None,
    reference: Reference,
    fingerprints: Fingerprints,
    context: Context,
) -> Evaluation:
    spec = context.project.evaluation_stores[name]
    created = context.clock()
    called = spec.evaluation.name or f"{created:%Y-%m-%d %H:%M:%S}"
    context.log.info(f"{name}: evaluating {called}, dataset {batch.name}")
    with context.store.staging() as folder, materialise(batch, folder / "rows") as rows:
        model = version.load(rows, context) if version else None
        against = reference.take(model, rows)
        steady = by_entity(rows, against.entity)
        seen = observe(
            steady,
            {column: profile.role for column, profile in against.columns.columns.items()},
            against.left_out,
            model=model,
            cost_matrix=context.project.models[version.name].cost_matrix if version else None,
            sample_rows=max(SAMPLE_ROWS, spec.drift.max_rows),
            seed=spec.drift.seed,
        )
        if reference.note:
            seen = replace(seen, notes=(*seen.notes, reference.note))
        evaluation = evaluate(
            Identity(
                id=new_id(created),
                store=name,
                name=called,
                labels=spec.evaluation.labels,
                created=created,
                fingerprints=fingerprints,
                run=context.run,
                model=spec.model,
                model_version=str(version.trained.version) if version and version.trained else None,
            ),
            seen,
            against,
            spec.drift,
            model_importance=model.importance if model else None,
            own_metrics=own_metrics(spec.metrics, _with_predictions(steady, seen), _folder(name, context)),
        )
        with context.store.staging() as files:
            seen.snapshot.save(files)
            context.store.add_evaluation(evaluation, files)
    for note in evaluation.notes:
        context.log.info(f"{name}: {note}")
    return evaluation


def _with_predictions(table: Table, seen: Observation) -> pl.LazyFrame:
    """Return the batch with what the model predicted beside it, for metrics that users write."""
    if seen.scored is None:
        return table.frame
    own = table.frame.collect_schema()
    predicted = seen.scored.select(column for column in seen.scored.columns if column not in own)
    return pl.concat([table.frame, predicted.lazy()], how="horizontal")


def _folder(name: str, context: Context) -> Any:
    return context.project.folder_of("evaluation_stores", name)
