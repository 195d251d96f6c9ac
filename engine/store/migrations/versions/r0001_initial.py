"""The first revision: the tables of the first engine.

A migration must not follow tables that change under it. So a table that a later revision changes is written out here
as it was; all others are as they are declared now.
"""

import sqlalchemy as sa
from alembic import op

from engine.store.tables import metadata

revision = "0001"
down_revision = None

CHANGED_LATER = {"file_hashes", "outbox"}


def upgrade() -> None:
    """Create the tables."""
    outbox = sa.Table(
        "outbox",
        sa.MetaData(naming_convention=metadata.naming_convention),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String, nullable=False, unique=True),
        sa.Column("run", sa.String, index=True),
        sa.Column("reporter", sa.String, nullable=False),
        sa.Column("channel", sa.String, nullable=False),
        sa.Column("to", sa.JSON, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("text", sa.String, nullable=False),
        sa.Column("created", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String, nullable=False, index=True),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_try", sa.DateTime(timezone=True)),
        sa.Column("last_error", sa.String),
        sa.Column("claim", sa.String),
        sa.Column("claimed_until", sa.DateTime(timezone=True)),
    )
    outbox.create(op.get_bind())
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
