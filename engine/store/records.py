"""Records of runs, models and messages, as plain frozen data.

They are not rows and not mapped classes: code that makes or reads a record needs no database, and the tables can
change independently. All datetimes are aware. Mappings hold JSON values; dates come back as ISO text.
"""

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, NamedTuple

from engine.errors import Position
from engine.evaluation.bounds import CheckBounds, bounds_to_json
from engine.evaluation.record import CheckResult, MetricValue
from engine.outcome import Outcome


def utc_now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def generate_id(now: datetime) -> str:
    """Return an id that sorts by time and is safe as a file name: 20261123-013800-123456-7f3a9c1b."""
    return f"{now.astimezone(UTC):%Y%m%d-%H%M%S-%f}-{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class StepRecord:
    """The result of one step of a run. `turn` holds the variables of its iteration of `for_each`."""

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
    """One fact of a run: what happened, the value, the range that it was checked against, and where."""

    kind: Literal["check", "step", "delivery", "run"]
    severity: Literal["info", "warning", "error"]
    what: str
    at: datetime
    value: float | None = None
    range: CheckBounds | None = None
    where: str = ""
    position: Position | None = None


def event_to_json(event: Event) -> dict[str, Any]:
    """Return an event by the names of its fields; `range` by the keys of the spec."""
    return {one.name: getattr(event, one.name) for one in fields(event)} | {
        "range": bounds_to_json(event.range),
        "position": event.position and asdict(event.position),
    }


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a scenario. `outcome` and `ended` are None while it is RUNNING. `who` is user@host.

    `as_of` is the moment that it stands for; None for runs from before moments were recorded. `fire` is the number of
    the fire that it answers, None if it was started otherwise; `spec` is the digest of the spec that it has loaded, and
    `release` the bundle that it is from, None outside of deployments.
    """

    id: str
    project: str
    scenario: str
    started: datetime
    who: str
    trigger: str = "manual"
    parent: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    as_of: datetime | None = None
    ended: datetime | None = None
    outcome: Outcome | None = None
    fire: int | None = None
    spec: str | None = None
    release: str | None = None
    steps: tuple[StepRecord, ...] = ()
    events: tuple[Event, ...] = ()

    @property
    def state(self) -> str:
        """RUNNING, or the outcome."""
        return self.outcome.value if self.outcome else "RUNNING"


class MessageState(StrEnum):
    """PENDING: every run tries it again. SENT. REFUSED and DROPPED: no run tries it again.

    REFUSED: the receiver has refused it for good; it keeps its contents, so a person can send it again or drop it.
    DROPPED: nobody will send it; `last_error` says why.
    """

    PENDING = "PENDING"
    SENT = "SENT"
    REFUSED = "REFUSED"
    DROPPED = "DROPPED"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file attached to a message. It holds the content, since the original file may be gone when it is sent."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message to be delivered at least once. `id` is the same at every try, so a receiver can recognise a repeat.

    `channel` is a name of the spec, never a URL: the outbox holds no secrets. `tries` counts the attempts. Lists of
    messages leave out the attachments: a channel that was down for a week may have gigabytes of them.

    Attributes
    ----------
    to, cc, bcc
        All receivers, whether they have the message or not.
    sender
        The address that the message is from; None: that of the channel.
    reached
        The receivers that have the message, so that only the others are tried again: mail addresses as they are in
        `to`, `cc` and `bcc`, or the digests by which a channel of another kind knows its targets.
    refused
        The receivers that have refused the message for good, each with its words.
    refusals
        How often the message was refused for a reason that may pass, such as an address that is not found.
    scenario
        The scenario of the run; None in messages of early versions.
    recovered
        Whether the message tells that something has ended.
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
    cc: tuple[str, ...] = ()
    bcc: tuple[str, ...] = ()
    sender: str | None = None
    reached: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    refusals: int = 0
    scenario: str | None = None
    recovered: bool = False


@dataclass(frozen=True, slots=True)
class JoinedMessage:
    """An undelivered message that was dropped, because a later message of the same reporter tells of it."""

    id: str
    created: datetime
    subject: str


@dataclass(frozen=True, slots=True)
class Claim:
    """The exclusive right to send a message until `until`."""

    message: OutboxMessage
    token: str
    until: datetime


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version (1, 2, 3 …) of a trained model, with its files in `folder`.

    `fingerprint` is of what it was trained from, `identity` of what came out: it is the same for the same model under
    another number and in another state, and evaluations are valid as long as it is. `facts` are those behind the
    fingerprint; the properties are what else is kept with them. A version that an early engine has made has none of
    these, and an identity that holds in its state alone.
    """

    model: str
    version: int
    fingerprint: str
    created: datetime
    folder: Path
    identity: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def files(self) -> Mapping[str, str]:
        """The digests of its files, by name."""
        return dict(self.facts.get("files", {}))

    @property
    def confirmed(self) -> Mapping[str, str]:
        """The versions of libraries that it has last been confirmed with, other than those that saved it."""
        return dict(self.facts.get("confirmed", {}))

    @property
    def held_out(self) -> str:
        """The identity of its held-out rows; of an early version, the fingerprint and number that drew them."""
        return str(self.facts.get("held_out") or f"{self.fingerprint}.{self.facts.get('held_out_by', self.version)}")


