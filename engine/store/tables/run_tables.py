"""Runs with their steps, events and ends."""

from sqlalchemy import Boolean, Column, Double, Index, Integer, String, Table

from engine.store.tables.columns import JSON_TYPE, UtcDateTime, metadata, number_column, owner_column, place_column

runs = Table(
    "runs",
    metadata,
    number_column(),
    Column("id", String, nullable=False, unique=True),
    Column("project", String, nullable=False),
    Column("scenario", String, nullable=False),
    Column("started", UtcDateTime, nullable=False),
    Column("who", String, nullable=False),
    Column("trigger", String, nullable=False),
    Column("parent", String),
    Column("variables", JSON_TYPE, nullable=False),
    Column("as_of", UtcDateTime),
    Column("ended", UtcDateTime),
    Column("outcome", String, index=True),
    Column("short_id", String, nullable=False, index=True),
    Column("fire", Integer, index=True),
    Column("spec", String),
    Column("release", String),
    Index(None, "parent", "number"),
    Index(None, "scenario", "number"),
)

run_steps = Table(
    "run_steps",
    metadata,
    owner_column("run", "runs.number"),
    place_column(),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("started", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime, nullable=False),
    Column("reused", Boolean, nullable=False),
    Column("reason", String, nullable=False),
    Column("turn", JSON_TYPE),
    Column("cause", String),
)

run_events = Table(
    "run_events",
    metadata,
    owner_column("run", "runs.number"),
    place_column(),
    Column("kind", String, nullable=False),
    Column("severity", String, nullable=False),
    Column("what", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("value", Double),
    Column("range", JSON_TYPE, nullable=False),
    Column("where", String, nullable=False),
    Column("position", JSON_TYPE),
)

# Ends have their own numbers, because runs end in another order than they start, and the clock can be set back.
run_ends = Table(
    "run_ends",
    metadata,
    number_column(),
    Column("run", String, nullable=False, unique=True),
    Column("scenario", String, nullable=False),
    Column("outcome", String, nullable=False),
)
