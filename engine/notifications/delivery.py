"""Sends the messages of the outbox within a run: at least once, oldest first; one failure does not stop the others.

A message is claimed before it is sent, so that two runs at the same time, or a run and a server, do not both send it.
The claim of a killed sender expires. A message that was not accepted is tried again by the next run, but only for the
recipients that do not have it yet. A message that all of them have refused for good becomes REFUSED: the run reports it
once, and no later run tries it.

**Limited time.** All deliveries of a run share `DELIVERY_SECONDS`, however many channels and messages there are and
whatever their servers do. Each channel gets an equal share of the time that is left. The channels whose messages have
failed least often come first, so that a slow channel does not delay the others. When a channel cannot be reached, its
further messages are not tried; a message that has failed `TURNS` times is tried after the others. A message that was
not tried in time stays PENDING, with this reason.

**Limited number.** If one reporter could not send many messages of earlier runs through one channel, the newest
`KEPT_MESSAGES` are sent, and the older ones are dropped; the oldest message that is sent lists them.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.errors import DeliveryError, UnreachableError
from engine.notifications.attempt import (
    UNDECLARED,
    Delivery,
    claim_seconds,
    join_remarks,
    send_claimed,
    send_directly,
)
from engine.notifications.channels import limit_sending
from engine.outcome import Outcome
from engine.spec import ProjectSpec
from engine.spec.secrets.values import Secrets
from engine.store import MessageState, OutboxMessage, Store

DELIVERY_SECONDS = 120.0
"""Seconds for all deliveries of a run together, so that servers that do not answer delay a run by at most this."""
LAST_SECONDS = 60.0
"""Seconds of DELIVERY_SECONDS reserved for the end of the run; start messages and child runs can use only the rest."""

TIME_IS_OVER = f"not tried, because the deliveries of a run may take {DELIVERY_SECONDS:g} s, which were over"

KEPT_MESSAGES = 5
"""Most messages of earlier runs, per reporter and channel, that are sent one by one."""
TURNS = 3


@dataclass(slots=True)
class DeliveryTime:
    """The time for all deliveries of a run: `left` seconds, reduced by each delivery. The run began at `began`."""

    began: datetime | None = None
    left: float = DELIVERY_SECONDS


def deliver_messages(
    store: Store,
    project: ProjectSpec,
    secrets: Secrets,
    by: str,
    *,
    messages: Sequence[OutboxMessage] | None = None,
    time_of_run: DeliveryTime | None = None,
    reserved: float = 0,
) -> tuple[Delivery, ...]:
    """Send messages of the outbox: channel by channel, oldest first.

    Messages that failed before are tried even if their next attempt is in the future: a person who starts a run by hand
    may have just repaired the channel. If a channel works again, its recorded failure is removed, so that a server uses
    it again.

    Parameters
    ----------
    by
        The sender, which is recorded with a message of another run.
    messages
        The messages to send; by default all that wait.
    time_of_run
        The time that is left to the run; by default `DELIVERY_SECONDS`. If it has `began`, older messages of earlier
        runs are joined, see above.
    reserved
        Seconds of this time that must remain.

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
        delivered += _deliver_through_channel(store, project, secrets, by, of_channel, began + share)
        limits.left -= time.monotonic() - began
    return tuple(delivered)


def send_unrecorded(
    project: ProjectSpec, secrets: Secrets, messages: Sequence[OutboxMessage], outcome: Outcome
) -> tuple[Delivery, ...]:
    """Send messages once each without the outbox, so that alerts are sent even if the state cannot be written."""
    delivered = []
    until = time.monotonic() + DELIVERY_SECONDS
    for message in messages:
        state = MessageState.DROPPED
        remarks: list[str] = []
        try:
            limit = min(limit_sending(project.channels[message.channel]), until - time.monotonic())
            if limit <= 0:
                raise DeliveryError(TIME_IS_OVER)
            reason = send_directly(project, secrets, message, outcome, limit, remarks=remarks)
            state = MessageState.SENT
        except Exception as error:  # noqa: BLE001 - the boundary: a bug in one channel must not stop the other messages
            reason = secrets.redact(str(error) or type(error).__name__)
        delivered.append(Delivery(message, state, reason, join_remarks(remarks)))
    return tuple(delivered)


def _join_older_messages(store: Store, waiting: Sequence[OutboxMessage], began: datetime) -> list[Delivery]:
    by_id = {message.id: message for message in waiting}
    dropped = store.outbox.join_older(began, KEPT_MESSAGES)
    return [Delivery(by_id[id_], MessageState.DROPPED, reason) for id_, reason in dropped if id_ in by_id]


def _deliver_through_channel(
    store: Store,
    project: ProjectSpec,
    secrets: Secrets,
    by: str,
    messages: Sequence[OutboxMessage],
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
            delivery = _deliver_message(store, project, secrets, by, message, left)
        except UnreachableError as error:
            stopped = f"not tried, because an earlier message to this channel failed: {error}"
            delivery = Delivery(message, MessageState.PENDING, str(error))
        if delivery is not None:
            delivered.append(delivery)
    return delivered


def _deliver_message(
    store: Store, project: ProjectSpec, secrets: Secrets, by: str, message: OutboxMessage, left: float
) -> Delivery | None:
    """Return the new state of the message; None if another process has sent it meanwhile.

    Raises
    ------
    UnreachableError
        The recipient cannot be reached; the failure has been recorded.
    """
    channel = project.channels.get(message.channel)
    if channel is None:
        store.outbox.drop(message.id, UNDECLARED)
        return Delivery(message, MessageState.DROPPED, UNDECLARED)
    claim = store.outbox.claim(message.id, claim_seconds(channel), early=True)
    if claim is None:
        waits = any(other.id == message.id for other in store.outbox.list_undelivered(message.run))
        return Delivery(message, MessageState.PENDING, "another process is sending it") if waits else None
    delivery = send_claimed(store, project, secrets, claim, min(limit_sending(channel), left), by)
    if delivery.state is MessageState.SENT:
        store.channel_states.clear(message.channel)
    return delivery
