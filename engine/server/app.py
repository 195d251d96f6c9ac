"""The application: the routes of all paths, and the answers for errors."""

import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from engine.errors import EngineError
from engine.server.access import AccessGuard
from engine.server.answers import AnswerError, build_answer
from engine.server.bodies import read_body
from engine.server.callers import GuardedRoute, Role, prefers_html
from engine.server.event_streams import EventStreams
from engine.server.health import answer_liveness, answer_readiness, describe_health
from engine.server.metrics import ServerMetrics
from engine.server.pages.login import LoginPages
from engine.server.pages.page import PageForms
from engine.server.pages.pages import build_pages
from engine.server.pages.sessions import Sessions
from engine.server.pages.static_files import StaticFiles
from engine.server.request_threads import RequestThreads
from engine.server.requests import ProjectRequests
from engine.server.token_gate import TokenGate
from engine.server.tokens import TokenCheck
from engine.service.control import RefusedRequestError, ServerControl
from engine.service.served_node import ServedNode
from engine.store import utc_now

if TYPE_CHECKING:
    from engine.server.node_api.application import NodeApi

Endpoint = Callable[[Request], Awaitable[Response]]


def build_app(
    control: ServerControl,
    tokens: TokenCheck,
    report: Callable[[str], None],
    node: ServedNode | None = None,
    api: "NodeApi | None" = None,
    *,
    secure: bool = False,
    copied: bool = False,
) -> AccessGuard:
    """Return the application.

    Parameters
    ----------
    tokens
        Finds the owner of a request's token.
    report
        Called with internal errors, which are not shown to the client.
    node
        The node of the server; None if the server is not a node.
    api
        Answers the requests about deployments on the node.
    secure
        Whether browsers can reach the server only by TLS.
    copied
        Whether the pages are written to files, without searches, choices and forms.
    """
    metrics = ServerMetrics(control, utc_now(), api.node if api else None)
    requests = ProjectRequests(control, utc_now, node)
    threads = RequestThreads()
    gate, sessions = TokenGate(tokens, time.monotonic), Sessions(time.monotonic, secure=secure)
    files, streams = StaticFiles(), EventStreams(threads, control.is_draining)
    forms = PageForms(control, files, has_node=api is not None, copied=copied)

    def read(answer: Callable[[Request], Response]) -> Endpoint:
        return partial(_answer_reading, threads, answer)

    def change(answer: Callable[[Request, Mapping[str, Any]], Response]) -> Endpoint:
        return partial(_answer_changing, threads, answer)

    async def answer_open(answer: Callable[[ServerControl], Response], _request: Request) -> Response:
        return answer(control)  # not in a thread, so that it never waits for other requests

    def answer_health(_request: Request) -> Response:
        return build_answer(describe_health(control, utc_now(), node))

    def answer_metrics(request: Request) -> Response:
        content, kind = metrics.write(request.headers.get("accept", ""))
        return Response(content, headers={"content-type": kind})

    project = "/projects/{project}"
    scenario = f"{project}/scenarios/{{scenario}}"
    run = f"{project}/runs/{{run}}"
    routes: list[Route] = [
        Route("/livez", partial(answer_open, answer_liveness), methods=["GET"]),
        Route("/readyz", partial(answer_open, partial(answer_readiness, needs_project=node is None)), methods=["GET"]),
        GuardedRoute("/healthz", read(answer_health), Role.VIEWER),
        GuardedRoute("/metrics", read(answer_metrics), Role.VIEWER),
        GuardedRoute("/reload", change(requests.reload_specs), Role.ADMIN, "POST"),
        GuardedRoute(f"{project}/fires", read(requests.list_fires), Role.VIEWER),
        GuardedRoute(f"{project}/fires/{{number:int}}", read(requests.show_fire), Role.VIEWER),
        GuardedRoute(f"{project}/triggers", read(requests.list_triggers), Role.VIEWER),
        GuardedRoute(f"{project}/runs", read(requests.list_runs), Role.VIEWER),
        GuardedRoute(run, read(requests.show_run), Role.VIEWER),
        GuardedRoute("/runs/{run}", read(requests.show_linked_run), Role.VIEWER),
        GuardedRoute(f"{run}/abort", change(requests.abort_run), Role.OPERATOR, "POST"),
        GuardedRoute(f"{scenario}/runs", change(requests.request_run), Role.OPERATOR, "POST"),
        GuardedRoute(f"{scenario}/pause", change(requests.pause_scenario), Role.OPERATOR, "POST"),
        GuardedRoute(f"{scenario}/resume", change(requests.resume_scenario), Role.OPERATOR, "POST"),
    ]
    if api is not None:
        routes += api.build_routes(threads, streams)
    api_routes = list(routes)
    routes += build_pages(requests, forms, files, LoginPages(gate, sessions, forms), threads, streams, api)

    def answer(explain: Callable[[Request, Exception], AnswerError]) -> Callable[..., Awaitable[Response]]:
        async def write(request: Request, problem: Exception) -> Response:
            return forms.write_problem(request, explain(request, problem))

        return write

    app = Starlette(
        routes=routes,
        exception_handlers={
            AnswerError: answer(_explain_problem),
            EngineError: answer(_explain_engine_error),
            TimeoutError: answer(_explain_lateness),
            HTTPException: answer(partial(_explain_unknown, api_routes)),
            Exception: answer(partial(_explain_fault, report)),
        },
    )
    app.router.redirect_slashes = False
    # outermost, so that errors get its headers too
    return AccessGuard(app, gate, sessions, partial(_list_hosts, control, node), forms.write_problem)


