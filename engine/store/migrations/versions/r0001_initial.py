"""The first tables. A migration says what it makes by itself: the tables of today may change under it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

TIME = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")


def upgrade() -> None:
    op.create_table(
        "check_results",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("run", sa.String(), nullable=True),
        sa.Column("created", TIME, nullable=False),
        sa.Column("target", sa.String(), nullable=False),
        sa.Column("check", sa.String(), nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("counts_as", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("bounds", JSON, nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("position", JSON, nullable=True),
        sa.Column("evaluation", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_check_results")),
    )
    op.create_index(op.f("ix_check_results_run"), "check_results", ["run"], unique=False)
    op.create_index(op.f("ix_check_results_target_check"), "check_results", ["target", "check"], unique=False)
    op.create_table(
        "dataset_measurements",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("dataset", sa.String(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=True),
        sa.Column("created", TIME, nullable=False),
        sa.Column("facts", JSON, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_dataset_measurements")),
    )
    op.create_index(
        op.f("ix_dataset_measurements_dataset_fingerprint"),
        "dataset_measurements",
        ["dataset", "fingerprint"],
        unique=False,
    )
    op.create_table(
        "evaluations",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("store", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("labels", JSON, nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("model_fingerprint", sa.String(), nullable=False),
        sa.Column("dataset_fingerprint", sa.String(), nullable=False),
        sa.Column("reference_fingerprint", sa.String(), nullable=False),
        sa.Column("parameters_fingerprint", sa.String(), nullable=False),
        sa.Column("engine_version", sa.String(), nullable=False),
        sa.Column("kernel_version", sa.String(), nullable=False),
        sa.Column("rows_read", sa.BigInteger(), nullable=False),
        sa.Column("rows_used", sa.BigInteger(), nullable=False),
        sa.Column("reference_rows", sa.BigInteger(), nullable=False),
        sa.Column("columns", JSON, nullable=False),
        sa.Column("left_out", JSON, nullable=False),
        sa.Column("importance", JSON, nullable=False),
        sa.Column("prediction", JSON, nullable=False),
        sa.Column("performance", JSON, nullable=False),
        sa.Column("notes", JSON, nullable=False),
        sa.Column("model", sa.String(), nullable=True),
        sa.Column("model_version", sa.String(), nullable=True),
        sa.Column("run", sa.String(), nullable=True),
        sa.Column("facts", JSON, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_evaluations")),
        sa.UniqueConstraint("id", name=op.f("uq_evaluations_id")),
    )
    op.create_index(
        op.f("ix_evaluations_store_dataset_fingerprint"), "evaluations", ["store", "dataset_fingerprint"], unique=False
    )
    op.create_index(op.f("ix_evaluations_store_name"), "evaluations", ["store", "name"], unique=False)
    op.create_table(
        "file_hashes",
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_file_hashes")),
    )
    op.create_table(
        "model_versions",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("fingerprint", sa.String(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("facts", JSON, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_model_versions")),
        sa.UniqueConstraint("model", "version", name=op.f("uq_model_versions_model_version")),
    )
    op.create_table(
        "outbox",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=True),
        sa.Column("reporter", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("to", JSON, nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("created", TIME, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("next_try", TIME, nullable=True),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("claim", sa.String(), nullable=True),
        sa.Column("claimed_until", TIME, nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_outbox")),
        sa.UniqueConstraint("id", name=op.f("uq_outbox_id")),
    )
    op.create_index(op.f("ix_outbox_run"), "outbox", ["run"], unique=False)
    op.create_index(op.f("ix_outbox_state"), "outbox", ["state"], unique=False)
    op.create_table(
        "removals",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("store", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("evaluations", JSON, nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_removals")),
    )
    op.create_index(op.f("ix_removals_store"), "removals", ["store"], unique=False)
    op.create_table(
        "runs",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("project", sa.String(), nullable=False),
        sa.Column("scenario", sa.String(), nullable=False),
        sa.Column("started", TIME, nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("parent", sa.String(), nullable=True),
        sa.Column("variables", JSON, nullable=False),
        sa.Column("ended", TIME, nullable=True),
        sa.Column("outcome", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_runs")),
        sa.UniqueConstraint("id", name=op.f("uq_runs_id")),
    )
    op.create_index(op.f("ix_runs_outcome"), "runs", ["outcome"], unique=False)
    op.create_index(op.f("ix_runs_scenario"), "runs", ["scenario"], unique=False)
    op.create_table(
        "unfinished_folders",
        sa.Column("path", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("path", name=op.f("pk_unfinished_folders")),
    )
    op.create_table(
        "attachments",
        sa.Column("message", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("media_type", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["message"], ["outbox.number"], name=op.f("fk_attachments_message_outbox"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("message", "place", name=op.f("pk_attachments")),
    )
    op.create_table(
        "dataset_metrics",
        sa.Column("measurement", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("p_value", sa.Double(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.Column("unlabelled", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["measurement"],
            ["dataset_measurements.number"],
            name=op.f("fk_dataset_metrics_measurement_dataset_measurements"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("measurement", "place", name=op.f("pk_dataset_metrics")),
    )
    op.create_index(
        op.f("ix_dataset_metrics_metric_measurement"), "dataset_metrics", ["metric", "measurement"], unique=True
    )
    op.create_table(
        "evaluation_metrics",
        sa.Column("evaluation", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("metric", sa.String(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("low", sa.Double(), nullable=True),
        sa.Column("high", sa.Double(), nullable=True),
        sa.Column("p_value", sa.Double(), nullable=True),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("failed", sa.Boolean(), nullable=False),
        sa.Column("unlabelled", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["evaluation"],
            ["evaluations.number"],
            name=op.f("fk_evaluation_metrics_evaluation_evaluations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("evaluation", "place", name=op.f("pk_evaluation_metrics")),
    )
    op.create_index(
        op.f("ix_evaluation_metrics_metric_evaluation"), "evaluation_metrics", ["metric", "evaluation"], unique=True
    )
    op.create_table(
        "run_events",
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("at", TIME, nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("range", JSON, nullable=False),
        sa.Column("where", sa.String(), nullable=False),
        sa.Column("position", JSON, nullable=True),
        sa.ForeignKeyConstraint(["run"], ["runs.number"], name=op.f("fk_run_events_run_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run", "place", name=op.f("pk_run_events")),
    )
    op.create_table(
        "run_steps",
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("place", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(), nullable=False),
        sa.Column("started", TIME, nullable=False),
        sa.Column("ended", TIME, nullable=False),
        sa.Column("reused", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("turn", JSON, nullable=True),
        sa.ForeignKeyConstraint(["run"], ["runs.number"], name=op.f("fk_run_steps_run_runs"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("run", "place", name=op.f("pk_run_steps")),
    )