@dataclass(frozen=True, slots=True)
class ActiveModel:
    """The version of a model that counts in a deployment: of the release `by`, or of the run `by` that has built it.

    None: the data decide.
    """

    model: str
    version: int | None
    since: datetime
    by: str


@dataclass(frozen=True, slots=True)
class Removal:
    """Who removed which evaluations of a store, and when."""

    store: str
    name: str
    evaluations: tuple[str, ...]
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Mute:
    """A check of an evaluation store or a dataset, muted by a person until a time.

    `ended` is when somebody has ended it before that time, None if nobody has.
    """

    target: str
    check: str
    until: datetime
    by: str
    reason: str
    created: datetime
    ended: datetime | None = None
    ended_by: str | None = None


@dataclass(frozen=True, slots=True)
class ReporterState:
    """What a reporter has last seen and told.

    Attributes
    ----------
    definition
        What it watches. If that changes, its state counts as new.
    observed
        What the last run gave: "holds" or "does not hold" of a run condition, or the outcome of the run.
    since
        The moment of the run that was the first to give that.
    told
        What its receivers know.
    sent_at
        When its last message was made, other than that something has ended; None if there is none.
    as_of
        The moment that the last run stands for.
    """

    scenario: str
    reporter: str
    definition: str
    observed: str
    since: datetime
    told: str
    sent_at: datetime | None
    as_of: datetime


class FireState(StrEnum):
    """WAITING: for its run. STARTING: the run has its id. RUNNING. DONE: the run has ended, however.

    COALESCED: a later fire with the same values does what it would have done. SKIPPED: `reason` says why.
    """

    WAITING = "WAITING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    COALESCED = "COALESCED"
    SKIPPED = "SKIPPED"


OPEN_STATES = (FireState.WAITING, FireState.STARTING, FireState.RUNNING)
"""The states of fires that still have to become something else."""


@dataclass(frozen=True, slots=True)
class Fire:
    """One occurrence of a trigger: what shall be run, and what has become of it.

    Attributes
    ----------
    key
        What the occurrence is, so that it is recorded once: `cron:1764295200`. Its form is never changed.
    scheduled
        The moment that its run stands for.
    seen_at
        When it was seen to be due.
    values
        The values of variables for its run, as text.
    changed
        The names of what has changed, where a change is the cause.
    previous
        The moment of the trigger before, whether it was run or missed; None if there was none, or a person asks.
    reason
        Why it is SKIPPED, or waits longer than usual.
    run
        The id of its run, given before the run's process is started.
    attempt
        The number of the run; a second one is made after a death of the server.
    into
        The number of the fire that it is COALESCED into.
    next_try
        When its run is tried to be started again, because the scenario was busy.
    number
        Given by the store, in order.
    """

    scenario: str
    trigger: str
    key: str
    scheduled: datetime
    seen_at: datetime
    values: Mapping[str, str] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    previous: datetime | None = None
    state: FireState = FireState.WAITING
    reason: str = ""
    run: str | None = None
    attempt: int = 1
    into: int | None = None
    next_try: datetime | None = None
    number: int = 0


