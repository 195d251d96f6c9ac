"""Send the messages of the outbox: at least once, oldest first; a failure of one message does not stop the others.

A message is claimed before it is sent, so that two runs at the same time do not both send it. The claim of a killed
sender expires. A message that was not accepted is tried again by the next run; a caller that does not set `early` tries
it again only when it is due.

A server that is down or slow costs a run a bounded time: the first message that cannot reach it is the last one that is
tried, and every message has a time limit, also if the server answers one byte at a time.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from engine.errors import EngineError, UnreachableError
from engine.outcome import Outcome
from engine.reporting.channels import limit_sending, send_message
from engine.reporting.mail import RefusedError
from engine.spec import ProjectSpec
from engine.spec.resources.channels import Channel
from engine.spec.secrets import Secrets
from engine.store import MessageState, OutboxMessage, Store

CLAIM_MARGIN = timedelta(minutes=1)
"""How much longer than its sending a message is claimed. One that a killed sender had claimed waits that long."""

FIRST_DELAY, LONGEST_DELAY = timedelta(minutes=1), timedelta(hours=1)
"""The delay between tries doubles up to the longest. No message is given up: every run reports it until it is sent, or
until a person drops it."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Delivery:
    """The state of a message after a try; `reason` says why it was not sent, or where to if the fallback was used."""

    message: OutboxMessage
    state: MessageState
    reason: str = ""


def deliver_messages(
    store: Store,
    project: ProjectSpec,
    secrets: Secrets,
    *,
    early: bool,
    messages: Sequence[OutboxMessage] | None = None,
) -> tuple[Delivery, ...]:
    """Send messages of the outbox, oldest first.

    Parameters
    ----------
    early
        Try messages that failed before even if their next try is in the future: a person who starts a run by hand may
        have just repaired the channel.
    messages
        The messages to send; by default all that wait.

    Returns
    -------
    One entry per message. Those that are PENDING are undelivered; those that are DROPPED will not be tried again.
    """
    delivered = []
    unreachable: dict[str, str] = {}
    for message in store.list_undelivered() if messages is None else messages:
        if message.channel in unreachable:
            reason = f"not tried, because an earlier message to this channel failed: {unreachable[message.channel]}"
            delivered.append(Delivery(message, MessageState.PENDING, reason))
            continue
        try:
            delivery = _deliver_message(store, project, secrets, message, early)
        except UnreachableError as error:
            unreachable[message.channel] = str(error)
            delivery = Delivery(message, MessageState.PENDING, str(error))
        if delivery is not None:
            delivered.append(delivery)
    return tuple(delivered)


def send_unrecorded(
    project: ProjectSpec, secrets: Secrets, messages: Sequence[OutboxMessage], outcome: Outcome
) -> tuple[Delivery, ...]:
    """Send messages that the outbox cannot record, each once: an alert must go out although nothing can be written."""
    delivered = []
    for message in messages:
        state = MessageState.DROPPED
        try:
            channel = project.channels[message.channel]
            reason = _send_claimed_message(project, channel, message, secrets, outcome, limit_sending(channel))
            state = MessageState.SENT
        except Exception as error:  # noqa: BLE001 - the boundary: a bug in one channel must not stop the other messages
            reason = secrets.redact(str(error) or type(error).__name__)
        delivered.append(Delivery(message, state, reason))
    return tuple(delivered)


def _deliver_message(
    store: Store, project: ProjectSpec, secrets: Secrets, message: OutboxMessage, early: bool
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
        store.drop_message(message.id, reason)
        return Delivery(message, MessageState.DROPPED, reason)
    limit = limit_sending(channel)
    claim = store.claim_message(message.id, timedelta(seconds=limit) + CLAIM_MARGIN, early=early)
    if claim is None:
        waits = any(other.id == message.id for other in store.list_undelivered(message.run))
        reason = message.last_error or "another process is sending it"
        return Delivery(message, MessageState.PENDING, reason) if waits else None
    outcome = None if message.run is None else store.get_run(message.run).outcome
    try:
        sent_to = _send_claimed_message(project, channel, claim.message, secrets, outcome, limit)
    except Exception as error:  # noqa: BLE001 - the boundary: a bug in one channel must not stop the other messages
        problem = error if isinstance(error, EngineError) else f"internal error: {type(error).__name__}: {error}"
        reason = secrets.redact(str(problem))
        delay = min(FIRST_DELAY * 2 ** min(claim.message.tries - 1, 10), LONGEST_DELAY)
        refused = error.refused if isinstance(error, RefusedError) else None
        store.mark_failed(claim, reason, store.now() + delay, refused)
        if isinstance(error, UnreachableError):
            raise UnreachableError(reason) from None
        return Delivery(message, MessageState.PENDING, reason)
    store.mark_sent(claim)
    return Delivery(message, MessageState.SENT, sent_to)


def _send_claimed_message(
    project: ProjectSpec,
    channel: Channel,
    message: OutboxMessage,
    secrets: Secrets,
    outcome: Outcome | None,
    limit: float,
) -> str:
    folder = project.folder_of("channels", message.channel)
    return _call_within(limit, lambda: send_message(channel, message, secrets, folder, outcome))


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
        raise UnreachableError(f"it was not delivered in {seconds:g} s")
    return results[0]
