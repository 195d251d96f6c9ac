"""The kinds of steps: one module per kind, named after it and imported with the first step of the kind.

This is one of the three places that catch every exception (the others are a delivery and the command line): a bug in a
step fails that step, but the run goes on, so that its reporters can report it.
"""

import errno
import traceback
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

from engine.errors import EngineError
from engine.evaluation.checks.counts import PassedChecks
from engine.outcome import Outcome
from engine.pipeline.journal import Journal
from engine.pipeline.log import log_warnings
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import AnyStep


def run_step_kind(step: AnyStep, context: RunContext) -> StepResult:
    """Run a step by the module of its kind."""
    do: Callable[[Any, RunContext], StepResult] = import_module(f"engine.scenarios.steps.{step.kind}").run
    return do(step, context)


def run(step: AnyStep, context: RunContext) -> StepResult:
    """Run a step, again if a file changed meanwhile, and return its result; an exception becomes a FAILED result."""
    context = replace(context, journal=Journal())
    try:
        with log_warnings(context.log):
            result = context.read_unchanged(lambda attempt: run_step_kind(step, attempt))
            if not result.reused:  # findings of reused data were reported when the data were read
                from engine.pipeline import data_validation

                data_validation.report_findings(step, context)
        unmeasured = PassedChecks.select(result.checks).list_unmeasured()
        result = result.model_copy(update={"actions": context.journal.actions, "unmeasured": unmeasured})
    except KeyboardInterrupt:
        raise
    except EngineError as error:
        return fail_step(step, _explain_memory(error) or str(error), context)
    except BaseException as bug:  # noqa: BLE001 - the boundary: the run goes on to its reporters, also after a panic
        context.log.error("".join(traceback.format_exception(bug)))
        internal = f"internal error: {type(bug).__name__}: {bug}; the traceback is in the log"
        return fail_step(step, _explain_memory(bug) or internal, context)
    result = result.model_copy(update={"reason": context.secrets.redact(result.reason)})
    line = f"{result.outcome}: {result.reason}" if result.reason else str(result.outcome)
    context.log.write("error" if result.outcome is Outcome.FAILED else "info", line)
    return result


def _explain_memory(error: BaseException) -> str:
    """Return what to do if an exception, or one of its causes, means that memory was lacking; else an empty text."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or getattr(cause, "errno", 0) == errno.ENOMEM or "os error 12" in str(cause):
            return (
                f"not enough memory: {str(error) or type(error).__name__}. What to do: give this process more memory, "
                "or read fewer rows or columns"
            )
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return ""


def fail_step(step: AnyStep, reason: str, context: RunContext) -> StepResult:
    """Log that a step could not run, and return its result."""
    reason = context.secrets.redact(reason)
    context.log.error(f"FAILED: {reason}")
    return StepResult(
        name=step.name,
        kind=step.kind,
        outcome=Outcome.FAILED,
        cause="failure",
        reason=reason,
        actions=context.journal.actions,
    )
