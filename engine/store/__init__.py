"""The state of a project: evaluations, model versions, metric and check history, runs, outgoing messages, locks."""

from engine.store.evaluation_filter import EvaluationFilter
from engine.store.folders import safe_name
from engine.store.ids import match_ids, shorten_id
from engine.store.locks import LockBusy, LockHolder
from engine.store.records import (
    Attachment,
    CheckPoint,
    Claim,
    DatasetMeasurement,
    Event,
    JoinedMessage,
    MessageState,
    MetricPoint,
    ModelVersion,
    Mute,
    OutboxMessage,
    PastFacts,
    Removal,
    ReporterState,
    RunRecord,
    StepRecord,
    generate_id,
    utc_now,
)
from engine.store.store import Store

__all__ = [
    "Attachment",
    "CheckPoint",
    "Claim",
    "DatasetMeasurement",
    "EvaluationFilter",
    "Event",
    "JoinedMessage",
    "LockBusy",
    "LockHolder",
    "MessageState",
    "MetricPoint",
    "ModelVersion",
    "Mute",
    "OutboxMessage",
    "PastFacts",
    "Removal",
    "ReporterState",
    "RunRecord",
    "StepRecord",
    "Store",
    "generate_id",
    "match_ids",
    "safe_name",
    "shorten_id",
    "utc_now",
]
