"""The outbox: messages that are committed with their run and then delivered at least once.

A sender claims a message for a limited time. If the sender is killed, its claim expires, so a message is neither lost
nor sent by two processes at once. A crash between delivery and marking the message as sent sends it again: hence "at
least once", and a stable id by which the receiver can recognise a repeat.
"""

import secrets
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, delete, insert, or_, select, update

from engine.store.database import Database, child_rows
from engine.store.records import Attachment, Claim, MessageState, OutboxMessage
from engine.store.tables import attachments, outbox

MESSAGE_COLUMNS = tuple(part.name for part in fields(OutboxMessage) if part.name not in ("attachments", "to", "state"))


class Outbox(Database):
    """The outgoing messages of a project."""

    def list_due_messages(self, now: datetime | None = None) -> list[OutboxMessage]:
        """Return the unclaimed messages that are due at `now` (default: the store's clock), oldest first."""
        return self._list_messages(_is_due(now or self.now()))

    def list_undelivered(self, run: str | None = None) -> list[OutboxMessage]:
        """Return all messages that are still to be sent, or those of one run, oldest first."""
        pending = outbox.c.state == MessageState.PENDING
        return self._list_messages(pending if run is None else pending & (outbox.c.run == run))

    def list_unsent(self) -> list[OutboxMessage]:
        """Return all messages that were not sent, oldest first: the undelivered and the dropped ones."""
        return self._list_messages(outbox.c.state != MessageState.SENT)

    def claim_message(self, message: str, lasting: timedelta, *, early: bool = False) -> Claim | None:
        """Claim a due message for the time `lasting`. Return None if it is not due or another sender has claimed it.

        With `early`, a message whose next try is in the future can be claimed too.
        """
        now = self.now()
        token, until = secrets.token_hex(8), now + lasting
        free = (outbox.c.id == message) & (_is_unclaimed(now) if early else _is_due(now))
        with self.begin_write() as connection:
            values = {"claim": token, "claimed_until": until, "tries": outbox.c.tries + 1}
            if not connection.execute(update(outbox).where(free).values(values)).rowcount:
                return None
        with self.begin_read() as connection:
            row = connection.execute(select(outbox).where(outbox.c.id == message)).one()
            files = child_rows(connection, attachments, "message", [row.number])
        return Claim(_message_from_row(row, files[row.number]), token, until)

    def mark_sent(self, claim: Claim) -> None:
        """Record that the message was delivered, even if the claim has expired meanwhile; drop its attachments."""
        self._settle_message(claim.message.id, MessageState.SENT, None)

    def drop_message(self, message: str, reason: str) -> None:
        """Record why the message is not tried any more; drop its attachments."""
        self._settle_message(message, MessageState.DROPPED, reason)

    def _settle_message(self, message: str, state: MessageState, reason: str | None) -> None:
        with self.begin_write() as connection:
            values = {"state": state, "last_error": reason, "next_try": None, "claim": None, "claimed_until": None}
            changed = update(outbox).where(outbox.c.id == message).values(values).returning(outbox.c.number)
            for number in connection.scalars(changed).all():
                connection.execute(delete(attachments).where(attachments.c.message == number))

    def mark_failed(self, claim: Claim, error: str, next_try: datetime, to: Sequence[str] | None = None) -> None:
        """Record why the delivery failed and when to try again.

        `to` are the remaining recipients, if the server accepted the message for some of them. Nothing is recorded if
        the claim has expired and another sender has claimed the message.
        """
        with self.begin_write() as connection:
            connection.execute(
                update(outbox)
                .where(outbox.c.id == claim.message.id, outbox.c.claim == claim.token)
                .values(
                    next_try=next_try,
                    last_error=error,
                    claim=None,
                    claimed_until=None,
                    to=claim.message.to if to is None else to,
                )
            )

    def _list_messages(self, condition: ColumnElement[bool]) -> list[OutboxMessage]:
        with self.begin_read() as connection:
            rows = connection.execute(select(outbox).where(condition).order_by(outbox.c.number)).all()
        return [_message_from_row(row) for row in rows]


def insert_messages(connection: Connection, messages: Sequence[OutboxMessage]) -> None:
    """Insert messages in the caller's transaction."""
    for message in messages:
        row = {name: getattr(message, name) for name in (*MESSAGE_COLUMNS, "to", "state")}
        number = connection.scalars(insert(outbox).values(row).returning(outbox.c.number)).one()
        for place, attachment in enumerate(message.attachments):
            connection.execute(insert(attachments).values(asdict(attachment) | {"message": number, "place": place}))


def _is_due(now: datetime) -> ColumnElement[bool]:
    return _is_unclaimed(now) & or_(outbox.c.next_try.is_(None), outbox.c.next_try <= now)


def _is_unclaimed(now: datetime) -> ColumnElement[bool]:
    free = or_(outbox.c.claimed_until.is_(None), outbox.c.claimed_until <= now)
    return (outbox.c.state == MessageState.PENDING) & free


def _message_from_row(row: Row[Any], files: Sequence[Row[Any]] = ()) -> OutboxMessage:
    return OutboxMessage(
        **{name: getattr(row, name) for name in MESSAGE_COLUMNS},
        to=tuple(row.to),
        state=MessageState(row.state),
        attachments=tuple(Attachment(file.name, file.media_type, file.content) for file in files),
    )
