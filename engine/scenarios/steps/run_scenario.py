"""Step `run_scenario`: another scenario, under this run's values and locks; its outcome is the step's."""

from engine.outcome import Outcome
from engine.scenarios.context import Context
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import RunScenarioStep


def run(step: RunScenarioStep, context: Context) -> StepResult:
    """Run it; its values hold for that run alone."""
    child = context.start(step.scenario, context.with_values(step.variables))
    causes = {found.cause for found in child.all_steps()}
    cause = "failure" if "failure" in causes else "check"
    return StepResult(
        name=step.name,
        kind=step.kind,
        outcome=child.outcome,
        cause=cause if child.outcome is Outcome.FAILED else None,
        run=child,
        evaluations=[made for found in child.all_steps() for made in found.evaluations],
        metrics={metric: value for found in child.steps for metric, value in found.metrics.items()},
    )
