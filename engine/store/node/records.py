"""The records of node.db: deployments, their revisions, and the operations on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from engine.formatting.moments import format_minute


class RevisionState(StrEnum):
    """The state of a revision of a deployment.

    NEW: it was never active. HEALTHY: it has passed its health check. ROLLED_BACK: it was active, and the deployment
    was rolled back from it. FAILED: it could not be activated. OFF: its triggers are disabled, so it is not checked.
    """

    NEW = "NEW"
    HEALTHY = "HEALTHY"
    ROLLED_BACK = "ROLLED_BACK"
    FAILED = "FAILED"
    OFF = "OFF"


class OperationState(StrEnum):
    """The states of an operation in order; the last four are ends."""

    REQUESTED = "REQUESTED"
    RECEIVED = "RECEIVED"
    VERIFIED = "VERIFIED"
    LAID_DOWN = "LAID_DOWN"
    PRELOADED = "PRELOADED"
    ACTIVE = "ACTIVE"
    HEALTHY = "HEALTHY"
    FAILED = "FAILED"
    ROLLED_BACK = "ROLLED_BACK"
    ERROR = "ERROR"


ENDS = (OperationState.HEALTHY, OperationState.FAILED, OperationState.ROLLED_BACK, OperationState.ERROR)

OperationKind = Literal["deploy", "rollback", "disable"]


@dataclass(frozen=True, slots=True)
class ReceivedBundle:
    """A bundle whose archive is in an infrastructure, with the name in its request and the keys that signed it."""

    id: str
    project: str
    name: str
    size: int
    received: datetime
    by: str
    signers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeploymentRow:
    """A deployment.

    Attributes
    ----------
    active_revision
        The number of the active revision; None if none has been active yet.
    enabled
        Whether triggers may start its scenarios.
    error
        A problem that a person must repair; empty if there is none.
    quarantined
        The bundles that were rolled back here: why and when, by the id of the bundle.
    """

    name: str
    project: str
    active_revision: int | None
    enabled: bool
    error: str
    quarantined: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """A bundle with the settings of a deployment at that time; `digest` is the digest of the settings.

    The settings contain names and sources of secrets, never their values.
    """

    deployment: str
    number: int
    bundle: str
    bundle_name: str
    settings: Mapping[str, Any]
    digest: str
    made: datetime
    made_by: str
    state: RevisionState


@dataclass(frozen=True, slots=True)
class OperationStep:
    """A step of an operation, with its log; `problem` is why it failed, and empty if it did not."""

    name: str
    started: datetime
    ended: datetime
    problem: str
    log: str


@dataclass(frozen=True, slots=True)
class OperationRow:
    """An operation on a deployment: from one revision to another.

    Attributes
    ----------
    number
        The position in the order of all operations.
    key
        The idempotency key: repeated requests with the same key are one operation.
    from_revision, to_revision
        The revision that was active before (None if there was none), and the one to activate.
    reason
        Why the operation failed or was rolled back; else empty.
    again, now
        Whether the request allowed a bundle that was rolled back before, and whether it skipped the proofs; None if
        that was not recorded.
    """

    number: int
    id: str
    key: str
    deployment: str
    kind: OperationKind
    from_revision: int | None
    to_revision: int
    state: OperationState
    by: str
    started: datetime
    ended: datetime | None
    reason: str
    again: bool | None = None
    now: bool | None = None
    steps: tuple[OperationStep, ...] = ()

    def allows(self, *, now: bool, again: bool = False) -> bool:
        """Return whether the operation was requested with these options; options that were not recorded match."""
        return self.again in (None, again) and self.now in (None, now)


@dataclass(frozen=True, slots=True)
class OperationEvent:
    """A message of an operation; its `number` counts from 1 in each operation."""

    number: int
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token for requests to a node. Only the digest of the token is stored.

    Attributes
    ----------
    id
        The public part of the token, by which it is looked up and listed.
    name
        The name of its holder. Two tokens may have the same name, so that a new one can replace an old one.
    role
        The permissions: viewer, operator, deployer or admin.
    expires, revoked
        When the token expires, and when it was revoked; None if not.
    last_used
        When it was last used, to the minute; None if it was never used.
    """

    id: str
    digest: str = field(repr=False)
    name: str
    role: str
    made: datetime
    made_by: str
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None

    def explain_end(self, now: datetime) -> str:
        """Return why the token is not valid any more; empty if it is valid."""
        if self.revoked is not None:
            return f"was revoked at {format_minute(self.revoked)}"
        if self.expires is not None and self.expires <= now:
            return f"has expired at {format_minute(self.expires)}"
        return ""
