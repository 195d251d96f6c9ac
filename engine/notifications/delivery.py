"""Send the messages of the outbox: at least once, oldest first; a failure of one message does not stop the others.

A message is claimed before it is sent, so that two runs at the same time do not both send it. The claim of a killed
sender expires. A message that was not accepted is tried again by the next run; a caller that does not set `early` tries
it again only when it is due. Only the receivers that do not have it yet are tried again, and a message that all of them
have refused for good becomes REFUSED: the run says so once, and no later run tries it.

**A bounded time.** All deliveries of a run share `DELIVERY_SECONDS`, however many channels and messages there are and
whatever their servers do. Each channel gets an equal share of the time that is left, and a channel whose messages have
failed least often is first, so that a slow one does not keep the others from being tried. The first message that cannot
reach its channel is the last one that is tried there; one that has failed `TURNS` times lets the others go first. What
was not tried in the time is PENDING, and says so.

**A bounded number.** Of the messages of earlier runs that one reporter could not send through one channel, the newest
`KEPT_MESSAGES` are sent whole. The oldest of these tells of those before it, which are dropped.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from html import escape
from typing import TypeVar

from engine.errors import DeliveryError, EngineError, UnreachableError
from engine.formatting.control_characters import single_line
from engine.notifications.channels import limit_sending, send_message
from engine.notifications.envelope import DelayedError, RefusedError
from engine.notifications.mime import create_html_part, is_html_part
from engine.outcome import Outcome
from engine.spec import ProjectSpec
from engine.spec.resources.channels import Channel
from engine.spec.secrets import Secrets
from engine.store import Attachment, Claim, JoinedMessage, MessageState, OutboxMessage, Store

DELIVERY_SECONDS = 120.0
"""The longest time that all deliveries of a run take together."""
LAST_SECONDS = 60.0
"""How much of it is kept for the end of the run: messages at its start, and of runs that it starts, take the rest."""

TIME_IS_OVER = f"not tried, because the deliveries of a run may take {DELIVERY_SECONDS:g} s, which were over"

KEPT_MESSAGES = 5
"""How many messages of earlier runs, of one reporter and through one channel, are sent whole."""
LISTED_MESSAGES = 20
"""How many of those before them are told one by one; of the others, how many there are."""

TURNS = 3

CLAIM_MARGIN = timedelta(minutes=1)
"""How much longer than its sending a message is claimed. One that a killed sender had claimed waits that long."""

FIRST_DELAY, LONGEST_DELAY = timedelta(minutes=1), timedelta(hours=1)
"""The delay between tries doubles up to the longest. No message is given up because nobody answers: every run reports
it until it is sent, or until a person drops it."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Delivery:
    """The state of a message after a try; `reason` says why it was not sent, or where to if the fallback was used."""

    message: OutboxMessage
    state: MessageState
    reason: str = ""


@dataclass(slots=True)
class DeliveryTime:
    """The time for all deliveries of one run, which each of them shortens: `left` seconds. The run began at `began`."""

    began: datetime | None = None
    left: float = DELIVERY_SECONDS


