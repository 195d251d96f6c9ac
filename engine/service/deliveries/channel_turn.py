"""Sends the due messages of one channel, oldest first, until none is left, the channel fails or the time is over.

**One delay per channel.** After a transport failure nothing is sent through the channel for a minute, after the next
one for two, up to an hour. The delay is stored in the state, so a restart does not end it. When the channel works
again, all waiting messages are sent in order at once.

**A bad message must not block the others.** If sending a message fails in transport for the second time, the message
itself may be the cause: a server may close the connection because of its content. So the message with the fewest
attempts is tried too. If that fails as well, the channel is down. Otherwise only the first message waits, longer each
time. So several such messages in a row delay the channel by a minute, three, seven …, each of them once.

**A missing secret is reported once.** Its absence costs no attempt, so the secret is looked for each minute, and the
messages are sent soon after it is there.
"""

from collections.abc import Callable
from dataclasses import dataclass
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
from engine.spec.secrets.values import Secrets
from engine.store import LONGEST_DELAY, ChannelState, Claim, MessageState, Store

SUSPICIOUS_TRIES = 2
"""From this attempt on, a transport failure may be caused by the message."""

JOINING_FAILURES = 3
"""After this many failures of a channel in a row, the older messages of each reporter are joined."""

SENDER = "the server"

EventState = Literal["SENT", "PENDING", "REFUSED", "DROPPED", "DOWN", "UP", "FAULT"]


@dataclass(frozen=True, slots=True)
class DeliveryEvent:
    """An event of a message or of a channel.

    Attributes
    ----------
    state
        The state of a message: SENT, PENDING (it is tried again), REFUSED or DROPPED. Or of a channel: DOWN, UP, or
        FAULT for an error of the store or a bug.
    text
        Where the message was sent, or why not; secrets are masked.
    message, run, reporter
        The ids of the message and its run, and its reporter, if the event is about a message.
    """

    channel: str
    state: EventState
    text: str
    message: str = ""
    run: str | None = None
    reporter: str = ""


def find_moment(due: datetime, state: ChannelState | None, now: datetime) -> datetime:
    """Return when a channel has its next turn; `due` is when its first message is due.

    A delay that is longer than LONGEST_DELAY was written before the clock was set back, and is ignored.
    """
    if state is None or state.next_try - now > LONGEST_DELAY:
        return due
    return max(due, state.next_try)


class ChannelTurn:
    """A turn of the channel `name`; `report` is called with each event of its messages."""

    def __init__(
        self, name: str, store: Store, project: ProjectSpec, secrets: Secrets, report: Callable[[DeliveryEvent], None]
    ) -> None:
        self._name, self._store, self._project, self._secrets, self._report = name, store, project, secrets, report
        self._suspicion = ""
        self._failures = 0

    def take(self, is_over: Callable[[], bool]) -> Thread | None:
        """Send due messages until none is left, the channel fails, or the time of the turn `is_over`.

        Returns
        -------
        A thread that still sends and cannot be stopped; the channel must not have a turn before it has ended.

        Raises
        ------
        StoreError
            The state cannot be read or written.
        """
        known = self._store.channel_states.list_all().get(self._name)
        if known is not None and known.last_error == self._explain_absence():
            self._store.outbox.explain_channel(self._name, known.last_error)
            until = self._store.database.now() + double_delay(1)
            self._store.channel_states.write(known._replace(failures=1, next_try=until))
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
            self._report_drop(message, reason)

    def _report_drop(self, message: str, reason: str) -> None:
        if dropped := self._store.outbox.find(message):
            self._report_message(Delivery(dropped, MessageState.DROPPED, reason))

    def _try_message(self, message: str) -> None:
        """Claim and send a message; raise UnreachableError if the channel is down."""
        channel = self._project.channels.get(self._name)
        if channel is None:
            self._store.outbox.drop(message, UNDECLARED)
            self._report_drop(message, UNDECLARED)
            return
        claim = self._store.outbox.claim(message, claim_seconds(channel))
        if claim is None:  # another process has claimed it
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
                self._report(DeliveryEvent(self._name, "UP", "works again"))
        self._report_message(delivery)

    def _judge_failure(self, claim: Claim, error: UnreachableError) -> None:
        """Decide whether the message or the channel must wait; raise the error again if it is the channel."""
        reason = str(error)
        message = claim.message
        self._report_message(Delivery(message, MessageState.PENDING, reason))
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
        self._report(DeliveryEvent(self._name, "DOWN", f"{reason}{again}"))

    def _report_message(self, delivery: Delivery) -> None:
        """Report the state of a message, and add it as an event to its run, unless it was sent at the first attempt.

        That a message waits is added only once.
        """
        message, state = delivery.message, delivery.state
        self._report(
            DeliveryEvent(self._name, state.value, delivery.details, message.id, message.run, message.reporter)
        )
        if state is MessageState.PENDING:
            is_new = message.tries == 1
        else:
            is_new = state is not MessageState.SENT or message.tries > 1 or bool(delivery.remark)
        if is_new:
            add_delivery_event(self._store, delivery, SENDER)
