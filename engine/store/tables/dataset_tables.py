"""The measurements of datasets, and the rows that `materialize` keeps."""

from sqlalchemy import BigInteger, Column, Index, String, Table

from engine.store.tables.columns import (
    JSON_TYPE,
    UtcDateTime,
    metadata,
    metric_columns,
    number_column,
    owner_column,
    place_column,
)

dataset_measurements = Table(
    "dataset_measurements",
    metadata,
    number_column(),
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
    owner_column("measurement", "dataset_measurements.number"),
    place_column(),
    *metric_columns(),
    Index(None, "metric", "measurement", unique=True),
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
