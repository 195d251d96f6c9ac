"""Why a step FAILED: a check was ERROR, or the step could not run. It is unknown of steps from before."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the column, which is null."""
    op.add_column("run_steps", sa.Column("cause", sa.String))
