"""Bundles, deployments, their revisions, and the operations on them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    json_type = sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
    time = sa.DateTime(timezone=True)
    op.create_table(
        "bundles",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("received", time, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("signers", json_type, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_bundles"),
    )
    op.create_table(
        "deployments",
        sa.Column("name", sa.String, nullable=False),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("active_revision", sa.Integer),
        sa.Column("enabled", sa.Boolean, nullable=False),
        sa.Column("error", sa.String, nullable=False),
        sa.Column("quarantined", json_type, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_deployments"),
    )
    op.create_table(
        "revisions",
        sa.Column("deployment", sa.String, nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("bundle", sa.String, nullable=False),
        sa.Column("bundle_name", sa.String, nullable=False),
        sa.Column("settings", json_type, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("made", time, nullable=False),
        sa.Column("made_by", sa.String, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("deployment", "number", name="pk_revisions"),
        sa.ForeignKeyConstraint(
            ["deployment"], ["deployments.name"], name="fk_revisions_deployment_deployments", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "operations",
        sa.Column("number", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("id", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("deployment", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("from", sa.Integer),
        sa.Column("to", sa.Integer, nullable=False),
        sa.Column("state", sa.String, nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("started", time, nullable=False),
        sa.Column("ended", time),
        sa.Column("reason", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_operations"),
        sa.ForeignKeyConstraint(
            ["deployment"], ["deployments.name"], name="fk_operations_deployment_deployments", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("id", name="uq_operations_id"),
        sa.UniqueConstraint("key", name="uq_operations_key"),
    )
    op.create_index("ix_operations_deployment", "operations", ["deployment"])
    op.create_table(
        "operation_steps",
        sa.Column("operation", sa.Integer, nullable=False),
        sa.Column("place", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("started", time, nullable=False),
        sa.Column("ended", time, nullable=False),
        sa.Column("problem", sa.String, nullable=False),
        sa.Column("log", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("operation", "place", name="pk_operation_steps"),
        sa.ForeignKeyConstraint(
            ["operation"], ["operations.number"], name="fk_operation_steps_operation_operations", ondelete="CASCADE"
        ),
    )
