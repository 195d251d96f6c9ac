"""The table of the pages and of their actions."""

from starlette.routing import Route

from engine.server.pages import links
from engine.server.pages.login import LoginPages
from engine.server.pages.page import PageForms
from engine.server.pages.projects import ProjectPages
from engine.server.pages.routes import ActionRoute, PageRoute, build_page_routes
from engine.server.pages.static_files import StaticFiles
from engine.server.request_threads import RequestThreads
from engine.server.requests import ProjectRequests


def build_pages(
    requests: ProjectRequests, forms: PageForms, files: StaticFiles, login: LoginPages, threads: RequestThreads
) -> list[Route]:
    """Return the routes of all pages."""
    projects = ProjectPages(requests)
    pages = [
        PageRoute(links.PROJECTS, projects.list_projects),
    ]
    actions: list[ActionRoute] = []
    return build_page_routes(pages, actions, forms, files, login, threads, projects.find_start)
