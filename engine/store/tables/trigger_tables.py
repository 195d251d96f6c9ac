"""Triggers, their fires, and the scenarios whose triggers are paused."""

from sqlalchemy import Column, Index, Integer, String, Table, UniqueConstraint

from engine.store.tables.columns import JSON_TYPE, UtcDateTime, metadata, number_column

trigger_states = Table(
    "trigger_states",
    metadata,
    Column("scenario", String, primary_key=True),
    Column("trigger", String, primary_key=True),
    Column("definition", String, nullable=False),
    Column("evaluated_until", UtcDateTime, nullable=False),
    Column("seen", JSON_TYPE, nullable=False),
    Column("error", String),
    Column("error_since", UtcDateTime),
)

fires = Table(
    "fires",
    metadata,
    number_column(),
    Column("scenario", String, nullable=False),
    Column("trigger", String, nullable=False),
    Column("key", String, nullable=False),
    Column("scheduled", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("values", JSON_TYPE, nullable=False),
    Column("changed", JSON_TYPE, nullable=False),
    Column("previous", UtcDateTime),
    Column("state", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("run", String, unique=True),
    Column("attempt", Integer, nullable=False),
    Column("into", Integer),
    Column("next_try", UtcDateTime),
    UniqueConstraint("scenario", "trigger", "key"),
    Index(None, "state", "scheduled"),
    Index(None, "scenario", "number"),
)

pauses = Table(
    "pauses",
    metadata,
    number_column(),
    Column("scenario", String, nullable=False, index=True),
    Column("until", UtcDateTime),
    Column("by", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime),
    Column("ended_by", String),
)
