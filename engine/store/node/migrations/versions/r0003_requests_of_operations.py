"""What was asked for with an operation besides its revision: a request that is repeated must ask for the same."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns; nobody knows any more what was asked for with operations of before."""
    for name in ("again", "now"):
        op.add_column("operations", sa.Column(name, sa.Boolean))
