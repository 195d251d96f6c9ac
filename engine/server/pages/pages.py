"""The table of the pages and their actions."""

from typing import TYPE_CHECKING

from starlette.routing import Route

from engine.server import links
from engine.server.callers import GuardedRoute, Role
from engine.server.event_streams import EventStreams
from engine.server.pages.child_commands import ChildCommands
from engine.server.pages.evaluation import EvaluationPages
from engine.server.pages.evaluation_store import EvaluationStorePages
from engine.server.pages.kept_results import KeptResults
from engine.server.pages.login import LoginPages
from engine.server.pages.outbox import OutboxPages
from engine.server.pages.page import PageForms
from engine.server.pages.project import ProjectPage
from engine.server.pages.projects import ProjectPages
from engine.server.pages.routes import ActionRoute, PageRoute, build_page_routes
from engine.server.pages.runs import RunPages
from engine.server.pages.scenarios import ScenarioPages
from engine.server.pages.spec import SpecPages
from engine.server.pages.static_files import StaticFiles
from engine.server.request_threads import RequestThreads
from engine.server.requests import ProjectRequests

if TYPE_CHECKING:
    from engine.server.node_api.application import NodeApi

LISTS_KEPT = 8
"""Number of lists of evaluations that are cached."""
STORES_KEPT = 32
"""Number of evaluation stores whose status is cached."""


def build_pages(
    requests: ProjectRequests,
    forms: PageForms,
    files: StaticFiles,
    login: LoginPages,
    threads: RequestThreads,
    streams: EventStreams,
    api: "NodeApi | None",
) -> list[Route]:
    """Return the routes of all pages; those of bundles and deployments only with the API of a node."""
    projects = ProjectPages(requests)
    stores = EvaluationStorePages(requests, forms.redact, KeptResults(LISTS_KEPT))
    commands = ChildCommands()
    project = ProjectPage(requests, forms.redact, commands, KeptResults(STORES_KEPT))
    evaluations = EvaluationPages(requests, forms.redact, commands, KeptResults(1))
    scenarios = ScenarioPages(requests, forms.redact)
    runs = RunPages(requests, forms.redact, threads, streams)
    specs, outbox = SpecPages(requests, forms.redact), OutboxPages(requests)
    pages = [
        PageRoute(links.PROJECTS, projects.list_projects),
        PageRoute(links.PROJECT, project.show_project),
        PageRoute(links.STORE, stores.list_evaluations),
        PageRoute(links.COMPARED, stores.compare_evaluations),
        PageRoute(links.REMOVAL, stores.ask_removal),
        PageRoute(links.DRIFT, evaluations.show_drift),
        PageRoute(links.COLUMN, evaluations.show_column),
        PageRoute(links.EVALUATION, evaluations.show_evaluation),
        PageRoute(links.SCENARIOS, scenarios.list_scenarios),
        PageRoute(links.SCENARIO, scenarios.show_scenario),
        PageRoute(links.FIRE, scenarios.show_fire),
        PageRoute(links.RUN, runs.show_run),
        PageRoute(links.SPEC, specs.show_spec),
        PageRoute(links.FLOW, specs.show_flow),
        PageRoute(links.OUTBOX, outbox.list_messages),
    ]
    actions = [
        ActionRoute(links.REMOVAL, stores.remove_evaluations, Role.ADMIN),
        ActionRoute(links.COMPUTE, evaluations.compute, Role.OPERATOR),
        ActionRoute(links.CHECK, project.check_store, Role.OPERATOR),
        ActionRoute(links.RUN_REQUEST, scenarios.start_run, Role.OPERATOR),
        ActionRoute(links.PAUSE, scenarios.pause, Role.OPERATOR),
        ActionRoute(links.RESUME, scenarios.resume, Role.OPERATOR),
        ActionRoute(links.RELOAD, specs.reload_specs, Role.ADMIN),
        ActionRoute(links.MESSAGE_RETRY, outbox.retry_message, Role.OPERATOR),
        ActionRoute(links.MESSAGE_DROP, outbox.drop_message, Role.OPERATOR),
        ActionRoute(links.ABORT, runs.abort, Role.OPERATOR),
    ]
    if api is not None:
        from engine.server.pages.node_pages import list_node_pages

        of_node = list_node_pages(requests, api, forms.redact)
        pages, actions = [*pages, *of_node[0]], [*actions, *of_node[1]]
    found = build_page_routes(pages, actions, forms, files, login, threads, projects.find_start)
    return [GuardedRoute(links.RUN_LOG, runs.stream_log, Role.VIEWER), *found]
