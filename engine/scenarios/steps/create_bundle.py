"""Step `create_bundle`: packs the contents of a declared bundle, as built by the run, as a new bundle."""

from engine.outcome import Outcome
from engine.pipeline.bundles.creation import plan_bundle
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.scenarios.steps.targets import judge_datasets
from engine.spec.resources.scenarios import CreateBundleStep


def run(step: CreateBundleStep, context: RunContext) -> StepResult:
    """Build the contents of the bundle and pack it; a dry run discards the bundle, and a plan only describes it.

    Raises
    ------
    BundleError, DataError, ModelError, UsageError
        See `plan_bundle`.
    """
    return judge_datasets(step, context, lambda: _create_bundle(step, context))


def _create_bundle(step: CreateBundleStep, context: RunContext) -> StepResult:
    made = plan_bundle(step.bundle, step.called or step.bundle, context, publish=step.publish).apply(context)
    for note in made.notes:
        context.log.info(note)
    reason = made.describe() if context.mode == "run" else f"would be created: bundle {made.name}"
    return StepResult(name=step.name, kind=step.kind, outcome=Outcome.SUCCESS, reason=reason, reused=made.existed)
