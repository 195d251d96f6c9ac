"""The wide details of evaluations apart, indexes for every look-up, and the identity of a model version by its content.

Versions of before have the identity that their evaluations were made with, so nothing is evaluated anew.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"

DETAILS = ("facts", "left_out", "importance", "prediction", "performance", "columns")

SHORT_ID = "replace(id, rtrim(id, replace(id, '-', '')), '')"
"""The part of an id after its last hyphen, in SQL of every database: what precedes it is removed."""


def upgrade() -> None:
    """Move the columns, fill the new ones, and make the indexes."""
    _move_details()
    _fill_column("evaluations", "short_id", SHORT_ID)
    _fill_column("runs", "short_id", SHORT_ID)
    _fill_column("model_versions", "identity", "fingerprint || '.' || version")
    for table, *columns in (
        ("evaluations", "store", "name"),
        ("check_results", "target", "check"),
        ("runs", "scenario"),
    ):
        op.drop_index("_".join(("ix", table, *columns)), table)
    for table, *columns in (
        ("evaluations", "store", "number"),
        ("evaluations", "store", "name", "number"),
        ("evaluations", "store", "short_id"),
        ("evaluation_metrics", "metric", "value", "evaluation"),
        ("dataset_measurements", "dataset", "number"),
        ("check_results", "target", "number"),
        ("check_results", "target", "evaluation", "number"),
        ("check_results", "target", "check", "number"),
        ("runs", "short_id"),
        ("runs", "parent", "number"),
        ("runs", "scenario", "number"),
    ):
        op.create_index("_".join(("ix", table, *columns)), table, columns)


def _move_details() -> None:
    """Copy the wide columns of all evaluations to a table of their own, then rebuild the narrow one without them."""
    op.create_table(
        "evaluation_details",
        sa.Column(
            "evaluation",
            sa.Integer,
            sa.ForeignKey(
                "evaluations.number", ondelete="CASCADE", name="fk_evaluation_details_evaluation_evaluations"
            ),
        ),
        *(sa.Column(name, sa.JSON(), nullable=False) for name in DETAILS),
        sa.PrimaryKeyConstraint("evaluation", name="pk_evaluation_details"),
    )
    wide = ", ".join(f'"{name}"' for name in DETAILS)
    op.execute(f"INSERT INTO evaluation_details (evaluation, {wide}) SELECT number, {wide} FROM evaluations")  # noqa: S608  names of above
    with op.batch_alter_table("evaluations") as table:
        for name in DETAILS:
            table.drop_column(name)


def _fill_column(table: str, column: str, expression: str) -> None:
    """Add a column of texts without null, with the values of an SQL expression."""
    op.add_column(table, sa.Column(column, sa.String))
    op.execute(f"UPDATE {table} SET {column} = {expression}")  # noqa: S608  names of above
    with op.batch_alter_table(table) as changed:
        changed.alter_column(column, existing_type=sa.String, nullable=False)
