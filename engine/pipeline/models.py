"""Builds a model: trains a version if an input of the training has changed, otherwise reuses the matching version.

If the installed libraries cannot load a matching version, because other versions saved it, it is retrained from the
same data. Its held-out rows stay the same, and with them the reference of batches.

A version may be active, whatever the data are: in a deployment that of its release, elsewhere a promoted one.
Evaluation stores use it unchanged, without its training data. Only a step that builds the model itself trains another
version, unless the model is frozen.
"""

from __future__ import annotations  # the types of models are named here and loaded when they are used

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import polars as pl

from engine import models
from engine.data import Table
from engine.digests import digest_file
from engine.errors import ModelError
from engine.pipeline.actions import Action, Change
from engine.pipeline.changes import MAX_CANDIDATES, ChangeReason, explain_change
from engine.pipeline.context import BuildContext
from engine.pipeline.datasets import InspectedDataset, inspect_dataset
from engine.pipeline.decision import Decision, list_sources
from engine.spec.resources.models import TrainModel
from engine.store import ModelVersion


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The facts about the training dataset of a model, with its `table` only if it exists here."""

    fingerprint: str
    entity: str | None = None
    roles: Mapping[str, str] = field(default_factory=dict)
    table: Table | None = None

    @classmethod
    def recall(cls, spec: TrainModel, version: ModelVersion) -> TrainingData | None:
        """Return the recorded facts about the training data of a version; None for one of an early engine."""
        tables = version.facts.get("datasets", {})
        settings = version.facts.get("spec", {}).get("dataset", {})
        # The dataset follows its inputs, and may have had another name.
        name = version.facts.get("promoted", {}).get("dataset") or spec.dataset
        table = tables.get(name) or next(reversed(tables.values()), None)
        if table is None:
            return None
        roles = {name: column["role"] for name, column in settings.get("columns", {}).items()}
        return cls(table["fingerprint"], settings.get("entity"), roles)


class ModelHandle(NamedTuple):
    """A model that can be loaded.

    Attributes
    ----------
    facts
        The inputs of its fingerprint.
    trained
        The stored version; None if the engine did not train the model.
    training, test
        Its training dataset and its held-out rows; None if the engine did not train it, or a bundle lacks the rows.
    """

    name: str
    facts: Mapping[str, Any]
    fingerprint: str
    trained: ModelVersion | None = None
    training: TrainingData | None = None
    test: Table | None = None
    reused: bool = True

    def load(
        self, table: Table, context: BuildContext, reference_classes: Sequence[models.ClassValue] = ()
    ) -> models.FittedModel:
        """Load the model, ready to score the table; its classes are those of the reference if it has none."""
        folder, digests = (self.trained.folder, self.trained.files) if self.trained else (None, None)
        return models.load_model(
            context.project, self.name, table, folder, digests, reference_classes=reference_classes
        )


def use_model(name: str, context: BuildContext) -> ModelHandle:
    """Return the active version of a model, or else the result of `build_model`.

    Raises
    ------
    DataError, ModelError, ChecksFailed
        As `build_model`; or the installed libraries cannot use the active version.
    """
    active, spec = find_active_version(name, context)
    if active is None or spec is None:
        return build_model(name, context)
    obstacle = _find_obstacle(name, spec, active, context)
    if obstacle is not None:
        raise ModelError(
            f"model {name}: the active version {active.version} cannot be used: {obstacle.says}. Deploy a bundle whose "
            "model was made with the installed libraries, or build the model here"
        )
    origin = active.facts.get("promoted")
    where = f"promoted from {origin['model']} version {origin['version']}" if origin else "of this deployment"
    reason = f"it is the active version{',' if origin else ''} {where}"
    result = f"version {active.version}"
    context.journal.actions.append(Action(kind="train", target=name, result=result, because="reused", reason=reason))
    return _handle_version(name, active, TrainingData.recall(spec, active), context, reused=True)


def find_active_version(name: str, context: BuildContext) -> tuple[ModelVersion, TrainModel] | tuple[None, None]:
    """Return the active version of a model and the model's settings; None and None if no version is active."""
    spec = context.project.models[name]
    active = (
        context.store.models.find_active(name, context.project.revision_number)
        if isinstance(spec, TrainModel)
        else None
    )
    return (active, spec) if active is not None and isinstance(spec, TrainModel) else (None, None)


