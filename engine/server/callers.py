"""The caller of a request, the role of its token, and the role that each path needs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from engine.server.answers import AnswerError


class Role(IntEnum):
    """The permissions of a token; each role includes those before it.

    VIEWER reads. OPERATOR starts and aborts runs, and pauses scenarios. DEPLOYER uploads bundles, and updates, rolls
    back and disables deployments. ADMIN deletes deployments and bundles, and reloads the server's files.
    """

    VIEWER = 1
    OPERATOR = 2
    DEPLOYER = 3
    ADMIN = 4

    @property
    def word(self) -> str:
        """The role in lower case: `viewer`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request: the name and the role of the token."""

    name: str
    role: Role


class GuardedRoute(Route):
    """A route with one method, for callers with at least a given role."""

    def __init__(
        self, path: str, endpoint: Callable[[Request], Awaitable[Response]], role: Role, method: str = "GET"
    ) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.role = role

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; raise AnswerError if the role of the caller is too low."""
        caller: Caller = scope["caller"]
        if caller.role < self.role:
            message = f'this needs the role {self.role.word}; the token "{caller.name}" has the role {caller.role.word}'
            help_ = (
                f"the owner of the node creates such tokens: engine node token create NODE NAME --role {self.role.word}"
            )
            raise AnswerError(403, message, help_)
        await super().handle(scope, receive, send)


def get_caller(request: Request) -> Caller:
    """Return the caller of a request, which the AccessGuard has stored in its scope."""
    caller: Caller = request.scope["caller"]
    return caller


def describe_caller(request: Request) -> str:
    """Return the caller of a request as text for records: the name of the token, and the client address."""
    name = get_caller(request).name
    return f"{name} {request.client.host}" if request.client else name


def prefers_html(headers: Headers) -> bool:
    """Return whether a request comes from a browser: only browsers have `text/html` in their Accept header."""
    return "text/html" in headers.get("accept", "")
