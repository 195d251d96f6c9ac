"""Who may ask: a token, the right Host, and no other origin. Only whether the server lives and is ready is open.

That the server listens on this machine alone protects nothing: every program and every web page on it can connect, a
page also by a name that it lets lead here. So each request carries a token, its Host must be a name of the server, and
a page of another origin is refused. Whoever the token belongs to is handed on with the request.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute
from starlette.types import Message, Receive, Scope, Send

from engine.server.answers import AnswerError, build_error_answer
from engine.server.bodies import CLOSE
from engine.server.callers import Caller
from engine.server.tokens import RefusedTokenError, TokenCheck

OPEN_PATHS = ("/livez", "/readyz")
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
TOKEN_THREADS = 2
"""So many tokens are looked up at once; whoever sends wrong ones keeps those away that are answered."""

HEADER_BYTES = 16_384
FAILURES_PER_MINUTE = 10
ADDRESSES_REMEMBERED = 1000

SECURITY_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class FailureLimit:
    """Counts failed requests per address: of more than 10 in a minute, no further one is looked into.

    A request with the right token always passes. Otherwise whoever shares an address, such as that of a proxy, could
    lock the others out.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def count_failure(self, address: str) -> bool:
        """Count a failed request; return whether there have been too many before it."""
        now = self._clock()
        times = self._failures.setdefault(address, deque(maxlen=FAILURES_PER_MINUTE))
        self._failures.move_to_end(address)
        if len(self._failures) > ADDRESSES_REMEMBERED:
            self._failures.popitem(last=False)
        too_many = len(times) == FAILURES_PER_MINUTE and now - times[0] < 60
        if not too_many:
            times.append(now)
        return too_many


class AccessGuard:
    """Lets the requests through that may be answered, and adds the headers that protect their answers.

    Parameters
    ----------
    app
        What answers them, with its routes.
    tokens
        Knows whose a token is.
    list_hosts
        Returns the names of the server besides those of this machine, in lower case and without ports.
    """

    def __init__(
        self, app: Starlette, tokens: TokenCheck, list_hosts: Callable[[], Collection[str]], clock: Callable[[], float]
    ) -> None:
        self._app = app
        self._tokens = tokens
        self._list_hosts = list_hosts
        self._limit = FailureLimit(clock)
        self._threads: anyio.CapacityLimiter | None = None

    @property
    def routes(self) -> list[BaseRoute]:
        """What may be asked."""
        return self._app.routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *SECURITY_HEADERS]
            await send(message)

        if scope["type"] != "http":
            return
        try:
            _check_size(scope)
            if scope["path"] not in OPEN_PATHS:
                request = HTTPConnection(scope)
                self._check_origin(request)
                scope["caller"] = await self._find_caller(request)
        except AnswerError as problem:
            await build_error_answer(problem)(scope, receive, send_protected)
            return
        await self._app(scope, receive, send_protected)

    def _check_origin(self, request: HTTPConnection) -> None:
        headers = request.headers
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._is_own_host(host, request):
            known = ", ".join([*LOCAL_NAMES[:2], *sorted(self._list_hosts())])
            help_ = f"the names of this server are {known}; {self._tokens.names_help}"
            raise AnswerError(421, f'"{host[:100]}" is not a name of this server', help_, CLOSE)
        if "origin" in headers and not _is_same_origin(headers["origin"], host):
            raise AnswerError(403, "a page of another origin may not ask this server", headers=CLOSE)

    async def _find_caller(self, request: HTTPConnection) -> Caller:
        token = _find_token(request, in_url=self._tokens.in_url)
        problem = "the token is missing"
        if token is not None:
            self._threads = self._threads or anyio.CapacityLimiter(TOKEN_THREADS)  # belongs to the loop that answers
            try:
                return await anyio.to_thread.run_sync(self._tokens.identify, token, limiter=self._threads)
            except RefusedTokenError:
                problem = "the token does not count"  # why not is nothing for whoever may have guessed or found it
        if self._limit.count_failure(request.client.host if request.client else ""):
            raise AnswerError(
                429, "too many requests without a valid token", "wait a minute", {**CLOSE, "retry-after": "60"}
            )
        raise AnswerError(401, problem, self._tokens.help, {**CLOSE, "www-authenticate": 'Bearer realm="engine"'})

    def _is_own_host(self, host: str, request: HTTPConnection) -> bool:
        name = _read_host(host)[0]
        # A numeric address cannot be made to lead here by whoever owns a name, so the one that was called is right.
        called = str((request.scope.get("server") or ("",))[0])
        return name in (*LOCAL_NAMES, called) or name in self._list_hosts()


def _check_size(scope: Scope) -> None:
    """Refuse a request whose path and headers are too large; h11 bounds them only as long as they are incomplete."""
    size = len(scope["raw_path"]) + len(scope["query_string"])
    if size + sum(len(name) + len(value) for name, value in scope["headers"]) > HEADER_BYTES:
        message = f"the path and the headers are larger than {HEADER_BYTES} bytes"
        raise AnswerError(431, message, headers=CLOSE)


def _find_token(request: HTTPConnection, *, in_url: bool) -> str | None:
    """Return the token that a request carries: in its header; one that only reads, else in its URL if it may."""
    headers = request.headers.getlist("authorization")
    if len(headers) > 1:  # what stands in front of the server may have looked at the other one
        return None
    kind, _, text = "".join(headers).partition(" ")
    if kind:
        return text.strip() if kind.lower() == "bearer" else None
    reads = request.scope["method"] in ("GET", "HEAD")
    given = QueryParams(request.scope["query_string"]).getlist("token") if reads and in_url else []
    return given[0] if given else None


def _is_same_origin(origin: str, host: str) -> bool:
    """Tell whether a page of an origin comes from the host that is asked."""
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
