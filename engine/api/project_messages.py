"""The methods of a project for unsent messages and the states of reporters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.acting_user import describe_acting_user
from engine.api.lookup import choose_id
from engine.api.opened_project import OpenedProject
from engine.formatting.moments import format_minute
from engine.notifications import Delivery, add_delivery_event, deliver_messages
from engine.pipeline.context import StateContext
from engine.store import MessageState, OutboxMessage, match_ids, shorten_id

if TYPE_CHECKING:
    import polars as pl


class ProjectMessages(OpenedProject):
    """The unsent messages of a project, and the states of its reporters."""

    __slots__ = ()

    def outbox(self) -> "pl.DataFrame":
        """Return the messages that were not sent, oldest first.

        PENDING ones are tried again. REFUSED ones were refused by their recipients for good, but can be sent again by
        `retry_messages`. DROPPED ones are never sent.

        Returns
        -------
        id, state, created (UTC), reporter, channel, to (recipients that do not have it), subject, tries, reason (of the
        last failure, or of dropping), run.
        """
        return self.tables.outbox().to_frame()

    def drop_messages(self, *ids: str) -> list[str]:
        """Drop undelivered and refused messages, so that they are not tried again, and record by whom.

        Parameters
        ----------
        ids
            Ids or last parts of ids of messages, or ids or names of runs, reporters or channels for all their messages.
            By default all undelivered and refused messages.

        Returns
        -------
        The ids of the dropped messages.

        Raises
        ------
        UsageError
            There is no such undelivered message.
        """
        with self.open_state() as context:
            dropped = _select_messages(context, ids)
            reason = f"dropped by {describe_acting_user()} on {format_minute(context.clock())}"
            for message in dropped:
                context.store.drop_message(message, reason)
            return [message.id for message in dropped]

    def retry_messages(self, *ids: str) -> list[Delivery]:
        """Send undelivered and refused messages now; the parameters are those of `drop_messages`.

        Messages that cannot be sent from here become due at once for a running server, without the delays of their
        channels.

        Raises
        ------
        UsageError
            There is no such undelivered message.
        """
        with self.open_state() as context:
            messages = _select_messages(context, ids)
            context.store.make_due(messages)
            by = describe_acting_user()
            delivered = list(deliver_messages(context.store, context.project, context.secrets, by, messages=messages))
            for one in delivered:
                if one.state is not MessageState.PENDING:
                    add_delivery_event(context.store, one, by)
            return delivered

    def reporter_states(self) -> "pl.DataFrame":
        """Return the states of the reporters with `only_on_change` or `cooldown`.

        Returns
        -------
        scenario, reporter, channel, watches (its run_condition, or the outcome), now (the observation of the last run;
        null before the first), since (UTC), told (the observation that was last reported), sent_at (of its last
        message, UTC), as_of (the moment that the last run stands for, UTC).
        """
        return self.tables.reporter_states().to_frame()


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
