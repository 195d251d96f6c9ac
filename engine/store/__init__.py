"""The state of a project: evaluations, model versions, metric and check history, runs, outgoing messages, locks.

The records of triggers are imported at their first use, because most runs do not need them.
"""

from typing import TYPE_CHECKING

from engine.lazy_exports import export_lazily
from engine.store.clock import utc_now
from engine.store.evaluation_filter import EvaluationFilter
from engine.store.folders import safe_name
from engine.store.ids import generate_id, match_ids, shorten_id
from engine.store.locks import LockBusy, LockHolder
from engine.store.outbox import LONGEST_DELAY
from engine.store.records.datasets import DatasetMeasurement, KeptRows
from engine.store.records.evaluations import CheckPoint, MetricPoint, Mute, PastFacts, Removal
from engine.store.records.messages import (
    Attachment,
    ChannelState,
    Claim,
    JoinedMessage,
    MessageState,
    OutboxMessage,
    ReporterState,
    UndeliveredMessages,
)
from engine.store.records.models import ActiveModel, ModelVersion
from engine.store.records.runs import Event, RunEnd, RunRecord, StepRecord, make_delivery_event
from engine.store.store import Store

if TYPE_CHECKING:
    from engine.store.records.triggers import OPEN_STATES, Fire, FireState, Pause, TriggerState

_LAZY_EXPORTS = dict.fromkeys(("OPEN_STATES", "Fire", "FireState", "Pause", "TriggerState"), "records.triggers")
__getattr__, __dir__ = export_lazily(__name__, _LAZY_EXPORTS)

__all__ = [
    "LONGEST_DELAY",
    "OPEN_STATES",
    "ActiveModel",
    "Attachment",
    "ChannelState",
    "CheckPoint",
    "Claim",
    "DatasetMeasurement",
    "EvaluationFilter",
    "Event",
    "Fire",
    "FireState",
    "JoinedMessage",
    "KeptRows",
    "LockBusy",
    "LockHolder",
    "MessageState",
    "MetricPoint",
    "ModelVersion",
    "Mute",
    "OutboxMessage",
    "PastFacts",
    "Pause",
    "Removal",
    "ReporterState",
    "RunEnd",
    "RunRecord",
    "StepRecord",
    "Store",
    "TriggerState",
    "UndeliveredMessages",
    "generate_id",
    "make_delivery_event",
    "match_ids",
    "safe_name",
    "shorten_id",
    "utc_now",
]
