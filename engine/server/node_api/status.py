"""The requests for the status of deployments, which is read from their stores."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from engine.server.node_api.deployments import find_deployment_row
from engine.server.node_api.model_answers import answer_model
from engine.server.served_status import describe_deployed
from engine.service.control import ServerControl
from engine.service.deployments.node.requests import StatusAnswers
from engine.service.deployments.project_status import ProjectStatus
from engine.store import utc_now
from engine.store.node import DeploymentRow, Node


@dataclass(frozen=True, slots=True)
class StatusRequests:
    """Answers the requests about status. Each method is called in a thread."""

    node: Node
    control: ServerControl

    def show_all_status(self, _request: Request) -> Response:
        """Return the status of all deployments."""
        return answer_model(StatusAnswers(deployments=[self._describe(one) for one in self.node.list_deployments()]))

    def show_status(self, request: Request) -> Response:
        """Return the status of a deployment."""
        return answer_model(self._describe(find_deployment_row(self.node, request.path_params["name"])))

    def _describe(self, row: DeploymentRow) -> ProjectStatus:
        return describe_deployed(row, self.node, self.control, utc_now())
