"""What the store remembers of runs, models and messages: plain frozen data, like the evaluation's own record.

They are not rows and not mapped classes: whoever makes or reads one needs no database, and the tables may change
under them. All datetimes are aware; mappings hold what JSON can hold (dates come back as ISO text).
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, NamedTuple

from engine.errors import Position
from engine.evaluation.record import CheckResult, MetricValue
from engine.outcome import Outcome


def utc_now() -> datetime:
    """Return the time by this machine's clock."""
    return datetime.now(UTC)


def new_id(now: datetime) -> str:
    """Return an id that sorts by time and is safe as a file name: 20261123-013800-123456-7f3a9c1b."""
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S-%f}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """How one step of a run went. `turn` holds the variables of its turn of `for_each`."""

    name: str
    kind: str
    outcome: Outcome
    started: datetime
    ended: datetime
    reused: bool = False
    reason: str = ""
    turn: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One fact of a run: what happened, its value, the range that it was held against, where."""

    kind: Literal["check", "step", "delivery", "run"]
    severity: Literal["info", "warning", "error"]
    what: str
    at: datetime
    value: float | None = None
    range: Mapping[str, Any] = field(default_factory=dict)
    where: str = ""
    position: Position | None = None


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a scenario. `outcome` and `ended` are None while it is RUNNING. `who` is user@host."""

    id: str
    project: str
    scenario: str
    started: datetime
    who: str
    trigger: str = "manual"
    parent: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    ended: datetime | None = None
    outcome: Outcome | None = None
    steps: tuple[StepRecord, ...] = ()
    events: tuple[Event, ...] = ()

    @property
    def state(self) -> str:
        """RUNNING, or the outcome."""
        return self.outcome.value if self.outcome else "RUNNING"


class MessageState(StrEnum):
    """Where a message of the outbox stands."""

    PENDING = "PENDING"
    SENT = "SENT"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file of a message, with its content: the file that it was taken from may be gone when it is sent."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message to be delivered at least once. `id` is the same at every try, so a receiver can tell a repeat.

    `channel` is a name of the spec, never its URL: the outbox holds no secrets. `tries` counts the sendings begun.
    """

    id: str
    run: str | None
    reporter: str
    channel: str
    to: tuple[str, ...]
    subject: str
    text: str
    created: datetime
    attachments: tuple[Attachment, ...] = ()
    state: MessageState = MessageState.PENDING
    tries: int = 0
    next_try: datetime | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to send a message until `until`: nobody else gets it before."""

    message: OutboxMessage
    token: str
    until: datetime


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A trained model as it is kept: version 1, 2, 3… of a model, with its files in `folder`."""

    model: str
    version: int
    fingerprint: str
    created: datetime
    folder: Path


@dataclass(frozen=True, slots=True)
class Removal:
    """Who removed which evaluations of a store, and when."""

    store: str
    name: str
    evaluations: tuple[str, ...]
    by: str
    at: datetime


class MetricPoint(NamedTuple):
    """A metric's value in one evaluation."""

    evaluation: str
    name: str
    created: datetime
    value: float | None


class DatasetMetricPoint(NamedTuple):
    """A dataset metric as one run found it."""

    run: str | None
    created: datetime
    fingerprint: str
    value: MetricValue


class Remembered(NamedTuple):
    """What a fingerprint of the past is made of. `label` says whose: an evaluation's name, a version's number."""

    label: str
    facts: Mapping[str, Any]


class CheckPoint(NamedTuple):
    """What a check found in one run."""

    run: str | None
    created: datetime
    result: CheckResult
