"""The tables of the state, as the newest migration leaves them.

They are SQLAlchemy Core tables, not ORM classes: a row is written once and read whole, so identity maps and lazy
loading have no use. Only types that SQLite and PostgreSQL share are used: JSON as text, times in UTC, no database
enums. `number` is the order of insertion, since a clock can be set back; indexes for the newest rows of a kind end in
it. `short_id` is the last part of an id, which people type.
"""

from engine.store.tables.columns import JSON_TYPE, UtcDateTime, metadata
from engine.store.tables.dataset_tables import dataset_measurements, dataset_metrics, kept_rows
from engine.store.tables.evaluation_tables import (
    check_results,
    evaluation_details,
    evaluation_metrics,
    evaluations,
    mutes,
    removals,
)
from engine.store.tables.file_tables import file_hashes, unfinished_folders
from engine.store.tables.message_tables import attachments, channel_states, outbox, reporter_states
from engine.store.tables.model_tables import active_models, model_versions
from engine.store.tables.run_tables import run_ends, run_events, run_steps, runs
from engine.store.tables.trigger_tables import fires, pauses, trigger_states

__all__ = [
    "JSON_TYPE",
    "UtcDateTime",
    "active_models",
    "attachments",
    "channel_states",
    "check_results",
    "dataset_measurements",
    "dataset_metrics",
    "evaluation_details",
    "evaluation_metrics",
    "evaluations",
    "file_hashes",
    "fires",
    "kept_rows",
    "metadata",
    "model_versions",
    "mutes",
    "outbox",
    "pauses",
    "removals",
    "reporter_states",
    "run_ends",
    "run_events",
    "run_steps",
    "runs",
    "trigger_states",
    "unfinished_folders",
]
