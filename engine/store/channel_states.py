"""The channels that could not be reached when they were last used, each with a delay that survives a restart."""

from sqlalchemy import delete, insert, select

from engine.store.databases.database import Database
from engine.store.records.messages import ChannelState
from engine.store.tables import channel_states

FIELDS = ChannelState._fields


class ChannelStates:
    """The states of a project's channels; a channel that works has no state."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list_all(self) -> dict[str, ChannelState]:
        """Return the states by channel name."""
        with self._database.begin_read() as connection:
            rows = connection.execute(select(channel_states).order_by(channel_states.c.channel)).all()
        return {row.channel: ChannelState(**{name: getattr(row, name) for name in FIELDS}) for row in rows}

    def write(self, state: ChannelState) -> None:
        """Record that a channel could not be reached."""
        with self._database.begin_write() as connection:
            connection.execute(delete(channel_states).where(channel_states.c.channel == state.channel))
            connection.execute(insert(channel_states).values(state._asdict()))

    def clear(self, channel: str) -> bool:
        """Record that a channel works; return whether a failure was recorded before."""
        known = channel_states.c.channel == channel
        with self._database.begin_read() as connection:
            if connection.execute(select(channel_states.c.channel).where(known)).first() is None:
                return False
        with self._database.begin_write() as connection:
            return connection.execute(delete(channel_states).where(known)).rowcount > 0
