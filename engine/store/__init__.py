"""The state of a project: evaluations, model versions, metric and check history, runs, outgoing messages, locks."""

from engine.store.folders import safe_name
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
    OutboxMessage,
    PastFacts,
    Removal,
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
    "Event",
    "JoinedMessage",
    "LockBusy",
    "LockHolder",
    "MessageState",
    "MetricPoint",
    "ModelVersion",
    "OutboxMessage",
    "PastFacts",
    "Removal",
    "RunRecord",
    "StepRecord",
    "Store",
    "generate_id",
    "safe_name",
    "utc_now",
]