def deliver_messages(
    store: Store,
    project: ProjectSpec,
    secrets: Secrets,
    *,
    early: bool,
    messages: Sequence[OutboxMessage] | None = None,
    time_of_run: DeliveryTime | None = None,
    reserved: float = 0,
) -> tuple[Delivery, ...]:
    """Send messages of the outbox: channel by channel, oldest first.

    Parameters
    ----------
    early
        Try messages that failed before even if their next try is in the future: a person who starts a run by hand may
        have just repaired the channel.
    messages
        The messages to send; by default all that wait.
    time_of_run
        The time that is left to the run; by default `DELIVERY_SECONDS`. With its begin, the messages of earlier runs
        are joined if they are many.
    reserved
        Seconds of it that must remain.

    Returns
    -------
    One entry per message. Those that are PENDING are undelivered, and those that are REFUSED or DROPPED will not be
    tried again.
    """
    limits = time_of_run or DeliveryTime()
    waiting = list(store.outbox.list_undelivered() if messages is None else messages)
    delivered = (
        [] if limits.began is None or messages is not None else _join_older_messages(store, waiting, limits.began)
    )
    joined = {delivery.message.id for delivery in delivered}
    channels: dict[str, list[OutboxMessage]] = {}
    for message in sorted(waiting, key=lambda message: message.tries // TURNS):  # stable: otherwise the oldest first
        if message.id not in joined:
            channels.setdefault(message.channel, []).append(message)
    by_tries = sorted(channels.items(), key=lambda item: max(message.tries for message in item[1]))
    for place, (_, of_channel) in enumerate(by_tries):
        began = time.monotonic()
        share = max(0.0, limits.left - reserved) / (len(by_tries) - place)
        delivered += _deliver_through_channel(store, project, secrets, of_channel, early, began + share)
        limits.left -= time.monotonic() - began
    return tuple(delivered)


def send_unrecorded(
    project: ProjectSpec, secrets: Secrets, messages: Sequence[OutboxMessage], outcome: Outcome
) -> tuple[Delivery, ...]:
    """Send messages that the outbox cannot record, each once: an alert must go out although nothing can be written."""
    delivered = []
    until = time.monotonic() + DELIVERY_SECONDS
    for message in messages:
        state = MessageState.DROPPED
        try:
            channel = project.channels[message.channel]
            limit = min(limit_sending(channel), until - time.monotonic())
            if limit <= 0:
                raise DeliveryError(TIME_IS_OVER)
            reason = _send_claimed_message(project, channel, message, secrets, outcome, limit, [])
            state = MessageState.SENT
        except Exception as error:  # noqa: BLE001 - the boundary: a bug in one channel must not stop the other messages
            reason = secrets.redact(str(error) or type(error).__name__)
        delivered.append(Delivery(message, state, reason))
    return tuple(delivered)


def _join_older_messages(store: Store, waiting: Sequence[OutboxMessage], began: datetime) -> list[Delivery]:
    by_id = {message.id: message for message in waiting}
    dropped = store.outbox.join_older(began, KEPT_MESSAGES)
    return [Delivery(by_id[id_], MessageState.DROPPED, reason) for id_, reason in dropped if id_ in by_id]


def _deliver_through_channel(
    store: Store,
    project: ProjectSpec,
    secrets: Secrets,
    messages: Sequence[OutboxMessage],
    early: bool,
    until: float,
) -> list[Delivery]:
    """Send the messages of one channel until the time `until` of the monotonic clock."""
    delivered: list[Delivery] = []
    stopped = ""
    for place, message in enumerate(messages):
        left = until - time.monotonic()
        if not stopped and left <= 0:
            stopped = TIME_IS_OVER
        if stopped and message.channel in project.channels:
            store.outbox.explain_waiting([waits.id for waits in messages[place:]], stopped)
            return [*delivered, *(Delivery(waits, MessageState.PENDING, stopped) for waits in messages[place:])]
        try:
            delivery = _deliver_message(store, project, secrets, message, early, left)
        except UnreachableError as error:
            stopped = f"not tried, because an earlier message to this channel failed: {error}"
            delivery = Delivery(message, MessageState.PENDING, str(error))
        if delivery is not None:
            delivered.append(delivery)
    return delivered


def _deliver_message(
    store: Store, project: ProjectSpec, secrets: Secrets, message: OutboxMessage, early: bool, left: float
) -> Delivery | None:
    """Return the new state of the message; None if another process has sent it meanwhile.

    Raises
    ------
    UnreachableError
        The receiver cannot be reached; the failure has been recorded.
    """
    channel = project.channels.get(message.channel)
    if channel is None:
        reason = "dropped: the spec does not declare this channel any more"
        store.outbox.drop(message.id, reason)
        return Delivery(message, MessageState.DROPPED, reason)
    limit = min(limit_sending(channel), left)
    claim = store.outbox.claim(message.id, timedelta(seconds=limit) + CLAIM_MARGIN, early=early)
    if claim is None:
        waits = any(other.id == message.id for other in store.outbox.list_undelivered(message.run))
        reason = message.last_error or "another process is sending it"
        return Delivery(message, MessageState.PENDING, reason) if waits else None
    told = _tell_of_joined(claim.message, store.outbox.list_joined(message.id))
    outcome = None if message.run is None else store.runs.get(message.run).outcome
    reached: list[str] = []
    try:
        sent_to = _send_claimed_message(project, channel, told, secrets, outcome, limit, reached)
    except Exception as error:  # noqa: BLE001 - the boundary: a bug in one channel must not stop the other messages
        return _record_failure(store, secrets, claim, error, reached)
    if claim.message.refused:
        reason = secrets.redact(
            f"sent to the others, but refused for good: {'; '.join(claim.message.refused.values())}"
        )
        store.outbox.mark_failed(claim, reason, None, reached=reached)
        return Delivery(message, MessageState.REFUSED, reason)
    store.outbox.mark_sent(claim)
    return Delivery(message, MessageState.SENT, sent_to)


def _record_failure(store: Store, secrets: Secrets, claim: Claim, error: Exception, reached: Sequence[str]) -> Delivery:
    """Record why a message was not sent, and to whom it was; raise UnreachableError again."""
    problem = error if isinstance(error, EngineError) else f"internal error: {type(error).__name__}: {error}"
    reason = secrets.redact(str(problem))
    message = claim.message
    delay = min(FIRST_DELAY * 2 ** min(message.tries - 1, 10), LONGEST_DELAY)
    if isinstance(error, DelayedError):
        delay = min(max(delay, timedelta(seconds=error.seconds)), LONGEST_DELAY)
    if isinstance(error, RefusedError):
        refused = {receiver: secrets.redact(words) for receiver, words in error.refused.items()}
        state = MessageState.REFUSED if error.complete else MessageState.PENDING
        next_try = None if error.complete else store.database.now() + delay
        store.outbox.mark_failed(claim, reason, next_try, reached=reached, refused=refused, refusals=error.counted)
        return Delivery(message, state, f"refused for good: {reason}" if error.complete else reason)
    store.outbox.mark_failed(claim, reason, store.database.now() + delay, reached=reached)
    if isinstance(error, UnreachableError):
        raise UnreachableError(reason) from None
    return Delivery(message, MessageState.PENDING, reason)


def _tell_of_joined(message: OutboxMessage, joined: Sequence[JoinedMessage]) -> OutboxMessage:
    """Return the message with a note of those that were dropped because it tells of them."""
    if not joined:
        return message
    more = len(joined) - LISTED_MESSAGES
    lines = [
        f"Note: {len(joined)} earlier messages of this reporter could not be sent; engine show --outbox lists them:",
        *(f"{each.created:%Y-%m-%d %H:%M} UTC {single_line(each.subject)}" for each in joined[:LISTED_MESSAGES]),
        *([f"… and {more} more"] if more > 0 else []),
    ]
    files = tuple(_add_html_note(file, lines) if is_html_part(file) else file for file in message.attachments)
    return replace(message, text="\n".join([message.text, *lines]), attachments=files)


def _add_html_note(page: Attachment, lines: Sequence[str]) -> Attachment:
    before, end, after = page.content.decode("utf-8").rpartition("</body>")
    note = f"<p>{'<br>'.join(escape(line) for line in lines)}</p>\n"
    return create_html_part(f"{before}{note}{end}{after}" if end else f"{after}{note}")


def _send_claimed_message(
    project: ProjectSpec,
    channel: Channel,
    message: OutboxMessage,
    secrets: Secrets,
    outcome: Outcome | None,
    limit: float,
    reached: list[str],
) -> str:
    folder = project.folder_of("channels", message.channel)
    return _call_within(
        limit, lambda: send_message(channel, message, secrets, folder, project.name, limit, outcome, reached)
    )


def _call_within(seconds: float, send: Callable[[], T]) -> T:
    """Return the result of `send`, or raise UnreachableError after `seconds`.

    `send` then goes on in a thread that the end of the process stops: nothing else interrupts a server that answers
    one byte at a time, because each byte starts the time limit of a socket anew.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(send())
        except BaseException as error:  # noqa: BLE001 - it is raised again in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise UnreachableError(f"it was not delivered in {seconds:.3g} s")
    return results[0]
