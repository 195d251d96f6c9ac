"""The moment that a run stands for. Runs from before stand for the moment at which they started."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the column, and fill it."""
    op.add_column("runs", sa.Column("as_of", sa.DateTime(timezone=True)))
    op.execute("UPDATE runs SET as_of = started")
