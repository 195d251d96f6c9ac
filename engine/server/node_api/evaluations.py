"""The requests for the evaluations of deployments, by which other states pull them."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from engine.server.answers import AnswerError
from engine.server.node_api.model_answers import answer_model
from engine.server.node_api.parameters import read_number, read_time
from engine.server.node_api.runs import name_project
from engine.server.requests import ProjectRequests
from engine.service.control import ServerControl
from engine.store import Store, utc_now
from engine.store.node import DeploymentRow, Node
from engine.store.transfer import find_file, list_evaluations, pack_evaluation


@dataclass(frozen=True, slots=True)
class EvaluationRequests:
    """Answers the requests about evaluations. Each method is called in a thread."""

    node: Node
    control: ServerControl

    def list_evaluations(self, request: Request) -> Response:
        """Return a page of the list of evaluations."""
        row, store = self._find_store(request)
        page = list_evaluations(
            store,
            row.project,
            row.name,
            after=read_number(request, "after"),
            of_store=request.query_params.get("store"),
            since=read_time(request, "since"),
        )
        return answer_model(page)

    def show_evaluation(self, request: Request) -> Response:
        """Return an evaluation with its check results."""
        _, store = self._find_store(request)
        found = pack_evaluation(store, request.path_params["id"])
        if found is None:
            raise AnswerError(404, "there is no evaluation of this id", "the list of evaluations has it")
        return answer_model(found)

    def show_file(self, request: Request) -> Response:
        """Return a file of an evaluation."""
        _, store = self._find_store(request)
        path = find_file(store, request.path_params["id"], request.path_params["file"])
        if path is None:
            raise AnswerError(404, "there is no such file of an evaluation of this id", "the evaluation lists its own")
        return FileResponse(path, media_type="application/octet-stream")

    def _find_store(self, request: Request) -> tuple[DeploymentRow, Store]:
        row = name_project(request, self.node, self.control)
        return row, ProjectRequests(self.control, utc_now).find_store(request)