async def _answer_reading(threads: RequestThreads, answer: Callable[[Request], Response], request: Request) -> Response:
    return await threads.run(answer, request)


async def _answer_changing(
    threads: RequestThreads, answer: Callable[[Request, Mapping[str, Any]], Response], request: Request
) -> Response:
    return await threads.run(answer, request, await read_body(request))


def _list_hosts(control: ServerControl, node: ServedNode | None) -> set[str]:
    """Return the host names in the server URLs of the specs, or for a node in the URL of its own file."""
    if node is not None:
        urls = [node.spec.resources.url or ""]
    else:
        specs = [project.spec for project in control.list_projects()]
        urls = [spec.server.url for spec in specs if spec and spec.server]
    return {urlsplit(url).hostname or "" for url in urls} - {""}


def _explain_problem(_request: Request, problem: Exception) -> AnswerError:
    assert isinstance(problem, AnswerError)  # noqa: S101 - the table of handlers says so
    return problem


def _explain_engine_error(_request: Request, problem: Exception) -> AnswerError:
    """Return the answer that the request cannot be executed now by this server or with this state."""
    return AnswerError(503, str(problem), "" if isinstance(problem, RefusedRequestError) else "try it again later")


def _explain_lateness(_request: Request, _problem: Exception) -> AnswerError:
    """Return the answer that the loop did not respond; the request may still be executed."""
    help_ = "repeat the request with the same Idempotency-Key; GET /livez shows whether the server is running"
    return AnswerError(503, "the server is too busy to answer", help_)


def _explain_unknown(routes: Sequence[Route], request: Request, problem: Exception) -> AnswerError:
    """Return the answer that there is no such path, or that it has other methods."""
    assert isinstance(problem, HTTPException)  # noqa: S101 - the table of handlers says so
    headers = problem.headers
    if problem.status_code == 405:
        allowed = _list_methods(request)  # Starlette lists only those of the first route of the path
        message, help_ = f"{request.method} is not a method of this path", f"allowed are {allowed}"
        headers = {"allow": allowed}
    elif prefers_html(request.headers):
        message, help_ = "there is no such page", "what it showed may be removed; the links above lead to all pages"
    else:
        message, help_ = "there is no such path", f"the paths are {', '.join(route.path for route in routes)}"
    return AnswerError(problem.status_code, message, help_, headers)


def _list_methods(request: Request) -> str:
    """Return the methods of all routes of a path: `GET, HEAD, POST`."""
    routes = [route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE]
    return ", ".join(sorted({method for route in routes for method in route.methods or ()}))


def _explain_fault(report: Callable[[str], None], request: Request, problem: Exception) -> AnswerError:
    """Return the answer for an internal error, and report the traceback to the operator."""
    where = "".join(traceback.format_exception(problem))
    report(f"answering {request.method} {request.url.path} failed, which is a bug of the engine:\n{where}")
    return AnswerError(500, "the server has an internal error", "its output has the details")
