"""The first revision: the tables of the first engine.

A migration must not follow tables that change under it. So a table that a later revision changes is written out here
as it was; all others are as they are declared now.
"""

import sqlalchemy as sa
from alembic import op

from engine.store.tables import metadata

revision = "0001"
down_revision = None

CHANGED_LATER = {"file_hashes"}


def upgrade() -> None:
    """Create the tables."""
    metadata.create_all(
        op.get_bind(), tables=[table for name, table in metadata.tables.items() if name not in CHANGED_LATER]
    )
    op.create_table(
        "file_hashes",
        sa.Column("path", sa.String, primary_key=True),
        sa.Column("size", sa.BigInteger, nullable=False),
        sa.Column("mtime_ns", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String, nullable=False),
    )
