"""The versions of models, and the active ones."""

from sqlalchemy import Column, Integer, String, Table, UniqueConstraint

from engine.store.tables.columns import JSON_TYPE, UtcDateTime, metadata, number_column

model_versions = Table(
    "model_versions",
    metadata,
    number_column(),
    Column("model", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("fingerprint", String, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("path", String, nullable=False),
    Column("facts", JSON_TYPE, nullable=False),
    Column("identity", String, nullable=False),
    UniqueConstraint("model", "version"),
)

# The active version of a model in a revision of a deployment; revision 0 is a project that is not deployed. If
# `version` is null, the training data decide.
active_models = Table(
    "active_models",
    metadata,
    Column("model", String, primary_key=True),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("version", Integer),
    Column("since", UtcDateTime, nullable=False),
    Column("by", String, nullable=False),
)
