"""What clients send to a node about deployments, and what it answers, as JSON: both sides read these models.

Rows of node.db (`engine.store.node.records`) are answered as they are.
"""

from datetime import datetime
from typing import Any

from pydantic import Field

from engine.pipeline.actions import FrozenModel
from engine.service.deployments.targets import DeployedState
from engine.store.node import OperationRow


class UpdateRequest(FrozenModel):
    """An update of a deployment to a bundle that the node has received."""

    project: str = Field(description="Name of the project of the bundle.")
    bundle: str = Field(pattern="^[0-9a-f]{64}$", description="Id of the bundle.")
    bundle_name: str = Field(description="Name by which it was chosen.")
    settings: dict[str, Any] = Field(description="The settings of the deployment, as its spec has them.")
    expected_revision: int | None = Field(description="The revision that is active when this is asked for.")
    again: bool = Field(False, description="Deploy it although it was rolled back there.")
    now: bool = Field(False, description="Leave out the proofs before the update.")


class RollbackRequest(FrozenModel):
    """Going back to the last healthy revision."""

    expected_revision: int = Field(description="The revision that is active when this is asked for.")
    now: bool = Field(False, description="Leave out the proofs before the update.")


class AcceptedOperation(FrozenModel):
    """An operation that a node has begun, or had begun at an earlier request of the same key."""

    operation: OperationRow
    new: bool = Field(description="Whether this request has begun it.")


class OperationEvent(FrozenModel):
    """Something that an operation has said."""

    number: int = Field(description="Its place among the events of the operation, from 1.")
    at: datetime
    text: str


class DeploymentAnswer(FrozenModel):
    """A deployment as it is on the node."""

    state: DeployedState


class EvaluationPage(FrozenModel):
    """Evaluations of a deployment, oldest first, as `engine.store.transfer` writes them."""

    evaluations: list[dict[str, Any]]
    next: int | None = Field(description="What to ask for to get those after these; None: there are none.")
