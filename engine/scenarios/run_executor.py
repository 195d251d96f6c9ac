"""Executes the steps of a run: in this process, or in a separate one if the step or the scenario has a timeout.

A user's function, a kernel or a query that does not return can be stopped only by killing its process. So each step of
a scenario with a timeout has its own process, which is killed with its child processes when the time of the run is
over.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from engine.formatting.lists import join_some
from engine.formatting.numbers import format_seconds
from engine.outcome import CheckOutcome, Outcome
from engine.pipeline.log import STARTED
from engine.scenarios import steps
from engine.scenarios.alerts.run_facts import collect_condition_facts
from engine.scenarios.context import RunContext
from engine.scenarios.dead_runs import abort_dead_runs
from engine.scenarios.interpreter import explain_skip
from engine.scenarios.result import StepResult
from engine.spec.conditions import ConditionFacts
from engine.spec.resources.scenarios import (
    AnyStep,
    ExportStep,
    PythonStep,
    RunScenarioStep,
    SendMessageStep,
    SetVariablesStep,
    SqlStep,
    UpdateDeploymentStep,
)


class RunTimedOut(Exception):  # noqa: N818  (the end of a run, not a fault)
    """The run has taken longer than the timeout of its scenario; `step` is the result of the step that was running."""

    def __init__(self, step: StepResult) -> None:
        super().__init__(step.reason)
        self.step = step


class AbortRequested(KeyboardInterrupt):
    """Somebody has asked the run to end from outside its terminal, for example through the server."""


def require_no_abort(context: RunContext) -> None:
    """Raise AbortRequested if somebody has asked the run of the context to end."""
    if context.run is not None and (by := context.store.runs.find_abort_request(context.run)):
        raise AbortRequested(f"aborted by {by}")


class RunExecutor:
    """Executes each step and returns its result.

    Raises
    ------
    RunTimedOut
        By `execute` and `prepare_retry`: the time of the run is over.
    AbortRequested
        By `execute`: somebody has asked the run to end.
    """

    def __init__(self) -> None:
        self._finished: list[StepResult] = []
        self._begun: datetime | None = None

    def collect_facts(self, finished: Sequence[StepResult], context: RunContext) -> ConditionFacts:
        """Return the facts of the steps that have ended."""
        return collect_condition_facts(finished, context)

    def has_failed(self, finished: Sequence[StepResult]) -> bool:
        """Return whether one of these steps is FAILED."""
        return any(step.outcome is Outcome.FAILED for step in finished)

    def answer_undecided(self, step: AnyStep, reason: str, context: RunContext) -> StepResult:
        """Fail the step: running it and skipping it could both be wrong, and reporters report a failure."""
        return steps.fail_step(step, f"its run_condition cannot be evaluated: {reason}", context)

    def skip(self, step: AnyStep, context: RunContext, reason: str = "") -> StepResult:
        """Log that the step does not run."""
        reason = reason or explain_skip(step, "an earlier step FAILED")
        context.log.info(f"SKIPPED: {reason}")
        return StepResult(name=step.name, kind=step.kind, outcome=Outcome.SKIPPED, reason=reason)

    def execute(self, index: int, step: AnyStep, attempt: int, context: RunContext) -> StepResult:
        """Run the step once; apply `on_warning`."""
        require_no_abort(context)
        if attempt == 1:
            self._begun = context.clock()
            context.log.info(STARTED)
        self._check_deadline(step, context)
        context = replace(context, finished=tuple(self._finished))
        if isinstance(step, SetVariablesStep) or (step.timeout is None and context.deadline == math.inf):
            result: StepResult | None = steps.run(step, context)
        else:
            result = _run_in_process(index, step, context)
        if result is None:
            raise self._end_run(step, context)
        if isinstance(step, SqlStep | ExportStep | PythonStep | RunScenarioStep):
            context.datasets.forget_tables()
        return _count_warning(step, result, context)

    def _check_deadline(self, step: AnyStep, context: RunContext) -> None:
        if time.monotonic() >= context.deadline:
            raise self._end_run(step, context)

    def _end_run(self, step: AnyStep, context: RunContext) -> RunTimedOut:
        """Return the exception that ends a run whose time is over during this step."""
        iterations = context.get_scenario(context.log.scenario).for_each
        result = StepResult(
            name=step.name,
            kind=step.kind,
            outcome=Outcome.ABORTED,
            reason=f"the run {_describe_timeout(context)} at this step",
            started=self._begun,
            ended=context.clock(),
            turn=context.secrets.redact_values((iterations or [{}])[context.turn]) or None,
        )
        return RunTimedOut(result)

    def prepare_retry(self, step: AnyStep, attempt: int, context: RunContext) -> bool:
        """Log that the step is tried again, and wait for the pause between attempts."""
        retries = step.retries
        if retries is None:
            return False
        context.log.warning(f"attempt {attempt} of {1 + retries.count} FAILED; trying again")
        pause = retries.delay.total_seconds() if retries.delay else 0
        time.sleep(max(0, min(pause, context.deadline - time.monotonic())))
        self._check_deadline(step, context)
        return True

    def complete(
        self,
        step: AnyStep,
        end: StepResult,
        started: datetime,
        undecided: str,
        iteration: Mapping[str, Any],
        context: RunContext,
    ) -> StepResult:
        """Add the step's times, and the iteration that it belongs to."""
        turn = context.secrets.redact_values(iteration) or None
        result = end.model_copy(update={"started": started, "ended": context.clock(), "turn": turn})
        self._finished.append(result)
        return result


