"""The routes of pages and of the actions of their forms."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from engine.server import links
from engine.server.bodies import read_form
from engine.server.callers import GuardedRoute, Role, get_caller, prefers_html
from engine.server.pages.login import LoginPages
from engine.server.pages.page import Page, PageForms
from engine.server.pages.static_files import StaticFiles
from engine.server.request_threads import RequestThreads
from engine.server.requests import FORM_KEY

Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class PageRoute:
    """A page; its address with `.json` or `.csv` gives the other formats.

    Attributes
    ----------
    pattern
        A pattern of `engine.server.links`.
    find
        Returns the page; called in a thread.
    """

    pattern: str
    find: Callable[[Request], Page]


@dataclass(frozen=True, slots=True)
class ActionRoute:
    """The action of a form.

    Attributes
    ----------
    pattern
        A pattern of `engine.server.links`.
    act
        Executes the action with the fields of the form, and returns the address of the next page; called in a thread.
    role
        The least role that is allowed.
    """

    pattern: str
    act: Callable[[Request, Mapping[str, str]], str]
    role: Role


def build_page_routes(
    pages: list[PageRoute],
    actions: list[ActionRoute],
    forms: PageForms,
    files: StaticFiles,
    login: LoginPages,
    threads: RequestThreads,
    find_start: Callable[[], str],
) -> list[Route]:
    """Return the routes of pages, their files, their actions, and the login.

    Parameters
    ----------
    find_start
        Returns the address of the start page.
    """

    async def answer_start(request: Request) -> Response:
        if "token" in request.query_params:
            return login.begin_from_address(request)
        return RedirectResponse(await threads.run(find_start), 303)

    async def answer_html(find: Callable[[Request], Page], request: Request) -> Response:
        if "token" in request.query_params and prefers_html(request.headers):
            return login.begin_from_address(request)
        return await threads.run(lambda: forms.write_html(find(request), get_caller(request), request))

    async def answer_json(find: Callable[[Request], Page], request: Request) -> Response:
        return await threads.run(lambda: forms.write_json(find(request)))

    async def answer_csv(find: Callable[[Request], Page], request: Request) -> Response:
        return await threads.run(lambda: forms.write_csv(find(request)))

    async def answer_action(act: Callable[[Request, Mapping[str, str]], str], request: Request) -> Response:
        form = await read_form(request)
        request.scope[FORM_KEY] = form.get("key", "")
        return RedirectResponse(await threads.run(act, request, form), 303)

    routes = [
        Route(f"{links.STATIC}{{digest}}/{{name}}", files.answer, methods=["GET"]),
        Route(links.LOGIN, login.show_form, methods=["GET"]),
        Route(links.LOGIN, login.log_in, methods=["POST"]),
        GuardedRoute(links.LOGOUT, login.log_out, Role.VIEWER, "POST"),
        GuardedRoute(links.START, answer_start, Role.VIEWER),
    ]
    for page in pages:
        routes += [
            GuardedRoute(f"{page.pattern}.json", partial(answer_json, page.find), Role.VIEWER),
            GuardedRoute(f"{page.pattern}.csv", partial(answer_csv, page.find), Role.VIEWER),
            GuardedRoute(page.pattern, partial(answer_html, page.find), Role.VIEWER),
        ]
    return routes + [
        GuardedRoute(action.pattern, partial(answer_action, action.act), action.role, "POST") for action in actions
    ]
