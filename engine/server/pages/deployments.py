"""The pages of a node's deployments: active revisions, status, operations, and forms for updates."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request

from engine.errors import EngineError
from engine.server import links
from engine.server.answers import AnswerError
from engine.server.node_api.application import NodeApi, explained_problems
from engine.server.node_api.deployments import Begun, find_deployment_row, identify_request
from engine.server.node_api.events import find_operation
from engine.server.pages.deployment_settings import FIRST_SETTINGS, list_fields, read_settings
from engine.server.pages.page import Page, Table
from engine.server.requests import ProjectRequests
from engine.server.served_status import describe_deployed, find_served
from engine.service.deployments.deployed_state import DeployedState, find_deployed
from engine.service.deployments.node.requests import DisableRequest, RollbackRequest, UpdateRequest
from engine.service.deployments.project_status import ProjectStatus
from engine.service.deployments.updates.start import find_rollback_target
from engine.spec.secrets.redaction import Redact
from engine.store.node import DeploymentRow, OperationRow, ReceivedBundle, RevisionRow

OPERATIONS = 50
"""Most operations on one page."""

OPERATION_COLUMNS = ("id", "kind", "state", "from_revision", "to_revision", "by", "started", "ended", "reason")


@dataclass(frozen=True, slots=True)
class DeployedRow:
    """A deployment, its status, and the name of its served project; None if the server does not serve it."""

    state: DeployedState
    status: ProjectStatus
    project: str | None


@dataclass(frozen=True, slots=True)
class DeploymentPages:
    """The pages of deployments and their actions."""

    requests: ProjectRequests
    api: NodeApi
    redact: Redact

    def list_deployments(self, _request: Request) -> Page:
        """Return all deployments of the node."""
        rows = [self._describe(row) for row in self.api.node.list_deployments()]
        return Page(
            template="deployments.html",
            title="Deployments",
            content={"deployments": rows},
            table=Table(
                ("deployment", "project", "revision", "bundle", "since", "by", "enabled", "error"),
                [(row.state.row.name, row.state.row.project, *_list_active_cells(row.state.active),
                  row.state.row.enabled, row.state.row.error) for row in rows],
            ),
        )  # fmt: skip

    def show_deployment(self, request: Request) -> Page:
        """Return a deployment with its revisions and its newest operations, or those before a given one."""
        row = find_deployment_row(self.api.node, request.path_params["deployment"])
        described = self._describe(row)
        operations = self.api.node.operations.list_all(row.name)[::-1]
        if before := request.query_params.get("before"):
            operations = operations[1 + next((i for i, one in enumerate(operations) if one.id == before), -1) :]
        shown = operations[:OPERATIONS]
        bundles = [one for one in self.api.node.list_bundles()[::-1] if one.project == row.project]
        active = described.state.active
        return Page(
            template="deployment.html",
            title=row.name,
            content={
                "deployment": described,
                "revisions": self.api.node.list_revisions(row.name)[::-1],
                "operations": shown,
                "older": shown[-1].id if len(operations) > OPERATIONS else None,
            },
            values={
                "bundles": [(one.id, self._name_bundle(row.name, one)) for one in bundles],
                "back": self._find_back(active),
                "fields": active and list_fields(active.settings, self._list_scenarios(row), self.redact),
                "known": {one.id for one in bundles},
                "key": secrets.token_hex(16),
            },
            table=Table(OPERATION_COLUMNS, [[getattr(one, name) for name in OPERATION_COLUMNS] for one in shown]),
        )

    def show_operation(self, request: Request) -> Page:
        """Return an operation: its steps with their messages, and its end."""
        operation = find_operation(self.api.node, request.path_params["operation"])
        if operation.deployment != request.path_params["deployment"]:
            raise AnswerError(404, "there is no operation of this id on this deployment")
        return Page(
            template="operation.html",
            title=f"{operation.kind.capitalize()} of {operation.deployment}",
            content={"operation": operation, "events": self.api.node.operations.list_events(operation)},
            values={"is_open": operation.ended is None},
            table=Table(
                ("name", "started", "ended", "problem"),
                [(step.name, step.started, step.ended, step.problem) for step in operation.steps],
            ),
        )

    def deploy(self, request: Request, form: Mapping[str, str]) -> str:
        """Start an update to a bundle of the node with the settings of the form."""
        name = request.path_params["deployment"]
        row = find_deployment_row(self.api.node, name)
        seen = self.api.node.find_revision(row.name, _read_revision(form))  # its settings were shown
        if seen is None:
            raise AnswerError(422, "there is no such revision", "load its page again")
        return self._begin_update(request, form, name, self._find_bundle(form.get("bundle", "")), seen)

    def deploy_first(self, request: Request, form: Mapping[str, str]) -> str:
        """Start the first deployment with this name."""
        bundle = self._find_bundle(request.path_params["bundle"])
        return self._begin_update(request, form, form.get("name", "").strip(), bundle, None)

    def roll_back(self, request: Request, form: Mapping[str, str]) -> str:
        """Start a rollback to the last healthy revision."""
        asked = RollbackRequest(expected_revision=_read_revision(form), now="now" in form)
        name = request.path_params["deployment"]
        with explained_problems():
            return _link_begun(self.api.deployments.begin_rollback(name, asked, *identify_request(request)))

    def disable(self, request: Request, form: Mapping[str, str]) -> str:
        """Start disabling the triggers of a deployment."""
        asked = DisableRequest(expected_revision=_read_revision(form))
        name = request.path_params["deployment"]
        with explained_problems():
            return _link_begun(self.api.deployments.begin_disabling(name, asked, *identify_request(request)))

    def _begin_update(
        self, request: Request, form: Mapping[str, str], name: str, bundle: ReceivedBundle, seen: RevisionRow | None
    ) -> str:
        with explained_problems():
            asked = UpdateRequest(
                project=bundle.project,
                bundle=bundle.id,
                bundle_name=self._name_bundle(name, bundle),
                settings=read_settings(form, seen.settings if seen else FIRST_SETTINGS, self.redact),
                expected_revision=seen.number if seen else None,
                again="again" in form,
                now="now" in form,
            )
            return _link_begun(self.api.deployments.begin_update(name, asked, *identify_request(request)))

    def _find_bundle(self, id_: str) -> ReceivedBundle:
        found = self.api.folder.find_bundle(id_)
        if found is None:
            raise AnswerError(422, "the bundle is not on this node", "choose one of its bundles")
        return found

    def _list_scenarios(self, row: DeploymentRow) -> list[str]:
        served = find_served(row.name, self.api.node, self.requests.control)
        return list(served.spec.scenarios) if served and served.spec else []

    def _describe(self, row: DeploymentRow) -> DeployedRow:
        node, control = self.api.node, self.requests.control
        served = find_served(row.name, node, control)
        status = describe_deployed(row, node, control, self.requests.clock())
        state = find_deployed(node, row.name) or DeployedState(row, None)
        return DeployedRow(state, status, served.name if served else None)

    def _find_back(self, active: RevisionRow | None) -> RevisionRow | None:
        """Return the revision that a rollback leads to; None if there is none."""
        try:
            return find_rollback_target(self.api.node, active) if active else None
        except EngineError:
            return None

    def _name_bundle(self, deployment: str, bundle: ReceivedBundle) -> str:
        """Return the name with which a bundle was last deployed there, else the one with which it was received."""
        revisions = self.api.node.list_revisions(deployment)
        return next((one.bundle_name for one in revisions[::-1] if one.bundle == bundle.id), bundle.name)


def _list_active_cells(active: RevisionRow | None) -> tuple[object, ...]:
    return (None,) * 4 if active is None else (active.number, active.bundle_name, active.made, active.made_by)


def _read_revision(form: Mapping[str, str]) -> int:
    """Return the revision that was active when the form was shown, so that no later update is undone."""
    text = form.get("revision", "")
    if not text.isdecimal() or len(text) > 9:
        raise AnswerError(422, "the form does not say which revision is active", "load its page again")
    return int(text)


def _link_begun(begun: Begun) -> str:
    operation: OperationRow = begun[0]
    return links.build_link(links.OPERATION, deployment=operation.deployment, operation=operation.id)
