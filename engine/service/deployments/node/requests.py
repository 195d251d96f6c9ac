"""What clients send to a node, and what it answers, as JSON: both sides read these models.

Rows of node.db (`engine.store.node.records`) are answered as they are.
"""

import json
from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field, field_validator

from engine.outcome import Outcome
from engine.pipeline.actions import FrozenModel
from engine.service.deployments.deployed_state import DeployedState
from engine.service.deployments.project_status import ProjectStatus
from engine.store import RunRecord, StepRecord
from engine.store.node import OperationRow, ReceivedBundle

LONGEST_NAME = 200
Scalar = str | int | float | bool


class CareRequest(FrozenModel):
    """What is done around an update, and how many seconds each of it may take."""

    dry_run: list[str] = Field([])
    probe_channels: bool = False
    preload_seconds: float = Field(600, gt=0, le=86_400)
    health_run: list[str] = Field([])
    health_seconds: float = Field(600, gt=0, le=86_400)
    before: list[tuple[list[str], float]] = Field([])
    after: list[tuple[list[str], float]] = Field([])
    hook_folder: str = "."
    keep: int = Field(5, ge=1, le=10_000)


class SettingValues(FrozenModel):
    """The settings of a deployment that decide what runs."""

    variables: dict[str, Any]
    connections: dict[str, dict[str, Any]]
    channels: dict[str, dict[str, Any]]
    secrets: dict[str, dict[str, Any]]
    server_url: str | None
    scenarios: dict[str, bool]


class SettingsSnapshot(FrozenModel):
    """What `snapshot_settings` of `engine.service.deployments.settings` returns."""

    values: SettingValues
    care: CareRequest


