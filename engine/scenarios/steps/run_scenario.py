"""Step `run_scenario`: runs another scenario with this run's variables and locks, and takes over its outcome.

If the run was stopped by the timeout of its scenario, the step is FAILED.
"""

from engine.outcome import Outcome
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import RunScenarioStep


def run(step: RunScenarioStep, context: RunContext) -> StepResult:
    """Run the scenario; the variables of the step are valid for that run only."""
    child = context.start_scenario(step.scenario, context.with_values(step.variables))
    aborted = [found.reason for found in child.steps if found.outcome is Outcome.ABORTED]
    outcome = Outcome.FAILED if aborted else child.outcome
    return StepResult(
        name=step.name,
        kind=step.kind,
        outcome=outcome,
        cause="failure" if aborted else child.cause if outcome is Outcome.FAILED else None,
        reason=f"of {step.scenario!r}, {aborted[0]}" if aborted else "",
        run=child,
        evaluations=[made for found in child.all_steps() for made in found.evaluations],
        metrics={metric: value for found in child.steps for metric, value in found.metrics.items()},
    )
