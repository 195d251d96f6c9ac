"""Deployments on an automation node, over HTTP.

The node carries out updates itself and finishes them even if the client ends. Messages are shown as they arrive; a lost
connection is resumed after the last received event.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from engine.errors import EngineError, UsageError
from engine.formatting.numbers import format_bytes
from engine.service.deployments.deployed_state import DeployedState
from engine.service.deployments.node.client.client import NodeClient, quote_name
from engine.service.deployments.node.client.evaluations import NodeSource
from engine.service.deployments.node.client.failures import NodeError
from engine.service.deployments.node.requests import (
    AcceptedOperation,
    BundleAnswer,
    DeletedDeploymentAnswer,
    DeploymentAnswer,
    DeploymentList,
    DisableRequest,
    OperationEvent,
    OperationList,
    RollbackRequest,
    UpdateRequest,
)
from engine.service.deployments.project_status import ProjectStatus
from engine.service.deployments.removal import describe_state
from engine.service.deployments.updates.order import UpdateOrder
from engine.store.node import OperationRow

PATIENCE_SECONDS = 300.0
"""Seconds for which a node may be unreachable during an operation, such as for a restart."""

LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class NodeTarget:
    """The deployments on a node.

    Attributes
    ----------
    report
        Called with each progress message.
    """

    client: NodeClient
    report: Callable[[str], None] = lambda _: None
    pause: Callable[[float], None] = time.sleep

    def find(self, deployment: str) -> DeployedState | None:
        """Return the record of a deployment; None if nothing was deployed under that name."""
        try:
            return self.client.ask("GET", _path(deployment), DeploymentAnswer).state
        except NodeError as problem:
            if problem.status != 404:
                raise
        # A server without this API answers 404 to everything: only one that lists its deployments knows that there is
        # none.
        try:
            self.client.ask("GET", "/v1/deployments", DeploymentList)
        except NodeError as problem:
            if problem.status != 404:
                raise
            raise NodeError(
                f"what answers as the node {self.client.name!r} has no API /v1 of nodes: it is an engine serve without "
                "--node, or another version",
                404,
            ) from None
        return None

    def list_operations(self, deployment: str) -> list[OperationRow]:
        """Return the operations on a deployment with their steps and logs, oldest first."""
        if self.find(deployment) is None:
            return []
        return self.client.ask("GET", f"{_path(deployment)}/operations", OperationList).operations

    @contextmanager
    def open_evaluations(self, deployment: str) -> Iterator[NodeSource]:
        """Yield the source of a deployment's evaluations."""
        yield NodeSource(self.client, deployment)

    def read_status(self, deployment: str) -> ProjectStatus:
        """Return the status of a deployment according to the node."""
        return self.client.ask("GET", f"{_path(deployment)}/status", ProjectStatus)

    def update(self, order: UpdateOrder) -> OperationRow:
        """Request an update of the node, and return its finished operation.

        Raises
        ------
        NodeError, DeploymentRefusedError
            The node cannot be reached, or refuses the update.
        """
        self._bring_bundle(order)
        request = UpdateRequest(
            project=order.project,
            bundle=order.bundle,
            bundle_name=order.bundle_name,
            settings=dict(order.settings),
            expected_revision=order.expected,
            again=order.again,
            now=order.now,
        )
        path = f"{_path(order.deployment)}/updates"
        return self._follow(self.client.ask("POST", path, AcceptedOperation, body=request, key=order.key).operation)

    def roll_back(self, deployment: str, *, by: str, now: bool = False) -> OperationRow:
        """Request a rollback to the last healthy revision before the active one, with its settings."""
        active = self._get_active(deployment, "nothing is deployed yet, so there is nothing to go back to")
        request = RollbackRequest(expected_revision=active, now=now)
        path = f"{_path(deployment)}/rollback"
        return self._follow(self.client.ask("POST", path, AcceptedOperation, body=request).operation)

    def disable(self, deployment: str, *, by: str) -> OperationRow:
        """Disable the triggers of a deployment."""
        request = DisableRequest(expected_revision=self._get_active(deployment, "nothing is deployed yet"))
        path = f"{_path(deployment)}/disable"
        return self._follow(self.client.ask("POST", path, AcceptedOperation, body=request).operation)

    def delete(self, deployment: str, *, keep_state: bool = False) -> str:
        """Remove a deployment, and its state unless `keep_state`; return what was removed, empty if nothing."""
        if self.find(deployment) is None:
            return ""
        params = {"keep_state": "true"} if keep_state else None
        rows = ""
        try:
            rows = self.client.ask("DELETE", _path(deployment), DeletedDeploymentAnswer, params=params).rows
        except NodeError as problem:
            if problem.status != 404:  # the response to an earlier request was lost
                raise
        return f"it from the node {self.client.name}{describe_state(rows, kept=keep_state)}"

    def _get_active(self, deployment: str, without: str) -> int:
        found = self.find(deployment)
        if found is None or found.row.active_revision is None:
            raise UsageError(f"{deployment}: {without}")
        return found.row.active_revision

    def _bring_bundle(self, order: UpdateOrder) -> None:
        """Upload the archive of a bundle, unless the node has it with as many signatures."""
        path = f"/v1/bundles/{order.bundle}"
        size = None if order.archive is None else order.archive.stat().st_size
        try:
            if self.client.ask("GET", path, BundleAnswer).bundle.size == size:
                return
        except NodeError as problem:
            if problem.status != 404 or order.archive is None:
                raise
        if order.archive is not None and size is not None:
            sent = f"{order.bundle_name} ({order.bundle[:12]}), {format_bytes(size)}"
            self.report(f"sends {sent}, to the node {self.client.name}")
            self.client.send_file(path, order.archive, BundleAnswer)

    def _follow(self, operation: OperationRow) -> OperationRow:
        """Report the messages of an operation until it has ended, and return it."""
        try:
            return self._follow_events(operation)
        except (KeyboardInterrupt, EngineError):
            self.report(
                f"the node {self.client.name} continues the operation {operation.id}; engine deployments SPEC show "
                f"{operation.deployment} shows its result"
            )
            raise

    def _follow_events(self, operation: OperationRow) -> OperationRow:
        path, last, lost_since = f"/v1/operations/{quote_name(operation.id)}", 0, 0.0
        while True:
            try:
                for kind, data in self.client.stream_events(f"{path}/events", last):
                    lost_since = 0.0
                    if kind == "said":
                        event = self.client.parse(data, OperationEvent)
                        last = event.number
                        self.report(event.text)
                found = self.client.ask("GET", path, OperationRow)
                if found.ended is not None:
                    return found
            except NodeError as problem:
                if problem.status is not None:
                    raise
                now = time.monotonic()
                if not lost_since:
                    lost_since = now
                    self.report(f"the connection was lost ({problem}); tries again")
                if now - lost_since > PATIENCE_SECONDS:
                    raise
            self.pause(LOOK_SECONDS)


def _path(deployment: str) -> str:
    return f"/v1/deployments/{quote_name(deployment)}"
