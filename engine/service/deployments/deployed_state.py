"""The status of a deployment: its record in the infrastructure, and whether it is healthy."""

from dataclasses import dataclass
from datetime import datetime

from engine.store.node import DeploymentRow, Node, OperationRow, RevisionRow, RevisionState


@dataclass(frozen=True, slots=True)
class DeployedState:
    """The record of a deployment in its infrastructure.

    Attributes
    ----------
    row
        The row of the deployment.
    active
        Its active revision; None if there is none.
    open_operation
        An unfinished operation on it; None if there is none.
    at_work
        Whether a process carries out that operation.
    """

    row: DeploymentRow
    active: RevisionRow | None
    open_operation: OperationRow | None = None
    at_work: bool = False


def find_deployed(node: Node, deployment: str) -> DeployedState | None:
    """Return the record of a deployment in an infrastructure; None if nothing was deployed under its name."""
    row = node.find_deployment(deployment)
    if row is None:
        return None
    opened = next(iter(node.operations.list_open(deployment)), None)
    active = node.find_revision(deployment, row.active_revision)
    return DeployedState(row, active, opened, opened is not None and node.is_locked(deployment))


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """The current status of a deployment.

    Attributes
    ----------
    state
        HEALTHY; OUT_OF_SYNC: the spec differs from the active revision; ERROR; UNKNOWN: nothing is deployed, or an
        operation is unfinished.
    reasons
        Why it is not HEALTHY.
    revision, bundle, bundle_name
        The active revision and bundle; None if there is none.
    since, by
        When and by whom that revision was created.
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


def describe_found(name: str, infrastructure: str, found: DeployedState | None) -> DeploymentState:
    """Return the status of a deployment from its record, without a spec; `found` is None if nothing was deployed."""
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
        return [f"an update to revision {operation.to_revision} is running, by {operation.by}"]
    what = f"an update to revision {operation.to_revision} was interrupted after {operation.state}"
    return [f"{what}; the next engine deploy, rollback or serve concludes it"]
