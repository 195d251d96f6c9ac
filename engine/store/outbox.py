"""The outbox: messages that are committed with their run and then delivered at least once.

A sender claims a message for a limited time. If the sender is killed, its claim expires, so a message is neither lost
nor sent by two processes at once. After a crash between the delivery and its record, the message is sent again: hence
"at least once", and a stable id that lets the recipient recognize a repeat.

The number of waiting messages per reporter and channel is limited: a channel that was down over a weekend must not send
a hundred mails when it works again. `join_older` keeps the newest messages and drops the older ones; the oldest kept
message lists them when it is sent.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Row, case, delete, func, insert, literal, or_, select, update

from engine.store.databases.database import Database, child_rows
from engine.store.records.messages import (
    Attachment,
    Claim,
    JoinedMessage,
    MessageState,
    OutboxMessage,
    Receipt,
    UndeliveredMessages,
)
from engine.store.tables import UtcDateTime, attachments, outbox, runs

DETAILS = ("cc", "bcc", "sender", "reached", "refused", "refusals", "scenario", "recovered", "receipt")
"""Fields of a message that are kept together in one column."""
MESSAGE_COLUMNS = tuple(
    part.name for part in fields(OutboxMessage) if part.name not in ("attachments", "to", "state", *DETAILS)
)
LONGEST_DELAY = timedelta(hours=1)
"""Longest delay of an attempt, and longest claim. A time further ahead was written before the clock was set back, and
counts as past."""
JOINED = "told of by the later message "
"""Beginning of the reason of a joined message; the id of the message that lists it follows."""


class Outbox:
    """The outgoing messages of a project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, message: OutboxMessage) -> None:
        """Queue a message of a running run, unless a message with its id exists already."""
        with self._database.begin_write() as connection:
            if connection.execute(select(outbox.c.number).where(outbox.c.id == message.id)).first() is None:
                insert_messages(connection, [message])

    def list_undelivered(self, run: str | None = None) -> list[OutboxMessage]:
        """Return all pending messages, or those of one run, oldest first."""
        pending = outbox.c.state == MessageState.PENDING
        return self._list_messages(pending if run is None else pending & (outbox.c.run == run))

    def summarize_undelivered(self) -> list[UndeliveredMessages]:
        """Return a summary of the pending and refused messages of each channel.

        The database aggregates, so that even very many messages need no memory here.
        """
        at_once, latest = literal(datetime(1970, 1, 1, tzinfo=UTC), UtcDateTime), self._database.now() + LONGEST_DELAY
        tried, freed = (
            case((column <= latest, column), else_=at_once) for column in (outbox.c.next_try, outbox.c.claimed_until)
        )
        waits, refused = (outbox.c.state == state for state in (MessageState.PENDING, MessageState.REFUSED))
        due = case((waits & (tried > freed), tried), (waits, freed))
        of_channels = (
            select(
                outbox.c.channel,
                func.count(case((waits, 1))).label("waiting"),
                func.count(case((refused, 1))).label("refused"),
                func.min(outbox.c.created, type_=UtcDateTime).label("oldest"),
                func.min(due, type_=UtcDateTime).label("due"),
                func.max(case((outbox.c.last_error.is_not(None), outbox.c.number))).label("newest"),
            )
            .where(waits | refused)
            .group_by(outbox.c.channel)
            .subquery()
        )
        of = of_channels.c
        columns = (of.channel, of.waiting, of.refused, of.oldest, outbox.c.last_error, of.due)
        query = select(*columns).join_from(of_channels, outbox, outbox.c.number == of.newest, isouter=True)
        with self._database.begin_read() as connection:
            return [UndeliveredMessages(*row) for row in connection.execute(query.order_by(of.channel))]

    def find_due(self, channel: str, *, least_tried: bool = False) -> str | None:
        """Return the id of the oldest message of a channel that is due and not claimed; None if there is none.

        With `least_tried`, the message with the fewest attempts is returned.
        """
        due = (outbox.c.channel == channel) & _is_due(self._database.now())
        order = (outbox.c.tries, outbox.c.number) if least_tried else (outbox.c.number,)
        with self._database.begin_read() as connection:
            return connection.scalar(select(outbox.c.id).where(due).order_by(*order).limit(1))

    def postpone(self, message: str, until: datetime) -> None:
        """Set when a pending message is tried again, unless a sender has claimed it."""
        self._set_next_try(outbox.c.id == message, until)

    def make_due(self, channel: str) -> None:
        """Make all pending messages of a channel due now, except those that a sender has claimed."""
        self._set_next_try((outbox.c.channel == channel) & outbox.c.next_try.is_not(None), None)

    def _set_next_try(self, condition: ColumnElement[bool], moment: datetime | None) -> None:
        waits = condition & _is_unclaimed(self._database.now())
        with self._database.begin_write() as connection:
            connection.execute(update(outbox).where(waits).values(next_try=moment))

    def list_refused(self) -> list[OutboxMessage]:
        """Return all messages that their recipients have refused for good, oldest first."""
        return self._list_messages(outbox.c.state == MessageState.REFUSED)

    def list_unsent(self) -> list[OutboxMessage]:
        """Return all messages that were not sent (pending, refused and dropped), oldest first."""
        return self._list_messages(outbox.c.state != MessageState.SENT)

    def find(self, id: str) -> OutboxMessage | None:  # noqa: A002  the field of OutboxMessage has this name
        """Return the message with this id, without its attachments; None if there is none."""
        found = self._list_messages(outbox.c.id == id)
        return found[0] if found else None

    def list_of_run(self, run: str) -> list[OutboxMessage]:
        """Return all messages of a run, including sent ones, oldest first."""
        return self._list_messages(outbox.c.run == run)

    def list_newest(
        self, last: int, *, before: str | None = None, state: MessageState | None = None
    ) -> list[OutboxMessage]:
        """Return the `last` messages, newest first; only those before the message `before` and in `state`, if given."""
        query = select(outbox).order_by(outbox.c.number.desc()).limit(last)
        if before is not None:
            query = query.where(
                outbox.c.number < select(outbox.c.number).where(outbox.c.id == before).scalar_subquery()
            )
        if state is not None:
            query = query.where(outbox.c.state == state)
        with self._database.begin_read() as connection:
            return [_message_from_row(row) for row in connection.execute(query)]

    def list_joined(self, message: str) -> list[JoinedMessage]:
        """Return the messages that were joined into a message, oldest first."""
        columns = select(outbox.c.id, outbox.c.created, outbox.c.subject).where(_was_joined(message))
        with self._database.begin_read() as connection:
            return [JoinedMessage(*row) for row in connection.execute(columns.order_by(outbox.c.number))]

    def claim(self, message: str, lasting: timedelta, *, early: bool = False) -> Claim | None:
        """Claim a due message for the time `lasting`; return None if it is not due or is claimed already.

        With `early`, a message whose next attempt is in the future can be claimed too.
        """
        now = self._database.now()
        token, until = secrets.token_hex(8), now + lasting
        free = (outbox.c.id == message) & (_is_unclaimed(now) if early else _is_due(now))
        with self._database.begin_write() as connection:
            values = {"claim": token, "claimed_until": until, "tries": outbox.c.tries + 1}
            if not connection.execute(update(outbox).where(free).values(values)).rowcount:
                return None
        with self._database.begin_read() as connection:
            row = connection.execute(select(outbox).where(outbox.c.id == message)).one()
            files = child_rows(connection, attachments, "message", [row.number])
        return Claim(_message_from_row(row, files[row.number]), token, until)

    def mark_sent(self, claim: Claim, by: str = "", to: str = "", remark: str = "") -> None:
        """Record how the message was delivered, even if the claim has expired; remove its attachments."""
        message = replace(claim.message, receipt=Receipt(self._database.now(), by, to, remark))
        with self._database.begin_write() as connection:
            connection.execute(update(outbox).where(outbox.c.id == message.id).values(details=_details_of(message)))
            _settle_message(connection, message.id, MessageState.SENT, None)

    def drop(self, message: str, reason: str) -> None:
        """Record why the message is not tried any more; remove its attachments."""
        with self._database.begin_write() as connection:
            _settle_message(connection, message, MessageState.DROPPED, reason)

    def mark_failed(
        self,
        claim: Claim,
        error: str,
        next_try: datetime | None,
        *,
        reached: Sequence[str] = (),
        refused: Mapping[str, str] = MappingProxyType({}),
        refusals: int = 0,
    ) -> None:
        """Record why the delivery failed, and when to try again; None makes the message REFUSED.

        `reached` and `refused` are the recipients to add, and `refusals` is the number of temporary refusals to add.
        Nothing is recorded if the claim has expired and another sender has claimed the message.
        """
        old = claim.message
        message = replace(
            old,
            reached=(*old.reached, *reached),
            refused={**old.refused, **refused},
            refusals=old.refusals + refusals,
        )
        with self._database.begin_write() as connection:
            connection.execute(
                update(outbox)
                .where(outbox.c.id == message.id, outbox.c.claim == claim.token)
                .values(
                    state=MessageState.REFUSED if next_try is None else MessageState.PENDING,
                    next_try=next_try,
                    last_error=error,
                    claim=None,
                    claimed_until=None,
                    details=_details_of(message),
                )
            )

    def explain_waiting(self, messages: Sequence[str], reason: str) -> None:
        """Record why these messages were not tried, unless a reason is recorded already."""
        self._explain([outbox.c.id == id_ for id_ in messages], reason)

    def explain_channel(self, channel: str, reason: str) -> None:
        """Record why the messages of a channel were not tried, unless a reason is recorded already."""
        self._explain([outbox.c.channel == channel], reason)

    def _explain(self, conditions: Sequence[ColumnElement[bool]], reason: str) -> None:
        waits = (outbox.c.state == MessageState.PENDING) & outbox.c.last_error.is_(None)
        with self._database.begin_write() as connection:
            for condition in conditions:
                connection.execute(update(outbox).where(condition, waits).values(last_error=reason))

    def reopen(self, message: OutboxMessage) -> None:
        """Make a refused message pending again."""
        reset = replace(message, refused={}, refusals=0)
        refused = (outbox.c.id == message.id) & (outbox.c.state == MessageState.REFUSED)
        with self._database.begin_write() as connection:
            values = {"state": MessageState.PENDING, "details": _details_of(reset)}
            connection.execute(update(outbox).where(refused).values(values))

    def join_older(self, before: datetime, keep: int, channel: str | None = None) -> list[tuple[str, str]]:
        """Drop all but the newest `keep` messages of each reporter, channel and recipients; return ids and reasons.

        With `channel`, only messages of that channel are considered. Messages made at or after `before`, and those that
        are claimed, are neither counted nor dropped. A dropped message is recorded as joined into the oldest kept one,
        and so are the messages that were joined into it before.
        """
        scenario = select(runs.c.scenario).where(runs.c.id == outbox.c.run).scalar_subquery().label("scenario")
        columns = (outbox.c.id, outbox.c.state, outbox.c.reporter, outbox.c.channel, outbox.c.to, outbox.c.last_error)
        free = _is_past(outbox.c.claimed_until, self._database.now())
        waits = outbox.c.state.in_([MessageState.PENDING, MessageState.REFUSED]) & (outbox.c.created < before) & free
        if channel is not None:
            waits &= outbox.c.channel == channel
        groups: dict[tuple[str, ...], list[Any]] = {}
        dropped = []
        with self._database.begin_write() as connection:
            for row in connection.execute(select(*columns, scenario).where(waits).order_by(outbox.c.number)):
                key = (row.state, row.reporter, row.channel, *row.to, str(row.scenario))
                groups.setdefault(key, []).append(row)
            for (state, *_), group in groups.items():
                for row in group[:-keep]:
                    reason = JOINED + group[-keep].id
                    if state == MessageState.REFUSED:
                        reason = f"{row.last_error}; dropped, because later messages were refused too"
                    _settle_message(connection, row.id, MessageState.DROPPED, reason)
                    joined = update(outbox).where(_was_joined(row.id))
                    connection.execute(joined.values(last_error=JOINED + group[-keep].id))
                    dropped.append((row.id, reason))
        return dropped

    def _list_messages(self, condition: ColumnElement[bool]) -> list[OutboxMessage]:
        with self._database.begin_read() as connection:
            rows = connection.execute(select(outbox).where(condition).order_by(outbox.c.number)).all()
        return [_message_from_row(row) for row in rows]


