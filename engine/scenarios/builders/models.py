"""Builds a model: trains a version if something that affects training has changed, else reuses the matching version."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import polars as pl

from engine import models
from engine.data import Table
from engine.evaluation.record import CheckResult
from engine.scenarios.actions import Action
from engine.scenarios.builders.datasets import Inspected, inspect
from engine.scenarios.builders.decision import Decision, reads_of
from engine.scenarios.changes import CANDIDATES, Why, why
from engine.scenarios.context import Context
from engine.spec.resources.models import TrainModel
from engine.store import ModelVersion

TEST_ROWS = "test.parquet"


@dataclass(frozen=True, slots=True)
class Version:
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

    def load(self, table: Table, context: Context) -> models.FittedModel:
        """Load the model, ready to score the table."""
        return models.load(context.project, self.name, table, self.trained.folder if self.trained else None)


def build(name: str, context: Context, found: list[CheckResult], *, force: bool = False) -> Version:
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
        facts = models.facts(context.project, name)
        return Version(name, facts, models.fingerprint(facts))
    inspected = inspect(spec.dataset, context, found)
    fit = models.fit_fingerprint(spec, inspected.table)
    # One training at a time: a second run waits here and then finds the version of the first.
    with context.lock(f"model {name}"):
        decision = decide(name, spec, inspected, fit, context, force=force)
        trained = decision.act(context)
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
    facts = models.facts(context.project, name, identity)
    return Version(
        name, facts, models.fingerprint(facts), trained, inspected.table, test, reused=decision.action.reused
    )


def decide(
    name: str, spec: TrainModel, inspected: Inspected, fit: str, context: Context, *, force: bool
) -> Decision[ModelVersion]:
    """Plan the training of a version: reuse the one with the same fingerprint, or train a new one."""
    table = inspected.table
    known = context.store.find_model_version(name, fit)
    if known is not None and not force:
        reused = Action(
            kind="train", target=name, result=f"version {known.version}", because="reused", reason="nothing has changed"
        )
        return Decision(reused, lambda: known, lambda: known)
    made = models.fit_facts(spec, table)
    facts = {
        "spec": {"model": made["spec"], "dataset": made["dataset"]},
        "datasets": table.provenance(),
        "versions": made["versions"],
    }
    newest = context.store.newest_model_version(name)
    if known is not None:
        reason = Why("forced", "mode: force", [])
    else:
        earlier = context.store.model_version_facts(name, CANDIDATES)
        places = {"model": ("models", name), "dataset": ("datasets", spec.dataset)}
        reason = why(facts, earlier, places, context.project, never="it was never trained", since="version ")
    rows = inspected.metrics["row_count"].value if "row_count" in inspected.metrics else None
    action = Action(
        kind="train",
        target=name,
        result=f"version {newest.version + 1 if newest else 1}",
        because=reason.because,
        reason=reason.reason,
        changes=reason.changes,
        reads=reads_of(table, context, rows),
    )

    def simulate() -> ModelVersion:
        """Store a version without a model and without held-out rows, in the copy of the state."""
        with context.store.staging() as folder:
            pl.DataFrame(schema=table.frame.collect_schema()).write_parquet(folder / TEST_ROWS)
            return context.store.add_model_version(name, fit, folder, facts)

    return Decision(action, lambda: _train(name, spec, table, fit, facts, context), simulate)


def _train(
    name: str, spec: TrainModel, table: Table, fit: str, facts: Mapping[str, Any], context: Context
) -> ModelVersion:
    """Train a version and store it, with its held-out rows."""
    context.log.info(f"model {name}: training {spec.algorithm} on dataset {table.name}")
    trained = models.train(name, spec, table)
    for note in trained.notes:
        context.log.info(f"model {name}: {note}")
    with context.store.staging() as folder:
        models.save(trained.model, folder)
        trained.test.write_parquet(folder / TEST_ROWS)
        version = context.store.add_model_version(name, fit, folder, facts)
    context.log.info(f"model {name}: version {version.version} trained, {trained.test.height:,} rows held out")
    return version