def _describe_timeout(context: RunContext) -> str:
    """Return how a run whose time is over has ended."""
    timeout = context.get_scenario(context.log.scenario).timeout
    limit = format_seconds(timeout.total_seconds()) if timeout else "?"
    return f"took longer than its timeout of {limit} and was stopped"


def _count_warning(step: AnyStep, result: StepResult, context: RunContext) -> StepResult:
    """Return the result of a step; a WARNING becomes FAILED, with the reason, if the step has `on_warning: fail`."""
    if step.on_warning != "fail" or result.outcome is not Outcome.WARNING:
        return result
    reason = "on_warning: fail makes its WARNING a failure"
    context.log.error(f"FAILED: {reason}")
    checks = [
        *result.checks,
        *(check for child in (result.run.all_steps() if result.run else ()) for check in child.checks),
    ]
    by_check = any(check.counts_as is CheckOutcome.WARNING for check in checks)
    return result.model_copy(
        update={
            "outcome": Outcome.FAILED,
            "cause": "check" if by_check else "failure",
            "reason": f"{result.reason}; {reason}" if result.reason else reason,
        }
    )


def _run_in_process(index: int, step: AnyStep, context: RunContext) -> StepResult | None:
    """Run step number `index` of the context's scenario in a process, which is killed when its time is over.

    Returns None if the time of the whole run is over.
    """
    from engine.scenarios import process  # most runs have no step with a timeout
    from engine.scenarios.requests import StepRequest

    request = StepRequest(
        spec=context.project.path,
        variables=dict(context.project.overrides),
        as_of=context.project.as_of,
        scenario=context.log.scenario,
        index=index,
        run=context.run,
        log_folder=context.log.files.folder if context.log.files else None,
        held_locks=context.held_locks,
        built=dict(context.built),
        turn=context.turn,
        finished=context.finished if isinstance(step, SendMessageStep | UpdateDeploymentStep) else (),
        delivery_seconds=context.delivery_time.left,
        deliver=context.deliver,
        trigger=context.trigger,
        fire=None if context.fire is None else context.fire.number,
        preview=context.preview is not None,
        mode=context.mode,
        confined=tuple(context.project.confined),
        state=context.store.folder,
        drill=context.datasets.drill,
        settled=dict(context.settled),
    )
    began = time.monotonic()
    reply = process.run_in_process(
        request,
        context.environ,
        seconds=step.timeout.total_seconds() if step.timeout else None,
        deadline=context.deadline,
        pass_on=context.log.pass_on,
        preview=context.preview,
    )
    if isinstance(step, SendMessageStep):
        context.delivery_time.left -= time.monotonic() - began
    if reply.left:
        context.log.warning(f"the step has left processes running, which were ended with it: {join_some(reply.left)}")
    if reply.step is not None:
        if reply.code is None:
            context.log.warning(
                f"the step's process did not end within {process.EXIT_LIMIT:g} s after its result and was ended: "
                "a function has probably left a thread running"
            )
        return reply.step
    timed_out = time.monotonic() >= context.deadline
    starter = f"the run of {context.log.scenario!r} that has started it"
    how = _describe_timeout(context) if timed_out else f"has ended its step {step.name!r}: {reply.describe_failure()}"
    abort_dead_runs(context, f"{starter} {how}")  # a child run in the process has died with it
    return None if timed_out else steps.fail_step(step, reply.describe_failure(), context)
