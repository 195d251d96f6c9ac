"""The first revision: all tables as they are declared now.

Nothing has been released, so no older state exists. The first change after a release writes the tables of that
release out here, because a migration must not follow tables that change under it.
"""

from alembic import op

from engine.store.tables import metadata

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    metadata.create_all(op.get_bind())
