"""What deployments need: which release has written a row, and which version of a model counts."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Make the tables, which are empty; the new columns are null."""
    _name_releases()
    _make_active_models()


def _name_releases() -> None:
    op.add_column("runs", sa.Column("release", sa.String))
    op.add_column("evaluations", sa.Column("release", sa.String))


def _make_active_models() -> None:
    op.create_table(
        "active_models",
        sa.Column("model", sa.String, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("model", name="pk_active_models"),
    )
