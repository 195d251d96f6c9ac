"""The database of an infrastructure: deployments, their bundles and settings, and the operations on them."""

from engine.store.node.node import TIDYING_SECONDS, Node
from engine.store.node.records import (
    ENDS,
    DeploymentRow,
    OperationEvent,
    OperationKind,
    OperationRow,
    OperationState,
    OperationStep,
    ReceivedBundle,
    RevisionRow,
    RevisionState,
    TokenRow,
)
from engine.store.node.tokens import Tokens

__all__ = [
    "ENDS",
    "TIDYING_SECONDS",
    "DeploymentRow",
    "Node",
    "OperationEvent",
    "OperationKind",
    "OperationRow",
    "OperationState",
    "OperationStep",
    "ReceivedBundle",
    "RevisionRow",
    "RevisionState",
    "TokenRow",
    "Tokens",
]
