"""Evaluations with their metrics, which of them were removed, and the results of checks with their mutes."""

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, String, Table

from engine.store.tables.columns import (
    JSON_TYPE,
    UtcDateTime,
    metadata,
    metric_columns,
    number_column,
    owner_column,
    place_column,
)

evaluations = Table(
    "evaluations",
    metadata,
    number_column(),
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

# The wide columns, which only the view of a single evaluation needs, are in a separate table that lists never read. The
# column that is read without the others comes first, since a database reads a long row from its beginning.
evaluation_details = Table(
    "evaluation_details",
    metadata,
    owner_column("evaluation", "evaluations.number"),
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
    owner_column("evaluation", "evaluations.number"),
    place_column(),
    *metric_columns(),
    Index(None, "metric", "evaluation", unique=True),
    Index(None, "metric", "value", "evaluation"),
)

removals = Table(
    "removals",
    metadata,
    number_column(),
    Column("store", String, nullable=False, index=True),
    Column("name", String, nullable=False),
    Column("evaluations", JSON_TYPE, nullable=False),
    Column("by", String, nullable=False),
    Column("at", UtcDateTime, nullable=False),
)

check_results = Table(
    "check_results",
    metadata,
    number_column(),
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
    number_column(),
    Column("target", String, nullable=False),
    Column("check", String, nullable=False),
    Column("until", UtcDateTime, nullable=False),
    Column("by", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime),
    Column("ended_by", String),
)
