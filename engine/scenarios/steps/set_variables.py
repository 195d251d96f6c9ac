"""Step `set_variables`: values for the rest of the run and the runs that it starts."""

from engine.outcome import Outcome
from engine.scenarios.actions import Action
from engine.scenarios.context import Context
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import SetVariablesStep


def run(step: SetVariablesStep, context: Context) -> StepResult:
    """Say the values; the runner gives them to what comes after."""
    for name, value in step.variables.items():
        context.log.info(f"{name} = {value}")
        context.actions.append(Action(kind="set", target=name, result=str(value), because="always"))
    return StepResult(name=step.name, kind=step.kind, outcome=Outcome.SUCCESS, variables=step.variables)
