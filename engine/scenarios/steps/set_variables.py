"""Step `set_variables`: sets variables for the later steps and the runs that they start (see `SetVariablesStep`)."""

from engine.outcome import Outcome
from engine.pipeline.actions import Action
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import SetVariablesStep


def run(step: SetVariablesStep, context: RunContext) -> StepResult:
    """Return the values and log them; the runner passes them to the later steps. Values that do not fit fail it."""
    context.with_values(step.variables)  # here, so that it is the step that fails, and the run ends in order
    for name, value in step.variables.items():
        context.log.info(f"{name} = {value}")
        context.journal.actions.append(Action(kind="set", target=name, result=str(value), because="always"))
    return StepResult(name=step.name, kind=step.kind, outcome=Outcome.SUCCESS, variables=step.variables)
