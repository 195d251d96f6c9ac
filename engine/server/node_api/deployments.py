"""The requests about deployments and the operations on them. What takes long is begun, and done by processes."""

from collections.abc import Callable
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
from engine.service.deployments.node_folder import NodeFolder
from engine.service.deployments.node_requests import (
    AcceptedOperation,
    DeletedAnswer,
    DeploymentAnswer,
    DeploymentList,
    DisableRequest,
    OperationList,
    RollbackRequest,
    UpdateRequest,
)
from engine.service.deployments.node_updates import NodeUpdates
from engine.service.deployments.targets import find_deployed
from engine.service.deployments.update_order import DeploymentRefusedError, UpdateOrder
from engine.service.deployments.update_start import find_rollback_target, order_back, order_off
from engine.spec.rules.names import explain_illegal_name
from engine.store.node import DeploymentRow, Node, OperationRow, RevisionRow


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
        self.folder.delete_deployment(row.name, self.control.reload)
        return answer_model(DeletedAnswer(deleted=row.name))

    def list_operations(self, request: Request) -> Response:
        """Return the operations on a deployment."""
        row = find_deployment_row(self.node, request.path_params["name"])
        return answer_model(OperationList(operations=self.node.operations.list_all(row.name)))

    def show_operation(self, request: Request) -> Response:
        """Return an operation."""
        return answer_row(find_operation(self.node, request.path_params["id"]))

    def update_deployment(self, request: Request, asked: UpdateRequest) -> Response:
        """Begin an update."""
        name = request.path_params["name"]
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
            by=get_caller(request).name,
            again=asked.again,
            now=asked.now,
            key=read_key(request),
        )
        return self._begin(order, lambda: self._require_bundle(order))

    def roll_back_deployment(self, request: Request, asked: RollbackRequest) -> Response:
        """Begin a rollback."""
        key, by = read_key(request), get_caller(request).name
        if (known := self._find_known(request, key, "rollback", asked.expected_revision)) is not None:
            return self._answer_accepted(known, new=False)
        row, active = self._get_active(request)
        _compare_expected(active, asked.expected_revision)
        target = find_rollback_target(self.node, active)
        return self._begin(order_back(row, target, active.number, by, now=asked.now, key=key))

    def disable_deployment(self, request: Request, asked: DisableRequest) -> Response:
        """Begin to switch a deployment off."""
        key, by = read_key(request), get_caller(request).name
        if (known := self._find_known(request, key, "disable", asked.expected_revision)) is not None:
            return self._answer_accepted(known, new=False)
        row, active = self._get_active(request)
        if asked.expected_revision is not None:
            _compare_expected(active, asked.expected_revision)
        return self._begin(order_off(row, active, by, key))

    def _begin(self, order: UpdateOrder, prepare: Callable[[], None] = lambda: None) -> Response:
        operation, new = self.updates.begin(order, prepare)
        return self._answer_accepted(operation, new=new)

    def _answer_accepted(self, operation: OperationRow, *, new: bool) -> Response:
        place = {"location": f"/v1/operations/{operation.id}"}
        return answer_model(AcceptedOperation(operation=operation, new=new), 202 if new else 200, place)

    def _require_bundle(self, order: UpdateOrder) -> None:
        """Refuse an update to a bundle that is not here, or that is one of another project."""
        bundle = self.folder.find_bundle(order.bundle)
        if bundle is None:
            help_ = f"send it first: PUT /v1/bundles/{order.bundle}"
            raise AnswerError(422, f"the bundle {order.bundle[:12]} is not on this node", help_)
        if bundle.project != order.project:
            message = f"the bundle {order.bundle[:12]} is one of the project {bundle.project!r}"
            raise AnswerError(422, f"{message}, not of {order.project!r}")

    def _find_known(self, request: Request, key: str, kind: str, expected: int | None) -> OperationRow | None:
        """Return the operation of a key; raises AnswerError if it is another one than is asked for."""
        known = self.node.operations.find_by_key(key)
        if known is None:
            return None
        begins = known.from_revision if expected is None else expected
        if (known.deployment, known.kind, known.from_revision) != (request.path_params["name"], kind, begins):
            message = f"Idempotency-Key was used before, for the operation {known.id} on {known.deployment}"
            raise AnswerError(409, message, "take a new key for another request")
        return known

    def _get_active(self, request: Request) -> tuple[DeploymentRow, RevisionRow]:
        row = find_deployment_row(self.node, request.path_params["name"])
        active = self.node.find_revision(row.name, row.active_revision)
        if active is None:
            raise AnswerError(409, f"{row.name}: nothing is active in it yet")
        return row, active


def find_deployment_row(node: Node, name: str) -> DeploymentRow:
    """Return a deployment; raises AnswerError if there is none of that name."""
    found = node.find_deployment(name)
    if found is None:
        raise explain_unknown_deployment(node, name)
    return found


def explain_unknown_deployment(node: Node, name: str) -> AnswerError:
    """Return the error that there is no deployment of a name."""
    help_ = did_you_mean(name, (row.name for row in node.list_deployments()), "the deployments are")
    return AnswerError(404, f'there is no deployment "{name[:60]}" on this node', help_)


def _compare_expected(active: RevisionRow, expected: int) -> None:
    if active.number != expected:
        raise DeploymentRefusedError(
            f"{active.deployment}: revision {active.number} is active, by {active.made_by} at "
            f"{active.made:%Y-%m-%d %H:%M:%S} UTC, and not revision {expected}: look at it first"
        )
