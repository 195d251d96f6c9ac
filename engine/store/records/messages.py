"""The records of messages: those of the outbox, how their channels stand, and what reporters have told."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from engine.formatting.moments import format_second


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
    """A message to be delivered at least once. `id` is the same at every try, so a receiver can recognize a repeat.

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
    receipt
        When, by whom and where to it was sent; None until then, and of messages of early versions.
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
    receipt: "Receipt | None" = None

    @property
    def prospect(self) -> str:
        """What comes of it, if it was not sent."""
        if self.state is MessageState.REFUSED:
            return "refused for good, see engine outbox"
        return "undelivered, tried again by the next run"

    @property
    def fate(self) -> str:
        """How it was sent, or why it was not; empty if nothing is known."""
        return str(self.receipt) if self.receipt else self.last_error or ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """How a message was sent.

    Attributes
    ----------
    at
        When.
    by
        Who has sent it, if not its own run: a later run, the server, a person.
    to
        Where it went, without credentials.
    remark
        What the receiver, or what speaks to it, warned of although it took the message.
    """

    at: datetime
    by: str
    to: str
    remark: str = ""

    def __str__(self) -> str:
        by = f" by {self.by}" if self.by else ""
        return "; ".join(part for part in (self.to, f"sent at {format_second(self.at)}{by}", self.remark) if part)


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


@dataclass(frozen=True, slots=True)
class ChannelState:
    """A channel that could not be reached: how many times in a row, when it is tried again, and why it failed."""

    channel: str
    failures: int
    next_try: datetime
    last_error: str


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
