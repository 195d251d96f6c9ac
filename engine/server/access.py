"""Access control for requests: they need a token, a valid Host header and the same origin.

Listening only on this machine is no protection: every local program and every web page in a local browser can connect,
a page also through DNS rebinding. So each request needs a token, its Host must be a name of the server, and requests by
pages of other origins are refused. The owner of the token is passed on with the request.

A browser has a session cookie instead of a token. It is valid for pages and for unknown addresses, but never for the
API. A changing request with a cookie must come from a page of this server, according to Sec-Fetch-Site or Origin,
because other pages can make a browser send the cookie too. Only liveness, readiness, the login form and the static
files need no token.
"""

from collections.abc import Callable, Collection
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Message, Receive, Scope, Send

from engine.server.answers import AnswerError
from engine.server.bodies import CLOSE
from engine.server.callers import Caller
from engine.server.links import LOGIN, OPEN_PREFIX, is_page
from engine.server.pages.sessions import SESSION_COOKIE, Sessions
from engine.server.token_gate import TokenGate

OPEN_PATHS = ("/livez", "/readyz")
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
HEADER_BYTES = 16_384

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class AccessGuard:
    """Refuses requests without access, and adds security headers to all answers.

    Parameters
    ----------
    app
        The application that answers the accepted requests.
    gate
        Finds the owner of a token.
    sessions
        The sessions of logged-in browsers.
    list_hosts
        Returns the names of the server besides those of this machine, in lower case and without ports.
    write_problem
        Returns the answer for an error.
    """

    def __init__(
        self,
        app: Starlette,
        gate: TokenGate,
        sessions: Sessions,
        list_hosts: Callable[[], Collection[str]],
        write_problem: Callable[[HTTPConnection, AnswerError], Response],
    ) -> None:
        self._app, self._gate, self._sessions = app, gate, sessions
        self._list_hosts, self._write_problem = list_hosts, write_problem

    @property
    def routes(self) -> list[BaseRoute]:
        """The routes of the application."""
        return self._app.routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = list(message.get("headers", ()))
                names = {name for name, _ in own}
                message["headers"] = own + [one for one in SECURITY_HEADERS if one[0] not in names]
            await send(message)

        if scope["type"] != "http":
            return
        request = HTTPConnection(scope)
        try:
            _check_size(scope)
            if scope["path"] not in OPEN_PATHS:
                self._check_origin(request)
                if scope["path"] != LOGIN and not scope["path"].startswith(OPEN_PREFIX):
                    scope["caller"] = await self._find_caller(request)
        except AnswerError as problem:
            await self._write_problem(request, problem)(scope, receive, send_protected)
            return
        await self._app(scope, receive, send_protected)

    def _check_origin(self, request: HTTPConnection) -> None:
        headers = request.headers
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._is_own_host(host, request):
            known = ", ".join([*LOCAL_NAMES[:2], *sorted(self._list_hosts())])
            help_ = f"the names of this server are {known}; {self._gate.names_help}"
            raise AnswerError(421, f'"{host[:100]}" is not a name of this server', help_, CLOSE)
        if "origin" in headers and not _is_same_origin(headers["origin"], host):
            raise AnswerError(403, "a page of another origin may not ask this server", headers=CLOSE)

        if is_page(request.scope["path"]) and request.scope["method"] not in ("GET", "HEAD"):
            _check_same_site(request)

    async def _find_caller(self, request: HTTPConnection) -> Caller:
        token = _find_token(request, in_url=self._gate.in_url)
        if token is None and is_page(request.scope["path"]):
            return await self._gate.identify_session(self._find_session(request))
        if token is None and not self._is_known(request.scope):
            # a logged-in browser gets 404 as for a page; others must not learn which paths exist
            with suppress(AnswerError):
                return await self._gate.identify_session(self._find_session(request))
        return await self._gate.identify(token, request)

    def _find_session(self, request: HTTPConnection) -> str | None:
        return self._sessions.find_token(request.cookies.get(SESSION_COOKIE, ""))

    def _is_known(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is not Match.NONE for route in self.routes)

    def _is_own_host(self, host: str, request: HTTPConnection) -> bool:
        name = _read_host(host)[0]
        # DNS rebinding needs a name, so the numeric address of the connection is always allowed.
        called = str((request.scope.get("server") or ("",))[0])
        return name in (*LOCAL_NAMES, called) or name in self._list_hosts()


def _check_size(scope: Scope) -> None:
    """Refuse a request whose path and headers are too large; h11 limits only incomplete ones."""
    size = len(scope["raw_path"]) + len(scope["query_string"])
    if size + sum(len(name) + len(value) for name, value in scope["headers"]) > HEADER_BYTES:
        message = f"the path and the headers are larger than {HEADER_BYTES} bytes"
        raise AnswerError(431, message, headers=CLOSE)


def _find_token(request: HTTPConnection, *, in_url: bool) -> str | None:
    """Return the token of a request from its header; with `in_url`, that of a GET request also from its URL."""
    headers = request.headers.getlist("authorization")
    if len(headers) > 1:  # a proxy in front of the server may have checked the other one
        return None
    kind, _, text = "".join(headers).partition(" ")
    if kind:
        return text.strip() if kind.lower() == "bearer" else None
    reads = request.scope["method"] in ("GET", "HEAD")
    given = QueryParams(request.scope["query_string"]).getlist("token") if reads and in_url else []
    return given[0] if given else None


def _check_same_site(request: HTTPConnection) -> None:
    """Refuse a request that was not sent by a page of this server; an Origin header was checked before."""
    if request.headers.get("sec-fetch-site") != "same-origin" and "origin" not in request.headers:
        raise AnswerError(403, "this was not asked by a page of this server", "programs ask the other paths", CLOSE)


def _is_same_origin(origin: str, host: str) -> bool:
    """Return whether an origin is the requested host itself."""
    scheme, _, rest = origin.partition("://")
    if scheme not in ("http", "https"):
        return False
    default = {"http": 80, "https": 443}[scheme]
    ours, theirs = _read_host(host), _read_host(rest)
    return bool(theirs[0]) and (theirs[0], theirs[1] or default) == (ours[0], ours[1] or default)


def _read_host(text: str) -> tuple[str, int | None]:
    """Return the name, in lower case, and the port of a Host header; an empty name if it is not valid."""
    try:
        parts = urlsplit(f"//{text}")
        if parts.netloc != text or parts.username is not None:
            return "", None
        return (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:
        return "", None
