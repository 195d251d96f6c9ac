"""The records of node.db: deployments, their revisions, and the operations on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from engine.formatting.moments import format_minute


class RevisionState(StrEnum):
    """What is known of a revision of a deployment.

    NEW: it has never been active. HEALTHY: it has passed its health check. ROLLED_BACK: it was active, and the
    deployment went back from it. FAILED: it did not come to be active. OFF: its triggers start nothing, so nothing is
    checked.
    """

    NEW = "NEW"
    HEALTHY = "HEALTHY"
    ROLLED_BACK = "ROLLED_BACK"
    FAILED = "FAILED"
    OFF = "OFF"


class OperationState(StrEnum):
    """How far an operation has come, in order; the last four are ends."""

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
    """A bundle whose archive an infrastructure has, with the name under which it came and the keys that signed it."""

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
        The number of the revision that is active; None if none has been yet.
    enabled
        Whether its scenarios may be started by triggers.
    error
        What is wrong with it that only people can put right; empty if nothing is.
    quarantined
        By id of a bundle that was rolled back here: why, and when.
    """

    name: str
    project: str
    active_revision: int | None
    enabled: bool
    error: str
    quarantined: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """A bundle with the settings that a deployment has given it, as they were then; `digest` is that of the settings.

    Secrets are among them by name and source, never by value.
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
    """What was done in an operation: `problem` is why it failed, empty if it did not; `log` is what it has said."""

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
        Its place in the order of all operations.
    key
        What makes it one operation however often it is asked for.
    from_revision, to_revision
        The revision that was active, None if none was, and the one that was to be.
    reason
        Why it has ended as it has; empty while it goes on, or if all went well.
    again, now
        Whether a bundle that was rolled back was asked for all the same, and whether the proofs were to be left out;
        None if that was not recorded.
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
        """Return whether it may have been asked for like that; what was not recorded does not count."""
        return self.again in (None, again) and self.now in (None, now)


@dataclass(frozen=True, slots=True)
class OperationEvent:
    """Something that an operation has said; `number` counts what it has said from 1."""

    number: int
    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token of somebody who may ask a node. The token itself is not known here, only its digest.

    Attributes
    ----------
    id
        The part of the token by which it is found and named; no secret.
    name
        Who has it. Two tokens may have one name, so that a new one can take the place of an old one.
    role
        What it allows: viewer, operator, deployer or admin.
    expires, revoked
        When it ends by itself, and when somebody ended it; None if not.
    last_used
        When it was last used, to the minute; None if it has not been.
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
