"""Triggers and their fires, the order of the ends of runs, pauses, channels that are down, and removed files."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Make the tables, empty but for the ends of the runs that have ended; the new columns are null."""
    json_type = sa.JSON(none_as_null=True)
    time = sa.DateTime(timezone=True)
    op.add_column("runs", sa.Column("fire", sa.Integer))
    op.add_column("runs", sa.Column("spec", sa.String))
    op.add_column("evaluations", sa.Column("files_removed", time))
    op.create_index("ix_runs_fire", "runs", ["fire"])
    op.create_index("ix_outbox_channel_state", "outbox", ["channel", "state"])
    op.create_table(
        "run_ends",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("run", sa.String, nullable=False),
        sa.Column("scenario", sa.String, nullable=False),
        sa.Column("outcome", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_run_ends"),
        sa.UniqueConstraint("run", name="uq_run_ends_run"),
    )
    op.execute(
        "INSERT INTO run_ends (run, scenario, outcome) SELECT id, scenario, outcome FROM runs "
        "WHERE outcome IS NOT NULL ORDER BY ended, number"
    )
    op.create_table(
        "trigger_states",
        sa.Column("scenario", sa.String, nullable=False),
        sa.Column("trigger", sa.String, nullable=False),
        sa.Column("definition", sa.String, nullable=False),
        sa.Column("evaluated_until", time, nullable=False),
        sa.Column("seen", json_type, nullable=False),
        sa.Column("error", sa.String),
        sa.Column("error_since", time),
        sa.PrimaryKeyConstraint("scenario", "trigger", name="pk_trigger_states"),
    )
    op.create_table(
        "fires",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("scenario", sa.String, nullable=False),
        sa.Column("trigger", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("scheduled", time, nullable=False),
        sa.Column("seen_at", time, nullable=False),
        sa.Column("values", json_type, nullable=False),
        sa.Column("changed", json_type, nullable=False),
        sa.Column("previous", time),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("run", sa.String),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("into", sa.Integer),
        sa.Column("next_try", time),
        sa.PrimaryKeyConstraint("number", name="pk_fires"),
        sa.UniqueConstraint("run", name="uq_fires_run"),
        sa.UniqueConstraint("scenario", "trigger", "key", name="uq_fires_scenario_trigger_key"),
    )
    op.create_index("ix_fires_state_scheduled", "fires", ["state", "scheduled"])
    op.create_index("ix_fires_scenario_number", "fires", ["scenario", "number"])
    op.create_table(
        "pauses",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("scenario", sa.String, nullable=False),
        sa.Column("until", time),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("created", time, nullable=False),
        sa.Column("ended", time),
        sa.Column("ended_by", sa.String),
        sa.PrimaryKeyConstraint("number", name="pk_pauses"),
    )
    op.create_index("ix_pauses_scenario", "pauses", ["scenario"])
    op.create_table(
        "channel_states",
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("next_try", time, nullable=False),
        sa.Column("last_error", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("channel", name="pk_channel_states"),
    )
