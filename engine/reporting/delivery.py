"""Sending what waits in the outbox: in order, at least once, one failure never in the way of another message.

A message is claimed before it is sent, so that two runs at once do not both send it; a sender that is killed leaves a
claim that ends by itself. What was not taken is tried again by the next run, or by a server when it is due.
"""

from dataclasses import dataclass
from datetime import timedelta

from engine.errors import DeliveryError, EngineError
from engine.outcome import Outcome
from engine.reporting.channels import send
from engine.reporting.mail import RefusedError
from engine.spec import Project
from engine.spec.secrets import Secrets
from engine.store import MessageState, OutboxMessage, Store

CLAIM = timedelta(minutes=5)
"""Longer than sending takes; what a killed sender had in hand waits this long."""

FIRST_DELAY, LONGEST_DELAY = timedelta(minutes=1), timedelta(hours=1)
"""Nothing is ever given up: an alert that nobody takes is told by every run until somebody does."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where a message stands after a delivery; `reason` says why it is not sent."""

    message: OutboxMessage
    state: MessageState
    reason: str = ""


def deliver(store: Store, project: Project, secrets: Secrets, *, early: bool) -> tuple[Delivery, ...]:
    """Send the project's messages that wait in the outbox, oldest first.

    Parameters
    ----------
    early
        Try those that failed before at once, and not only when they are due: whoever starts a run by hand has perhaps
        just repaired the channel.

    Returns
    -------
    One entry a message that was waiting. All that are not SENT are undelivered.
    """
    delivered = []
    for message in store.undelivered():
        outcome = None if message.run is None else store.run(message.run).outcome
        delivery = _deliver(store, project, secrets, message, outcome, early)
        if delivery is not None:
            delivered.append(delivery)
    return tuple(delivered)


def _deliver(
    store: Store, project: Project, secrets: Secrets, message: OutboxMessage, outcome: Outcome | None, early: bool
) -> Delivery | None:
    """Return where the message stands now; None if another process has settled it."""
    claim = store.claim(message.id, CLAIM, early=early)
    if claim is None:
        waits = any(other.id == message.id for other in store.undelivered(message.run))
        reason = message.last_error or "another process is sending it"
        return Delivery(message, MessageState.PENDING, reason) if waits else None
    message = claim.message
    try:
        channel = project.channels.get(message.channel)
        if channel is None:
            raise DeliveryError("the spec declares no such channel any more")
        send(channel, message, secrets, project.folder_of("channels", message.channel), outcome)
    except Exception as error:  # noqa: BLE001 - the boundary: a bug in one channel is no reason to lose the others
        said = error if isinstance(error, EngineError) else f"internal error: {type(error).__name__}: {error}"
        reason = secrets.redact(f'channel "{message.channel}": {said}')
        now = store.now()
        delay = min(FIRST_DELAY * 2 ** min(message.tries - 1, 10), LONGEST_DELAY)
        store.mark_failed(claim, reason, now + delay, error.refused if isinstance(error, RefusedError) else None)
        return Delivery(message, MessageState.PENDING, reason)
    store.mark_sent(claim)
    return Delivery(message, MessageState.SENT)
