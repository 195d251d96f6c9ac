"""Step `run_checks`: applies the checks of evaluation stores or of datasets."""

from engine.outcome import CheckOutcome, Outcome
from engine.pipeline.checks import apply_checks
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.scenarios.steps.targets import do_targets
from engine.spec.resources.checks import describe_inactive_checks
from engine.spec.resources.scenarios import RunChecksStep


def run(step: RunChecksStep, context: RunContext) -> StepResult:
    """Apply the checks of each target. The step is FAILED if any check is ERROR, else WARNING if any is WARNING."""
    return do_targets(step, context, lambda target: _run_checks(target, step, context))


def _run_checks(target: str, step: RunChecksStep, context: RunContext) -> StepResult:
    applied = apply_checks(target, context)
    worst = {check.counts_as for check in applied.results}
    outcome = Outcome.WARNING if CheckOutcome.WARNING in worst else Outcome.SUCCESS
    if CheckOutcome.ERROR in worst:
        outcome = Outcome.FAILED
    return StepResult(
        name=step.name,
        kind=step.kind,
        outcome=outcome,
        cause="check" if outcome is Outcome.FAILED else None,
        reason="" if applied.results or outcome is Outcome.FAILED else _explain_no_checks(target, context),
        checks=list(applied.results),
        metrics=dict(applied.metrics),
    )


def _explain_no_checks(target: str, context: RunContext) -> str:
    """Return why no check was applied to a target, so that its SUCCESS does not look like a passed check."""
    project = context.project
    declared = (project.datasets.get(target) or project.evaluation_stores[target]).checks
    return f"no check is applied: {describe_inactive_checks(declared) or f'{target} has no checks'}"
