"""The requests about the runs of deployments, answered in the same way as those about any served project."""

import time
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from engine.server.answers import AnswerError
from engine.server.node_api.deployments import find_deployment_row
from engine.server.node_api.model_answers import answer_model
from engine.server.node_api.parameters import read_number
from engine.server.requests import ProjectRequests, read_log
from engine.server.served_status import find_served
from engine.service.control import ServerControl
from engine.service.deployments.node.requests import LogPart, PauseRequest, RunStartRequest
from engine.store import utc_now
from engine.store.node import DeploymentRow, Node

SERVED_SECONDS = 3.0
"""Seconds to wait until the server serves a newly activated deployment."""

LOOK_SECONDS = 0.1


class RunRequests:
    """Answers the requests about runs. Each method is called in a thread."""

    def __init__(self, node: Node, control: ServerControl) -> None:
        self._node, self._control = node, control
        self._projects = ProjectRequests(control, utc_now)

    def request_run(self, request: Request, asked: RunStartRequest) -> Response:
        """Record a requested run."""
        self._name_project(request)
        return self._projects.request_run(request, {"variables": dict(asked.variables)})

    def pause_scenario(self, request: Request, asked: PauseRequest) -> Response:
        """Pause the triggers of a scenario."""
        self._name_project(request)
        return self._projects.pause_scenario(request, {"reason": asked.reason, "until": asked.until})

    def resume_scenario(self, request: Request, _body: Mapping[str, Any]) -> Response:
        """End the pause of a scenario."""
        self._name_project(request)
        return self._projects.resume_scenario(request, {})

    def show_fire(self, request: Request) -> Response:
        """Return the state of a requested run."""
        self._name_project(request)
        request.path_params["number"] = int(request.path_params["number"])
        return self._projects.show_fire(request)

    def list_runs(self, request: Request) -> Response:
        """Return the newest runs."""
        self._name_project(request)
        return self._projects.list_runs(request)

    def show_run(self, request: Request) -> Response:
        """Return a run and its log from a byte on."""
        self._name_project(request)
        return self._projects.show_run(request)

    def show_log(self, request: Request) -> Response:
        """Return the log of a run from a byte on."""
        self._name_project(request)
        store, run = self._projects.find_run(request)
        return answer_model(LogPart.model_validate(read_log(store.runs.path_of(run.id), read_number(request, "from"))))

    def abort_run(self, request: Request, _body: Mapping[str, Any]) -> Response:
        """Ask a run to end."""
        self._name_project(request)
        return self._projects.abort_run(request, {})

    def _name_project(self, request: Request) -> None:
        name_project(request, self._node, self._control)


def name_project(request: Request, node: Node, control: ServerControl) -> DeploymentRow:
    """Store the name of the deployment's served project in the request; return the row of the deployment."""
    row = find_deployment_row(node, request.path_params["name"])
    if row.active_revision is None:
        raise AnswerError(409, f"{row.name}: nothing is active in it yet", "deploy a bundle first")
    until = time.monotonic() + SERVED_SECONDS
    while time.monotonic() < until:
        if (project := find_served(row.name, node, control)) is not None:
            request.path_params["project"] = project.name
            return row
        time.sleep(LOOK_SECONDS)
    raise AnswerError(503, f"{row.name}: this server does not serve it yet", "ask again", {"retry-after": "2"})
