"""One attempt to send a claimed message, and the record of its result.

A transport failure concerns the channel: the message stays due, and the caller decides when the channel is tried again.
Any other failure concerns the message: the time of its next attempt is recorded, or it becomes REFUSED if its
recipients have refused it for good.

**Limited time.** An attempt ends after `limit_sending(channel)` seconds, whatever the recipient does, and a message is
claimed for longer than that. The connection is then closed if the channel supports this; else the error contains the
thread that still sends, so that the channel is not used again before the thread has ended.
"""

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from html import escape
from typing import Literal, NamedTuple, TypeVar

from engine.errors import DeliveryError, EngineError, StoreError, UnreachableError
from engine.formatting.control_characters import single_line
from engine.formatting.moments import format_minute
from engine.notifications.channel_reach import find_channel_refusal
from engine.notifications.channels import limit_sending, send_message
from engine.notifications.envelope import DelayedError, RefusedError
from engine.notifications.mime import create_html_part, is_html_part
from engine.outcome import Outcome
from engine.spec import ProjectSpec
from engine.spec.resources.channels import Channel
from engine.spec.secrets.values import Secrets
from engine.store import (
    LONGEST_DELAY,
    Attachment,
    Claim,
    Event,
    JoinedMessage,
    MessageState,
    OutboxMessage,
    Store,
    make_delivery_event,
)

LISTED_MESSAGES = 20
"""Most joined messages that a message lists one by one; further ones are only counted."""
CLAIM_MARGIN = timedelta(minutes=1)
"""A message is claimed for this much longer than sending it may take. After a killed sender, it waits that long."""
UNDECLARED = "dropped: the spec does not declare this channel any more"

REMARK_CHARACTERS = 1000

CUT_SECONDS = 2.0
"""Seconds to wait for the end of a thread whose connection was closed."""

T = TypeVar("T")


class Delivery(NamedTuple):
    """The state of a message after an attempt.

    `reason` says where it was sent, or why not. `remark` has warnings about a message that was sent, such as a file
    that the service has left out.
    """

    message: OutboxMessage
    state: MessageState
    reason: str = ""
    remark: str = ""

    @property
    def details(self) -> str:
        """The reason and the remark as one text."""
        return "; ".join(part for part in (self.reason, self.remark) if part)


def describe_event(delivery: Delivery, by: str, at: datetime) -> Event:
    """Return a delivery as an event of the message's run; `by` names the sender if it is not the run itself."""
    message, what = delivery.message, str(delivery.state)
    severity: Literal["info", "warning", "error"] = "error"
    if delivery.state is MessageState.SENT:
        severity = "warning" if delivery.remark else "info"
        what += f" by {by}" if by else ""
    return make_delivery_event(message.reporter, message.channel, f"{what}: {delivery.details}", severity, at)


def add_delivery_event(store: Store, delivery: Delivery, by: str) -> None:
    """Add what has become of a message to the events of its run, which may have been removed since."""
    if delivery.message.run:
        with contextlib.suppress(StoreError):
            store.runs.add_events(delivery.message.run, [describe_event(delivery, by, store.database.now())])


class UnfinishedError(UnreachableError):
    """The time for a message is over, and the `thread` that sends it cannot be stopped."""

    def __init__(self, text: str, thread: threading.Thread) -> None:
        super().__init__(text)
        self.thread = thread


def double_delay(failures: int) -> timedelta:
    """Return how long to wait after a number of failures in a row: a minute after the first, at most `LONGEST_DELAY`.

    No message is given up because nobody answers: it is reported as waiting until it is sent or a person drops it.
    """
    return min(timedelta(minutes=1 << min(failures - 1, 10)), LONGEST_DELAY)


def claim_seconds(channel: Channel) -> timedelta:
    """Return how long to claim a message: longer than an attempt to send it through the channel may take."""
    return timedelta(seconds=limit_sending(channel) + CUT_SECONDS) + CLAIM_MARGIN


def send_claimed(
    store: Store, project: ProjectSpec, secrets: Secrets, claim: Claim, seconds: float, by: str
) -> Delivery:
    """Send a claimed message through its channel in at most `seconds`, and record the result and the sender `by`.

    Raises
    ------
    UnreachableError
        The recipient cannot be reached, so other messages to it would fail too. The reason has been recorded, and the
        message is due again at once.
    """
    message = claim.message
    noted = _add_joined_note(message, store.outbox.list_joined(message.id))
    reached: list[str] = []
    remarks: list[str] = []
    try:
        outcome = store.runs.find_outcome(message.run)
        sent_to = send_directly(project, secrets, noted, outcome, seconds, reached, remarks)
    except Exception as error:  # noqa: BLE001 - the boundary: a bug in one channel must not stop the other messages
        return _record_failure(store, secrets, claim, error, reached, remarks)
    remark = join_remarks(remarks)
    if message.refused:
        reason = secrets.redact(f"sent to the others, but refused for good: {'; '.join(message.refused.values())}")
        store.outbox.mark_failed(claim, reason, None, reached=reached)
        return Delivery(message, MessageState.REFUSED, reason, remark)
    store.outbox.mark_sent(claim, "" if by == f"run {message.run}" else by, sent_to, remark)
    return Delivery(message, MessageState.SENT, sent_to, remark)


