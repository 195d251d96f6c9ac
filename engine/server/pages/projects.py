"""The page of all projects of a server, the worst ones first."""

from collections.abc import Iterator
from dataclasses import dataclass

from starlette.requests import Request

from engine.outcome import CheckOutcome, worst_check_outcome
from engine.server import links
from engine.server.health import explain_unready
from engine.server.pages.page import Page, Table
from engine.server.requests import ProjectRequests
from engine.server.served_status import describe_served
from engine.service.control import ServedProject
from engine.service.deployments.project_status import ANSWERS, ProjectStatus, StatusAnswer


@dataclass(frozen=True, slots=True)
class ProjectRow:
    """A project, or a deployment of a node.

    Attributes
    ----------
    name
        The name of the project, with that of its deployment if it has one.
    project
        The name with which it is served.
    outcome
        The worst outcome of the answers: OK, WARNING or ERROR.
    problems
        Why the server does not run it by its present spec.
    """

    name: str
    project: str
    served: bool
    description: str
    outcome: CheckOutcome
    status: ProjectStatus
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ProjectPages:
    """The pages about projects as a whole."""

    requests: ProjectRequests

    def find_start(self) -> str:
        """Return the address of the start page: the status of the only project, else the list of projects."""
        projects = self.requests.control.list_projects()
        if len(projects) == 1 and self.requests.node is None:
            return links.build_link(links.PROJECT, project=projects[0].name)
        return links.PROJECTS

    def list_projects(self, _request: Request) -> Page:
        """Return all projects."""
        rows = sorted(self._describe_projects(), key=lambda row: -list(CheckOutcome).index(row.outcome))
        return Page(
            template="projects.html",
            title="Projects",
            content={"projects": rows},
            table=Table(
                ("name", "outcome", *ANSWERS),
                [(row.name, row.outcome, *(_name_state(row.status, one) for one in ANSWERS)) for row in rows],
            ),
        )

    def _describe_projects(self) -> Iterator[ProjectRow]:
        served = {project.name: project for project in self.requests.control.list_projects()}
        node = self.requests.node.node if self.requests.node else None
        for name, status in describe_served(self.requests.control, node, self.requests.clock()):
            project = served.get(name)
            yield _describe_row(name, project, status)


def _describe_row(name: str, project: ServedProject | None, status: ProjectStatus) -> ProjectRow:
    problems = tuple(explain_unready(project)) if project else ()
    worst = [judge_answer(answer) for answer in status.answers.values()]
    worst += [CheckOutcome.ERROR] if problems else []
    return ProjectRow(
        name=name,
        project=project.name if project else name,
        served=project is not None,
        description=(project.spec.resources.description or "") if project and project.spec else "",
        outcome=worst_check_outcome(worst),
        status=status,
        problems=problems,
    )


def judge_answer(answer: StatusAnswer) -> CheckOutcome:
    """Return the severity of an answer: ERROR if it is not well, WARNING if checks warn, else OK."""
    if not answer.well:
        return CheckOutcome.ERROR
    return CheckOutcome.WARNING if answer.state == "WARNING" else CheckOutcome.OK


def _name_state(status: ProjectStatus, answer: str) -> str | None:
    found = status.answers.get(answer)
    return found.state if found else None
