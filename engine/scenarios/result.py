"""The result of a run: the JSON format of `run.json`, of `engine run --format json` and of a step's process.

All three use the same model, so they cannot disagree.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from engine.evaluation.record import CheckResult, Evaluation
from engine.outcome import CheckOutcome, ExitCode, FailureCause, Outcome, worst_cause
from engine.pipeline.actions import Action, FrozenModel


class EvaluationMade(FrozenModel):
    """An evaluation that a step made or reused."""

    id: str = Field(description="The evaluation's id.")
    store: str = Field(description="The evaluation store.")
    name: str = Field(description="The evaluation's name.")
    reused: bool = Field(description="Whether it existed already: nothing had changed, and no row was added.")
    time: str | None = Field(None, description="The time that it stands for, as declared; null without one.")
    newest: bool = Field(
        True, description="Whether no evaluation of the store stands for a later time; of a backfill, false."
    )
    supersedes: str | None = Field(None, description="The id of the evaluation of the same time that it has replaced.")
    same_data_as: str | None = Field(
        None, description="The id of an evaluation of another time whose batch is exactly the same data."
    )

    @classmethod
    def describe(
        cls, evaluation: Evaluation, *, reused: bool, newest: bool, supersedes: str | None = None
    ) -> "EvaluationMade":
        """Return the entry for an evaluation in a result."""
        return cls(
            id=evaluation.id,
            store=evaluation.store,
            name=evaluation.name,
            reused=reused,
            time=evaluation.time.text if evaluation.time else None,
            newest=newest,
            supersedes=supersedes,
            same_data_as=evaluation.same_data_as,
        )


class Delivery(FrozenModel):
    """The delivery of one message."""

    message: str = Field("", description="The message's id; empty if there is none.")
    reporter: str = Field(description="The reporter, or the step that sent it.")
    channel: str = Field(description="The channel.")
    state: Literal["SENT", "PENDING", "REFUSED", "DROPPED", "SKIPPED"] = Field(
        description="SENT; PENDING: sending is tried again later; REFUSED: the recipient has refused it for good; "
        "DROPPED: it is not tried again; SKIPPED: the reporter has nothing to send."
    )
    reason: str = Field("", description="Where it was sent, or why it was not, in the recipient's words.")
    remark: str = Field(
        "", description="What was warned of although it was sent, such as a file that the service left out."
    )

    @property
    def details(self) -> str:
        """The reason and the remark as one text."""
        return "; ".join(part for part in (self.reason, self.remark) if part)


class StepResult(FrozenModel):
    """The result of a step."""

    name: str = Field(description="The step's name.")
    kind: str = Field(description="The step's kind.")
    outcome: Outcome = Field(description="SUCCESS, WARNING, FAILED, ABORTED or SKIPPED.")
    cause: FailureCause | None = Field(
        None, description="Why it is FAILED: check (a check is ERROR) or failure (the step could not run)."
    )
    reason: str = Field("", description="The reason of the outcome as text.")
    reused: bool = Field(False, description="Whether nothing had changed, so that nothing was computed.")
    turn: dict[str, Any] | None = Field(None, description="The values of this iteration of for_each.")
    tries: int = Field(1, description="The number of attempts.")
    started: datetime | None = Field(None, description="When the step started, UTC.")
    ended: datetime | None = Field(None, description="When the step ended, UTC.")
    evaluations: list[EvaluationMade] = Field([], description="The evaluations that it made or reused.")
    checks: list[CheckResult] = Field(
        [], repr=False, description="The results of its checks; a wildcard check has one entry per metric."
    )
    unmeasured: list[str] = Field(
        [], description="What measured nothing although it counts as OK: metrics, and in parentheses why."
    )
    metrics: dict[str, float | None] = Field({}, repr=False, description="Metrics that later conditions can read.")
    variables: dict[str, Any] = Field({}, description="Variables that it set for the rest of the run.")
    actions: list[Action] = Field([], repr=False, description="Its actions, each with its reason.")
    deliveries: list[Delivery] = Field([], description="The delivery of the message that it sent.")
    run: "RunResult | None" = Field(None, description="The run of another scenario that it started.")


class RunResult(FrozenModel):
    """One run of a scenario."""

    schema_version: Literal[1] = Field(1, description="The version of this format.")
    id: str = Field(description="The run's id.")
    project: str = Field(description="The project's name.")
    scenario: str = Field(description="The scenario's name.")
    outcome: Outcome | None = Field(None, description="The worst outcome of its steps; null while it is running.")
    started: datetime = Field(description="When the run started, UTC.")
    ended: datetime | None = Field(None, description="When the run ended, UTC.")
    trigger: str = Field(description="What started it: manual, watch, a trigger, or another scenario.")
    who: str = Field(description="Who started it, as user@host.")
    parent: str | None = Field(None, description="The id of the run that started it.")
    variables: dict[str, Any] = Field(description="The project's variables at its start.")
    as_of: datetime | None = Field(None, description="The moment that the run stands for, in the project's time zone.")
    steps: list[StepResult] = Field(
        default_factory=list, description="The steps in order, repeated for each iteration of for_each."
    )
    deliveries: list[Delivery] = Field(default_factory=list, description="The deliveries of its messages.")
    log: str = Field("", description="The path of the run's log, relative to the state folder.")

    @property
    def cause(self) -> FailureCause | None:
        """Why steps of it are FAILED. A step that ran another scenario has the cause of that run if it is FAILED."""
        return worst_cause(step.cause for step in self.steps)

    def all_steps(self) -> Iterator[StepResult]:
        """Yield every step, including the steps of the runs that it started."""
        for step in self.steps:
            yield step
            if step.run is not None:
                yield from step.run.all_steps()

    def all_deliveries(self) -> Iterator[Delivery]:
        """Yield every delivery, including the deliveries of the runs that it started."""
        yield from self.deliveries
        for step in self.steps:
            if step.run is not None:
                yield from step.run.all_deliveries()


FailOn = Literal["warning", "error", "never"]


def exit_code(runs: list[RunResult], *, undelivered: int, fail_on: FailOn) -> ExitCode:
    """Return the first exit code that applies: could not run, a check failed, a message is undelivered, OK."""
    if any(run.outcome is Outcome.ABORTED or run.cause == "failure" for run in runs):
        return ExitCode.COULD_NOT_RUN
    # A step with `on_warning: fail` is FAILED also for a check that is WARNING.
    failing = fail_on != "never" and any(run.cause == "check" for run in runs)
    checked = checks_exit_code((check for run in runs for step in run.all_steps() for check in step.checks), fail_on)
    checked = ExitCode.CHECK_ERROR if failing else checked
    given_up = any(delivery.state == "DROPPED" for run in runs for delivery in run.all_deliveries())
    return checked or (ExitCode.UNDELIVERED if undelivered or given_up else ExitCode.OK)


def checks_exit_code(checks: Iterable[CheckResult], fail_on: FailOn) -> ExitCode:
    """Return CHECK_ERROR if a check counts as the outcome that `fail_on` names, or as a worse one; else OK."""
    failing = {
        "never": set[CheckOutcome](),
        "error": {CheckOutcome.ERROR},
        "warning": {CheckOutcome.ERROR, CheckOutcome.WARNING},
    }[fail_on]
    return ExitCode.CHECK_ERROR if any(check.counts_as in failing for check in checks) else ExitCode.OK
