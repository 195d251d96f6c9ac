"""The rows of datasets that `materialize` has written."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the tables, which are empty."""
    _create_kept_rows()


def _create_kept_rows() -> None:
    op.create_table(
        "kept_rows",
        sa.Column("dataset", sa.String, nullable=False),
        sa.Column("place", sa.String, nullable=False),
        sa.Column("made_of", sa.String, nullable=False),
        sa.Column("content", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column(
            "facts", sa.JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql"), nullable=False
        ),
        sa.Column("run", sa.String),
        sa.Column("written", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("dataset", "place", name="pk_kept_rows"),
    )
