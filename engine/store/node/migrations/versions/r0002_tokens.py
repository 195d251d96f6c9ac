"""Tokens of those who may ask a node, and what operations say while they go on."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Make the tables."""
    time = sa.DateTime(timezone=True)
    op.create_table(
        "tokens",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("digest", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("role", sa.String, nullable=False),
        sa.Column("made", time, nullable=False),
        sa.Column("made_by", sa.String, nullable=False),
        sa.Column("expires", time),
        sa.Column("revoked", time),
        sa.Column("last_used", time),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
    )
    op.create_table(
        "operation_events",
        sa.Column("operation", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("at", time, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("operation", "number", name="pk_operation_events"),
        sa.ForeignKeyConstraint(
            ["operation"], ["operations.number"], name="fk_operation_events_operation_operations", ondelete="CASCADE"
        ),
    )