def build_model(name: str, context: BuildContext, *, force: bool = False) -> ModelHandle:
    """Return the model's version for the current spec and data; train one if there is none.

    Parameters
    ----------
    force
        Train even if nothing has changed.

    Raises
    ------
    DataError, ModelError
        Its dataset cannot be read, its files are missing, or it cannot be trained.
    ChecksFailed
        A check of its dataset has the outcome ERROR.
    """
    context = context.without_drill()
    spec = context.project.models[name]
    if not isinstance(spec, TrainModel):
        facts = models.collect_model_facts(context.project, name, context.datasets.files)
        return ModelHandle(name, facts, models.fingerprint_model(facts))
    if spec.frozen and not force and find_active_version(name, context)[0] is not None:
        return use_model(name, context)
    inspected = inspect_dataset(spec.dataset, context)
    fit = models.fingerprint_fit(spec, inspected.table)
    # One training at a time: a second run waits here and then finds the version of the first.
    with context.lock(f"model {name}"):
        decision = plan_training(name, spec, inspected, fit, context, force=force)
        trained = decision.apply(context)
        active, _ = find_active_version(name, context)
        if active is not None and active.version != trained.version:
            context.log.info(f"model {name}: version {trained.version} takes the place of version {active.version}")
            by = f"run {context.run}" if context.run else "a build"
            context.store.models.activate(trained, by, context.project.revision_number)
    if decision.action.reused:
        context.log.info(f"model {name}: {decision.action.reason}; version {trained.version} is reused")
    table = inspected.table
    training = TrainingData(table.fingerprint, table.entity, table.roles, table)
    return _handle_version(name, trained, training, context, reused=decision.action.reused)


def _handle_version(
    name: str, trained: ModelVersion, training: TrainingData | None, context: BuildContext, *, reused: bool
) -> ModelHandle:
    held_out = trained.folder / models.TEST_ROWS
    test = Table(
        name=f"held-out rows of {name}",
        frame=pl.scan_parquet(held_out, glob=False),
        fingerprint=trained.held_out,
        entity=training.entity if training else None,
        rereadable=True,
    )
    facts = models.collect_model_facts(context.project, name, context.datasets.files, trained.identity)
    fingerprint = models.fingerprint_model(facts)
    return ModelHandle(name, facts, fingerprint, trained, training, test if held_out.is_file() else None, reused=reused)


def plan_training(
    name: str, spec: TrainModel, inspected: InspectedDataset, fit: str, context: BuildContext, *, force: bool
) -> Decision[ModelVersion]:
    """Plan the training of a version: reuse the one with the same fingerprint, or train a new one.

    Raises
    ------
    ModelError
        The model is frozen and would be retrained, or a file of the version has changed.
    """
    table = inspected.table
    same = context.store.models.list_versions(name, fit)
    usable, obstacle = (None, None) if force else _find_usable_version(name, spec, same, context)
    if usable is not None:
        reused = Action(
            kind="train",
            target=name,
            result=f"version {usable.version}",
            because="reused",
            reason=obstacle.says if obstacle else "nothing has changed",
        )
        return Decision(reused, lambda: usable, lambda: usable)
    made = models.collect_fit_facts(spec, table)
    facts = context.secrets.redact_values(
        {
            "spec": {"model": made["spec"], "dataset": made["dataset"]},
            "datasets": table.provenance(),
            "versions": made["versions"],
        }
    )
    newest = context.store.models.find_newest(name)
    if obstacle is not None:
        reason = ChangeReason("changed", f"since version {same[0].version}", [_describe_obstacle(obstacle)])
    elif same:
        reason = ChangeReason("forced", "mode: force", [])
    else:
        earlier = context.store.models.list_facts(name, MAX_CANDIDATES)
        places = {"model": ("models", name), "dataset": ("datasets", spec.dataset)}
        reason = explain_change(facts, earlier, places, context.project, never="it was never trained", since="version ")
    if spec.frozen and newest is not None:
        raise ModelError(_refuse_training(name, newest, reason, obstacle))
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
        """Store a version without a model and held-out rows; a plan keeps it in memory."""
        held_out = {"held_out": same[0].held_out} if same else {}
        with context.store.folders.stage() as folder:
            pl.DataFrame(schema=table.frame.collect_schema()).write_parquet(folder / models.TEST_ROWS)
            return context.store.models.add(name, fit, folder, facts | held_out)

    replaced = same[0] if same else None
    return Decision(action, lambda: _train_version(name, spec, table, fit, facts, replaced, context), simulate)


