"""The database of an infrastructure: which bundles run where, with which settings, and how they came there."""

from engine.store.node.node import Node
from engine.store.node.records import (
    ENDS,
    DeploymentRow,
    OperationKind,
    OperationRow,
    OperationState,
    OperationStep,
    ReceivedBundle,
    RevisionRow,
    RevisionState,
)

__all__ = [
    "ENDS",
    "DeploymentRow",
    "Node",
    "OperationKind",
    "OperationRow",
    "OperationState",
    "OperationStep",
    "ReceivedBundle",
    "RevisionRow",
    "RevisionState",
]
