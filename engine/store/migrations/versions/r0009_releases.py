"""Rows that `materialize` has written; the release that has written a row, and which version of a model counts."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the tables, which are empty; the new columns are null."""
    _create_kept_rows()
    _name_releases()
    _create_active_models()


def _create_kept_rows() -> None:
    op.create_table(
        "kept_rows",
        sa.Column("dataset", sa.String, nullable=False),
        sa.Column("place", sa.String, nullable=False),
        sa.Column("made_of", sa.String, nullable=False),
        sa.Column("content", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("rows", sa.BigInteger, nullable=False),
        sa.Column("facts", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("run", sa.String),
        sa.Column("written", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("dataset", "place", name="pk_kept_rows"),
    )


def _name_releases() -> None:
    op.add_column("runs", sa.Column("release", sa.String))
    op.add_column("evaluations", sa.Column("release", sa.String))


def _create_active_models() -> None:
    op.create_table(
        "active_models",
        sa.Column("model", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("model", name="pk_active_models"),
    )
