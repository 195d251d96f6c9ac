"""Step `run_checks`: applies the checks of an evaluation store or of a dataset."""

from engine.outcome import CheckOutcome, Outcome
from engine.pipeline.checks import apply_checks
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import RunChecksStep


def run(step: RunChecksStep, context: RunContext) -> StepResult:
    """Apply the checks. If any is ERROR the step is FAILED, else if any is WARNING it is WARNING."""
    applied = apply_checks(step.target, context)
    worst = {check.counts_as for check in applied.results}
    outcome = Outcome.WARNING if CheckOutcome.WARNING in worst else Outcome.SUCCESS
    if CheckOutcome.ERROR in worst:
        outcome = Outcome.FAILED
    return StepResult(
        name=step.name,
        kind=step.kind,
        outcome=outcome,
        cause="check" if outcome is Outcome.FAILED else None,
        checks=list(applied.results),
        metrics=dict(applied.metrics),
    )
