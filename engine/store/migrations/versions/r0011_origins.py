"""The revision that has made an evaluation, and the deployment that it was pulled from."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

ORDER = ("timed", "time_start", "number")


def upgrade() -> None:
    """Add the columns, and let the indexes of a history lead to what has one origin; all of before were made here."""
    op.add_column("evaluations", sa.Column("revision", sa.Integer))
    for name in ("origin", "infrastructure"):
        op.add_column("evaluations", sa.Column(name, sa.String))
    op.drop_index("ix_evaluations_store_number", "evaluations")
    op.drop_index("ix_evaluations_store_model_fingerprint_timed_time_start_number", "evaluations")
    for columns in (("store", "origin", "number"), ("store", "origin", *ORDER)):
        op.create_index("_".join(("ix_evaluations", *columns)), "evaluations", columns)
    op.create_index("ix_evaluations_model_history", "evaluations", ("store", "origin", "model_fingerprint", *ORDER))
