"""The JSON models of requests to a node and of its responses, used by both sides.

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
    """The steps around an update, with their time limits in seconds."""

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
    """The settings of a deployment that affect its runs."""

    variables: dict[str, Any]
    connections: dict[str, dict[str, Any]]
    channels: dict[str, dict[str, Any]]
    secrets: dict[str, dict[str, Any]]
    server_url: str | None
    scenarios: dict[str, bool]


class SettingsSnapshot(FrozenModel):
    """The result of `snapshot_settings` in `engine.service.deployments.settings`."""

    values: SettingValues
    care: CareRequest


class UpdateRequest(FrozenModel):
    """A request to update a deployment to a received bundle."""

    project: str = Field(min_length=1, max_length=LONGEST_NAME, description="Name of the project of the bundle.")
    bundle: str = Field(pattern="^[0-9a-f]{64}$", description="Id of the bundle.")
    bundle_name: str = Field(min_length=1, max_length=LONGEST_NAME, description="Name with which it was chosen.")
    settings: dict[str, Any] = Field(
        description="The settings of the deployment, as its spec has them: `values`, and `care`, what is done around "
        "the update.",
        json_schema_extra={
            "required": ["values", "care"],
            "properties": {"values": {"type": "object"}, "care": {"type": "object"}},
        },
    )
    expected_revision: int | None = Field(description="The revision that is active at the request; null if none is.")
    again: bool = Field(False, description="Deploy it although it was rolled back there.")
    now: bool = Field(False, description="Skip the proofs before the update.")

    @field_validator("settings")
    @classmethod
    def _check_settings(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Check the form of the settings, and return them unchanged, since clients compare their digest."""
        SettingsSnapshot.model_validate_json(json.dumps(settings), strict=True)
        return settings


class RollbackRequest(FrozenModel):
    """A request to roll back to the last healthy revision."""

    expected_revision: int = Field(description="The revision that is active at the request.")
    now: bool = Field(False, description="Skip the proofs before the update.")


class DisableRequest(FrozenModel):
    """A request to disable a deployment."""

    expected_revision: int | None = Field(
        None, description="The revision that is active at the request; null if that does not matter."
    )


class AcceptedOperation(FrozenModel):
    """An operation started by this request, or by an earlier one with the same key."""

    operation: OperationRow
    new: bool = Field(description="Whether this request started it.")


class OperationEvent(FrozenModel):
    """A message of an operation."""

    number: int = Field(description="Its position among the events of the operation, from 1.")
    at: datetime
    text: str


class EventList(FrozenModel):
    """The events of an operation, and its state."""

    operation: OperationRow
    events: list[OperationEvent]


class OperationList(FrozenModel):
    """The operations on a deployment, oldest first."""

    operations: list[OperationRow]


class DeploymentAnswer(FrozenModel):
    """A deployment on the node."""

    state: DeployedState


class DeploymentList(FrozenModel):
    """The deployments of the node, by name."""

    deployments: list[DeployedState]


class BundleAnswer(FrozenModel):
    """A received bundle."""

    bundle: ReceivedBundle


class BundleList(FrozenModel):
    """The received bundles, in order of arrival."""

    bundles: list[ReceivedBundle]


class DeletedAnswer(FrozenModel):
    """The id of a removed bundle."""

    deleted: str


class DeletedDeploymentAnswer(FrozenModel):
    """The name of a removed deployment."""

    deleted: str
    rows: str = Field(
        description="The place of its state's rows if they are or were on a server; empty if in its folder."
    )


class RunStartRequest(FrozenModel):
    """A request for a run of a scenario."""

    variables: dict[str, Scalar] = Field({}, description="Values that replace those of the spec.")


class FireState(FrozenModel):
    """A run requested by a client or a trigger, and its status.

    `run` is the id of its run; null until its process has started.
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
    """The fire of a requested run."""

    fire: FireState
    new: bool = Field(description="Whether this request created it.")


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
    """A run.

    `state` is RUNNING, or its outcome. `cause` says why steps of it are FAILED: check, or failure, which outweighs it.
    It is null if none is, in a list of runs, and on a node of an earlier version.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    project: str
    scenario: str
    state: str
    cause: Literal["check", "failure"] | None = None
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
        default_factory=list, description="The current delivery states of its messages; empty in a list of runs."
    )

    def to_record(self) -> RunRecord:
        """Return the run as a record of the state, without its events and deliveries."""
        values = self.model_dump(exclude={"state", "cause", "steps", "events", "deliveries"})
        steps = [one.model_dump() | {"outcome": Outcome(one.outcome)} for one in self.steps]
        outcome = None if self.state == "RUNNING" else Outcome(self.state)
        return RunRecord(**values, outcome=outcome, steps=tuple(StepRecord(**one) for one in steps))


class LogPart(FrozenModel):
    """Complete entries of a log from a byte offset, one JSON object per line, and the offset of the next ones."""

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
    total: int = Field(description="The total number.")


class AbortedRunAnswer(FrozenModel):
    """A run whose abort was requested."""

    aborting: str = Field(description="Its id.")
    ends: Literal["at once", "after its step"] = Field(
        description="Whether the server ends its step too, or another process lets the running step end first."
    )


class PauseRequest(FrozenModel):
    """A pause of the triggers of a scenario."""

    reason: str = Field(min_length=1, max_length=1000, description="The reason, which all users see.")
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
    """The status of each deployment of the node, in four answers."""

    deployments: list[ProjectStatus]


class ErrorAnswer(FrozenModel):
    """Why a request failed, and the remedy."""

    error: str
    help: str | None = None
