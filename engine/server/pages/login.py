"""Login: a token from a form, or from the address that `engine serve` prints, begins a session."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from engine.server import links
from engine.server.answers import AnswerError
from engine.server.bodies import read_form
from engine.server.pages.page import Page, PageForms
from engine.server.pages.sessions import SESSION_COOKIE, Sessions
from engine.server.token_gate import TokenGate


class LoginPages:
    """Shows the form for the token, begins and ends sessions."""

    def __init__(self, gate: TokenGate, sessions: Sessions, forms: PageForms) -> None:
        self._gate, self._sessions, self._forms = gate, sessions, forms

    async def show_form(self, request: Request) -> Response:
        """Show the form; `next` is the page to go on to."""
        return self._write_form(request, request.query_params.get("next", ""))

    async def log_in(self, request: Request) -> Response:
        """Begin a session for a valid token; else show the form again with the error."""
        form = await read_form(request)
        target, token = form.get("next", ""), form.get("token", "").strip()
        try:
            await self._gate.identify(token or None, request)
        except AnswerError as problem:
            return self._write_form(request, target, problem)
        response = RedirectResponse(target if links.is_local(target) else links.PROJECTS, 303)
        self._sessions.begin(token, response)
        return response

    async def log_out(self, request: Request) -> Response:
        """End the session."""
        response = RedirectResponse(links.LOGIN, 303)
        self._sessions.end(request.cookies.get(SESSION_COOKIE, ""), response)
        return response

    def begin_from_address(self, request: Request) -> Response:
        """Begin a session for the token in an address, and redirect to the same address without it.

        A token must not stay in an address, because addresses are stored in the browser history and copied.
        """
        query = {key: value for key, value in request.query_params.multi_items() if key != "token"}
        here = request.scope["raw_path"].decode("ascii")
        response = RedirectResponse(links.add_query(here, query), 303)
        self._sessions.begin(request.query_params["token"], response)
        return response

    def _write_form(self, request: Request, target: str, problem: AnswerError | None = None) -> Response:
        page = Page(
            template="login.html",
            title="Log in",
            content={"error": problem.error if problem else "", "help": self._gate.help},
            values={"next": target if links.is_local(target) else ""},
            status=problem.status if problem else 200,
        )
        return self._forms.write_html(page, None, request)
