"""The tables of the state, as the newest migration leaves them.

They are SQLAlchemy Core tables, not ORM classes: a row is written once and read whole, so identity maps and lazy
loading would bring nothing. Only types that SQLite and PostgreSQL share are used: JSON as text, times in UTC, no
database enums. `number` keeps the order in which rows were inserted, since a clock can be set back; an index
ends in it where the newest rows of a kind are looked up. `short_id` is the last part of an id, which people write.
"""

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC. SQLite stores no time zone, so UTC is set again when a value is read."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def serialize_json(value: object) -> str:
    """Return `value` as JSON. NaN and infinities, which JSON lacks, become null; dates become ISO text.

    pydantic's serializer would also accept sets, whose order is not defined; here they are a TypeError.
    """
    try:
        text = json.dumps(value, allow_nan=False, default=_serialize_value, separators=(",", ":"), ensure_ascii=False)
    except ValueError:
        text = json.dumps(_replace_infinite(value), allow_nan=False, separators=(",", ":"), ensure_ascii=False)
    # Halves of characters cannot be encoded; they are read back as the text that people see: \udc80.
    return re.sub("[\ud800-\udfff]", lambda half: rf"\\u{ord(half[0]):04x}", text)


def _serialize_value(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, date):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is not JSON")


def _replace_infinite(value: object) -> object:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _replace_infinite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replace_infinite(item) for item in value]
    return value if value is None or isinstance(value, str | int) else _serialize_value(value)


JSON_TYPE = JSON(none_as_null=True)
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _number_column() -> Column[int]:
    return Column("number", Integer, primary_key=True, autoincrement=True)


def _owner_column(column: str, owner: str) -> Column[int]:
    return Column(column, Integer, ForeignKey(owner, ondelete="CASCADE"), primary_key=True)


def _place_column() -> Column[int]:
    return Column("place", Integer, primary_key=True, autoincrement=False)


def _metric_columns() -> list[Column[Any]]:
    return [
        Column("metric", String, nullable=False),
        Column("value", Double),
        Column("low", Double),
        Column("high", Double),
        Column("p_value", Double),
        Column("reason", String),
        Column("failed", Boolean, nullable=False),
        # the name is from the time when only missing labels made a metric without a value count as OK
        Column("unlabelled", Boolean, nullable=False),
    ]


