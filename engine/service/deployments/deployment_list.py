"""The deployments of a spec as they are now, and the operations on them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from engine.service.deployments.settings import digest_settings, get_deployment, snapshot_settings
from engine.service.deployments.targets import DeployedState, open_target
from engine.spec import ProjectSpec
from engine.store.node import OperationRow, RevisionState


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """A deployment as it is now.

    Attributes
    ----------
    state
        HEALTHY; OUT_OF_SYNC: the spec says otherwise than what is active; ERROR; UNKNOWN: nothing is deployed, or an
        operation has no end yet.
    reasons
        Why it is not HEALTHY.
    revision, bundle, bundle_name
        What is active; None if nothing is.
    since, by
        When and by whom that revision was made.
    """

    name: str
    infrastructure: str
    state: str
    reasons: tuple[str, ...] = ()
    revision: int | None = None
    bundle: str | None = None
    bundle_name: str | None = None
    since: datetime | None = None
    by: str | None = None


def list_deployments(project: ProjectSpec, environ: Mapping[str, str]) -> list[DeploymentState]:
    """Return the deployments that a spec declares; nothing is changed, and nothing is concluded."""
    return [describe_deployment(project, name, environ) for name in project.resources.deployments]


def describe_deployment(project: ProjectSpec, name: str, environ: Mapping[str, str]) -> DeploymentState:
    """Return a deployment as it is now; raises UsageError if the spec has none of that name."""
    declared = get_deployment(project, name)
    found = open_target(project, declared.infrastructure, environ).find(name)
    state = describe_found(name, declared.infrastructure, found)
    active = None if found is None else found.active
    if active is None:
        return state
    differences = []
    if active.digest != digest_settings(snapshot_settings(project, name)):
        differences.append("the settings of the spec have changed since")
    if declared.bundle is not None and not _is_bundle(declared.bundle, active.bundle, active.bundle_name):
        differences.append(f"the spec says bundle {declared.bundle}")
    reasons = (*state.reasons, *differences)
    return replace(state, state="OUT_OF_SYNC" if differences and not state.reasons else state.state, reasons=reasons)


def describe_found(name: str, infrastructure: str, found: DeployedState | None) -> DeploymentState:
    """Return a deployment as it is where it lives, whatever a spec says of it; None: nothing was deployed there."""
    active = None if found is None else found.active
    if found is None or active is None:
        return DeploymentState(
            name, infrastructure, "UNKNOWN", (f"nothing is deployed yet; engine deploy SPEC {name} does it",)
        )
    errors = [found.row.error] if found.row.error else []
    if not found.row.enabled and not errors:
        errors.append("it is switched off: triggers start nothing")
    unknown = _describe_open(found)
    if active.state is RevisionState.NEW and not unknown:
        unknown = ["its health was not checked"]
    return DeploymentState(
        name,
        infrastructure,
        "ERROR" if errors else "UNKNOWN" if unknown else "HEALTHY",
        (*errors, *unknown),
        active.number,
        active.bundle,
        active.bundle_name,
        active.made,
        active.made_by,
    )


def _describe_open(found: DeployedState) -> list[str]:
    operation = found.open_operation
    if operation is None:
        return []
    if found.at_work:
        return [f"an update to revision {operation.to_revision} is at work, by {operation.by}"]
    what = f"an update to revision {operation.to_revision} was interrupted after {operation.state}"
    return [f"{what}; the next engine deploy, rollback or serve concludes it"]


def _is_bundle(named: str, id_: str, name: str) -> bool:
    return named == name or id_.startswith(named)


def list_operations(project: ProjectSpec, name: str, environ: Mapping[str, str]) -> list[OperationRow]:
    """Return the operations on a deployment, oldest first, each with its steps and their logs."""
    return open_target(project, get_deployment(project, name).infrastructure, environ).list_operations(name)