class UpdateRequest(FrozenModel):
    """An update of a deployment to a bundle that the node has received."""

    project: str = Field(min_length=1, max_length=LONGEST_NAME, description="Name of the project of the bundle.")
    bundle: str = Field(pattern="^[0-9a-f]{64}$", description="Id of the bundle.")
    bundle_name: str = Field(min_length=1, max_length=LONGEST_NAME, description="Name by which it was chosen.")
    settings: dict[str, Any] = Field(
        description="The settings of the deployment, as its spec has them: `values`, and `care`, what is done around "
        "the update.",
        json_schema_extra={
            "required": ["values", "care"],
            "properties": {"values": {"type": "object"}, "care": {"type": "object"}},
        },
    )
    expected_revision: int | None = Field(
        description="The revision that is active when this is asked for; null if none is."
    )
    again: bool = Field(False, description="Deploy it although it was rolled back there.")
    now: bool = Field(False, description="Leave out the proofs before the update.")

    @field_validator("settings")
    @classmethod
    def _check_settings(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Check the form of the settings, and return them as they are: their digest is compared by clients."""
        SettingsSnapshot.model_validate_json(json.dumps(settings), strict=True)
        return settings


class RollbackRequest(FrozenModel):
    """Going back to the last healthy revision."""

    expected_revision: int = Field(description="The revision that is active when this is asked for.")
    now: bool = Field(False, description="Leave out the proofs before the update.")


class DisableRequest(FrozenModel):
    """Switching a deployment off."""

    expected_revision: int | None = Field(
        None, description="The revision that is active when this is asked for; null if that does not matter."
    )


class AcceptedOperation(FrozenModel):
    """An operation that a node has begun, or had begun at an earlier request of the same key."""

    operation: OperationRow
    new: bool = Field(description="Whether this request has begun it.")


class OperationEvent(FrozenModel):
    """Something that an operation has said."""

    number: int = Field(description="Its place among the events of the operation, from 1.")
    at: datetime
    text: str


class EventList(FrozenModel):
    """The events of an operation, and the state that it has reached."""

    operation: OperationRow
    events: list[OperationEvent]


class OperationList(FrozenModel):
    """The operations on a deployment, oldest first."""

    operations: list[OperationRow]


class DeploymentAnswer(FrozenModel):
    """A deployment as it is on the node."""

    state: DeployedState


class DeploymentList(FrozenModel):
    """The deployments of the node, by name."""

    deployments: list[DeployedState]


class BundleAnswer(FrozenModel):
    """A bundle that the node has received."""

    bundle: ReceivedBundle


class BundleList(FrozenModel):
    """The bundles that the node has received, in the order in which they came."""

    bundles: list[ReceivedBundle]


class DeletedAnswer(FrozenModel):
    """The id of a bundle that was removed."""

    deleted: str


class DeletedDeploymentAnswer(FrozenModel):
    """The name of a deployment that was removed."""

    deleted: str
    rows: str = Field(description="Where the rows of its state are, or were, on a server; empty if in its folder.")


class RunStartRequest(FrozenModel):
    """A run of a scenario that is asked for."""

    variables: dict[str, Scalar] = Field({}, description="Values that replace those of the spec.")


class FireState(FrozenModel):
    """A run that was asked for, or that a trigger asks for, and what has become of it.

    `run` is the id of its run; null until its process has begun.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    number: int
    scenario: str
    trigger: str
    state: str
    reason: str
    scheduled: datetime
    seen_at: datetime
    run: str | None
    attempt: int
    into: int | None
    variables: dict[str, str]
    changed: list[str]
    next_try: datetime | None


class RequestedRunAnswer(FrozenModel):
    """The fire of a run that was asked for."""

    fire: FireState
    new: bool = Field(description="Whether this request has made it.")


class RunStepState(FrozenModel):
    """A step of a run."""

    name: str
    kind: str
    outcome: str
    started: datetime
    ended: datetime
    reused: bool
    reason: str
    turn: dict[str, Any] | None


class DeliveryState(FrozenModel):
    """A message of a run: whether it was sent, and how, or why not."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    reporter: str
    channel: str
    state: str
    reason: str


class RunState(FrozenModel):
    """A run. `state` is RUNNING, or its outcome."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    project: str
    scenario: str
    state: str
    started: datetime
    ended: datetime | None
    as_of: datetime | None
    who: str
    trigger: str
    parent: str | None
    fire: int | None
    release: str | None = None
    variables: dict[str, Any]
    spec: str | None
    steps: list[RunStepState]
    events: list[dict[str, Any]]
    deliveries: list[DeliveryState] = Field(
        default_factory=list, description="What has become of its messages until now; empty in a list of runs."
    )

    def to_record(self) -> RunRecord:
        """Return it as a state keeps it, without its events and deliveries."""
        values = self.model_dump(exclude={"state", "steps", "events", "deliveries"})
        steps = [one.model_dump() | {"outcome": Outcome(one.outcome)} for one in self.steps]
        outcome = None if self.state == "RUNNING" else Outcome(self.state)
        return RunRecord(**values, outcome=outcome, steps=tuple(StepRecord(**one) for one in steps))


class LogPart(FrozenModel):
    """The whole entries of a log from a byte on, a JSON object a line, and where the next ones begin."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    from_: int = Field(alias="from")
    next: int
    text: str
    more: bool


class RunAnswer(FrozenModel):
    """A run and the beginning of its log."""

    run: RunState
    log: LogPart


class RunList(FrozenModel):
    """The newest runs of a deployment, oldest first, without their steps, events and deliveries."""

    runs: list[RunState]
    total: int = Field(description="How many there are.")


class AbortedRunAnswer(FrozenModel):
    """A run that was asked to end."""

    aborting: str = Field(description="Its id.")
    ends: Literal["at once", "after its step"] = Field(
        description="Whether the server ends its step, too, or another process lets the step at work end first."
    )


class PauseRequest(FrozenModel):
    """A pause of the triggers of a scenario."""

    reason: str = Field(min_length=1, max_length=1000, description="Why, for all who see it.")
    until: str | None = Field(None, description="A date, a time, or a duration such as 12h; null: until it is resumed.")


class PauseAnswer(FrozenModel):
    """A scenario whose triggers are paused."""

    paused: str
    until: datetime | None
    by: str


class ResumeAnswer(FrozenModel):
    """Whether a scenario was paused."""

    resumed: bool


class StatusAnswers(FrozenModel):
    """How the deployments of the node stand, each in four answers."""

    deployments: list[ProjectStatus]


class ErrorAnswer(FrozenModel):
    """Why a request cannot be answered as asked, and what to do."""

    error: str
    help: str | None = None