def join_remarks(remarks: Sequence[str]) -> str:
    """Return the warnings of recipients as one text of at most `REMARK_CHARACTERS`."""
    return single_line("; ".join(remarks), REMARK_CHARACTERS)


def send_directly(
    project: ProjectSpec,
    secrets: Secrets,
    message: OutboxMessage,
    outcome: Outcome | None,
    seconds: float,
    reached: list[str] | None = None,
    remarks: list[str] | None = None,
) -> str:
    """Send a message in at most `seconds` without recording it; return where it was sent.

    Parameters
    ----------
    outcome
        The outcome of the run that the message is about.
    reached
        Each recipient is added as soon as it has accepted the message.
    remarks
        Warnings of recipients that accepted the message are added.

    Raises
    ------
    DeliveryError
        The message was not accepted, or the project has no such channel. Any other exception is a bug.
    """
    channel = project.channels.get(message.channel)
    if channel is None:
        raise DeliveryError(UNDECLARED)
    if refusal := find_channel_refusal(project, message.channel, secrets):
        raise UnreachableError(refusal)
    folder, home = project.folder_of("channels", message.channel), project.home_of("channels", message.channel)
    cuts: list[Callable[[], None]] = []

    def send() -> str:
        environ = project.select_environment(os.environ)
        return send_message(
            channel, message, secrets, folder, home, project.name, seconds, outcome, reached, cuts, environ, remarks
        )

    return _call_within(seconds, send, cuts)


def _record_failure(
    store: Store, secrets: Secrets, claim: Claim, error: Exception, reached: Sequence[str], remarks: Sequence[str]
) -> Delivery:
    """Record why a message was not sent, and the recipients that have it; raise UnreachableError again."""
    problem = error if isinstance(error, EngineError) else f"internal error: {type(error).__name__}: {error}"
    # Recipients that have the message do not get it again, so their warnings are recorded now.
    reason = "; ".join([secrets.redact(str(problem)), *filter(None, [join_remarks(remarks)])])
    message = claim.message
    now = store.database.now()
    if isinstance(error, UnreachableError):
        store.outbox.mark_failed(claim, reason, now, reached=reached)
        error.args = (reason,)
        raise error
    delay = double_delay(message.tries)
    if isinstance(error, DelayedError):
        delay = min(max(delay, timedelta(seconds=error.seconds)), LONGEST_DELAY)
    if isinstance(error, RefusedError):
        refused = {recipient: secrets.redact(words) for recipient, words in error.refused.items()}
        state = MessageState.REFUSED if error.complete else MessageState.PENDING
        next_try = None if error.complete else now + delay
        store.outbox.mark_failed(claim, reason, next_try, reached=reached, refused=refused, refusals=error.counted)
        return Delivery(message, state, f"refused for good: {reason}" if error.complete else reason)
    store.outbox.mark_failed(claim, reason, now + delay, reached=reached)
    return Delivery(message, MessageState.PENDING, reason)


def _add_joined_note(message: OutboxMessage, joined: Sequence[JoinedMessage]) -> OutboxMessage:
    """Return the message with a note that lists the earlier messages that were joined into it."""
    if not joined:
        return message
    more = len(joined) - LISTED_MESSAGES
    lines = [
        f"Note: {len(joined)} earlier messages of this reporter could not be sent; engine show --outbox lists them:",
        *(f"{format_minute(each.created)} {single_line(each.subject)}" for each in joined[:LISTED_MESSAGES]),
        *([f"… and {more} more"] if more > 0 else []),
    ]
    files = tuple(_add_html_note(file, lines) if is_html_part(file) else file for file in message.attachments)
    return replace(message, text="\n".join([message.text, *lines]), attachments=files)


def _add_html_note(page: Attachment, lines: Sequence[str]) -> Attachment:
    before, end, after = page.content.decode("utf-8").rpartition("</body>")
    note = f"<p>{'<br>'.join(escape(line) for line in lines)}</p>\n"
    return create_html_part(f"{before}{note}{end}{after}" if end else f"{after}{note}")


def _call_within(seconds: float, send: Callable[[], T], cuts: Sequence[Callable[[], None]]) -> T:
    """Return the result of `send`, or raise UnreachableError after `seconds`.

    The timeout of a socket is not enough, because each byte of a slow answer restarts it. After `seconds`, the
    functions in `cuts`, which `send` has added, are called to close its connection.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(send())
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=run, name="sending", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        for cut in list(cuts):
            with contextlib.suppress(Exception):  # the connection may end just now
                cut()
        thread.join(CUT_SECONDS if cuts else 0)
        if not results:
            late = f"it was not delivered in {seconds:.3g} s"
            raise UnfinishedError(late, thread) if thread.is_alive() else UnreachableError(late)
    if errors:
        raise errors[0]
    return results[0]
