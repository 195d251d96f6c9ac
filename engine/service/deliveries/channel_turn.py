"""One turn of a channel: its due messages are sent, oldest first, until none is left or the channel fails.

**One delay a channel.** After a transport failure nothing is sent through the channel for a minute, after the next one
for two, up to an hour. The state is kept in the store, so a restart does not end the delay. When the channel works
again, all that waits goes out in order at once.

**One message must not keep the others waiting.** A message whose sending fails in transport for the second time may
itself be the cause: a server may break off at what it holds. So another one is tried too, which was tried least. If
that fails as well, the channel is down. Otherwise the first message alone waits, longer each time, and the others go
on. So several such messages in a row keep the channel for a minute, three, seven …, each of them once.

**A secret that is absent is told once.** Nobody is asked to find out whether it is there, so that is looked at each
minute, and the messages go out soon after it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from threading import Thread
from typing import Literal

from engine.errors import UnreachableError
from engine.formatting.moments import format_second
from engine.notifications.attempt import (
    UNDECLARED,
    Delivery,
    UnfinishedError,
    add_delivery_event,
    claim_seconds,
    double_delay,
    send_claimed,
)
from engine.notifications.channels import explain_absence, limit_sending
from engine.notifications.delivery import KEPT_MESSAGES
from engine.spec import ProjectSpec
from engine.spec.secrets import Secrets
from engine.store import LONGEST_DELAY, ChannelState, Claim, MessageState, Store

SUSPICIOUS_TRIES = 2
"""From this try on, a transport failure may be the fault of the message."""

JOINING_FAILURES = 3
"""From so many failures of a channel in a row on, the older messages of each reporter are joined."""

SENDER = "the server"

EventState = Literal["SENT", "PENDING", "REFUSED", "DROPPED", "DOWN", "UP", "FAULT"]


@dataclass(frozen=True, slots=True)
class DeliveryEvent:
    """What has become of a message, or of a channel.

    Attributes
    ----------
    state
        That of a message: SENT, PENDING (it is tried again), REFUSED or DROPPED. Or that of a channel: DOWN, UP, or
        FAULT if the store has failed, or there is a bug.
    text
        Where the message went, or why it did not; secrets are masked.
    message, run, reporter
        The message, if the event is about one.
    """

    channel: str
    state: EventState
    text: str
    message: str = ""
    run: str | None = None
    reporter: str = ""


def find_moment(due: datetime, state: ChannelState | None, now: datetime) -> datetime:
    """Return when a channel has its next turn, whose first message is due then.

    A delay that is longer than the longest one was written before the clock was set back, and is over.
    """
    if state is None or state.next_try - now > LONGEST_DELAY:
        return due
    return max(due, state.next_try)


class ChannelTurn:
    """A turn of the channel `name`; `tell` is called with what becomes of its messages."""

    def __init__(
        self, name: str, store: Store, project: ProjectSpec, secrets: Secrets, tell: Callable[[DeliveryEvent], None]
    ) -> None:
        self._name, self._store, self._project, self._secrets, self._tell = name, store, project, secrets, tell
        self._suspicion = ""
        self._failures = 0

    def take(self, is_over: Callable[[], bool]) -> Thread | None:
        """Send due messages until none is left, the channel fails, or the time of the turn `is_over`.

        Returns
        -------
        A thread that still sends, because it cannot be stopped: before it has ended, the channel must have no turn.

        Raises
        ------
        StoreError
            The state cannot be read or written.
        """
        known = self._store.channel_states.list_all().get(self._name)
        if known is not None and known.last_error == self._explain_absence():
            until = self._store.database.now() + double_delay(1)
            self._store.channel_states.write(replace(known, failures=1, next_try=until))
            return None
        if known is not None:
            self._failures = known.failures
            self._store.outbox.make_due(self._name)  # the delay of the channel replaces those of its messages
        while not is_over() and (message := self._find_next()):
            try:
                self._try_message(message)
            except UnreachableError as error:
                return error.thread if isinstance(error, UnfinishedError) else None
        if self._suspicion:
            self._record_channel_failure(self._suspicion, delayed=False)
        return None

    def _find_next(self) -> str | None:
        return self._store.outbox.find_due(self._name, least_tried=bool(self._suspicion))

    def _explain_absence(self) -> str:
        """Return which secret the channel lacks; empty if it lacks none."""
        channel = self._project.channels.get(self._name)
        return explain_absence(channel, self._secrets) if channel else ""

    def _join_older_messages(self) -> None:
        joined = self._store.outbox.join_older(self._store.database.now(), KEPT_MESSAGES, self._name)
        for message, reason in joined:
            self._tell_of_drop(message, reason)

    def _tell_of_drop(self, message: str, reason: str) -> None:
        if dropped := self._store.outbox.find(message):
            self._tell_of_message(Delivery(dropped, MessageState.DROPPED, reason))

    def _try_message(self, message: str) -> None:
        """Claim and send a message; raise UnreachableError if the channel is down."""
        channel = self._project.channels.get(self._name)
        if channel is None:
            self._store.outbox.drop(message, UNDECLARED)
            self._tell_of_drop(message, UNDECLARED)
            return
        claim = self._store.outbox.claim(message, claim_seconds(channel))
        if claim is None:  # another process was faster
            return
        try:
            seconds = limit_sending(channel)
            delivery = send_claimed(self._store, self._project, self._secrets, claim, seconds, SENDER)
        except UnreachableError as error:
            self._judge_failure(claim, error)
            return
        if delivery.state in (MessageState.SENT, MessageState.REFUSED):
            self._suspicion, self._failures = "", 0
            if self._store.channel_states.clear(self._name):
                self._tell(DeliveryEvent(self._name, "UP", "works again"))
        self._tell_of_message(delivery)

    def _judge_failure(self, claim: Claim, error: UnreachableError) -> None:
        """Decide whether the message or the channel has to wait; raise the error again if it is the channel."""
        reason = str(error)
        message = claim.message
        self._tell_of_message(Delivery(message, MessageState.PENDING, reason))
        is_message_at_fault = message.tries >= SUSPICIOUS_TRIES and not isinstance(error, UnfinishedError)
        if is_message_at_fault and not self._suspicion and not self._explain_absence():
            self._suspicion = reason
            self._store.outbox.postpone(message.id, self._store.database.now() + double_delay(message.tries))
            return
        self._record_channel_failure(reason, delayed=True)
        if self._failures >= JOINING_FAILURES:
            self._join_older_messages()
        raise error

    def _record_channel_failure(self, reason: str, *, delayed: bool) -> None:
        self._failures += 1
        now = self._store.database.now()
        until = now + double_delay(self._failures) if delayed else now
        self._store.channel_states.write(ChannelState(self._name, self._failures, until, reason))
        again = f"; it is tried again at {format_second(until)}" if delayed else ""
        self._tell(DeliveryEvent(self._name, "DOWN", f"{reason}{again}"))

    def _tell_of_message(self, delivery: Delivery) -> None:
        """Tell what has become of a message, and add it to its run, unless all went well at the first try.

        That the message waits is added once.
        """
        message, state = delivery.message, delivery.state
        self._tell(DeliveryEvent(self._name, state.value, delivery.told, message.id, message.run, message.reporter))
        if state is MessageState.PENDING:
            is_new = message.tries == 1
        else:
            is_new = state is not MessageState.SENT or message.tries > 1 or bool(delivery.remark)
        if is_new:
            add_delivery_event(self._store, delivery, SENDER)
