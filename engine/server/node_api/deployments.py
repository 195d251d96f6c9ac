"""The requests about deployments and the operations on them. Long operations are executed by separate processes."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from engine.formatting.hints import did_you_mean
from engine.server.answers import AnswerError
from engine.server.callers import get_caller
from engine.server.node_api.events import find_operation
from engine.server.node_api.model_answers import answer_model, answer_row
from engine.server.requests import read_key
from engine.service.control import ServerControl
from engine.service.deployments.deployed_state import find_deployed
from engine.service.deployments.node.folder import NodeFolder
from engine.service.deployments.node.requests import (
    AcceptedOperation,
    DeletedDeploymentAnswer,
    DeploymentAnswer,
    DeploymentList,
    DisableRequest,
    OperationList,
    RollbackRequest,
    UpdateRequest,
)
from engine.service.deployments.node.updates import NodeUpdates
from engine.service.deployments.updates.order import DeploymentRefusedError, UpdateOrder
from engine.service.deployments.updates.start import find_rollback_target, order_back, order_off
from engine.spec.rules.names import explain_illegal_name
from engine.store.node import DeploymentRow, Node, OperationRow, RevisionRow

Begun = tuple[OperationRow, bool]
"""An operation, and whether this request has begun it."""


@dataclass(frozen=True, slots=True)
class DeploymentRequests:
    """Answers the requests about deployments. Each method is called in a thread."""

    node: Node
    updates: NodeUpdates
    folder: NodeFolder
    control: ServerControl

    def list_deployments(self, _request: Request) -> Response:
        """Return all deployments."""
        found = [find_deployed(self.node, row.name) for row in self.node.list_deployments()]
        return answer_model(DeploymentList(deployments=[one for one in found if one is not None]))

    def show_deployment(self, request: Request) -> Response:
        """Return one deployment."""
        name = request.path_params["name"]
        found = find_deployed(self.node, name)
        if found is None:
            raise explain_unknown_deployment(self.node, name)
        return answer_model(DeploymentAnswer(state=found))

    def delete_deployment(self, request: Request) -> Response:
        """Remove a deployment."""
        row = find_deployment_row(self.node, request.path_params["name"])
        keep_state = request.query_params.get("keep_state") == "true"
        rows = self.folder.delete_deployment(row.name, self.control.reload, keep_state=keep_state)
        return answer_model(DeletedDeploymentAnswer(deleted=row.name, rows=rows))

    def list_operations(self, request: Request) -> Response:
        """Return the operations on a deployment."""
        row = find_deployment_row(self.node, request.path_params["name"])
        return answer_model(OperationList(operations=self.node.operations.list_all(row.name)))

    def show_operation(self, request: Request) -> Response:
        """Return an operation."""
        return answer_row(find_operation(self.node, request.path_params["id"]))

    def update_deployment(self, request: Request, asked: UpdateRequest) -> Response:
        """Start an update."""
        return _answer_accepted(self.begin_update(request.path_params["name"], asked, *identify_request(request)))

    def roll_back_deployment(self, request: Request, asked: RollbackRequest) -> Response:
        """Start a rollback."""
        return _answer_accepted(self.begin_rollback(request.path_params["name"], asked, *identify_request(request)))

    def disable_deployment(self, request: Request, asked: DisableRequest) -> Response:
        """Start disabling a deployment."""
        return _answer_accepted(self.begin_disabling(request.path_params["name"], asked, *identify_request(request)))

    def begin_update(self, name: str, asked: UpdateRequest, key: str, by: str) -> Begun:
        """Start an update of a deployment; requests with the same key start only one."""
        for what, text in (("name", name), ("project", asked.project), ("bundle_name", asked.bundle_name)):
            if why := explain_illegal_name(text):
                raise AnswerError(422, f'"{what}" cannot be a name: {why}')
        order = UpdateOrder(
            deployment=name,
            project=asked.project,
            bundle=asked.bundle,
            bundle_name=asked.bundle_name,
            settings=asked.settings,
            archive=None,
            expected=asked.expected_revision,
            by=by,
            again=asked.again,
            now=asked.now,
            key=key,
        )
        return self.updates.begin(order, lambda: self._require_bundle(order))

    def begin_rollback(self, name: str, asked: RollbackRequest, key: str, by: str) -> Begun:
        """Start a rollback to the last healthy revision of a deployment."""
        if (known := self._find_known(name, key, "rollback", asked.expected_revision, now=asked.now)) is not None:
            return known, False
        row, active = self.get_active(name)
        _compare_expected(active, asked.expected_revision)
        target = find_rollback_target(self.node, active)
        return self.updates.begin(order_back(row, target, active.number, by, now=asked.now, key=key))

    def begin_disabling(self, name: str, asked: DisableRequest, key: str, by: str) -> Begun:
        """Start disabling a deployment."""
        if (known := self._find_known(name, key, "disable", asked.expected_revision, now=False)) is not None:
            return known, False
        row, active = self.get_active(name)
        if asked.expected_revision is not None:
            _compare_expected(active, asked.expected_revision)
        return self.updates.begin(order_off(row, active, by, key))

    def _require_bundle(self, order: UpdateOrder) -> None:
        """Raise AnswerError if the bundle of an update is not on the node, or belongs to another project."""
        bundle = self.folder.find_bundle(order.bundle)
        if bundle is None:
            help_ = f"send it first: PUT /v1/bundles/{order.bundle}"
            raise AnswerError(422, f"the bundle {order.bundle[:12]} is not on this node", help_)
        if bundle.project != order.project:
            message = f"the bundle {order.bundle[:12]} belongs to the project {bundle.project!r}"
            raise AnswerError(422, f"{message}, not of {order.project!r}")

    def _find_known(self, name: str, key: str, kind: str, expected: int | None, *, now: bool) -> OperationRow | None:
        """Return the operation with this key, if any; raise AnswerError if it is for another request."""
        known = self.node.operations.find_by_key(key)
        if known is None:
            return None
        begins = known.from_revision if expected is None else expected
        same = (known.deployment, known.kind, known.from_revision) == (name, kind, begins)
        if not (same and known.allows(now=now)):
            message = f"Idempotency-Key was used before, for the operation {known.id} on {known.deployment}"
            raise AnswerError(409, message, "take a new key for another request")
        return known

    def get_active(self, name: str) -> tuple[DeploymentRow, RevisionRow]:
        """Return a deployment and its active revision; raise AnswerError if there is none."""
        row = find_deployment_row(self.node, name)
        active = self.node.find_revision(row.name, row.active_revision)
        if active is None:
            raise AnswerError(409, f"{row.name}: nothing is active in it yet")
        return row, active


def identify_request(request: Request) -> tuple[str, str]:
    """Return the idempotency key of a request, and the name of the caller."""
    return read_key(request), get_caller(request).name


def _answer_accepted(begun: Begun) -> Response:
    operation, new = begun
    place = {"location": f"/v1/operations/{operation.id}"}
    return answer_model(AcceptedOperation(operation=operation, new=new), 202 if new else 200, place)


def find_deployment_row(node: Node, name: str) -> DeploymentRow:
    """Return the deployment with this name; raise AnswerError if there is none."""
    found = node.find_deployment(name)
    if found is None:
        raise explain_unknown_deployment(node, name)
    return found


def explain_unknown_deployment(node: Node, name: str) -> AnswerError:
    """Return the error for a deployment that does not exist."""
    help_ = did_you_mean(name, (row.name for row in node.list_deployments()), "the deployments are")
    return AnswerError(404, f'there is no deployment "{name[:60]}" on this node', help_)


def _compare_expected(active: RevisionRow, expected: int) -> None:
    if active.number != expected:
        raise DeploymentRefusedError(
            f"{active.deployment}: revision {active.number} is active, by {active.made_by} at "
            f"{active.made:%Y-%m-%d %H:%M:%S} UTC, and not revision {expected}: look at it first"
        )
