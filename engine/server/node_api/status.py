"""The requests about how deployments stand: four answers for each, from the store alone."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from engine.server.node_api.deployments import describe_deployed, find_deployment_row
from engine.server.node_api.model_answers import answer_model
from engine.service.control import ServerControl
from engine.service.deployments.deployment_list import describe_found
from engine.service.deployments.node_requests import StatusAnswers
from engine.service.deployments.places import DeploymentPlaces
from engine.service.project_status import ProjectState, ProjectStatus, describe_status
from engine.store import utc_now
from engine.store.node import DeploymentRow, Node


@dataclass(frozen=True, slots=True)
class StatusRequests:
    """Answers the requests about status. Each method is called in a thread."""

    node: Node
    control: ServerControl

    def show_all_status(self, _request: Request) -> Response:
        """Return how all deployments stand."""
        return answer_model(StatusAnswers(deployments=[self._describe(one) for one in self.node.list_deployments()]))

    def show_status(self, request: Request) -> Response:
        """Return how a deployment stands."""
        return answer_model(self._describe(find_deployment_row(self.node, request.path_params["name"])))

    def _describe(self, row: DeploymentRow) -> ProjectStatus:
        pointer = DeploymentPlaces(self.node.folder, row.name).pointer
        served = next((one for one in self.control.list_projects() if one.path.absolute() == pointer), None)
        found = None
        if served is not None and served.spec is not None and served.store is not None:
            found = ProjectState(served.spec, served.store, utc_now())
        return describe_status(row.name, describe_found(row.name, "", describe_deployed(self.node, row)), found)
