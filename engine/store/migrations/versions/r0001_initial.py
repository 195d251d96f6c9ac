"""The first revision: the tables of the first engine.

A migration must not follow tables that change under it, so all of them are written out here as they were.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from engine.store.tables import metadata

revision = "0001"
down_revision = None

JSON_TYPE = sa.JSON()
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables."""
    tables = sa.MetaData(naming_convention=metadata.naming_convention)
    _declare_evaluations(tables)
    _declare_datasets_and_models(tables)
    _declare_runs(tables)
    _declare_messages(tables)
    tables.create_all(op.get_bind())
    op.create_table(
        "file_hashes",
        sa.Column("path", sa.String, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String, nullable=False),
    )


def _first_number_column() -> sa.Column[int]:
    return sa.Column("number", sa.Integer, primary_key=True, autoincrement=True)


def _owner_columns(column: str, owner: str) -> list[sa.Column[int]]:
    return [
        sa.Column(column, sa.Integer, sa.ForeignKey(f"{owner}.number", ondelete="CASCADE"), primary_key=True),
        sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    ]


def _first_metric_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("metric", sa.String, nullable=False),
        *(sa.Column(name, sa.Double) for name in ("value", "low", "high", "p_value")),
        sa.Column("reason", sa.String),
        sa.Column("failed", sa.Boolean, nullable=False),
        sa.Column("unlabelled", sa.Boolean, nullable=False),
    ]


def _declare_evaluations(tables: sa.MetaData) -> None:
    sa.Table(
        "evaluations",
        tables,
        _first_number_column(),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("store", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("labels", JSON_TYPE, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("model_fingerprint", sa.String, nullable=False),
        sa.Column("dataset_fingerprint", sa.String, nullable=False),
        sa.Column("reference_fingerprint", sa.String, nullable=False),
        sa.Column("parameters_fingerprint", sa.String, nullable=False),
        sa.Column("engine_version", sa.String, nullable=False),
        sa.Column("kernel_version", sa.String, nullable=False),
        sa.Column("rows_read", sa.BigInteger, nullable=False),
        sa.Column("rows_used", sa.BigInteger, nullable=False),
        sa.Column("reference_rows", sa.BigInteger, nullable=False),
        sa.Column("columns", JSON_TYPE, nullable=False),
        sa.Column("left_out", JSON_TYPE, nullable=False),
        sa.Column("importance", JSON_TYPE, nullable=False),
        sa.Column("prediction", JSON_TYPE, nullable=False),
        sa.Column("performance", JSON_TYPE, nullable=False),
        sa.Column("notes", JSON_TYPE, nullable=False),
        sa.Column("model", sa.String),
        sa.Column("model_version", sa.String),
        sa.Column("run", sa.String),
        sa.Column("facts", JSON_TYPE, nullable=False),
        sa.Index(None, "store", "name"),
        sa.Index(None, "store", "dataset_fingerprint"),
    )
    sa.Table(
        "evaluation_metrics",
        tables,
        *_owner_columns("evaluation", "evaluations"),
        *_first_metric_columns(),
        sa.Index(None, "metric", "evaluation", unique=True),
    )
    sa.Table(
        "removals",
        tables,
        _first_number_column(),
        sa.Column("store", sa.String, nullable=False, index=True),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("evaluations", JSON_TYPE, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("at", TIME, nullable=False),
    )
    sa.Table(
        "check_results",
        tables,
        _first_number_column(),
        sa.Column("run", sa.String, index=True),
        sa.Column("created", TIME, nullable=False),
        sa.Column("target", sa.String, nullable=False),
        sa.Column("check", sa.String, nullable=False),
        sa.Column("metric", sa.String, nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("counts_as", sa.String, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("bounds", JSON_TYPE, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("position", JSON_TYPE),
        sa.Column("evaluation", sa.String),
        sa.Index(None, "target", "check"),
    )


def _declare_datasets_and_models(tables: sa.MetaData) -> None:
    sa.Table(
        "model_versions",
        tables,
        _first_number_column(),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("path", sa.String, nullable=False),
        sa.Column("facts", JSON_TYPE, nullable=False),
        sa.UniqueConstraint("model", "version"),
    )
    sa.Table("unfinished_folders", tables, sa.Column("path", sa.String, primary_key=True))
    sa.Table(
        "dataset_measurements",
        tables,
        _first_number_column(),
        sa.Column("dataset", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("run", sa.String),
        sa.Column("created", TIME, nullable=False),
        sa.Column("facts", JSON_TYPE, nullable=False),
        sa.Index(None, "dataset", "fingerprint"),
    )
    sa.Table(
        "dataset_metrics",
        tables,
        *_owner_columns("measurement", "dataset_measurements"),
        *_first_metric_columns(),
        sa.Index(None, "metric", "measurement", unique=True),
    )


def _declare_runs(tables: sa.MetaData) -> None:
    sa.Table(
        "runs",
        tables,
        _first_number_column(),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("scenario", sa.String, nullable=False, index=True),
        sa.Column("started", TIME, nullable=False),
        sa.Column("who", sa.String, nullable=False),
        sa.Column("trigger", sa.String, nullable=False),
        sa.Column("parent", sa.String),
        sa.Column("variables", JSON_TYPE, nullable=False),
        sa.Column("ended", TIME),
        sa.Column("outcome", sa.String, index=True),
    )
    sa.Table(
        "run_steps",
        tables,
        *_owner_columns("run", "runs"),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
        sa.Column("started", TIME, nullable=False),
        sa.Column("ended", TIME, nullable=False),
        sa.Column("reused", sa.Boolean, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("turn", JSON_TYPE),
    )
    sa.Table(
        "run_events",
        tables,
        *_owner_columns("run", "runs"),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("severity", sa.String, nullable=False),
        sa.Column("what", sa.String, nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("value", sa.Double),
        sa.Column("range", JSON_TYPE, nullable=False),
        sa.Column("where", sa.String, nullable=False),
        sa.Column("position", JSON_TYPE),
    )


def _declare_messages(tables: sa.MetaData) -> None:
    sa.Table(
        "outbox",
        tables,
        _first_number_column(),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("run", sa.String, index=True),
        sa.Column("reporter", sa.String, nullable=False),
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("to", sa.JSON, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("state", sa.String, nullable=False, index=True),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_try", TIME),
        sa.Column("last_error", sa.String),
        sa.Column("claim", sa.String),
        sa.Column("claimed_until", TIME),
    )
    sa.Table(
        "attachments",
        tables,
        *_owner_columns("message", "outbox"),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("media_type", sa.String, nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
    )
