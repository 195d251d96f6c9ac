"""The tables of node.db after its newest migration: bundles, deployments, revisions, operations and tokens.

`number` counts the operations in the order in which they began. The rows of operations are not locks: a process that
works on a deployment holds the deployment's file lock, which ends with the process.
"""

from sqlalchemy import Boolean, Column, ForeignKey, Integer, MetaData, String, Table, UniqueConstraint

from engine.store.tables import JSON_TYPE, UtcDateTime, metadata

node_metadata = MetaData(naming_convention=metadata.naming_convention)

bundles = Table(
    "bundles",
    node_metadata,
    Column("id", String, primary_key=True),
    Column("project", String, nullable=False),
    Column("name", String, nullable=False),
    Column("size", Integer, nullable=False),
    Column("received", UtcDateTime, nullable=False),
    Column("by", String, nullable=False),
    Column("signers", JSON_TYPE, nullable=False),
)
deployments = Table(
    "deployments",
    node_metadata,
    Column("name", String, primary_key=True),
    Column("project", String, nullable=False),
    Column("active_revision", Integer),
    Column("enabled", Boolean, nullable=False),
    Column("error", String, nullable=False),
    Column("quarantined", JSON_TYPE, nullable=False),
)
revisions = Table(
    "revisions",
    node_metadata,
    Column("deployment", String, ForeignKey("deployments.name", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("bundle", String, nullable=False),
    Column("bundle_name", String, nullable=False),
    Column("settings", JSON_TYPE, nullable=False),
    Column("digest", String, nullable=False),
    Column("made", UtcDateTime, nullable=False),
    Column("made_by", String, nullable=False),
    Column("state", String, nullable=False),
)
operations = Table(
    "operations",
    node_metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False),
    Column("key", String, nullable=False),
    Column("deployment", String, ForeignKey("deployments.name", ondelete="CASCADE"), nullable=False, index=True),
    Column("kind", String, nullable=False),
    Column("from", Integer),
    Column("to", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("by", String, nullable=False),
    Column("started", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime),
    Column("reason", String, nullable=False),
    Column("again", Boolean),
    Column("now", Boolean),
    UniqueConstraint("id"),
    UniqueConstraint("key"),
)
operation_steps = Table(
    "operation_steps",
    node_metadata,
    Column("operation", Integer, ForeignKey("operations.number", ondelete="CASCADE"), primary_key=True),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("name", String, nullable=False),
    Column("started", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime, nullable=False),
    Column("problem", String, nullable=False),
    Column("log", String, nullable=False),
)
operation_events = Table(
    "operation_events",
    node_metadata,
    Column("operation", Integer, ForeignKey("operations.number", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", UtcDateTime, nullable=False),
    Column("text", String, nullable=False),
)
tokens = Table(
    "tokens",
    node_metadata,
    Column("id", String, primary_key=True),
    Column("digest", String, nullable=False),
    Column("name", String, nullable=False),
    Column("role", String, nullable=False),
    Column("made", UtcDateTime, nullable=False),
    Column("made_by", String, nullable=False),
    Column("expires", UtcDateTime),
    Column("revoked", UtcDateTime),
    Column("last_used", UtcDateTime),
)
