"""The methods of a project for unsent messages and the states of reporters."""

from typing import TYPE_CHECKING

from engine.api import messages
from engine.api.opened_project import OpenedProject
from engine.notifications import Delivery

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
            return messages.drop_messages(ids, context)

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
            return messages.retry_messages(ids, context)

    def reporter_states(self) -> "pl.DataFrame":
        """Return the states of the reporters with `only_on_change` or `cooldown`.

        Returns
        -------
        scenario, reporter, channel, watches (its run_condition, or the outcome), now (the observation of the last run;
        null before the first), since (UTC), told (the observation that was last reported), sent_at (of its last
        message, UTC), as_of (the moment that the last run stands for, UTC).
        """
        return self.tables.reporter_states().to_frame()
