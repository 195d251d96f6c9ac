"""What a message needs beside its texts: further receivers, its sender, who has it, and who has refused it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the column, empty."""
    op.add_column("outbox", sa.Column("details", sa.JSON))
