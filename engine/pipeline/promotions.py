"""Promotes a candidate: one of its versions becomes the next and active version of another model."""

import shutil

from engine import models
from engine.acting_user import describe_acting_user
from engine.errors import ModelError
from engine.pipeline.actions import Action
from engine.pipeline.context import BuildContext
from engine.pipeline.decision import Decision
from engine.store import ModelVersion


def plan_promotion(model: str, candidate: str, context: BuildContext) -> Decision[ModelVersion]:
    """Plan to make a version of the candidate the active one of `model`: the measured one of this run, or the newest.

    If `model` has the same version already, that one is activated and nothing is copied.

    Raises
    ------
    ModelError
        The candidate was never trained; or, when the promotion is executed, a file of it has changed.
    """
    versions = context.store.models
    source = _find_measured(candidate, context) or versions.find_newest(candidate)
    if source is None:
        raise ModelError(f"model {candidate} was never trained, so it cannot be promoted: build it in a step before")
    present = versions.find_active(model, context.project.revision_number) or versions.find_newest(model)
    origin = f"{candidate} version {source.version}"
    if present is not None and present.identity == source.identity:
        result = f"version {present.version}"
        action = Action(
            kind="promote", target=model, result=result, because="reused", reason=f"{origin} is already in use"
        )
        return Decision(action, lambda: present, lambda: present)
    known = versions.find_same(model, source.identity)
    newest = versions.find_newest(model)
    number = known.version if known else newest.version + 1 if newest else 1
    instead = f", in place of version {present.version}" if present else ""
    action = Action(
        kind="promote",
        target=model,
        result=f"version {number}",
        because="changed",
        reason=f"promoted from {origin}{instead}",
    )

    def promote() -> ModelVersion:
        version = known or _copy_version(source, model, context)
        by = f"run {context.run}" if context.run else "a promotion"
        versions.activate(version, by, context.project.revision_number)
        return version

    return Decision(action, promote, promote)  # a plan adds and activates it in memory only


def _find_measured(candidate: str, context: BuildContext) -> ModelVersion | None:
    """Return the version of a candidate in the last evaluation of this run that measured it; None if there is none."""
    for name, evaluation in reversed(list(context.built.items())):
        store = context.project.evaluation_stores[name]
        facts = context.store.evaluations.get(evaluation).facts
        measured = None
        if store.challenger == candidate:
            measured = facts["challenger"]["version"]
        elif store.model == candidate:
            measured = facts["model"]
        if measured is not None:
            return context.store.models.find(candidate, int(measured.removeprefix("version ")))
    return None


def _copy_version(source: ModelVersion, model: str, context: BuildContext) -> ModelVersion:
    """Add a version of another model as the next version of `model`; its facts record the origin and the user."""
    declared = context.project.models[source.model]
    promoted = {
        "model": source.model,
        "version": source.version,
        "dataset": getattr(declared, "dataset", None),
        "by": describe_acting_user(),
        "at": context.clock().isoformat(timespec="seconds"),
    }
    with context.store.folders.stage() as folder:
        try:
            shutil.copytree(source.folder, folder, dirs_exist_ok=True)
        except OSError as error:
            found = error.args[0][0][2] if isinstance(error, shutil.Error) else error  # one entry per file
            raise ModelError(
                f"model {source.model}: the files of version {source.version} cannot be copied ({found}), so it is "
                "not promoted; if they are gone, train it again"
            ) from error
        if source.files and models.digest_files(folder) != source.files:
            raise ModelError(
                f"model {source.model}: a file of version {source.version} has changed since the engine wrote it, so "
                "it is not promoted: train it again"
            )
        facts = {**source.facts, "held_out": source.held_out, "promoted": promoted}
        return context.store.models.add(model, source.fingerprint, folder, facts, source.identity)
