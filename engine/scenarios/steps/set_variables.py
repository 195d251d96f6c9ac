"""Step `set_variables`: sets variables for the later steps and the runs that they start (see `SetVariablesStep`)."""

from engine.outcome import Outcome
from engine.pipeline.actions import Action
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import SetVariablesStep


def run(step: SetVariablesStep, context: RunContext) -> StepResult:
    """Log and return the values, which the interpreter passes to later steps. Invalid values make the step FAILED."""
    context.with_values(step.variables)  # validated here, so that the step fails and the run goes on to its end
    for name, value in step.variables.items():
        context.log.info(f"{name} = {value}")
        context.journal.actions.append(Action(kind="set", target=name, result=str(value), because="always"))
    return StepResult(name=step.name, kind=step.kind, outcome=Outcome.SUCCESS, variables=step.variables)
