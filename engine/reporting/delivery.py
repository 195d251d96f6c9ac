"""Send the messages of the outbox: in order, at least once; a failure of one message does not stop the others.

A message is claimed before it is sent, so that two runs at the same time do not both send it. The claim of a killed
sender expires. A message that was not accepted is tried again by the next run; a caller that does not set `early` tries
it again only when it is due.
"""

from dataclasses import dataclass
from datetime import timedelta

from engine.errors import DeliveryError, EngineError
from engine.outcome import Outcome
from engine.reporting.channels import send_message
from engine.reporting.mail import RefusedError
from engine.spec import ProjectSpec
from engine.spec.secrets import Secrets
from engine.store import MessageState, OutboxMessage, Store

CLAIM_DURATION = timedelta(minutes=5)
"""Longer than a delivery takes. A message that a killed sender had claimed waits this long."""

FIRST_DELAY, LONGEST_DELAY = timedelta(minutes=1), timedelta(hours=1)
"""The delay between tries doubles up to the longest. No message is given up: every run reports it until it is sent."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The state of a message after a try; `reason` says why it was not sent, or where to if the fallback was used."""

    message: OutboxMessage
    state: MessageState
    reason: str = ""


def deliver_messages(store: Store, project: ProjectSpec, secrets: Secrets, *, early: bool) -> tuple[Delivery, ...]:
    """Send the waiting messages of the outbox, oldest first.

    Parameters
    ----------
    early
        Try messages that failed before even if their next try is in the future: a person who starts a run by hand may
        have just repaired the channel.

    Returns
    -------
    One entry per waiting message. Those that are not SENT are undelivered.
    """
    delivered = []
    for message in store.list_undelivered():
        outcome = None if message.run is None else store.get_run(message.run).outcome
        delivery = _deliver_message(store, project, secrets, message, outcome, early)
        if delivery is not None:
            delivered.append(delivery)
    return tuple(delivered)


def _deliver_message(
    store: Store, project: ProjectSpec, secrets: Secrets, message: OutboxMessage, outcome: Outcome | None, early: bool
) -> Delivery | None:
    """Return the new state of the message; None if another process has sent it meanwhile."""
    claim = store.claim_message(message.id, CLAIM_DURATION, early=early)
    if claim is None:
        waits = any(other.id == message.id for other in store.list_undelivered(message.run))
        reason = message.last_error or "another process is sending it"
        return Delivery(message, MessageState.PENDING, reason) if waits else None
    message = claim.message
    try:
        channel = project.channels.get(message.channel)
        if channel is None:
            raise DeliveryError("the spec does not declare this channel any more")
        sent_to = send_message(channel, message, secrets, project.folder_of("channels", message.channel), outcome)
    except Exception as error:  # noqa: BLE001 - the boundary: a bug in one channel must not stop the other messages
        problem = error if isinstance(error, EngineError) else f"internal error: {type(error).__name__}: {error}"
        reason = secrets.redact(str(problem))
        now = store.now()
        delay = min(FIRST_DELAY * 2 ** min(message.tries - 1, 10), LONGEST_DELAY)
        store.mark_failed(claim, reason, now + delay, error.refused if isinstance(error, RefusedError) else None)
        return Delivery(message, MessageState.PENDING, reason)
    store.mark_sent(claim)
    return Delivery(message, MessageState.SENT, sent_to)
