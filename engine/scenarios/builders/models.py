"""Builds a model: trains a version if something that affects training has changed, else reuses the matching version."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from engine import models
from engine.data import Table
from engine.evaluation.record import CheckResult
from engine.scenarios.actions import Action
from engine.scenarios.builders.datasets import InspectedDataset, inspect_dataset
from engine.scenarios.builders.decision import Decision, list_sources
from engine.scenarios.changes import MAX_CANDIDATES, ChangeReason, explain_change
from engine.scenarios.context import Context
from engine.spec.resources.models import TrainModel
from engine.store import ModelVersion

TEST_ROWS = "test.parquet"


@dataclass(frozen=True, slots=True)
class ModelHandle:
    """A model that can be loaded.

    Attributes
    ----------
    facts
        What its fingerprint is computed from.
    trained
        The stored version; None if the model was not trained by the engine.
    training, test
        The dataset that it was trained on, and its held-out rows; None likewise.
    """

    name: str
    facts: Mapping[str, Any]
    fingerprint: str
    trained: ModelVersion | None = None
    training: Table | None = None
    test: Table | None = None
    reused: bool = True

    def load(
        self, table: Table, context: Context, reference_classes: Sequence[models.ClassValue] = ()
    ) -> models.FittedModel:
        """Load the model, ready to score the table; its classes are those of the reference if it does not know them."""
        folder = self.trained.folder if self.trained else None
        return models.load_model(context.project, self.name, table, folder, reference_classes=reference_classes)


def build_model(name: str, context: Context, found: list[CheckResult], *, force: bool = False) -> ModelHandle:
    """Return the model's version for the current spec and data; train one if there is none.

    Parameters
    ----------
    found
        The results of its dataset's checks are appended to it.
    force
        Train even if nothing has changed.

    Raises
    ------
    DataError, ModelError
        Its dataset cannot be read, its files are missing, or it cannot be trained.
    ChecksFailed
        A check of its dataset is ERROR.
    """
    spec = context.project.models[name]
    if not isinstance(spec, TrainModel):
        facts = models.collect_model_facts(context.project, name)
        return ModelHandle(name, facts, models.fingerprint_model(facts))
    inspected = inspect_dataset(spec.dataset, context, found)
    fit = models.fingerprint_fit(spec, inspected.table)
    # One training at a time: a second run waits here and then finds the version of the first.
    with context.lock(f"model {name}"):
        decision = plan_training(name, spec, inspected, fit, context, force=force)
        trained = decision.apply(context)
    if decision.action.reused:
        context.log.info(f"model {name}: nothing has changed; version {trained.version} is reused")
    identity = f"{fit}.{trained.version}"
    test = Table(
        name=f"held-out rows of {name}",
        frame=pl.scan_parquet(trained.folder / TEST_ROWS, glob=False),
        fingerprint=identity,
        entity=inspected.table.entity,
        rereadable=True,
    )
    facts = models.collect_model_facts(context.project, name, identity)
    return ModelHandle(
        name, facts, models.fingerprint_model(facts), trained, inspected.table, test, reused=decision.action.reused
    )


def plan_training(
    name: str, spec: TrainModel, inspected: InspectedDataset, fit: str, context: Context, *, force: bool
) -> Decision[ModelVersion]:
    """Plan the training of a version: reuse the one with the same fingerprint, or train a new one."""
    table = inspected.table
    stored = context.store.find_model_version(name, fit)
    if stored is not None and not force:
        reused = Action(
            kind="train",
            target=name,
            result=f"version {stored.version}",
            because="reused",
            reason="nothing has changed",
        )
        return Decision(reused, lambda: stored, lambda: stored)
    made = models.collect_fit_facts(spec, table)
    facts = {
        "spec": {"model": made["spec"], "dataset": made["dataset"]},
        "datasets": table.provenance(),
        "versions": made["versions"],
    }
    newest = context.store.find_newest_model_version(name)
    if stored is not None:
        reason = ChangeReason("forced", "mode: force", [])
    else:
        earlier = context.store.list_model_version_facts(name, MAX_CANDIDATES)
        places = {"model": ("models", name), "dataset": ("datasets", spec.dataset)}
        reason = explain_change(facts, earlier, places, context.project, never="it was never trained", since="version ")
    rows = inspected.metrics["row_count"].value if "row_count" in inspected.metrics else None
    action = Action(
        kind="train",
        target=name,
        result=f"version {newest.version + 1 if newest else 1}",
        because=reason.cause,
        reason=reason.reason,
        changes=reason.changes,
        reads=list_sources(table, context, rows),
    )

    def simulate() -> ModelVersion:
        """Store a version without a model and without held-out rows, in the copy of the state."""
        with context.store.stage_folder() as folder:
            pl.DataFrame(schema=table.frame.collect_schema()).write_parquet(folder / TEST_ROWS)
            return context.store.add_model_version(name, fit, folder, facts)

    return Decision(action, lambda: _train_version(name, spec, table, fit, facts, context), simulate)


def _train_version(
    name: str, spec: TrainModel, table: Table, fit: str, facts: Mapping[str, Any], context: Context
) -> ModelVersion:
    """Train a version and store it, with its held-out rows."""
    context.log.info(f"model {name}: training {spec.algorithm} on dataset {table.name}")
    trained = models.train_model(name, spec, table)
    for note in trained.notes:
        context.log.info(f"model {name}: {note}")
    with context.store.stage_folder() as folder:
        models.save_trained(trained.model, folder)
        trained.held_out.write_parquet(folder / TEST_ROWS)
        version = context.store.add_model_version(name, fit, folder, facts)
    context.log.info(f"model {name}: version {version.version} trained, {trained.held_out.height:,} rows held out")
    return version
