"""Inode and ctime of a file are kept with its hash. Hashes of before lack them, so each file is hashed once more."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the two columns, empty."""
    op.add_column("file_hashes", sa.Column("inode", sa.String))
    op.add_column("file_hashes", sa.Column("ctime_ns", sa.BigInteger))
