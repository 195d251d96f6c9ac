"""The messages of a project: those that were not sent, and what its reporters have told."""

from typing import TYPE_CHECKING

from engine.api import messages
from engine.api.opened_project import OpenedProject
from engine.notifications import Delivery

if TYPE_CHECKING:
    import polars as pl


class ProjectMessages(OpenedProject):
    """The messages of a project: those that were not sent, and what its reporters have told."""

    __slots__ = ()

    def outbox(self) -> "pl.DataFrame":
        """Return the messages that were not sent, oldest first: PENDING ones wait, the others are not tried again.

        REFUSED ones were refused by their receivers for good, and can be sent again by `retry_messages`; DROPPED ones
        are settled.

        Returns
        -------
        id, state, created (UTC), reporter, channel, to (receivers that do not have it), subject, tries, reason (of the
        last failure, or of dropping), run.
        """
        return self.tables.outbox().to_frame()

    def drop_messages(self, *ids: str) -> list[str]:
        """Drop undelivered and refused messages of the outbox: they are not tried again. Record who has dropped them.

        Parameters
        ----------
        ids
            The messages, by id or by its last part; or all of a run, a reporter or a channel, by its id or name. All
            undelivered and refused messages if none is given.

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
        """Send undelivered and refused messages of the outbox now; the parameters are those of `drop_messages`.

        Those that cannot be sent from here are due at once for a server that runs: it waits for their channels no more.

        Raises
        ------
        UsageError
            There is no such undelivered message.
        """
        with self.open_state() as context:
            return messages.retry_messages(ids, context)

    def reporter_states(self) -> "pl.DataFrame":
        """Return what the reporters with `only_on_change` or `cooldown` have last seen and told.

        Returns
        -------
        scenario, reporter, channel, watches (its run_condition, or the outcome), now (what the last run gave; null
        before the first), since (UTC), told (what its receivers know), sent_at (its last message, UTC), as_of (the
        moment that the last run stands for, UTC).
        """
        return self.tables.reporter_states().to_frame()
