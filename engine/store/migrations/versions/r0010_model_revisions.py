"""The version of a model that counts, by the revision of the deployment in which it does."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Make the table anew, since its key changes; what was active is so until a revision says otherwise."""
    since = sa.column("since", sa.DateTime(timezone=True))
    before = sa.table("active_models", sa.column("model"), sa.column("version"), since, sa.column("by"))
    rows = [dict(row) for row in op.get_bind().execute(sa.select(before)).mappings()]
    op.drop_table("active_models")
    after = op.create_table(
        "active_models",
        sa.Column("model", sa.String, nullable=False),
        sa.Column("revision", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("version", sa.Integer),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("by", sa.String, nullable=False),
        sa.PrimaryKeyConstraint("model", "revision", name="pk_active_models"),
    )
    if rows:
        op.bulk_insert(after, [{**row, "revision": 0} for row in rows])