evaluations = Table(
    "evaluations",
    metadata,
    _number_column(),
    Column("id", String, nullable=False, unique=True),
    Column("store", String, nullable=False),
    Column("name", String, nullable=False),
    Column("labels", JSON_TYPE, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("model_fingerprint", String, nullable=False),
    Column("dataset_fingerprint", String, nullable=False),
    Column("reference_fingerprint", String, nullable=False),
    Column("parameters_fingerprint", String, nullable=False),
    Column("engine_version", String, nullable=False),
    Column("kernel_version", String, nullable=False),
    Column("rows_read", BigInteger, nullable=False),
    Column("rows_used", BigInteger, nullable=False),
    Column("reference_rows", BigInteger, nullable=False),
    Column("notes", JSON_TYPE, nullable=False),
    Column("model", String),
    Column("model_version", String),
    Column("run", String),
    Column("short_id", String, nullable=False),
    Column("timed", Boolean, nullable=False),  # whether the time is declared; those without come first in a history
    Column("time_start", UtcDateTime, nullable=False),  # without a declared time, when it was made
    Column("time_end", UtcDateTime),
    Column("time_text", String),
    Column("superseded_by", String, index=True),
    Column("same_data_as", String),
    Column("files_removed", UtcDateTime),
    Column("release", String),  # of the deployment that made it; null outside of deployments
    Column("revision", Integer),  # of that deployment; null if it was made before revisions were recorded
    Column("origin", String),  # the deployment that it was pulled from; null: it was made here
    Column("infrastructure", String),  # where that deployment lives
    Index(None, "store", "origin", "number"),
    Index(None, "store", "timed", "time_start", "number"),
    Index(None, "store", "origin", "timed", "time_start", "number"),
    # PostgreSQL cuts longer names than the convention would leave for this one
    Index("ix_evaluations_model_history", "store", "origin", "model_fingerprint", "timed", "time_start", "number"),
    Index(None, "store", "name", "timed", "time_start", "number"),
    Index(None, "store", "short_id"),
    Index(None, "store", "dataset_fingerprint"),
)

# What only a single evaluation shows is wide, and so apart: a list of evaluations never reads it. The column that is
# read without the others comes first, since a database reads a long row from its beginning.
evaluation_details = Table(
    "evaluation_details",
    metadata,
    _owner_column("evaluation", "evaluations.number"),
    Column("facts", JSON_TYPE, nullable=False),
    Column("left_out", JSON_TYPE, nullable=False),
    Column("importance", JSON_TYPE, nullable=False),
    Column("prediction", JSON_TYPE, nullable=False),
    Column("performance", JSON_TYPE, nullable=False),
    Column("columns", JSON_TYPE, nullable=False),
)

evaluation_metrics = Table(
    "evaluation_metrics",
    metadata,
    _owner_column("evaluation", "evaluations.number"),
    _place_column(),
    *_metric_columns(),
    Index(None, "metric", "evaluation", unique=True),
    Index(None, "metric", "value", "evaluation"),
)

removals = Table(
    "removals",
    metadata,
    _number_column(),
    Column("store", String, nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("evaluations", JSON_TYPE, nullable=False),
    Column("by", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

model_versions = Table(
    "model_versions",
    metadata,
    _number_column(),
    Column("model", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("path", String, nullable=False),
    Column("facts", JSON_TYPE, nullable=False),
    Column("identity", String, nullable=False),
    UniqueConstraint("model", "version"),
)

# The version of a model that counts, whatever the data are that it was trained on, in a revision of a deployment; 0 is
# a project that is not deployed. None: the data decide.
active_models = Table(
    "active_models",
    metadata,
    Column("model", String, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer),
    Column("since", UtcDateTime, nullable=False),
    Column("by", String, nullable=False),
)

unfinished_folders = Table("unfinished_folders", metadata, Column("path", String, primary_key=True))

dataset_measurements = Table(
    "dataset_measurements",
    metadata,
    _number_column(),
    Column("dataset", String, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("run", String),
    Column("created", UtcDateTime, nullable=False),
    Column("facts", JSON_TYPE, nullable=False),
    Index(None, "dataset", "fingerprint"),
    Index(None, "dataset", "number"),
)

dataset_metrics = Table(
    "dataset_metrics",
    metadata,
    _owner_column("measurement", "dataset_measurements.number"),
    _place_column(),
    *_metric_columns(),
    Index(None, "metric", "measurement", unique=True),
)

check_results = Table(
    "check_results",
    metadata,
    _number_column(),
    Column("run", String, index=True),
    Column("created", UtcDateTime, nullable=False),
    Column("target", String, nullable=False),
    Column("check", String, nullable=False),
    Column("metric", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("counts_as", String, nullable=False),
    Column("value", Double),
    Column("bounds", JSON_TYPE, nullable=False),
    Column("reason", String, nullable=False),
    Column("position", JSON_TYPE),
    Column("evaluation", String),
    Column("mute", JSON_TYPE),  # null: the check was not muted
    Index(None, "target", "number"),
    Index(None, "target", "evaluation", "number"),
    Index(None, "target", "check", "number"),
)

mutes = Table(
    "mutes",
    metadata,
    _number_column(),
    Column("target", String, nullable=False),
    Column("check", String, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("by", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime),
    Column("ended_by", String),
)

runs = Table(
    "runs",
    metadata,
    _number_column(),
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
    _owner_column("run", "runs.number"),
    _place_column(),
    Column("name", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("outcome", String, nullable=False),
    Column("started", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime, nullable=False),
    Column("reused", Boolean, nullable=False),
    Column("reason", String, nullable=False),
    Column("turn", JSON_TYPE),
)

run_events = Table(
    "run_events",
    metadata,
    _owner_column("run", "runs.number"),
    _place_column(),
    Column("kind", String, nullable=False),
    Column("severity", String, nullable=False),
    Column("what", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
    Column("value", Double),
    Column("range", JSON_TYPE, nullable=False),
    Column("where", String, nullable=False),
    Column("position", JSON_TYPE),
)

# A clock can be set back, and runs end in another order than they start: so the ends have an order of their own.
run_ends = Table(
    "run_ends",
    metadata,
    _number_column(),
    Column("run", String, nullable=False, unique=True),
    Column("scenario", String, nullable=False),
    Column("outcome", String, nullable=False),
)

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
    _number_column(),
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
    _number_column(),
    Column("scenario", String, nullable=False, index=True),
    Column("until", UtcDateTime),
    Column("by", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime),
    Column("ended_by", String),
)

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
    _number_column(),
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
    Column("details", JSON_TYPE),  # null in messages of before it existed
    Index(None, "channel", "state"),
)

attachments = Table(
    "attachments",
    metadata,
    _owner_column("message", "outbox.number"),
    _place_column(),
    Column("name", String, nullable=False),
    Column("media_type", String, nullable=False),
    Column("content", LargeBinary, nullable=False),
)

kept_rows = Table(
    "kept_rows",
    metadata,
    Column("dataset", String, primary_key=True),
    Column("place", String, primary_key=True),
    Column("made_of", String, nullable=False),
    Column("content", String, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("facts", JSON_TYPE, nullable=False),
    Column("run", String),
    Column("written", UtcDateTime, nullable=False),
)

file_hashes = Table(
    "file_hashes",
    metadata,
    Column("path", String, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("hash", String, nullable=False),
    Column("inode", String),  # may be larger than the integers of a database
    Column("ctime_ns", BigInteger),  # null: this identity is not to be trusted
)
