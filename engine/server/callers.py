"""Who has asked, and what they may do: the role of their token."""

from dataclasses import dataclass
from enum import IntEnum

from starlette.requests import Request


class Role(IntEnum):
    """What a token allows; each role allows what those before it do.

    VIEWER reads. OPERATOR starts and aborts runs, pauses scenarios. DEPLOYER brings bundles, updates, rolls back and
    switches off deployments. ADMIN deletes deployments and bundles.
    """

    VIEWER = 1
    OPERATOR = 2
    DEPLOYER = 3
    ADMIN = 4


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever has sent a request: the name and the role of their token."""

    name: str
    role: Role


def get_caller(request: Request) -> Caller:
    """Return who has sent a request; the guard has put them there."""
    caller: Caller = request.scope["caller"]
    return caller
