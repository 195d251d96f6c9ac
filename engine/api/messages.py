"""Drops and retries undelivered messages of the outbox."""

from collections.abc import Sequence

from engine.acting_user import describe_acting_user
from engine.api.lookup import choose_id
from engine.formatting.moments import format_minute
from engine.notifications import Delivery, add_delivery_event, deliver_messages
from engine.pipeline.context import StateContext
from engine.store import MessageState, OutboxMessage, match_ids, shorten_id


def drop_messages(ids: Sequence[str], context: StateContext) -> list[str]:
    """Drop messages in the name of the acting user, and return their ids."""
    dropped = _select_messages(context, ids)
    reason = f"dropped by {describe_acting_user()} on {format_minute(context.clock())}"
    for message in dropped:
        context.store.drop_message(message, reason)
    return [message.id for message in dropped]


def retry_messages(ids: Sequence[str], context: StateContext) -> list[Delivery]:
    """Send messages now; those that cannot be sent from here become due for a server."""
    messages = _select_messages(context, ids)
    context.store.make_due(messages)
    by = describe_acting_user()
    delivered = list(deliver_messages(context.store, context.project, context.secrets, by, messages=messages))
    for one in delivered:
        if one.state is not MessageState.PENDING:
            add_delivery_event(context.store, one, by)
    return delivered


def _select_messages(context: StateContext, ids: Sequence[str]) -> list[OutboxMessage]:
    """Return the undelivered and refused messages with these ids, runs, reporters or channels; by default all.

    Raises UsageError if there is no such message.
    """
    outbox = context.store.outbox
    open_messages = sorted((*outbox.list_undelivered(), *outbox.list_refused()), key=lambda message: message.created)
    waiting = {message.id: message for message in open_messages}
    if not ids:
        return list(waiting.values())
    found: dict[str, OutboxMessage] = {}

    def list_known() -> list[str]:
        return [shorten_id(message) for message in reversed(waiting)]

    for id_ in ids:
        shared = [message for message in waiting.values() if _belongs_to(message, id_)]
        if not shared:
            shared = [waiting[choose_id("undelivered message", id_, match_ids(waiting, id_), list_known)]]
        found |= {message.id: message for message in shared}
    return list(found.values())


def _belongs_to(message: OutboxMessage, name: str) -> bool:
    """Return whether a message belongs to the run, the reporter or the channel with this id or name."""
    run = message.run or ""
    return name in (message.reporter, message.channel) or (bool(run) and name in (run, run.rpartition("-")[2]))
