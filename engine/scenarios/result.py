"""What a run found, as data: the JSON contract of `run.json`, of `engine run --format json` and of a step's process.

One model for all of them, so that a run, its file and a step that ran in a process of its own can never disagree.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.evaluation.record import CheckResult
from engine.outcome import CheckOutcome, ExitCode, Outcome
from engine.scenarios.actions import Action

Cause = Literal["check", "failure"]


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EvaluationMade(_Result):
    """An evaluation that a step made or reused."""

    id: str = Field(description="Its id in the store.")
    store: str = Field(description="The evaluation store.")
    name: str = Field(description="Its name.")
    reused: bool = Field(description="Nothing had changed: no row was added.")


class StepResult(_Result):
    """How a step ended."""

    name: str = Field(description="The step's name.")
    kind: str = Field(description="Its kind.")
    outcome: Outcome = Field(description="SUCCESS, WARNING, FAILED, ABORTED or SKIPPED.")
    cause: Cause | None = Field(None, description="Of FAILED: a check is ERROR, or the step could not run.")
    reason: str = Field("", description="Why it ended so, in words.")
    reused: bool = Field(False, description="Nothing had changed, nothing was computed.")
    turn: dict[str, Any] | None = Field(None, description="The values of this turn of for_each.")
    tries: int = Field(1, description="How often it was tried.")
    started: datetime | None = Field(None, description="UTC.")
    ended: datetime | None = Field(None, description="UTC.")
    evaluations: list[EvaluationMade] = Field([], description="Evaluations made or reused.")
    checks: list[CheckResult] = Field(
        [], repr=False, description="Checks applied; a wildcard check gives one entry a metric."
    )
    metrics: dict[str, float | None] = Field({}, repr=False, description="Metrics that later conditions can read.")
    variables: dict[str, Any] = Field({}, description="Variables set for the rest of the run.")
    actions: list[Action] = Field([], repr=False, description="What was done, or need not be, each with its reason.")
    run: "RunResult | None" = Field(None, description="The run of another scenario that it started.")


class Delivery(_Result):
    """What became of one message."""

    reporter: str = Field(description="The reporter.")
    channel: str = Field(description="The channel.")
    state: Literal["SENT", "PENDING"] = Field(description="SENT, or PENDING: it is tried again.")
    reason: str = Field("", description="Why it is pending, in the receiver's words.")


class RunResult(_Result):
    """One run of a scenario."""

    schema_version: Literal[1] = Field(1, description="Version of this document.")
    id: str = Field(description="The run's id.")
    project: str = Field(description="The project.")
    scenario: str = Field(description="The scenario.")
    outcome: Outcome | None = Field(None, description="The worst of its steps'; null while it is running.")
    started: datetime = Field(description="UTC.")
    ended: datetime | None = Field(None, description="UTC.")
    trigger: str = Field(description="What started it: manual, or another scenario.")
    who: str = Field(description="user@host.")
    parent: str | None = Field(None, description="The run that started it.")
    variables: dict[str, Any] = Field(description="The project's variables as it began.")
    steps: list[StepResult] = Field(
        default_factory=list, description="In order; one entry a turn where the scenario has for_each."
    )
    deliveries: list[Delivery] = Field(default_factory=list, description="What became of its messages.")
    log: str = Field("", description="The run's log, relative to the state folder.")

    def all_steps(self) -> Iterator[StepResult]:
        """Every step, those of the runs that it started included."""
        for step in self.steps:
            yield step
            if step.run is not None:
                yield from step.run.all_steps()

    def all_deliveries(self) -> Iterator[Delivery]:
        """Every delivery, those of the runs that it started included."""
        yield from self.deliveries
        for step in self.steps:
            if step.run is not None:
                yield from step.run.all_deliveries()


FailOn = Literal["warning", "error", "never"]


def exit_code(runs: list[RunResult], *, undelivered: int, fail_on: FailOn) -> ExitCode:
    """Return the first exit code that applies: could not run, a check failed, an alert is undelivered, all is well."""
    steps = [step for run in runs for step in run.all_steps()]
    if any(run.outcome is Outcome.ABORTED for run in runs) or any(step.cause == "failure" for step in steps):
        return ExitCode.COULD_NOT_RUN
    checked = checks_exit_code([check for step in steps for check in step.checks], fail_on)
    return checked or (ExitCode.UNDELIVERED if undelivered else ExitCode.OK)


def checks_exit_code(checks: Iterable[CheckResult], fail_on: FailOn) -> ExitCode:
    """Return CHECK_ERROR where a check found as much as fails, else OK."""
    failing = {
        "never": set[CheckOutcome](),
        "error": {CheckOutcome.ERROR},
        "warning": {CheckOutcome.ERROR, CheckOutcome.WARNING},
    }[fail_on]
    return ExitCode.CHECK_ERROR if any(check.counts_as in failing for check in checks) else ExitCode.OK
