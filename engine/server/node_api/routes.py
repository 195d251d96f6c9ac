"""The routes of the API as a table, from which the server and its OpenAPI document are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel

from engine.server.callers import Role
from engine.server.requests import MOST_RUNS
from engine.service.deployments.node.requests import (
    LONGEST_NAME,
    AbortedRunAnswer,
    AcceptedOperation,
    BundleAnswer,
    BundleList,
    DeletedAnswer,
    DeletedDeploymentAnswer,
    DeploymentAnswer,
    DeploymentList,
    DisableRequest,
    EventList,
    FireState,
    LogPart,
    OperationList,
    PauseAnswer,
    PauseRequest,
    RequestedRunAnswer,
    ResumeAnswer,
    RollbackRequest,
    RunAnswer,
    RunList,
    RunStartRequest,
    StatusAnswers,
    UpdateRequest,
)
from engine.service.deployments.project_status import ProjectStatus
from engine.store.node import OperationRow
from engine.store.transfer import EVALUATION_ID, EvaluationPage, TravellingEvaluation

BUNDLE_ID = "[0-9a-f]{64}"
OPERATION_ID = "[0-9A-Za-z_-]{1,64}"

ALWAYS = (401, 403, 421, 422, 429, 431, 500, 503)
"""The error statuses that every request can have: no token or role, invalid or too many requests, server errors."""

WITH_BODY = (400, 408, 413, 415)
"""The further error statuses of requests with a body."""


@dataclass(frozen=True, slots=True)
class ApiParameter:
    """A parameter of a request; `schema` is its JSON Schema."""

    name: str
    place: Literal["path", "query", "header"]
    schema: Mapping[str, Any]
    description: str


@dataclass(frozen=True, slots=True)
class ApiRoute:
    """A request that the API answers.

    Attributes
    ----------
    name
        The name in the document and of the method that answers it.
    body
        The model of the body; `stream` for the bytes of an archive; None without a body.
    answers
        The model of the answer for each status; `bytes` for a file.
    errors
        The error statuses besides `ALWAYS` and `WITH_BODY`.
    body_bytes
        Most bytes of a JSON body.
    """

    name: str
    method: Literal["GET", "PUT", "POST", "DELETE"]
    path: str
    role: Role
    summary: str
    answers: Mapping[int, type[Any]]
    body: type[BaseModel] | Literal["stream"] | None = None
    errors: tuple[int, ...] = ()
    parameters: tuple[ApiParameter, ...] = ()
    body_bytes: int = 65_536
    events: bool = False

    def list_errors(self) -> list[int]:
        """Return all possible error statuses."""
        of_body = WITH_BODY if self.body is not None else ()
        return sorted({*ALWAYS, *of_body, *self.errors})


_NAME = {"type": "string", "minLength": 1, "maxLength": LONGEST_NAME, "pattern": "^[^\"'/\\x00-\\x1f\\x7f-\\x9f]+$"}
_DEPLOYMENT = ApiParameter("name", "path", _NAME, "Name of the deployment.")
_KEEP_STATE = ApiParameter(
    "keep_state",
    "query",
    {"type": "string", "pattern": "^(true|false)$"},
    "Let its state stay, for a deployment of this name; false by default.",
)
_SCENARIO = ApiParameter("scenario", "path", _NAME, "Name of the scenario.")
_BUNDLE = ApiParameter("id", "path", {"type": "string", "pattern": f"^{BUNDLE_ID}$"}, "Id of the bundle.")
_OPERATION = ApiParameter("id", "path", {"type": "string", "pattern": f"^{OPERATION_ID}$"}, "Id of the operation.")
_RUN = ApiParameter("run", "path", {"type": "string", "minLength": 1, "maxLength": 64}, "Id of the run.")
_FIRE = ApiParameter(
    "number", "path", {"type": "integer", "minimum": 1, "maximum": 1 << 53}, "Number of the fire of a run."
)
_FROM = ApiParameter(
    "from", "query", {"type": "integer", "minimum": 0, "maximum": 1 << 50}, "Byte of the log from which on; 0 first."
)
_LAST = ApiParameter("last", "query", {"type": "integer", "minimum": 1, "maximum": MOST_RUNS}, "How many runs to list.")
_AFTER = ApiParameter(
    "after", "query", {"type": "integer", "minimum": 0, "maximum": 1 << 50}, "Number of the last received event."
)
_AFTER_EVALUATION = ApiParameter(
    "after", "query", {"type": "integer", "minimum": 0, "maximum": 1 << 53}, "Number of the last received one."
)
_STORE = ApiParameter("store", "query", _NAME, "Name of the evaluation store; by default all.")
_SINCE = ApiParameter(
    "since",
    "query",
    {"type": "string", "format": "date-time", "maxLength": 40},
    "Only those whose time begins then or later; those without a time, that were made then or later.",
)
_EVALUATION_ID = ApiParameter(
    "id", "path", {"type": "string", "pattern": f"^{EVALUATION_ID}$"}, "Id of the evaluation."
)
_FILE = ApiParameter("file", "path", {"type": "string", "pattern": "^[a-z]{1,40}\\.[a-z]{1,10}$"}, "Name of the file.")
_KEY = ApiParameter(
    "Idempotency-Key",
    "header",
    {"type": "string", "pattern": "^[!-~]{1,200}$"},
    "Requests of one key are one request, however often it is sent.",
)
_LAST_EVENT = ApiParameter(
    "Last-Event-ID", "header", {"type": "string"}, "Number of the last received event of a stream."
)

_DEPLOYMENTS = "/v1/deployments/{name}"
_SCENARIOS = f"{_DEPLOYMENTS}/scenarios/{{scenario}}"
_EVALUATION = f"{_DEPLOYMENTS}/evaluations/{{id}}"
_RUNS = f"{_DEPLOYMENTS}/runs/{{run}}"

ROUTES: tuple[ApiRoute, ...] = (
    ApiRoute(
        "put_bundle", "PUT", "/v1/bundles/{id}", Role.DEPLOYER,
        "Upload the archive of a bundle; a repeated upload only adds signatures.",
        {200: BundleAnswer, 201: BundleAnswer}, body="stream", errors=(507,), parameters=(_BUNDLE,),
    ),
    ApiRoute("list_bundles", "GET", "/v1/bundles", Role.VIEWER, "List the bundles.", {200: BundleList}),
    ApiRoute(
        "show_bundle", "GET", "/v1/bundles/{id}", Role.VIEWER, "Show a bundle.", {200: BundleAnswer},
        errors=(404,), parameters=(_BUNDLE,),
    ),
    ApiRoute(
        "delete_bundle", "DELETE", "/v1/bundles/{id}", Role.ADMIN, "Remove a bundle that is not in use.",
        {200: DeletedAnswer}, errors=(404, 409), parameters=(_BUNDLE,),
    ),
    ApiRoute(
        "list_deployments", "GET", "/v1/deployments", Role.VIEWER, "List the deployments.", {200: DeploymentList}
    ),
    ApiRoute(
        "show_deployment", "GET", _DEPLOYMENTS, Role.VIEWER, "Show a deployment.", {200: DeploymentAnswer},
        errors=(404,), parameters=(_DEPLOYMENT,),
    ),
    ApiRoute(
        "delete_deployment", "DELETE", _DEPLOYMENTS, Role.ADMIN,
        "Remove a deployment with its releases, state and output.", {200: DeletedDeploymentAnswer},
        errors=(404, 409), parameters=(_DEPLOYMENT, _KEEP_STATE),
    ),
    ApiRoute(
        "update_deployment", "POST", f"{_DEPLOYMENTS}/updates", Role.DEPLOYER,
        "Start an update of a deployment, which is created if it does not exist.",
        {200: AcceptedOperation, 202: AcceptedOperation}, body=UpdateRequest, errors=(409,),
        parameters=(_DEPLOYMENT, _KEY), body_bytes=1 << 20,
    ),
    ApiRoute(
        "roll_back_deployment", "POST", f"{_DEPLOYMENTS}/rollback", Role.DEPLOYER,
        "Start a rollback to the last healthy revision, with its settings.",
        {200: AcceptedOperation, 202: AcceptedOperation}, body=RollbackRequest, errors=(404, 409),
        parameters=(_DEPLOYMENT, _KEY),
    ),
    ApiRoute(
        "disable_deployment", "POST", f"{_DEPLOYMENTS}/disable", Role.DEPLOYER,
        "Start to disable the triggers of a deployment.",
        {200: AcceptedOperation, 202: AcceptedOperation}, body=DisableRequest, errors=(404, 409),
        parameters=(_DEPLOYMENT, _KEY),
    ),
    ApiRoute(
        "list_operations", "GET", f"{_DEPLOYMENTS}/operations", Role.VIEWER, "List the operations on a deployment.",
        {200: OperationList}, errors=(404,), parameters=(_DEPLOYMENT,),
    ),
    ApiRoute(
        "show_operation", "GET", "/v1/operations/{id}", Role.VIEWER, "Show an operation with its steps.",
        {200: OperationRow}, errors=(404,), parameters=(_OPERATION,),
    ),
    ApiRoute(
        "list_events", "GET", "/v1/operations/{id}/events", Role.VIEWER,
        "Show the events of an operation: as a stream of server-sent events until it ends, or once as JSON.",
        {200: EventList}, errors=(404,), parameters=(_OPERATION, _AFTER, _LAST_EVENT), events=True,
    ),
    ApiRoute(
        "request_run", "POST", f"{_SCENARIOS}/runs", Role.OPERATOR, "Request a run of a scenario.",
        {202: RequestedRunAnswer}, body=RunStartRequest, errors=(404, 409),
        parameters=(_DEPLOYMENT, _SCENARIO, _KEY),
    ),
    ApiRoute(
        "pause_scenario", "POST", f"{_SCENARIOS}/pause", Role.OPERATOR, "Pause the triggers of a scenario.",
        {200: PauseAnswer}, body=PauseRequest, errors=(404, 409), parameters=(_DEPLOYMENT, _SCENARIO),
    ),
    ApiRoute(
        "resume_scenario", "POST", f"{_SCENARIOS}/resume", Role.OPERATOR, "End the pause of a scenario.",
        {200: ResumeAnswer}, body=BaseModel, errors=(404, 409), parameters=(_DEPLOYMENT, _SCENARIO),
    ),
    ApiRoute(
        "show_fire", "GET", f"{_DEPLOYMENTS}/fires/{{number}}", Role.VIEWER,
        "Show the status of a requested run.", {200: FireState}, errors=(404, 409),
        parameters=(_DEPLOYMENT, _FIRE),
    ),
    ApiRoute(
        "list_runs", "GET", f"{_DEPLOYMENTS}/runs", Role.VIEWER, "List the newest runs, oldest first, without steps.",
        {200: RunList}, errors=(404, 409, 422), parameters=(_DEPLOYMENT, _LAST),
    ),
    ApiRoute(
        "show_run", "GET", _RUNS, Role.VIEWER, "Show a run and its log.", {200: RunAnswer},
        errors=(404, 409), parameters=(_DEPLOYMENT, _RUN, _FROM),
    ),
    ApiRoute(
        "show_log", "GET", f"{_RUNS}/log", Role.VIEWER, "Show the log of a run from a byte offset.", {200: LogPart},
        errors=(404, 409), parameters=(_DEPLOYMENT, _RUN, _FROM),
    ),
    ApiRoute(
        "abort_run", "POST", f"{_RUNS}/abort", Role.OPERATOR, "Request the abort of a run.", {202: AbortedRunAnswer},
        body=BaseModel, errors=(404, 409), parameters=(_DEPLOYMENT, _RUN),
    ),
    ApiRoute(
        "list_evaluations", "GET", f"{_DEPLOYMENTS}/evaluations", Role.VIEWER,
        "List the evaluations that a deployment has made, a page at a time.", {200: EvaluationPage},
        errors=(404, 409, 422), parameters=(_DEPLOYMENT, _AFTER_EVALUATION, _STORE, _SINCE),
    ),
    ApiRoute(
        "show_evaluation", "GET", _EVALUATION, Role.VIEWER, "Show an evaluation with the results of its checks.",
        {200: TravellingEvaluation}, errors=(404, 409), parameters=(_DEPLOYMENT, _EVALUATION_ID),
    ),
    ApiRoute(
        "show_evaluation_file", "GET", f"{_EVALUATION}/files/{{file}}", Role.VIEWER,
        "Download a file of an evaluation.", {200: bytes}, errors=(404, 409),
        parameters=(_DEPLOYMENT, _EVALUATION_ID, _FILE),
    ),
    ApiRoute(
        "show_all_status", "GET", "/v1/status", Role.VIEWER, "Show the status of all deployments.", {200: StatusAnswers}
    ),
    ApiRoute(
        "show_status", "GET", f"{_DEPLOYMENTS}/status", Role.VIEWER, "Show the status of a deployment in four answers.",
        {200: ProjectStatus}, errors=(404,), parameters=(_DEPLOYMENT,),
    ),
    ApiRoute("show_document", "GET", "/v1/openapi.json", Role.VIEWER, "Show this document.", {200: dict}),
)  # fmt: skip


def describe_status_code(status: int) -> str:
    """Return the meaning of a status in this API."""
    return _MEANINGS.get(status) or HTTPStatus(status).phrase


_MEANINGS = {
    200: "The request succeeded.",
    201: "The resource was created.",
    202: "The request was accepted and continues after this response.",
    400: "The request cannot be read.",
    401: "The token is missing or invalid.",
    403: "The role of the token does not allow it.",
    404: "No resource has this name or id.",
    408: "The body did not arrive in time.",
    409: "The request conflicts with the current state or with a running operation.",
    413: "The body is too large.",
    415: "The body is not declared as JSON.",
    421: "The Host of the request is not a name of this server.",
    422: "The request can be read, but is not valid.",
    429: "There were too many requests without a valid token.",
    431: "The path and the headers are too large.",
    500: "The server has an internal error.",
    503: "The request cannot be answered now; retry later.",
    507: "The disk is full.",
}
