"""Starts operations on deployments: refuses them, or records them as rows.

A server starts operations and a process carries them out, so nothing here loads what only the process needs. Callers of
these functions hold the lock of the deployment.
"""

from typing import Any

from engine.formatting.moments import format_second
from engine.service.deployments.settings import digest_settings
from engine.service.deployments.updates.order import DeploymentRefusedError, UpdateOrder
from engine.store.node import DeploymentRow, Node, OperationRow, RevisionRow, RevisionState


def refuse_unexpected(node: Node, deployment: DeploymentRow, order: UpdateOrder) -> None:
    """Raise DeploymentRefusedError after a concurrent change, or if the bundle is quarantined."""
    if deployment.active_revision != order.expected:
        newest = node.find_revision(deployment.name, deployment.active_revision)
        whom = f", by {newest.made_by} at {format_second(newest.made)}" if newest else ""
        raise DeploymentRefusedError(
            f"{deployment.name}: revision {deployment.active_revision} is active{whom}, and not revision "
            f"{order.expected} from which this update starts: look at it, and deploy again if that is still wanted"
        )
    if order.kind == "deploy" and not order.again and (why := deployment.quarantined.get(order.bundle)):
        raise DeploymentRefusedError(
            f"{deployment.name}: the bundle {order.bundle_name} was rolled back here ({why}); with --again it is tried "
            "once more"
        )


def begin_operation(node: Node, deployment: DeploymentRow, order: UpdateOrder) -> OperationRow:
    """Record an operation, with the revision that it will activate."""
    revision = {
        "deployment": deployment.name,
        "number": node.next_revision(deployment.name),
        "bundle": order.bundle,
        "bundle_name": order.bundle_name,
        "settings": dict(order.settings),
        "digest": digest_settings(order.settings),
        "made": node.database.now(),
        "made_by": order.by,
        "state": str(RevisionState.NEW),
    }
    return node.operations.begin(
        deployment.name,
        order.kind,
        deployment.active_revision,
        revision,
        order.by,
        order.key,
        again=order.again,
        now=order.now,
    )


def find_healthy(node: Node, deployment: str, *, before: int, unlike: RevisionRow | None = None) -> RevisionRow | None:
    """Return the newest healthy revision of a deployment before a number; None if there is none.

    Parameters
    ----------
    unlike
        A revision whose bundle and settings are excluded.
    """
    same: tuple[Any, Any] = (None, None) if unlike is None else (unlike.bundle, unlike.digest)
    found = [
        row
        for row in node.list_revisions(deployment)
        if row.number < before and row.state is RevisionState.HEALTHY and (row.bundle, row.digest) != same
    ]
    return found[-1] if found else None


def find_rollback_target(node: Node, active: RevisionRow) -> RevisionRow:
    """Return the revision for a rollback from the active one; raise DeploymentRefusedError if there is none."""
    target = find_healthy(node, active.deployment, before=active.number, unlike=active)
    if target is None:
        raise DeploymentRefusedError(
            f"{active.deployment}: there is no healthy revision before revision {active.number} to go back to; "
            f"engine deployments SPEC disable {active.deployment} lets its triggers start nothing"
        )
    return target


def order_back(
    deployment: DeploymentRow,
    target: RevisionRow,
    expected: int | None,
    by: str,
    *,
    now: bool = True,
    key: str | None = None,
) -> UpdateOrder:
    """Return the order that activates an earlier revision again, with its settings."""
    return UpdateOrder(
        deployment=deployment.name,
        project=deployment.project,
        bundle=target.bundle,
        bundle_name=target.bundle_name,
        settings={name: value for name, value in target.settings.items() if name != "off"},
        archive=None,
        expected=expected,
        by=by,
        kind="rollback",
        now=now,
        key=key,
    )


def order_off(deployment: DeploymentRow, row: RevisionRow, by: str, key: str | None = None) -> UpdateOrder:
    """Return the order that disables the triggers of a deployment."""
    return UpdateOrder(
        deployment=deployment.name,
        project=deployment.project,
        bundle=row.bundle,
        bundle_name=row.bundle_name,
        settings={**row.settings, "off": True},
        archive=None,
        expected=row.number,
        by=by,
        kind="disable",
        key=key,
    )
