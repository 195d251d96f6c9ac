"""The deployment that an evaluation was pulled from; those of before were all made here."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"

ORDER = ("timed", "time_start", "number")


def upgrade() -> None:
    """Add the column, and let the indexes of a history lead to what has one origin."""
    op.add_column("evaluations", sa.Column("origin", sa.String))
    op.drop_index("ix_evaluations_store_number", "evaluations")
    op.drop_index("ix_evaluations_store_model_fingerprint_timed_time_start_number", "evaluations")
    for columns in (("store", "origin", "number"), ("store", "origin", *ORDER)):
        op.create_index("_".join(("ix_evaluations", *columns)), "evaluations", columns)
    op.create_index("ix_evaluations_model_history", "evaluations", ("store", "origin", "model_fingerprint", *ORDER))
