"""Who has asked, and what they may do: the role of their token, and the role that each path needs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import IntEnum

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from engine.server.answers import AnswerError


class Role(IntEnum):
    """What a token allows; each role allows what those before it do.

    VIEWER reads. OPERATOR starts and aborts runs, pauses scenarios. DEPLOYER brings bundles, updates, rolls back and
    switches off deployments. ADMIN deletes deployments and bundles, and lets the server read its files again.
    """

    VIEWER = 1
    OPERATOR = 2
    DEPLOYER = 3
    ADMIN = 4

    @property
    def word(self) -> str:
        """How people write it: `viewer`."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever has sent a request: the name and the role of their token."""

    name: str
    role: Role


class GuardedRoute(Route):
    """A path with one method, which only callers of a role or a higher one may use."""

    def __init__(
        self, path: str, endpoint: Callable[[Request], Awaitable[Response]], role: Role, method: str = "GET"
    ) -> None:
        super().__init__(path, endpoint, methods=[method])
        self.role = role

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; raises AnswerError if the role of the caller is too low."""
        caller: Caller = scope["caller"]
        if caller.role < self.role:
            message = f'this needs the role {self.role.word}; the token "{caller.name}" has the role {caller.role.word}'
            help_ = f"who runs the node makes such tokens: engine node token create NODE NAME --role {self.role.word}"
            raise AnswerError(403, message, help_)
        await super().handle(scope, receive, send)


def get_caller(request: Request) -> Caller:
    """Return who has sent a request; the guard has put them there."""
    caller: Caller = request.scope["caller"]
    return caller
