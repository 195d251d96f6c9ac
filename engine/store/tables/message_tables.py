"""The outbox, and the states of channels and reporters."""

from sqlalchemy import Column, Index, Integer, LargeBinary, String, Table

from engine.store.tables.columns import JSON_TYPE, UtcDateTime, metadata, number_column, owner_column, place_column

channel_states = Table(
    "channel_states",
    metadata,
    Column("channel", String, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("next_try", UtcDateTime, nullable=False),
    Column("last_error", String, nullable=False),
)

reporter_states = Table(
    "reporter_states",
    metadata,
    Column("scenario", String, primary_key=True),
    Column("reporter", String, primary_key=True),
    Column("definition", String, nullable=False),
    Column("observed", String, nullable=False),
    Column("since", UtcDateTime, nullable=False),
    Column("told", String, nullable=False),
    Column("sent_at", UtcDateTime),
    Column("as_of", UtcDateTime, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    number_column(),
    Column("id", String, nullable=False, unique=True),
    Column("run", String, index=True),
    Column("reporter", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("to", JSON_TYPE, nullable=False),
    Column("subject", String, nullable=False),
    Column("text", String, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("state", String, nullable=False, index=True),
    Column("tries", Integer, nullable=False),
    Column("next_try", UtcDateTime),
    Column("last_error", String),
    Column("claim", String),
    Column("claimed_until", UtcDateTime),
    Column("details", JSON_TYPE),  # null in messages from before this column existed
    Index(None, "channel", "state"),
)

attachments = Table(
    "attachments",
    metadata,
    owner_column("message", "outbox.number"),
    place_column(),
    Column("name", String, nullable=False),
    Column("media_type", String, nullable=False),
    Column("content", LargeBinary, nullable=False),
)