def insert_messages(connection: Connection, messages: Sequence[OutboxMessage]) -> None:
    """Insert messages in the caller's transaction."""
    for message in messages:
        row = {name: getattr(message, name) for name in (*MESSAGE_COLUMNS, "to", "state")}
        row["details"] = _details_of(message)
        number = connection.scalars(insert(outbox).values(row).returning(outbox.c.number)).one()
        for place, attachment in enumerate(message.attachments):
            connection.execute(insert(attachments).values(asdict(attachment) | {"message": number, "place": place}))


def _was_joined(message: str) -> ColumnElement[bool]:
    # The condition on the state is redundant, but it has an index.
    return (outbox.c.state == MessageState.DROPPED) & (outbox.c.last_error == JOINED + message)


def _is_due(now: datetime) -> ColumnElement[bool]:
    return _is_unclaimed(now) & _is_past(outbox.c.next_try, now)


def _is_unclaimed(now: datetime) -> ColumnElement[bool]:
    return (outbox.c.state == MessageState.PENDING) & _is_past(outbox.c.claimed_until, now)


def _is_past(moment: Column[datetime | None], now: datetime) -> ColumnElement[bool]:
    return or_(moment.is_(None), moment <= now, moment > now + LONGEST_DELAY)


def _settle_message(connection: Connection, message: str, state: MessageState, reason: str | None) -> None:
    """Set the final state of a message, and remove its attachments."""
    values = {"state": state, "last_error": reason, "next_try": None, "claim": None, "claimed_until": None}
    changed = update(outbox).where(outbox.c.id == message).values(values).returning(outbox.c.number)
    for number in connection.scalars(changed).all():
        connection.execute(delete(attachments).where(attachments.c.message == number))


def _details_of(message: OutboxMessage) -> dict[str, Any]:
    """Return the details that are not empty, as JSON values."""
    found = {name: getattr(message, name) for name in DETAILS}
    if message.receipt:
        found["receipt"] = asdict(message.receipt) | {"at": message.receipt.at.isoformat()}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in found.items() if value}


def _message_from_row(row: Row[Any], files: Sequence[Row[Any]] = ()) -> OutboxMessage:
    details: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in (row.details or {}).items()
    }
    if receipt := details.get("receipt"):
        details["receipt"] = Receipt(**receipt | {"at": datetime.fromisoformat(receipt["at"])})
    return OutboxMessage(
        **{name: getattr(row, name) for name in MESSAGE_COLUMNS},
        **{name: value for name, value in details.items() if name in DETAILS},
        to=tuple(row.to),
        state=MessageState(row.state),
        attachments=tuple(Attachment(file.name, file.media_type, file.content) for file in files),
    )
