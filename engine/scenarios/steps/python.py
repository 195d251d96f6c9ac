"""Step `python`: calls a function of the user, with the user's permissions."""

from engine.data import load_function
from engine.errors import DataError
from engine.formatting.lists import join_some
from engine.outcome import Outcome
from engine.pipeline.actions import Action
from engine.pipeline.decision import Decision
from engine.scenarios.child_processes import list_children, read_process_name
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import PythonStep

ALLOWED_OUTCOMES = (Outcome.SUCCESS, Outcome.WARNING, Outcome.FAILED)


def run(step: PythonStep, context: RunContext) -> StepResult:
    """Call the function; a plan or a dry run skips it, because it may change anything."""
    action = Action(
        kind="call",
        target=step.function,
        because="always",
        reason="a function is called every time: what it does is not known",
    )

    def skip() -> StepResult:
        reason = f"a {context.mode} does not call {step.function}, because it may change or send anything"
        return StepResult(name=step.name, kind=step.kind, outcome=Outcome.SKIPPED, reason=reason)

    call = (lambda: _call_function(step, context)) if context.mode == "run" else skip
    return Decision(action, call, skip).apply(context)


def _call_function(step: PythonStep, context: RunContext) -> StepResult:
    """Call the function. It may return nothing, an outcome, a text for the log, or an outcome and a text."""
    function = load_function(context.project.code_of("scenarios", context.log.scenario), step.function)
    before = set(list_children())
    returned = function(**step.arguments)
    if left := [read_process_name(child) for child in list_children() if child not in before]:
        remedy = "a step with a timeout ends them with it" if step.timeout is None else "they are ended with the step"
        context.log.warning(f"{step.function} has left processes running: {join_some(left)}; {remedy}")
    if returned is None or (isinstance(returned, str) and returned not in ALLOWED_OUTCOMES):
        returned = (Outcome.SUCCESS, returned or "")
    outcome, reason = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, "")
    if not isinstance(outcome, str) or outcome not in ALLOWED_OUTCOMES:
        raise DataError(
            f"{step.function} returned {returned!r}; the function of a step must return nothing, a text, "
            f"one of {', '.join(ALLOWED_OUTCOMES)}, or a pair of outcome and text"
        )
    outcome = Outcome(outcome)
    context.log.info(f"{step.function}: {outcome}{f', {reason}' if reason else ''}")
    cause = "failure" if outcome is Outcome.FAILED else None
    return StepResult(name=step.name, kind=step.kind, outcome=outcome, cause=cause, reason=str(reason))
