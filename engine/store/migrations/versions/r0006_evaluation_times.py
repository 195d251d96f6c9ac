"""The time that an evaluation stands for, what has superseded it, and the evaluation that has the same data.

Evaluations of before stand for the moment at which they were made.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

ORDER = ("timed", "time_start", "number")


def upgrade() -> None:
    """Add the columns and fill them, and make the indexes of a history by time."""
    for name, type_ in (
        ("timed", sa.Boolean),
        ("time_start", sa.DateTime(timezone=True)),
        ("time_end", sa.DateTime(timezone=True)),
        ("time_text", sa.String),
        ("superseded_by", sa.String),
        ("same_data_as", sa.String),
    ):
        op.add_column("evaluations", sa.Column(name, type_))
    op.execute("UPDATE evaluations SET timed = FALSE, time_start = created")
    with op.batch_alter_table("evaluations") as table:
        table.alter_column("timed", existing_type=sa.Boolean, nullable=False)
        table.alter_column("time_start", existing_type=sa.DateTime(timezone=True), nullable=False)
    op.create_index("ix_evaluations_superseded_by", "evaluations", ["superseded_by"])
    op.drop_index("ix_evaluations_store_name_number", "evaluations")
    for columns in (("store", *ORDER), ("store", "model_fingerprint", *ORDER), ("store", "name", *ORDER)):
        op.create_index("_".join(("ix_evaluations", *columns)), "evaluations", columns)
