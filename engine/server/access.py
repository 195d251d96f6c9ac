"""Who may ask: a token, the right Host, and no other origin. Only whether the server lives and is ready is open.

That the server listens on this machine alone protects nothing: every program and every web page on it can connect, a
page also by a name that it lets lead here. So each request carries a secret that the server has made, its Host must be
a name of the server, and a page of another origin is refused.
"""

import hashlib
import secrets
from collections import OrderedDict, deque
from collections.abc import Callable, Collection
from urllib.parse import urlsplit

from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.errors import UsageError
from engine.server.answers import AnswerError, build_error_answer

OPEN_PATHS = ("/livez", "/readyz")
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
TOKEN_LENGTH = 32
"""The least length of a token that is given to the server: right guesses are not slowed, so it must be a long one."""

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


def make_token() -> str:
    """Return a new token, of 32 random bytes."""
    return f"eng_{secrets.token_urlsafe(32)}"


def check_token(text: str, source: str) -> str:
    """Return a token that was given to the server; raises UsageError if it can be guessed or cannot be sent."""
    token = text.strip()
    if len(token) < TOKEN_LENGTH or not token.isascii() or not token.isprintable() or " " in token:
        message = f"the token in {source} is not {TOKEN_LENGTH} or more letters, digits and signs without blanks"
        raise UsageError(f'{message}: make one with python -c "import secrets; print(secrets.token_urlsafe(32))"')
    return token


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
    token
        What each request must carry.
    list_hosts
        Returns the names of the server besides those of this machine, in lower case and without ports.
    """

    def __init__(
        self, app: ASGIApp, token: str, list_hosts: Callable[[], Collection[str]], clock: Callable[[], float]
    ) -> None:
        self._app = app
        self._digest = _digest_token(token)
        self._list_hosts = list_hosts
        self._limit = FailureLimit(clock)

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
                self._check_request(HTTPConnection(scope))
        except AnswerError as problem:
            await build_error_answer(problem)(scope, receive, send_protected)
            return
        await self._app(scope, receive, send_protected)

    def _check_request(self, request: HTTPConnection) -> None:
        headers = request.headers
        close = {"connection": "close"}
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._is_own_host(host, request):
            known = ", ".join([*LOCAL_NAMES[:2], *sorted(self._list_hosts())])
            help_ = f"the names of this server are {known}; server.url in the spec adds its own"
            raise AnswerError(421, f'"{host[:100]}" is not a name of this server', help_, close)
        if "origin" in headers and not _is_same_origin(headers["origin"], host):
            raise AnswerError(403, "a page of another origin may not ask this server", headers=close)
        if self._is_authorized(request):
            return
        if self._limit.count_failure(request.client.host if request.client else ""):
            raise AnswerError(
                429, "too many requests without the token", "wait a minute", {**close, "retry-after": "60"}
            )
        help_ = "send Authorization: Bearer TOKEN; engine serve prints the token when it starts"
        found = "the token is not the one of this server" if _find_tokens(request) else "the token is missing"
        raise AnswerError(401, found, help_, {**close, "www-authenticate": 'Bearer realm="engine"'})

    def _is_own_host(self, host: str, request: HTTPConnection) -> bool:
        name = _read_host(host)[0]
        # A numeric address cannot be made to lead here by whoever owns a name, so the one that was called is right.
        called = str((request.scope.get("server") or ("",))[0])
        return name in (*LOCAL_NAMES, called) or name in self._list_hosts()

    def _is_authorized(self, request: HTTPConnection) -> bool:
        # Digests of equal length: the time of a comparison tells neither the token nor its length.
        return any(secrets.compare_digest(_digest_token(text), self._digest) for text in _find_tokens(request))


def _check_size(scope: Scope) -> None:
    """Refuse a request whose path and headers are too large; h11 bounds them only as long as they are incomplete."""
    size = len(scope["raw_path"]) + len(scope["query_string"])
    if size + sum(len(name) + len(value) for name, value in scope["headers"]) > HEADER_BYTES:
        message = f"the path and the headers are larger than {HEADER_BYTES} bytes"
        raise AnswerError(431, message, headers={"connection": "close"})


def _find_tokens(request: HTTPConnection) -> list[str]:
    """Return the tokens that a request carries: in its header; one that only reads, else in its URL."""
    kind, _, text = request.headers.get("authorization", "").partition(" ")
    if kind:
        return [text.strip()] if kind.lower() == "bearer" else []
    reads = request.scope["method"] in ("GET", "HEAD")
    return QueryParams(request.scope["query_string"]).getlist("token")[:1] if reads else []


def _digest_token(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


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