RUN_END = "run_end"
"""In what is known of a trigger that follows a scenario: the number of the newest end of a run that it has seen."""


@dataclass(frozen=True, slots=True)
class TriggerState:
    """What is known of a trigger: up to when it was evaluated, and what it has seen.

    Attributes
    ----------
    definition
        The digest of what the spec says of it. If that changes, the trigger counts as new, and nothing of the past
        fires.
    evaluated_until
        All that was due until then has become a fire.
    seen
        What a trigger that compares has seen last: digests by name, the number of a run's end.
    error, error_since
        Why it cannot be evaluated, and since when.
    """

    scenario: str
    trigger: str
    definition: str
    evaluated_until: datetime
    seen: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    error_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """A scenario whose triggers a person has paused, until a time, or (None) until they are resumed.

    `ended` is when somebody has resumed them before that time, None if nobody has.
    """

    scenario: str
    until: datetime | None
    by: str
    reason: str
    created: datetime
    ended: datetime | None = None
    ended_by: str | None = None

    def is_in_force(self, now: datetime) -> bool:
        """Return whether it is in force; so is one that seems to be made later, because the clock was set back."""
        return self.ended is None and (self.until is None or self.until > now)


@dataclass(frozen=True, slots=True)
class RunEnd:
    """The end of a run: `number` counts the ends of a project, in the order in which they were recorded.

    `as_of` is the moment that the run stood for; None if that, or the run, is not kept any more.
    """

    number: int
    run: str
    scenario: str
    outcome: Outcome
    as_of: datetime | None = None


@dataclass(frozen=True, slots=True)
class ChannelState:
    """A channel that could not be reached: how many times in a row, when it is tried again, and why it failed."""

    channel: str
    failures: int
    next_try: datetime
    last_error: str


class UndeliveredMessages(NamedTuple):
    """The messages of a channel that have not arrived: how many, since when, and the newest reason.

    `waiting` are tried again, `refused` are not. The first of them can be claimed when it is `due`; None if none waits.
    """

    channel: str
    waiting: int
    refused: int
    oldest: datetime
    last_error: str | None
    due: datetime | None


class MetricPoint(NamedTuple):
    """A metric's value in one evaluation, with its confidence interval if it has one.

    `moment` is what the history goes by: the start of the evaluation's time, else when it was made. `time` is the
    declared time as text.
    """

    evaluation: str
    name: str
    moment: datetime
    value: float | None
    low: float | None = None
    high: float | None = None
    time: str | None = None


class PastFacts(NamedTuple):
    """The facts behind an earlier fingerprint. `label` is the evaluation's name or the model version's number."""

    label: str
    facts: Mapping[str, Any]


class DatasetMeasurement(NamedTuple):
    """The metrics of a dataset as they were measured once, by a run or outside of any."""

    created: datetime
    run: str | None
    metrics: Mapping[str, MetricValue]


class CheckPoint(NamedTuple):
    """A check result of one run."""

    run: str | None
    created: datetime
    result: CheckResult


@dataclass(frozen=True, slots=True)
class KeptRows:
    """The rows of a dataset that `materialize` has written.

    Attributes
    ----------
    made_of
        Digest of what they depend on: the function's source and arguments, or the query and its inputs.
    content
        Digest of what was written: of the bytes of a file, or of the rows of a table.
    fingerprint
        The fingerprint of the dataset.
    rows
        Their number.
    facts
        What `made_of` is made of, to explain a change.
    """

    made_of: str
    content: str
    fingerprint: str
    rows: int
    facts: Mapping[str, Any]
