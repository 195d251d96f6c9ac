"""What reporters have told, which checks are muted, and which check results were."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Make the tables, empty, and the column, null."""
    json_type = sa.JSON(none_as_null=True)
    op.add_column("check_results", sa.Column("mute", json_type))
    op.create_table(
        "reporter_states",
        sa.Column("scenario", sa.String, primary_key=True),
        sa.Column("reporter", sa.String, primary_key=True),
        sa.Column("definition", sa.String, nullable=False),
        sa.Column("observed", sa.String, nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("told", sa.String, nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("as_of", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_table(
        "mutes",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("target", sa.String, nullable=False),
        sa.Column("check", sa.String, nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.Column("reason", sa.String, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.DateTime(timezone=True)),
        sa.Column("ended_by", sa.String),
    )
