"""The records of messages: those of the outbox, and the states of channels and reporters."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from engine.formatting.moments import format_second


class MessageState(StrEnum):
    """The state of a message in the outbox.

    PENDING: every run tries to send it. SENT: it was sent. REFUSED: its recipients have refused it for good; it keeps
    its content, so that a person can send it again or drop it. DROPPED: it will not be sent; `last_error` says why.
    """

    PENDING = "PENDING"
    SENT = "SENT"
    REFUSED = "REFUSED"
    DROPPED = "DROPPED"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file attached to a message, with its content, since the original may be gone when the message is sent."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message to be delivered at least once. Every attempt has the same `id`, so a recipient can recognize a repeat.

    `channel` is a name of the spec, never a URL: the outbox contains no secrets. `tries` counts the attempts. Lists of
    messages leave out the attachments: a channel that was down for a week may have gigabytes of them.

    Attributes
    ----------
    to, cc, bcc
        All recipients, whether they have the message or not.
    sender
        The sender's address; None for that of the channel.
    reached
        The recipients that have the message, so that only the others are tried again: mail addresses from `to`, `cc`
        and `bcc`, or the digests of targets of other channels.
    refused
        The recipients that have refused the message for good, each with its answer.
    refusals
        How often the message was refused for a reason that may be temporary, such as an address that is not found.
    scenario
        The scenario of the run; None in messages of early versions.
    recovered
        Whether the message reports a recovery.
    receipt
        When, by whom and where it was sent; None until then, and in messages of early versions.
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
        """How the message was sent, or why it was not; empty if nothing is known."""
        return str(self.receipt) if self.receipt else self.last_error or ""


@dataclass(frozen=True, slots=True)
class Receipt:
    """How a message was sent.

    Attributes
    ----------
    at
        When it was sent.
    by
        The sender: a later run, the server or a person; empty for the message's own run.
    to
        Where it was sent, without credentials.
    remark
        Warnings of the recipient or of a library, although the message was accepted.
    """

    at: datetime
    by: str
    to: str
    remark: str = ""

    def __str__(self) -> str:
        by = f" by {self.by}" if self.by else ""
        return "; ".join(part for part in (self.to, f"sent at {format_second(self.at)}{by}", self.remark) if part)


class JoinedMessage(NamedTuple):
    """An undelivered message that was dropped, because a later message of the same reporter lists it."""

    id: str
    created: datetime
    subject: str


class Claim(NamedTuple):
    """The exclusive right to send a message until `until`."""

    message: OutboxMessage
    token: str
    until: datetime


class UndeliveredMessages(NamedTuple):
    """A summary of the undelivered messages of a channel: how many, since when, and the newest reason.

    `waiting` are tried again, `refused` are not. `due` is when the first of them can be claimed; None if none waits.
    """

    channel: str
    waiting: int
    refused: int
    oldest: datetime
    last_error: str | None
    due: datetime | None


class ChannelState(NamedTuple):
    """A channel that could not be reached: how many times in a row, when it is tried again, and why it failed."""

    channel: str
    failures: int
    next_try: datetime
    last_error: str


class ReporterState(NamedTuple):
    """The last observation of a reporter, and the last one that it has reported.

    Attributes
    ----------
    definition
        A description of what it watches. If that changes, its state starts anew.
    observed
        The observation of the last run: "holds" or "does not hold" for a run condition, or the outcome of the run.
    since
        The moment of the first run with this observation.
    told
        The observation that its recipients were last informed of.
    sent_at
        When its last message was made, not counting recoveries; None if there is none.
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
