"""View of a run: its trigger, steps, checks and deliveries."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.evaluation.record import CheckResult
from engine.outcome import Outcome
from engine.store import OutboxMessage, RunRecord
from engine.views.checks import CheckTally, CheckView, describe_checks, tally_checks

NO_CHECKS = tally_checks(())


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """A message of a run: how it was sent, or why it was not."""

    reporter: str
    channel: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class StepView:
    """One step of a run.

    `started` and `ended` are None if the step did not begin. `iteration` names the values of its for_each iteration.
    `checks` counts the results of its checks; known only while the run is going on, because the store keeps them with
    the run. `run` is the run that it started.
    """

    name: str
    kind: str
    outcome: Outcome
    seconds: float | None
    reason: str
    iteration: str
    checks: CheckTally = NO_CHECKS
    run: "RunView | None" = None
    started: datetime | None = None
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunView:
    """One run of a scenario.

    `state` is RUNNING or the outcome. `parent` is the id of the run that started it, if any. `as_of` is the moment that
    the run represents. `checks` are all results of its checks, the most severe first.
    """

    id: str
    scenario: str
    state: str
    started: datetime
    ended: datetime | None
    trigger: str
    who: str
    parent: str | None
    variables: Mapping[str, Any]
    as_of: datetime | None
    steps: tuple[StepView, ...]
    checks: tuple[CheckView, ...] = ()
    deliveries: tuple[DeliveryView, ...] = ()

    @property
    def short_id(self) -> str:
        """The last part of the id, which suffices to identify the run."""
        return self.id.rpartition("-")[2]

    @property
    def seconds(self) -> float | None:
        """The duration of the run in seconds; None while it is running."""
        return (self.ended - self.started).total_seconds() if self.ended else None


def describe_run(
    record: RunRecord, checks: Iterable[CheckResult] = (), deliveries: Iterable[DeliveryView] = ()
) -> RunView:
    """Return the view of a stored run, with the results of its checks and the deliveries of its messages."""
    return RunView(
        id=record.id,
        scenario=record.scenario,
        state=record.state,
        started=record.started,
        ended=record.ended,
        trigger=record.trigger,
        who=record.who,
        parent=record.parent,
        variables=record.variables,
        as_of=record.as_of,
        steps=tuple(
            StepView(
                name=step.name,
                kind=step.kind,
                outcome=step.outcome,
                seconds=(step.ended - step.started).total_seconds(),
                reason=step.reason,
                iteration=name_iteration(step.turn),
                started=step.started,
                ended=step.ended,
            )
            for step in record.steps
        ),
        checks=describe_checks(checks),
        deliveries=tuple(deliveries),
    )


def describe_deliveries(messages: Iterable[OutboxMessage]) -> list[DeliveryView]:
    """Return the current delivery state of messages."""
    return [DeliveryView(one.reporter, one.channel, str(one.state), one.fate) for one in messages]


def name_iteration(values: Mapping[str, Any] | None) -> str:
    """Return the values of an iteration of for_each as text."""
    return ", ".join(f"{name} = {value}" for name, value in (values or {}).items())
