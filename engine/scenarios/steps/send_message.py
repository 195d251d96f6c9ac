"""Step `send_message`: sends a message at this point of the run, with the results so far."""

from engine.outcome import Outcome
from engine.pipeline.actions import Action
from engine.pipeline.decision import Decision
from engine.scenarios.alerts.composition import send_step_message
from engine.scenarios.context import RunContext
from engine.scenarios.result import RunResult, StepResult
from engine.spec.resources.scenarios import SendMessageStep


def run(step: SendMessageStep, context: RunContext) -> StepResult:
    """Send the message; a preview or a dry run shows it, and a plan only describes this.

    A message that waits in the outbox is not lost, so the step is a SUCCESS. One that is refused for good, or dropped,
    is a WARNING.
    """
    action = Action(
        kind="send", target=f"{step.name} to {step.channel}", because="always", reason="at this point of the run"
    )
    done = StepResult(name=step.name, kind=step.kind, outcome=Outcome.SUCCESS)
    return Decision(action, lambda: _send_message(done, step, context), lambda: done).apply(context)


def _send_message(done: StepResult, step: SendMessageStep, context: RunContext) -> StepResult:
    delivery = send_step_message(step, _describe_run_so_far(context), context)
    if delivery is None:
        return done.model_copy(update={"reason": "shown, and not sent"})
    lost = delivery.state not in ("SENT", "PENDING")
    text = f"{delivery.state}: {delivery.details}" if delivery.details else delivery.state
    return done.model_copy(
        update={
            "outcome": Outcome.WARNING if lost else Outcome.SUCCESS,
            "reason": f"to {step.channel}: {text}",
            "deliveries": [delivery],
        }
    )


def _describe_run_so_far(context: RunContext) -> RunResult:
    """Return the result of the run so far, with the steps of this iteration that have ended."""
    known = context.store.runs.get(context.run or "")
    fields = ("id", "project", "scenario", "started", "trigger", "who", "parent", "variables", "as_of")
    return RunResult(
        **{field: getattr(known, field) for field in fields}, ended=context.clock(), steps=list(context.finished)
    )
