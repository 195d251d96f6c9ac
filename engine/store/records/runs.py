"""The records of runs: their steps, their events and their ends."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any, Literal, NamedTuple

from engine.errors import Position
from engine.evaluation.bounds import CheckBounds, bounds_to_json
from engine.outcome import FailureCause, Outcome, worst_cause


@dataclass(frozen=True, slots=True)
class StepRecord:
    """The result of one step of a run.

    `turn` holds the variables of its iteration of `for_each`. `cause` says why it is FAILED: a check is ERROR, or it
    could not run; None for other outcomes, and in records of earlier versions.
    """

    name: str
    kind: str
    outcome: Outcome
    started: datetime
    ended: datetime
    reused: bool = False
    reason: str = ""
    turn: Mapping[str, Any] | None = None
    cause: FailureCause | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a run: what happened, with the value, the allowed range, and where."""

    kind: Literal["check", "step", "delivery", "run"]
    severity: Literal["info", "warning", "error"]
    what: str
    at: datetime
    value: float | None = None
    range: CheckBounds | None = None
    where: str = ""
    position: Position | None = None


def make_delivery_event(
    reporter: str, channel: str, what: str, severity: Literal["info", "warning", "error"], at: datetime
) -> Event:
    """Return what has become of the message of a reporter, its state and why, as an event of its run."""
    return Event("delivery", severity, f"{reporter} to {channel}: {what}", at)


def event_to_json(event: Event) -> dict[str, Any]:
    """Return an event by the names of its fields; `range` by the keys of the spec."""
    return {one.name: getattr(event, one.name) for one in fields(event)} | {
        "range": bounds_to_json(event.range),
        "position": event.position and asdict(event.position),
    }


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run of a scenario. `outcome` and `ended` are None while it is RUNNING. `who` is user@host.

    `as_of` is the moment that the run stands for; None for runs from before moments were recorded. `fire` is the number
    of the fire that started it, if any; `spec` is the digest of its spec, and `release` its bundle, None outside of
    deployments.
    """

    id: str
    project: str
    scenario: str
    started: datetime
    who: str
    trigger: str = "manual"
    parent: str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    as_of: datetime | None = None
    ended: datetime | None = None
    outcome: Outcome | None = None
    fire: int | None = None
    spec: str | None = None
    release: str | None = None
    steps: tuple[StepRecord, ...] = ()
    events: tuple[Event, ...] = ()

    @property
    def state(self) -> str:
        """RUNNING, or the outcome."""
        return self.outcome.value if self.outcome else "RUNNING"

    @property
    def cause(self) -> FailureCause | None:
        """Why steps of it are FAILED; a step that could not run outweighs a check."""
        return worst_cause(step.cause for step in self.steps)


class RunEnd(NamedTuple):
    """The end of a run; `number` counts the ends of a project in the order of recording.

    `as_of` is the moment that the run stands for; None if it is not known, or the run was removed.
    """

    number: int
    run: str
    scenario: str
    outcome: Outcome
    as_of: datetime | None = None