def _find_usable_version(
    name: str, spec: TrainModel, versions: Sequence[ModelVersion], context: BuildContext
) -> tuple[ModelVersion | None, models.VersionObstacle | None]:
    """Return the newest version that the installed libraries can use, and why a newer one was skipped, or None.

    If two installations share a state, each has a version that it can use.
    """
    first = None
    for version in versions:
        obstacle = _find_obstacle(name, spec, version, context)
        if obstacle is None:
            return version, first
        first = first or obstacle
    return None, first


def _describe_obstacle(obstacle: models.VersionObstacle) -> Change:
    return Change(
        kind="version",
        what="libraries",
        before=dict(obstacle.saved_by),
        after=dict(obstacle.installed),
        says=obstacle.says,
    )


def _find_obstacle(
    name: str, spec: TrainModel, stored: ModelVersion, context: BuildContext
) -> models.VersionObstacle | None:
    """Return why the installed libraries cannot use the stored version; record it and return None if they can."""
    found = models.find_obstacle(
        name, spec, stored.folder, stored.version, stored.files, stored.confirmed, context.hashes
    )
    if isinstance(found, models.VersionObstacle):
        return found
    if found != stored.confirmed:
        context.store.models.confirm(stored, found)
    return None


def _refuse_training(
    name: str, newest: ModelVersion, reason: ChangeReason, obstacle: models.VersionObstacle | None
) -> str:
    """Return the message for a frozen model that would be retrained."""
    changes = "; ".join(change.says for change in reason.changes) or reason.reason
    remedy = "undo the change"
    if obstacle is not None:
        exact = " ".join(f"{library}=={then}" for library, then in obstacle.saved_by.items() if library != "python")
        remedy = f"install {exact}" if exact else f"use Python {obstacle.saved_by.get('python')}"
    return (
        f"model {name} is frozen, but version {newest.version} would be replaced by a new one: {changes}. To keep it, "
        f"{remedy}; to train it again, remove frozen: true"
    )


def _train_version(
    name: str,
    spec: TrainModel,
    table: Table,
    fit: str,
    facts: Mapping[str, Any],
    replaced: ModelVersion | None,
    context: BuildContext,
) -> ModelVersion:
    """Train a version and store it with its held-out rows, which are those of a replaced version for the same data."""
    from engine.data.fingerprints import hash_frame

    context.log.info(f"model {name}: training {spec.algorithm} on dataset {table.name}")
    kept = _read_held_out(name, replaced, context) if replaced else None
    trained = models.train_model(name, spec, table, kept)
    context.datasets.files.verify()
    held_out = hash_frame(trained.held_out)
    if kept is not None and replaced is not None:
        if trained.same_rows:
            held_out = replaced.held_out  # for an early version, this is not a digest of the rows
        else:
            context.log.warning(
                f"model {name}: the held-out rows of version {replaced.version} are not all in dataset {table.name} "
                "as it is read now, so other rows are held out: the reference changes"
            )
    for note in trained.notes:
        context.log.info(f"model {name}: {note}")
    with context.store.folders.stage() as folder:
        models.save_trained(trained, folder)
        kept_facts = {**facts, "files": models.digest_files(folder), "held_out": held_out}
        version = context.store.models.add(name, fit, folder, kept_facts, models.identify_version(folder))
    context.log.info(f"model {name}: version {version.version} trained, {trained.held_out.height:,} rows held out")
    return version


def _read_held_out(name: str, version: ModelVersion, context: BuildContext) -> pl.DataFrame | None:
    """Return the held-out rows of a version; log a line and return None if they were changed."""
    path = version.folder / models.TEST_ROWS
    try:
        if version.files and digest_file(path) != version.files[models.TEST_ROWS]:
            raise OSError(f"{path} has changed since the engine wrote it")
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        context.log.warning(
            f"model {name}: the held-out rows of version {version.version} cannot be used, so rows are drawn again: "
            f"{error}"
        )
        return None
