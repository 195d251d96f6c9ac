"""The API of a node: connects each route with its method, and translates errors into HTTP answers."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from engine.errors import BundleError, UsageError
from engine.server.answers import AnswerError, build_answer
from engine.server.bodies import check_keys, read_body
from engine.server.callers import GuardedRoute
from engine.server.event_streams import EventStreams
from engine.server.node_api.bundles import BundleRequests
from engine.server.node_api.deployments import DeploymentRequests
from engine.server.node_api.evaluations import EvaluationRequests
from engine.server.node_api.events import EventRequests
from engine.server.node_api.openapi import build_document
from engine.server.node_api.parameters import check_parameters
from engine.server.node_api.routes import ROUTES, ApiRoute
from engine.server.node_api.runs import RunRequests
from engine.server.node_api.status import StatusRequests
from engine.server.request_threads import RequestThreads
from engine.service.control import RefusedRequestError, ServerControl
from engine.service.deployments.node.folder import NodeFolder
from engine.service.deployments.node.updates import NodeUpdates, UsedKeyError
from engine.service.deployments.updates.order import DeploymentRefusedError
from engine.spec import ProjectSpec
from engine.spec.reading.node_file import NodeSpec
from engine.store.locks import LockBusy
from engine.store.node import Node

Endpoint = Callable[[Request], Awaitable[Response]]


class NodeApi:
    """Answers the requests to a node, and runs its operations between `start` and `stop`.

    Parameters
    ----------
    node
        The open infrastructure.
    get_settings
        Returns the last valid file of the node.
    environ
        The environment of the processes that execute operations.
    report
        Called from any thread with messages for the operator of the node.
    """

    def __init__(
        self,
        control: ServerControl,
        node: Node,
        get_settings: Callable[[], NodeSpec],
        environ: Mapping[str, str],
        report: Callable[[str], None],
    ) -> None:
        self.node = node
        self.folder = NodeFolder(node, get_settings)
        self.updates = NodeUpdates(node, environ, control.is_draining, report, node_file=get_settings().path)
        self.deployments = DeploymentRequests(node, self.updates, self.folder, control)
        self._control = control

    def start(self) -> None:
        """Remove uploads that a killed server has left, and start the thread for operations."""
        self.folder.sweep()
        self.updates.start()

    def stop(self) -> None:
        """Stop the operations."""
        self.updates.stop()

    def find_mismatch(self, _project: ProjectSpec) -> str:
        """Return an empty text, because every spec fits a node."""
        return ""

    def build_routes(self, threads: RequestThreads, streams: EventStreams) -> list[Route]:
        """Return the routes of the API."""
        bundles, events = BundleRequests(self.folder), EventRequests(self.node, streams)
        deployments = self.deployments
        runs, status = RunRequests(self.node, self._control), StatusRequests(self.node, self._control)
        evaluations = EvaluationRequests(self.node, self._control)
        read: dict[str, Callable[[Request], Response]] = {
            "list_bundles": bundles.list_bundles,
            "show_bundle": bundles.show_bundle,
            "list_deployments": deployments.list_deployments,
            "show_deployment": deployments.show_deployment,
            "list_operations": deployments.list_operations,
            "show_operation": deployments.show_operation,
            "delete_bundle": bundles.delete_bundle,
            "delete_deployment": deployments.delete_deployment,
            "show_fire": runs.show_fire,
            "list_runs": runs.list_runs,
            "show_run": runs.show_run,
            "show_log": runs.show_log,
            "list_evaluations": evaluations.list_evaluations,
            "show_evaluation": evaluations.show_evaluation,
            "show_evaluation_file": evaluations.show_file,
            "show_all_status": status.show_all_status,
            "show_status": status.show_status,
            "show_document": lambda _request: build_answer(build_document()),
        }
        change: dict[str, Callable[[Request, Any], Response]] = {
            "update_deployment": deployments.update_deployment,
            "roll_back_deployment": deployments.roll_back_deployment,
            "disable_deployment": deployments.disable_deployment,
            "request_run": runs.request_run,
            "pause_scenario": runs.pause_scenario,
            "resume_scenario": runs.resume_scenario,
            "abort_run": runs.abort_run,
        }
        own: dict[str, Callable[[Request, RequestThreads], Awaitable[Response]]] = {
            "put_bundle": bundles.put_bundle,
            "list_events": events.list_events,
        }
        found: list[Route] = []
        for route in ROUTES:
            if route.name in own:
                endpoint = _answer_by_itself(own[route.name], threads, route)
            elif route.name in change:
                endpoint = _answer_change(change[route.name], threads, route)
            else:
                endpoint = _answer_read(read[route.name], threads, route)
            found.append(GuardedRoute(route.path, endpoint, route.role, route.method))
        return found


def _answer_read(answer: Callable[[Request], Response], threads: RequestThreads, route: ApiRoute) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        check_parameters(route, request)
        with explained_problems():
            return await threads.run(answer, request)

    return endpoint


def _answer_change(answer: Callable[[Request, Any], Response], threads: RequestThreads, route: ApiRoute) -> Endpoint:
    model = route.body
    if model is None or model == "stream":
        raise TypeError(f"{route.name} has no body of JSON")

    async def endpoint(request: Request) -> Response:
        check_parameters(route, request)
        body = _read_model(model, await read_body(request, route.body_bytes))
        with explained_problems():
            return await threads.run(answer, request, body)

    return endpoint


def _answer_by_itself(
    answer: Callable[[Request, RequestThreads], Awaitable[Response]], threads: RequestThreads, route: ApiRoute
) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        check_parameters(route, request)
        with explained_problems():
            return await answer(request, threads)

    return endpoint


def _read_model(model: type[BaseModel], body: dict[str, Any]) -> Any:
    """Validate a body by its model; raise AnswerError if it is not valid."""
    if model is BaseModel:
        check_keys(body, ())
        return body
    try:
        return model.model_validate(body, strict=True)
    except ValidationError as wrong:
        found = [f"{'.'.join(map(str, one['loc'])) or 'the body'}: {one['msg']}" for one in wrong.errors()[:5]]
        keys = f"the keys are {', '.join(model.model_fields)}"
        raise AnswerError(422, "; ".join(found)[:1000], keys) from None


@contextmanager
def explained_problems() -> Iterator[None]:
    """Raise errors of the block as AnswerError with the fitting HTTP status."""
    try:
        yield
    except (DeploymentRefusedError, UsedKeyError, UsageError) as problem:
        raise AnswerError(409, str(problem)) from None
    except LockBusy as problem:
        raise AnswerError(409, str(problem), "wait until that has ended") from None
    except BundleError as problem:
        raise AnswerError(422, str(problem)) from None
    except RefusedRequestError as problem:
        raise AnswerError(503, str(problem), headers={"retry-after": "2"}) from None
