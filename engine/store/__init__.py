"""The state of a project: evaluations, model versions, metric and check history, runs, outgoing messages, locks."""

from engine.store.folders import safe_name
from engine.store.locks import Busy, Held
from engine.store.records import (
    Attachment,
    CheckPoint,
    Claim,
    Event,
    MessageState,
    MetricPoint,
    ModelVersion,
    OutboxMessage,
    Remembered,
    Removal,
    RunRecord,
    StepRecord,
    new_id,
    utc_now,
)
from engine.store.store import Store

__all__ = [
    "Attachment",
    "Busy",
    "CheckPoint",
    "Claim",
    "Event",
    "Held",
    "MessageState",
    "MetricPoint",
    "ModelVersion",
    "OutboxMessage",
    "Remembered",
    "Removal",
    "RunRecord",
    "StepRecord",
    "Store",
    "new_id",
    "safe_name",
    "utc_now",
]
